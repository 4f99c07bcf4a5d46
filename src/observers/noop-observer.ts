import { dtypeInfo, type DType } from '../tensor/dtype.ts';
import { MarkerObserver } from './marker-observer.ts';
import type { CommonOptions } from './observer.ts';

/** Options of {@link NoopObserver}. */
export interface NoopObserverOptions extends CommonOptions {
  /** Default `float16`; `float32` says: leave the tensor alone. */
  readonly dtype?: DType;
  /** Name of an operator that needs no observation; kept for torch's sake. Default ''. */
  readonly customOpName?: string;
}

/**
 * Does nothing. torch `NoopObserver`; with dtype `float32` it also stands where torch's configurations have
 * `torch.nn.Identity`. `calculateQParams` throws TypeError.
 */
export class NoopObserver extends MarkerObserver {
  static override readonly type: string = 'NoopObserver';
  static override readonly defaults: object = { dtype: 'float16', customOpName: '', name: undefined };
  readonly dtype: DType;
  readonly customOpName: string;

  constructor(options: NoopObserverOptions = {}) {
    super(options);
    this.dtype = options.dtype ?? 'float16';
    dtypeInfo(this.dtype);
    this.customOpName = options.customOpName ?? '';
  }
}
