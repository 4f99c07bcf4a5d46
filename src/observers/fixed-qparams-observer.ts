import { resolveQuantRange } from '../quant/qparams.ts';
import { qschemeInfo } from '../quant/qscheme.ts';
import type { QParams, QScheme, TensorLike } from '../quant/types.ts';
import type { QuantDType } from '../tensor/dtype.ts';
import { Observer, type CommonOptions } from './observer.ts';

/** Options of {@link FixedQParamsObserver}. */
export interface FixedQParamsObserverOptions extends CommonOptions {
  /** A finite number above 0, rounded to float32. */
  readonly scale: number;
  /** An integer within the range of codes. */
  readonly zeroPoint: number;
  /** Default `quint8`. */
  readonly dtype?: QuantDType;
  /** Default `per_tensor_affine`. */
  readonly qscheme?: QScheme;
  /** Default: the range of the dtype. */
  readonly quantMin?: number;
  readonly quantMax?: number;
}

/**
 * Scale and zero point that are known beforehand: a sigmoid ends in [0, 1] whatever the data. torch
 * `FixedQParamsObserver`. Looks at nothing, not even for NaN.
 *
 * @throws RangeError for a scale that is not finite and above 0, or a zero point outside the range of codes
 * @example new FixedQParamsObserver({ scale: 1 / 256, zeroPoint: 0 })
 */
export class FixedQParamsObserver extends Observer {
  static override readonly type: string = 'FixedQParamsObserver';
  static override readonly defaults: object = {
    scale: undefined,
    zeroPoint: undefined,
    dtype: 'quint8',
    qscheme: 'per_tensor_affine',
    quantMin: undefined,
    quantMax: undefined,
    name: undefined,
  };
  readonly dtype: QuantDType;
  readonly qscheme: QScheme;
  readonly scale: number;
  readonly zeroPoint: number;
  readonly quantMin: number;
  readonly quantMax: number;

  constructor(options: FixedQParamsObserverOptions) {
    super(options);
    const { scale, zeroPoint, dtype = 'quint8', qscheme = 'per_tensor_affine' } = options;
    const { quantMin, quantMax } = resolveQuantRange({ ...options, dtype });
    if (qschemeInfo(qscheme).perChannel)
      throw new TypeError(`${this.type}: expected a per-tensor qscheme, got ${qscheme}`);
    if (!(scale > 0 && Math.fround(scale) < Infinity)) {
      throw new RangeError(`${this.type}: expected a finite scale above 0, got ${scale}`);
    }
    if (!Number.isInteger(zeroPoint) || zeroPoint < quantMin || zeroPoint > quantMax) {
      throw new RangeError(
        `${this.type}: expected an integer zero point in ${quantMin}..${quantMax}, got ${zeroPoint}`,
      );
    }
    this.dtype = dtype;
    this.qscheme = qscheme;
    this.scale = Math.fround(scale);
    this.zeroPoint = zeroPoint;
    this.quantMin = quantMin;
    this.quantMax = quantMax;
  }

  override observe<T extends TensorLike>(x: T): T {
    return x;
  }

  override calculateQParams(): QParams {
    return { scale: Float32Array.of(this.scale), zeroPoint: Int32Array.of(this.zeroPoint) };
  }

  override reset(): void {}

  protected override absorb(): void {}

  protected override saveState(): Record<string, unknown> {
    return {};
  }

  protected override loadState(): void {}

  protected override summary(): string {
    return '';
  }
}
