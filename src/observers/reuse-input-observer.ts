import type { DType } from '../tensor/dtype.ts';
import { MarkerObserver } from './marker-observer.ts';
import type { CommonOptions } from './observer.ts';

/**
 * Says that an output has its input's values and so its scale and zero point (reshape). torch `ReuseInputObserver`.
 * `calculateQParams` throws TypeError: the input's observer has the range.
 */
export class ReuseInputObserver extends MarkerObserver {
  static override readonly type: string = 'ReuseInputObserver';
  static override readonly defaults: object = { name: undefined };
  readonly dtype: DType = 'quint8';

  constructor(options: CommonOptions = {}) {
    super(options);
  }
}
