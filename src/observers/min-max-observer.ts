import { RangeObserver, widen } from './range-observer.ts';
import { UNIFORM_DEFAULTS, type UniformOptions } from './uniform-observer.ts';

/** Options of {@link MinMaxObserver}. */
export interface MinMaxObserverOptions extends UniformOptions {}

/**
 * Smallest and largest value of everything seen. torch `MinMaxObserver`.
 *
 * Merging is exact, and the order of the batches does not matter. Infinities are skipped and counted in `infinities`;
 * NaN throws CALIBRATION_NAN; empty tensors are ignored.
 *
 * @example
 * const observer = new MinMaxObserver({ dtype: 'qint8', qscheme: 'per_tensor_symmetric' });
 * for (const batch of batches) observer.observe(batch);
 * const { scale, zeroPoint } = observer.calculateQParams();
 */
export class MinMaxObserver extends RangeObserver {
  static override readonly type: string = 'MinMaxObserver';
  static override readonly defaults: object = UNIFORM_DEFAULTS;

  constructor(options: MinMaxObserverOptions = {}) {
    super(options, { perChannel: false, dynamic: true }, { kind: 'per_tensor' }, widen);
  }

  /** Smallest value seen; Infinity before the first. */
  get minVal(): number {
    return this.min[0] ?? Infinity;
  }

  /** Largest value seen; -Infinity before the first. */
  get maxVal(): number {
    return this.max[0] ?? -Infinity;
  }
}
