/**
 * Observers of extremes: one minimum and maximum a parameter, brought up to date with those of each batch.
 * What the four of them differ in is the granularity and the update.
 */
import { elementCount } from '../tensor/shape.ts';
import { floatInput } from '../tensor/cast.ts';
import { CalibrationError } from '../errors.ts';
import type { Granularity, QParams, TensorLike } from '../quant/types.ts';
import { finiteExtremes, type FiniteExtremes } from './extremes.ts';
import { emptyError, mergeError, type ObserveContext } from './observer.ts';
import { float32ListText, float32Text } from './source-text.ts';
import { countField, extremesField, saveExtremes, stateError } from './state.ts';
import { UniformObserver, type UniformKind, type UniformOptions } from './uniform-observer.ts';

/** Brings `known` up to date with the extremes of a batch; parameters the batch says nothing about keep theirs. */
export type UpdateExtremes = (known: Float32Array, batch: Float32Array, side: 'min' | 'max') => void;

const NONE = new Float32Array(0);

export abstract class RangeObserver extends UniformObserver {
  /** Infinite values that were skipped. */
  infinities = 0;
  protected readonly granularity: Granularity;
  readonly #update: UpdateExtremes;
  /** One a parameter; empty before the first batch; ±Infinity for parameters without a finite value yet. */
  protected min: Float32Array = NONE;
  protected max: Float32Array = NONE;

  constructor(options: UniformOptions, kind: UniformKind, granularity: Granularity, update: UpdateExtremes) {
    super(options, kind);
    this.granularity = granularity;
    this.#update = update;
  }

  override observe<T extends TensorLike>(x: T, context?: ObserveContext): T {
    const where = this.where(context);
    const input = floatInput(x, where);
    if (elementCount(input.shape) === 0) return x;
    this.#take(finiteExtremes(input, this.granularity, where), where);
    return x;
  }

  /** Whether {@link observeExtremes} says all that this observer wants to know of a tensor. */
  get needsOnlyExtremes(): boolean {
    return this.granularity.kind === 'per_tensor';
  }

  /**
   * As `observe` of a tensor whose smallest and largest value are these, for whoever has computed them elsewhere. Only for
   * observers of whole tensors. Throws RangeError unless both are finite and in order.
   */
  observeExtremes(min: number, max: number, context?: ObserveContext): void {
    const where = this.where(context);
    if (!(Number.isFinite(min) && Number.isFinite(max) && min <= max))
      throw new RangeError(
        `${where}: expected a finite minimum and maximum, in order, got ${min} and ${max}`,
      );
    const one = (value: number): Float32Array => Float32Array.of(value + 0);
    this.#take({ min: one(min), max: one(max), infinities: 0 }, where);
  }

  #take({ min, max, infinities }: FiniteExtremes, where: string): void {
    if (this.min.length !== 0 && this.min.length !== min.length) throw this.#countError(min.length, where);
    this.infinities += infinities;
    if (this.min.length === 0) {
      this.min = min;
      this.max = max;
      return;
    }
    this.#update(this.min, min, 'min');
    this.#update(this.max, max, 'max');
  }

  #countError(got: number, where: string): CalibrationError {
    const expected = this.min.length;
    return new CalibrationError(
      `${where}: expected ${expected} channels as in the batches before, got ${got}`,
      {
        code: 'CALIBRATION_INPUT',
        details: { expected, got },
        hint: 'Use one observer a tensor, or reset() it between tensors.',
      },
    );
  }

  /** Throws CalibrationError CALIBRATION_EMPTY if nothing finite was seen, naming the channel where there are several. */
  override calculateQParams(): QParams {
    if (this.min.length === 0) throw emptyError(this.where());
    const unseen = this.min.indexOf(Infinity);
    if (unseen >= 0)
      throw emptyError(this.min.length === 1 ? this.where() : `${this.where()}, channel ${unseen}`);
    return this.qparamsOf(this.min, this.max);
  }

  override reset(): void {
    this.min = NONE;
    this.max = NONE;
    this.infinities = 0;
  }

  protected override absorb(other: this): void {
    if (this.min.length !== 0 && other.min.length !== 0 && this.min.length !== other.min.length) {
      throw mergeError(this, `${this.min.length} channels on both sides, got ${other.min.length}`);
    }
    this.infinities += other.infinities;
    if (other.min.length === 0) return;
    if (this.min.length === 0) {
      this.min = other.min.slice();
      this.max = other.max.slice();
      return;
    }
    this.#update(this.min, other.min, 'min');
    this.#update(this.max, other.max, 'max');
  }

  protected override saveState(): Record<string, unknown> {
    return { minVal: saveExtremes(this.min), maxVal: saveExtremes(this.max), infinities: this.infinities };
  }

  protected override loadState(state: Readonly<Record<string, unknown>>): void {
    const min = extremesField(state, 'minVal', Infinity);
    const max = extremesField(state, 'maxVal', -Infinity);
    const fits =
      min.length === max.length && min.every((value, i) => value <= max[i] || max[i] === -Infinity);
    const single = this.granularity.kind === 'per_tensor' && min.length > 1;
    if (!fits || single) throw stateError('minVal and maxVal', 'as many minima as maxima, in order', state);
    this.infinities = countField(state, 'infinities');
    this.min = min;
    this.max = max;
  }

  protected override summary(): string {
    if (this.min.length === 0) return 'nothing observed';
    const text = (values: Float32Array): string =>
      this.granularity.kind === 'per_tensor' ? float32Text(values[0]) : float32ListText(values);
    return `minVal: ${text(this.min)}, maxVal: ${text(this.max)}`;
  }
}

/** min(known, batch), max(known, batch). */
export const widen: UpdateExtremes = (known, batch, side) => {
  const pick = side === 'min' ? Math.min : Math.max;
  for (let i = 0; i < known.length; i++) known[i] = pick(known[i], batch[i]);
};

/** known + c·(batch - known), float32 at each step, as torch; the first value is taken as it is. */
export function movingAverage(averagingConstant: number): UpdateExtremes {
  const f32 = Math.fround;
  const c = f32(averagingConstant);
  return (known, batch) => {
    for (let i = 0; i < known.length; i++) {
      if (!Number.isFinite(batch[i])) continue;
      known[i] = Number.isFinite(known[i]) ? f32(known[i] + f32(c * f32(batch[i] - known[i]))) : batch[i];
    }
  };
}
