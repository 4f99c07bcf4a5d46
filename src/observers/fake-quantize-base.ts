/** What every fake-quantize module is: an observer, the scale and zero point it gave last, and two switches. */
import {
  fakeQuantizePerBlockAffine,
  fakeQuantizePerChannelAffine,
  fakeQuantizePerTensorAffine,
} from '../quant/fake-quantize.ts';
import { qschemeInfo } from '../quant/qscheme.ts';
import type { Numerics, QParams, QScheme, TensorLike } from '../quant/types.ts';
import { floatInput } from '../tensor/cast.ts';
import type { QuantDType } from '../tensor/dtype.ts';
import { elementCount } from '../tensor/shape.ts';
import { Tensor } from '../tensor/tensor.ts';
import { toFactory, type Factory } from './factory.ts';
import { FixedQParamsObserver } from './fixed-qparams-observer.ts';
import { HISTOGRAM_DEFAULTS, type HistogramOptions } from './histogram-base.ts';
import type { MovingAveragePerChannelMinMaxObserverOptions } from './moving-average-per-channel-min-max-observer.ts';
import { MovingAveragePerChannelMinMaxObserver } from './moving-average-per-channel-min-max-observer.ts';
import { Observer, type ObserveContext } from './observer.ts';
import { float32ListText } from './source-text.ts';
import { checkState, numbersField, stateError } from './state.ts';
import { UniformObserver } from './uniform-observer.ts';

/** Options of the fake-quantize modules; all but the first two go to the observer. */
export interface FakeQuantizeModuleOptions
  extends MovingAveragePerChannelMinMaxObserverOptions, HistogramOptions {
  /** Class or factory of the observer. */
  readonly observer?: Factory<Observer> | (new () => Observer) | { (): Observer; readonly type: string };
  /** Arithmetic of `forward`. Default `default`. */
  readonly numerics?: Numerics;
  /** Of `PercentileObserver`. */
  readonly percentile?: number;
}

/** Every option, without a default of its own: the observer's class has those. */
export const FAKE_QUANTIZE_DEFAULTS: object = {
  observer: undefined,
  numerics: 'default',
  ...Object.fromEntries(
    Object.keys({
      ...MovingAveragePerChannelMinMaxObserver.defaults,
      ...HISTOGRAM_DEFAULTS,
      percentile: 0,
    }).map((key) => [key, undefined]),
  ),
};

/** Base of the fake-quantize modules: they are observers that also give back what quantization leaves of a tensor. */
export abstract class FakeQuantizeBase extends Observer {
  readonly observer: UniformObserver | FixedQParamsObserver;
  readonly numerics: Numerics;
  readonly dtype: QuantDType;
  readonly qscheme: QScheme;
  readonly quantMin: number;
  readonly quantMax: number;
  override readonly isDynamic: boolean;
  /** Axis of the channels; -1 per tensor, as torch has it. */
  readonly chAxis: number;
  /** What `forward` works with; [1] and [0] before the first batch. */
  scale: Float32Array = Float32Array.of(1);
  zeroPoint: Int32Array | Float32Array;
  fakeQuantEnabled = true;
  observerEnabled = true;
  readonly #blockSize: number | undefined;
  /** False until scale and zero point come from data. */
  #calibrated = false;

  /** Throws TypeError for an observer that has no range. */
  constructor(options: FakeQuantizeModuleOptions, defaultObserver: unknown, observerArgs: object) {
    super(options);
    const factory = toFactory(options.observer ?? defaultObserver);
    const observer = factory?.(observerArgs);
    if (!(observer instanceof UniformObserver || observer instanceof FixedQParamsObserver)) {
      throw new TypeError(
        `${this.type}: expected a class or factory of an observer with a range, got ${String(observer)}`,
      );
    }
    this.observer = observer;
    this.numerics = options.numerics ?? 'default';
    this.dtype = observer.dtype;
    this.qscheme = observer.qscheme;
    this.quantMin = observer.quantMin;
    this.quantMax = observer.quantMax;
    this.isDynamic = observer.isDynamic;
    const { chAxis = 0, blockSize } = observer.args as MovingAveragePerChannelMinMaxObserverOptions;
    this.chAxis = this.isPerChannel ? chAxis : -1;
    this.#blockSize = blockSize;
    this.zeroPoint = this.hasFloatZeroPoint ? Float32Array.of(0) : Int32Array.of(0);
  }

  protected get hasFloatZeroPoint(): boolean {
    return qschemeInfo(this.qscheme).mapping === 'float';
  }

  enableFakeQuant(enabled: boolean = true): this {
    this.fakeQuantEnabled = enabled;
    return this;
  }

  disableFakeQuant(): this {
    return this.enableFakeQuant(false);
  }

  enableObserver(enabled: boolean = true): this {
    this.observerEnabled = enabled;
    return this;
  }

