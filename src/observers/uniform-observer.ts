/** Observers that end in a range of values laid on integer codes: their options, checked once. */
import {
  calculateQParams,
  DEFAULT_EPS,
  resolveQuantRange,
  type QParamsOptions,
  type QParamsRule,
  type SymmetricRule,
} from '../quant/qparams.ts';
import { qschemeInfo } from '../quant/qscheme.ts';
import type { QParams, QScheme } from '../quant/types.ts';
import type { QuantDType } from '../tensor/dtype.ts';
import { Observer, type CommonOptions } from './observer.ts';

export interface UniformOptions extends CommonOptions {
  /** Dtype of the codes. Default `quint8`. */
  readonly dtype?: QuantDType;
  /** Default `per_tensor_affine`, or `per_channel_affine` for the observers of channels. */
  readonly qscheme?: QScheme;
  /** Halves the range of codes. Default false. */
  readonly reduceRange?: boolean;
  /** Smallest and largest code, both or none. Default: the dtype's. */
  readonly quantMin?: number;
  readonly quantMax?: number;
  /** Smallest scale. Default 2^-23. */
  readonly eps?: number;
  /** The range is found anew for each input when the model runs. Default false. */
  readonly isDynamic?: boolean;
  /** Whose arithmetic turns the range into scale and zero point. Default `torch`. */
  readonly rule?: QParamsRule;
  /** How a symmetric range is laid on the codes. Default `full-range`. */
  readonly symmetric?: SymmetricRule;
}

export const UNIFORM_DEFAULTS: Readonly<Record<keyof UniformOptions, unknown>> = Object.freeze({
  dtype: 'quint8',
  qscheme: 'per_tensor_affine',
  reduceRange: false,
  quantMin: undefined,
  quantMax: undefined,
  eps: DEFAULT_EPS,
  isDynamic: false,
  rule: 'torch',
  symmetric: 'full-range',
  name: undefined,
});

export const PER_CHANNEL_DEFAULTS: typeof UNIFORM_DEFAULTS = Object.freeze({
  ...UNIFORM_DEFAULTS,
  qscheme: 'per_channel_affine',
});

/** Which schemes and modes an observer can serve. */
export interface UniformKind {
  readonly perChannel: boolean;
  /** True if it may stand for a range that is found when the model runs. */
  readonly dynamic: boolean;
}

export abstract class UniformObserver extends Observer {
  readonly dtype: QuantDType;
  readonly qscheme: QScheme;
  /** Smallest and largest code that the qparams are chosen for. */
  readonly quantMin: number;
  readonly quantMax: number;
  readonly eps: number;
  readonly reduceRange: boolean;
  override readonly isDynamic: boolean;
  readonly #qparams: QParamsOptions;

  /** Throws TypeError or RangeError for options that contradict each other or the class. */
  constructor(options: UniformOptions, kind: UniformKind) {
    super(options);
    const { qscheme = kind.perChannel ? 'per_channel_affine' : 'per_tensor_affine', isDynamic = false } =
      options;
    if (qschemeInfo(qscheme).perChannel !== kind.perChannel) {
      const level = kind.perChannel ? 'per-channel' : 'per-tensor';
      throw new TypeError(`${this.type}: expected a ${level} qscheme, got ${qscheme}`);
    }
    if (isDynamic && !kind.dynamic) {
      throw new TypeError(
        `${this.type}: expected isDynamic: false, because its range comes from more than one input`,
      );
    }
    const { dtype, eps = DEFAULT_EPS, reduceRange = false, quantMin, quantMax, rule, symmetric } = options;
    this.#qparams = { dtype, qscheme, eps, reduceRange, quantMin, quantMax, rule, symmetric };
    const range = resolveQuantRange(this.#qparams);
    if (!(eps > 0)) throw new RangeError(`${this.type}: expected eps above 0, got ${eps}`);
    this.dtype = dtype ?? 'quint8';
    this.qscheme = qscheme;
    this.quantMin = range.quantMin;
    this.quantMax = range.quantMax;
    this.eps = eps;
    this.reduceRange = reduceRange;
    this.isDynamic = isDynamic;
  }

  /** Scale and zero point of ranges, one a parameter. */
  protected qparamsOf(min: ArrayLike<number>, max: ArrayLike<number>): QParams {
    return calculateQParams(min, max, this.#qparams);
  }
}
