import { mergeError } from './observer.ts';
import { checkAveragingConstant, DEFAULT_AVERAGING_CONSTANT } from './averaging-constant.ts';
import { movingAverage, RangeObserver } from './range-observer.ts';
import { UNIFORM_DEFAULTS, type UniformOptions } from './uniform-observer.ts';

/** Options of {@link MovingAverageMinMaxObserver}. */
export interface MovingAverageMinMaxObserverOptions extends UniformOptions {
  /** Weight of the newest batch, in (0, 1]; 1 means no memory. Default 0.01. */
  readonly averagingConstant?: number;
}

/**
 * Moving average of each batch's smallest and largest value: m ← m + c·(batch - m), float32 at each step, the first
 * batch as it is. torch `MovingAverageMinMaxObserver`.
 *
 * The order of the batches matters, so two observers cannot be merged. `isDynamic` needs averagingConstant 1.
 */
export class MovingAverageMinMaxObserver extends RangeObserver {
  static override readonly type: string = 'MovingAverageMinMaxObserver';
  static override readonly defaults: object = {
    averagingConstant: DEFAULT_AVERAGING_CONSTANT,
    ...UNIFORM_DEFAULTS,
  };
  readonly averagingConstant: number;

  constructor(options: MovingAverageMinMaxObserverOptions = {}) {
    const { averagingConstant = DEFAULT_AVERAGING_CONSTANT } = options;
    checkAveragingConstant(averagingConstant);
    const kind = { perChannel: false, dynamic: averagingConstant === 1 };
    super(options, kind, { kind: 'per_tensor' }, movingAverage(averagingConstant));
    this.averagingConstant = averagingConstant;
  }

  /** Average of the smallest values; Infinity before the first batch. */
  get minVal(): number {
    return this.min[0] ?? Infinity;
  }

  /** Average of the largest values; -Infinity before the first batch. */
  get maxVal(): number {
    return this.max[0] ?? -Infinity;
  }

  protected override absorb(): void {
    throw mergeError(
      this,
      'an observer that can be merged: a moving average depends on the order of the batches',
    );
  }
}
