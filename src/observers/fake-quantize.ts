import {
  FAKE_QUANTIZE_DEFAULTS,
  FakeQuantizeBase,
  type FakeQuantizeModuleOptions,
} from './fake-quantize-base.ts';
import { MovingAverageMinMaxObserver } from './moving-average-min-max-observer.ts';

/**
 * Observes a tensor and gives back its quantized and dequantized values, for training that knows of quantization.
 * torch `FakeQuantize`. The observer defaults to `MovingAverageMinMaxObserver`; all options but `observer` and
 * `numerics` go to it. Scale and zero point are refreshed with every batch while the observer is enabled.
 *
 * The gradient is `fakeQuantizeBackward` with the mask of `fakeQuantizePerTensorAffine`.
 *
 * @example
 * const fakeQuantize = new FakeQuantize({ quantMin: 0, quantMax: 127 });
 * const y = fakeQuantize.forward(x);
 */
export class FakeQuantize extends FakeQuantizeBase {
  static override readonly type: string = 'FakeQuantize';
  static override readonly defaults: object = FAKE_QUANTIZE_DEFAULTS;

  constructor(options: FakeQuantizeModuleOptions = {}) {
    const { observer: _, numerics: __, ...observerArgs } = options;
    super(options, MovingAverageMinMaxObserver, observerArgs);
  }
}
