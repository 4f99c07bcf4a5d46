import { dtypeInfo, type QuantDType } from '../tensor/dtype.ts';
import { HISTOGRAM_DEFAULTS, HistogramBase, type HistogramOptions } from './histogram-base.ts';
import type { Histogram } from './histogram.ts';
import { searchRange, type ValueRange } from './histogram-search.ts';

/** Options of {@link HistogramObserver}. */
export interface HistogramObserverOptions extends HistogramOptions {}

/** torch counts quint4x2 as 8 bits here. */
const SEARCH_BITS: Partial<Record<QuantDType, number>> = { quint4x2: 8 };

/**
 * Histogram of everything seen, and a search for the range with the least expected squared error. torch
 * `HistogramObserver` 2.13, its histogram, range and qparams bit for bit.
 *
 * The search is greedy: from the full range it cuts, at the end where more bins fall to 1e-5 of the mass, until the
 * error grows (histogram-search.ts). It assumes 2^bits codes whatever quantMin and quantMax are. Its first cut is never
 * compared with the full range, so a lone outlier far away either stops it there or costs it half of the rest (a million
 * normal values and one of 10000: [-4.8, 0.1]). Where that can happen take `MSEObserver` or `PercentileObserver`.
 *
 * Unlike torch: counts do not stop at 2^24, ranges above 1e12 are searched properly, observers can be merged (to within
 * one bin) and reset. Infinities are skipped and counted; NaN throws CALIBRATION_NAN.
 */
export class HistogramObserver extends HistogramBase {
  static override readonly type: string = 'HistogramObserver';
  static override readonly defaults: object = HISTOGRAM_DEFAULTS;

  constructor(options: HistogramObserverOptions = {}) {
    super(options);
  }

  protected override rangeOf(histogram: Histogram): ValueRange {
    return searchRange(histogram, 2 ** (SEARCH_BITS[this.dtype] ?? dtypeInfo(this.dtype).bits));
  }
}
