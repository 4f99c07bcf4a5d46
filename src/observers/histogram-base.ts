/** What the observers over a histogram share: filling, merging and saving it. They differ in the range they choose. */
import type { QParams, TensorLike } from '../quant/types.ts';
import { floatInput } from '../tensor/cast.ts';
import { elementCount } from '../tensor/shape.ts';
import { finiteExtremes } from './extremes.ts';
import { countValues, emptyHistogram, total, widened, type Histogram } from './histogram.ts';
import type { ValueRange } from './histogram-search.ts';
import { emptyError, type ObserveContext } from './observer.ts';
import { float32Text } from './source-text.ts';
import { countField, extremesField, numbersField, saveExtremes, stateError } from './state.ts';
import { UNIFORM_DEFAULTS, UniformObserver, type UniformOptions } from './uniform-observer.ts';

/** Options of every observer over a histogram. */
export interface HistogramOptions extends UniformOptions {
  /** Number of bins, at least 1. Default 2048. */
  readonly bins?: number;
}

export const DEFAULT_BINS = 2048;
export const HISTOGRAM_DEFAULTS: object = { bins: DEFAULT_BINS, ...UNIFORM_DEFAULTS };

export abstract class HistogramBase extends UniformObserver {
  readonly bins: number;
  /** Infinite values that were skipped. */
  infinities = 0;
  #histogram: Histogram | undefined;

  constructor(options: HistogramOptions) {
    super(options, { perChannel: false, dynamic: false });
    const { bins = DEFAULT_BINS } = options;
    if (!Number.isSafeInteger(bins) || bins < 1)
      throw new RangeError(`${this.type}: expected at least 1 bin, got ${bins}`);
    this.bins = bins;
  }

  /** The range to quantize for. Only called with values in the histogram. */
  protected abstract rangeOf(histogram: Histogram): ValueRange;

  /** Smallest value seen; Infinity before the first. */
  get minVal(): number {
    return this.#histogram?.min ?? Infinity;
  }

  /** Largest value seen; -Infinity before the first. */
  get maxVal(): number {
    return this.#histogram?.max ?? -Infinity;
  }

  /** Counts of the bins over [minVal, maxVal]; whole numbers until the range has grown. A copy. */
  get histogram(): Float64Array {
    return this.#histogram?.counts.slice() ?? new Float64Array(this.bins);
  }

  override observe<T extends TensorLike>(x: T, context?: ObserveContext): T {
    const where = this.where(context);
    const input = floatInput(x, where);
    if (elementCount(input.shape) === 0) return x;
    const { min, max, infinities } = finiteExtremes(input, { kind: 'per_tensor' }, where);
    this.infinities += infinities;
    if (min[0] > max[0]) return x;
    this.#histogram = this.#over(min[0], max[0]);
    countValues(this.#histogram, input.data);
    return x;
  }

  /** The histogram over a range that holds both its own and [min, max]. */
  #over(min: number, max: number): Histogram {
    const known = this.#histogram;
    if (known === undefined) return emptyHistogram(min, max, this.bins);
    return widened(known, Math.min(known.min, min), Math.max(known.max, max));
  }

  /**
   * The range that `calculateQParams` lays on the codes.
   * Throws CalibrationError CALIBRATION_EMPTY if nothing finite was seen.
   */
  chooseRange(): ValueRange {
    if (this.#histogram === undefined) throw emptyError(this.where());
    return this.rangeOf(this.#histogram);
  }

  /** Throws CalibrationError CALIBRATION_EMPTY if nothing finite was seen. */
  override calculateQParams(): QParams {
    const { min, max } = this.chooseRange();
    return this.qparamsOf([min], [max]);
  }

  override reset(): void {
    this.#histogram = undefined;
    this.infinities = 0;
  }

  protected override absorb(other: this): void {
    const theirs = other.#histogram;
    this.infinities += other.infinities;
    if (theirs === undefined) return;
    const merged = this.#over(theirs.min, theirs.max);
    const added = widened(theirs, merged.min, merged.max);
    const counts = merged.counts.map((count, k) => count + added.counts[k]);
    this.#histogram = { ...merged, counts };
  }

  protected override saveState(): Record<string, unknown> {
    const { min, max, counts } = this.#histogram ?? { min: NaN, max: NaN, counts: [] };
    return {
      minVal: saveExtremes(Float32Array.of(min)),
      maxVal: saveExtremes(Float32Array.of(max)),
      histogram: [...counts],
      infinities: this.infinities,
    };
  }

  protected override loadState(state: Readonly<Record<string, unknown>>): void {
    const [min = NaN] = extremesField(state, 'minVal', NaN);
    const [max = NaN] = extremesField(state, 'maxVal', NaN);
    const counts = Float64Array.from(numbersField(state, 'histogram', 0));
    const infinities = countField(state, 'infinities');
    const empty = counts.length === 0 && Number.isNaN(min) && Number.isNaN(max);
    const full = counts.length === this.bins && min <= max && total({ min, max, counts }) > 0;
    if (!empty && !full)
      throw stateError('histogram', `${this.bins} bins over a range, or none`, counts.length);
    this.#histogram = empty ? undefined : { min, max, counts };
    this.infinities = infinities;
  }

  protected override summary(): string {
    if (this.#histogram === undefined) return 'nothing observed';
    return `minVal: ${float32Text(this.minVal)}, maxVal: ${float32Text(this.maxVal)}`;
  }

  /** Scale, zero point and codes that a range would get. */
  protected gridOf({ min, max }: ValueRange): {
    scale: number;
    zeroPoint: number;
    quantMin: number;
    quantMax: number;
  } {
    const { scale, zeroPoint } = this.qparamsOf([min], [max]);
    return { scale: scale[0], zeroPoint: zeroPoint[0], quantMin: this.quantMin, quantMax: this.quantMax };
  }
}
