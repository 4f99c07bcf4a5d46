import { qschemeInfo } from '../quant/qscheme.ts';
import { HISTOGRAM_DEFAULTS, HistogramBase, type HistogramOptions } from './histogram-base.ts';
import { countBelow, cumulativeCounts, total, type Histogram } from './histogram.ts';
import type { ValueRange } from './histogram-search.ts';

/** Options of {@link PercentileObserver}. */
export interface PercentileObserverOptions extends HistogramOptions {
  /** Share of the values that the range is to hold, in percent, in (0, 100]. Default 99.99. */
  readonly percentile?: number;
}

const DEFAULT_PERCENTILE = 99.99;

/** Halvings of an interval; more than float64 can tell apart. */
const BISECTIONS = 60;

/**
 * The range that holds a given share of the values seen (Wu et al. 2020, "Integer Quantization for Deep Learning
 * Inference: Principles and Empirical Evaluation", arXiv 2004.09602, section 5.2).
 *
 *   symmetric: ±t, t = the p-th percentile of |x|
 *   affine:    from the (100 - p)/2-th to the (100 + p)/2-th percentile of x
 *
 * Percentiles are interpolated inside a bin and never leave [minVal, maxVal], so p = 100 is min/max. Of n values at most
 * about n·(100 - p)/100 lie outside; where that is less than one value, nothing is cut.
 */
export class PercentileObserver extends HistogramBase {
  static override readonly type: string = 'PercentileObserver';
  static override readonly defaults: object = { percentile: DEFAULT_PERCENTILE, ...HISTOGRAM_DEFAULTS };
  readonly percentile: number;

  constructor(options: PercentileObserverOptions = {}) {
    super(options);
    const { percentile = DEFAULT_PERCENTILE } = options;
    if (!(percentile > 0 && percentile <= 100)) {
      throw new RangeError(`${this.type}: expected a percentile in (0, 100], got ${percentile}`);
    }
    this.percentile = percentile;
  }

  protected override rangeOf(histogram: Histogram): ValueRange {
    const { min, max } = histogram;
    const outside = total(histogram) * (1 - this.percentile / 100);
    if (min === max || outside < 1) return { min, max };
    const cumulative = cumulativeCounts(histogram);
    const below = (value: number): number => countBelow(histogram, cumulative, value);
    if (qschemeInfo(this.qscheme).mapping === 'symmetric') {
      const within = (t: number): number => below(t) - below(-t);
      const t = crossing(within, 0, Math.max(-min, max), total(histogram) - outside);
      return { min: Math.max(min, -t), max: Math.min(max, t) };
    }
    return {
      min: crossing(below, min, max, outside / 2),
      max: crossing(below, min, max, total(histogram) - outside / 2),
    };
  }
}

/** Where an increasing function reaches `target` between `low` and `high`, as a float32. */
function crossing(count: (value: number) => number, low: number, high: number, target: number): number {
  let [a, b] = [low, high];
  for (let i = 0; i < BISECTIONS; i++) {
    const middle = a + (b - a) / 2;
    if (count(middle) < target) a = middle;
    else b = middle;
  }
  return Math.fround(b);
}
