import { FakeQuantizeBase, type FakeQuantizeModuleOptions } from './fake-quantize-base.ts';
import { FixedQParamsObserver } from './fixed-qparams-observer.ts';

/** Options of {@link FixedQParamsFakeQuantize}. */
export type FixedQParamsFakeQuantizeOptions = Pick<
  FakeQuantizeModuleOptions,
  'observer' | 'numerics' | 'name'
>;

/**
 * Fake-quantizes with a scale and zero point that are known beforehand. torch `FixedQParamsFakeQuantize`.
 *
 * @throws TypeError unless `observer` is a factory of `FixedQParamsObserver`
 */
export class FixedQParamsFakeQuantize extends FakeQuantizeBase {
  static override readonly type: string = 'FixedQParamsFakeQuantize';
  static override readonly defaults: object = { observer: undefined, numerics: 'default', name: undefined };

  constructor(options: FixedQParamsFakeQuantizeOptions) {
    super(options, undefined, {});
    if (!(this.observer instanceof FixedQParamsObserver)) {
      throw new TypeError(`${this.type}: expected a FixedQParamsObserver, got ${this.observer.type}`);
    }
    this.use(this.calculateQParams());
  }

  override reset(): void {
    super.reset();
    this.use(this.calculateQParams());
  }
}
