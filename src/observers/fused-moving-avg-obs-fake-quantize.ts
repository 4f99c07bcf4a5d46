import { calculateQParams } from '../quant/qparams.ts';
import type { QParams } from '../quant/types.ts';
import {
  FAKE_QUANTIZE_DEFAULTS,
  FakeQuantizeBase,
  type FakeQuantizeModuleOptions,
} from './fake-quantize-base.ts';
import { MovingAverageMinMaxObserver } from './moving-average-min-max-observer.ts';
import { emptyError } from './observer.ts';
import { MovingAveragePerChannelMinMaxObserver } from './moving-average-per-channel-min-max-observer.ts';

/** torch gives these to the observer whatever its dtype. */
const DEFAULT_RANGE = { quantMin: 0, quantMax: 255 } as const;

/**
 * {@link FakeQuantize} over a moving average, which torch does in one operation. torch `FusedMovingAvgObsFakeQuantize`.
 *
 * torch's operation chooses scale and zero point by another rule (`fbgemm`) than `calculate_qparams` and the conversion
 * (`torch`), so that a model is trained on a grid it does not get: ranges to one side under a symmetric scheme get zero
 * point -128, scales below 6.1e-5 are raised, ±127 gets a scale too large by 255/254. Here both use the observer's rule;
 * `numerics: 'torch-2.13'` does as torch does.
 *
 * @throws TypeError unless `observer` is one of the two moving averages
 */
export class FusedMovingAvgObsFakeQuantize extends FakeQuantizeBase {
  static override readonly type: string = 'FusedMovingAvgObsFakeQuantize';
  static override readonly defaults: object = { ...FAKE_QUANTIZE_DEFAULTS, ...DEFAULT_RANGE };

  constructor(options: FakeQuantizeModuleOptions = {}) {
    const { observer: _, numerics: __, ...observerArgs } = options;
    super(options, MovingAverageMinMaxObserver, { ...DEFAULT_RANGE, ...observerArgs });
    this.#average();
  }

  #average(): MovingAverageMinMaxObserver | MovingAveragePerChannelMinMaxObserver {
    const { observer } = this;
    if (
      observer instanceof MovingAverageMinMaxObserver ||
      observer instanceof MovingAveragePerChannelMinMaxObserver
    ) {
      return observer;
    }
    throw new TypeError(`${this.type}: expected a moving average as observer, got ${observer.type}`);
  }

  /** torch's operation leaves scale and zero point as they are while fake-quantize is off. */
  protected override refresh(): void {
    if (this.numerics === 'torch-2.13' && !this.fakeQuantEnabled) this.outdate();
    else super.refresh();
  }

  protected override nextQParams(): QParams {
    if (this.numerics !== 'torch-2.13') return super.nextQParams();
    const { quantMin, quantMax, dtype, qscheme } = this;
    const { minVal, maxVal } = this.#average();
    if (!(minVal instanceof Float32Array ? minVal.length > 0 : minVal < Infinity))
      throw emptyError(this.where());
    return calculateQParams(minVal, maxVal, { dtype, qscheme, quantMin, quantMax, rule: 'fbgemm' });
  }
}