  disableObserver(): this {
    return this.enableObserver(false);
  }

  /** Shows `x` to the observer and takes over its qparams; returns `x` untouched. */
  override observe<T extends TensorLike>(x: T, context?: ObserveContext): T {
    this.observer.observe(x, context);
    if (elementCount(floatInput(x, this.type).shape) !== 0) this.refresh();
    return x;
  }

  /** The qparams that `forward` uses from now on. */
  protected use({ scale, zeroPoint }: QParams): void {
    this.scale = scale;
    this.zeroPoint = zeroPoint;
    this.#calibrated = true;
  }

  /** Takes over what was just observed. */
  protected refresh(): void {
    this.use(this.nextQParams());
  }

  /** Lets the next `forward` ask the observer again. */
  protected outdate(): void {
    this.#calibrated = false;
  }

  /** What training sees after a batch. */
  protected nextQParams(): QParams {
    return this.observer.calculateQParams();
  }

  /**
   * Observes `x` if the observer is enabled, then gives its fake-quantized values if that is enabled, else its values.
   * Empty tensors pass through.
   *
   * @throws CalibrationError CALIBRATION_EMPTY if there is no scale yet (torch goes on with scale 1)
   */
  forward(x: TensorLike, context?: ObserveContext): Tensor<'float32'> {
    const { data, shape } = floatInput(x, this.type);
    if (this.observerEnabled) this.observe(x, context);
    const input = new Tensor('float32', shape, data);
    if (!this.fakeQuantEnabled || data.length === 0) return input;
    if (!this.#calibrated) this.refresh();
    return this.fakeQuantize(input);
  }

  protected fakeQuantize(x: Tensor<'float32'>): Tensor<'float32'> {
    const { scale, zeroPoint, quantMin, quantMax, chAxis, numerics } = this;
    if (!this.isPerChannel)
      return fakeQuantizePerTensorAffine(x, scale, zeroPoint, quantMin, quantMax, { numerics });
    const blockSize = this.#blockSize;
    if (blockSize !== undefined) {
      const qscheme = this.hasFloatZeroPoint ? 'per_block_affine_float_qparams' : 'per_block_affine';
      const block = { axis: chAxis, blockSize };
      return fakeQuantizePerBlockAffine(x, scale, zeroPoint, block, quantMin, quantMax, {
        numerics,
        qscheme,
      });
    }
    const qscheme = this.hasFloatZeroPoint ? 'per_channel_affine_float_qparams' : 'per_channel_affine';
    return fakeQuantizePerChannelAffine(x, scale, zeroPoint, chAxis, quantMin, quantMax, {
      numerics,
      qscheme,
    });
  }

  /** The observer's scale and zero point: what a conversion uses. */
  override calculateQParams(): QParams {
    return this.observer.calculateQParams();
  }

  override reset(): void {
    this.observer.reset();
    this.scale = Float32Array.of(1);
    this.zeroPoint = this.hasFloatZeroPoint ? Float32Array.of(0) : Int32Array.of(0);
    this.#calibrated = false;
  }

  protected override absorb(other: this): void {
    // Equal options make observers of the same class.
    this.observer.merge(other.observer as never);
    if (other.#calibrated) this.refresh();
  }

  protected override saveState(): Record<string, unknown> {
    return {
      scale: [...this.scale],
      zeroPoint: [...this.zeroPoint],
      calibrated: this.#calibrated,
      fakeQuantEnabled: this.fakeQuantEnabled,
      observerEnabled: this.observerEnabled,
      observer: this.observer.toJSON(),
    };
  }

  protected override loadState(state: Readonly<Record<string, unknown>>): void {
    const flag = (field: string): boolean => {
      if (typeof state[field] !== 'boolean') throw stateError(field, 'true or false', state[field]);
      return state[field];
    };
    const scale = Float32Array.from(numbersField(state, 'scale'));
    const zeroPoint = numbersField(state, 'zeroPoint');
    if (scale.length !== zeroPoint.length) throw stateError('zeroPoint', `${scale.length} values`, zeroPoint);
    const calibrated = flag('calibrated');
    this.observer.restore(checkState(state.observer));
    this.scale = scale;
    this.zeroPoint =
      this.zeroPoint instanceof Float32Array ? Float32Array.from(zeroPoint) : Int32Array.from(zeroPoint);
    this.#calibrated = calibrated;
    this.fakeQuantEnabled = flag('fakeQuantEnabled');
    this.observerEnabled = flag('observerEnabled');
  }

  protected override summary(): string {
    const flags = [
      this.fakeQuantEnabled ? '' : ', fake-quantize off',
      this.observerEnabled ? '' : ', observer off',
    ];
    if (!this.#calibrated) return `nothing observed${flags.join('')}`;
    return `scale: ${float32ListText(this.scale)}, zeroPoint: ${float32ListText(this.zeroPoint)}${flags.join('')}`;
  }
}
