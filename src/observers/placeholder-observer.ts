import { DEFAULT_EPS } from '../quant/qparams.ts';
import type { QScheme } from '../quant/types.ts';
import { dtypeInfo, type DType } from '../tensor/dtype.ts';
import { MarkerObserver } from './marker-observer.ts';
import type { CommonOptions } from './observer.ts';

/** Options of {@link PlaceholderObserver}. */
export interface PlaceholderObserverOptions extends CommonOptions {
  /** What the tensor becomes: a float dtype, or the dtype of codes for dynamic quantization. Default `float32`. */
  readonly dtype?: DType;
  /** Name of an operator that needs no observation; kept for torch's sake. Default ''. */
  readonly customOpName?: string;
  readonly quantMin?: number;
  readonly quantMax?: number;
  /** Default `per_tensor_affine`. */
  readonly qscheme?: QScheme;
  /** Default 2^-23. */
  readonly eps?: number;
  /** True: the range is found anew for each input when the model runs. Default false. */
  readonly isDynamic?: boolean;
}

/**
 * Carries a dtype to the conversion and observes nothing: float16, or dynamic quantization. torch `PlaceholderObserver`.
 * `calculateQParams` throws TypeError.
 */
export class PlaceholderObserver extends MarkerObserver {
  static override readonly type: string = 'PlaceholderObserver';
  static override readonly defaults: object = {
    dtype: 'float32',
    customOpName: '',
    quantMin: undefined,
    quantMax: undefined,
    qscheme: 'per_tensor_affine',
    eps: DEFAULT_EPS,
    isDynamic: false,
    name: undefined,
  };
  readonly dtype: DType;
  override readonly qscheme: QScheme;
  readonly customOpName: string;
  readonly quantMin: number | undefined;
  readonly quantMax: number | undefined;
  readonly eps: number;
  override readonly isDynamic: boolean;

  constructor(options: PlaceholderObserverOptions = {}) {
    super(options);
    this.dtype = options.dtype ?? 'float32';
    dtypeInfo(this.dtype);
    this.customOpName = options.customOpName ?? '';
    this.quantMin = options.quantMin;
    this.quantMax = options.quantMax;
    this.qscheme = options.qscheme ?? 'per_tensor_affine';
    this.eps = options.eps ?? DEFAULT_EPS;
    this.isDynamic = options.isDynamic ?? false;
  }
}
