import {
  fakeQuantizeLearnablePerChannelAffine,
  fakeQuantizeLearnablePerChannelAffineBackward,
  fakeQuantizeLearnablePerTensorAffine,
  fakeQuantizeLearnablePerTensorAffineBackward,
  type LearnableGradients,
} from '../quant/fake-quantize-learnable.ts';
import { clamp, roundHalfEven } from '../kernels/round.ts';
import { DEFAULT_EPS } from '../quant/qparams.ts';
import { qschemeInfo } from '../quant/qscheme.ts';
import type { QParams, TensorLike } from '../quant/types.ts';
import type { Tensor } from '../tensor/tensor.ts';
import {
  FAKE_QUANTIZE_DEFAULTS,
  FakeQuantizeBase,
  type FakeQuantizeModuleOptions,
} from './fake-quantize-base.ts';
import { floatInput } from '../tensor/cast.ts';
import type { ObserveContext } from './observer.ts';
import { quantRange } from '../quant/quant-range.ts';

/** Options of {@link LearnableFakeQuantize}. */
export interface LearnableFakeQuantizeOptions extends FakeQuantizeModuleOptions {
  /** First scale. Default 1. */
  readonly scale?: number;
  /** First zero point. Default 0. */
  readonly zeroPoint?: number;
  /** Number of channels; -1 per tensor. Default -1. */
  readonly channelLen?: number;
  /** Multiply the gradients of scale and zero point by 1 / sqrt(elements · quantMax). Default false. */
  readonly useGradScaling?: boolean;
}

const OWN_DEFAULTS = {
  scale: 1,
  zeroPoint: 0,
  channelLen: -1,
  useGradScaling: false,
  quantMin: 0,
  quantMax: 255,
} as const;

/**
 * Fake-quantize whose scale and zero point are parameters to be trained (Esser et al. 2020, "Learned Step Size
 * Quantization", arXiv 1902.08153). torch `_LearnableFakeQuantize`.
 *
 * It begins with static estimates: each `forward` observes and overwrites `scale` and `zeroPoint`. After
 * `enableParamLearning()` they are yours: update them with the gradients of {@link backward}. A scale below 2^-23 is
 * raised to it; under a symmetric scheme the zero point stays the scheme's (torch sets it to 0 even for unsigned dtypes,
 * and so does numerics `torch-2.13`).
 */
export class LearnableFakeQuantize extends FakeQuantizeBase {
  static override readonly type: string = 'LearnableFakeQuantize';
  static override readonly defaults: object = { ...FAKE_QUANTIZE_DEFAULTS, ...OWN_DEFAULTS };
  readonly useGradScaling: boolean;
  learningEnabled = false;
  /** A float while it is learnt; {@link calculateQParams} rounds it. */
  declare zeroPoint: Float32Array;

  constructor(options: LearnableFakeQuantizeOptions) {
    const {
      observer: _,
      numerics: __,
      scale,
      zeroPoint,
      channelLen,
      useGradScaling,
      ...observerArgs
    } = {
      ...OWN_DEFAULTS,
      ...options,
    };
    super(options, undefined, observerArgs);
    if (this.hasFloatZeroPoint)
      throw new TypeError(`${this.type}: expected an integer scheme, got ${this.qscheme}`);
    if (channelLen !== -1 && !(Number.isSafeInteger(channelLen) && channelLen > 0)) {
      throw new RangeError(`${this.type}: expected channelLen above 0, or -1 per tensor, got ${channelLen}`);
    }
    const count = Math.abs(channelLen);
    this.useGradScaling = useGradScaling;
    this.use({
      scale: new Float32Array(count).fill(scale),
      zeroPoint: new Float32Array(count).fill(zeroPoint),
    });
  }

  protected override use({ scale, zeroPoint }: QParams): void {
    super.use({ scale, zeroPoint: Float32Array.from(zeroPoint) });
  }

  /** From now on scale and zero point are learnt: observer off, fake-quantize on. */
  enableParamLearning(): this {
    this.learningEnabled = true;
    return this.enableFakeQuant().disableObserver();
  }

  /** From now on the observer estimates them: observer on, fake-quantize on. */
  enableStaticEstimate(): this {
    this.learningEnabled = false;
    return this.enableFakeQuant().enableObserver();
  }

  /** Only observe: `forward` gives the values of `x`. */
  enableStaticObservation(): this {
    this.learningEnabled = false;
    return this.disableFakeQuant().enableObserver();
  }

  override forward(x: TensorLike, context?: ObserveContext): Tensor<'float32'> {
    if (!this.observerEnabled) this.#raiseScale();
    return super.forward(x, context);
  }

  protected override fakeQuantize(x: Tensor<'float32'>): Tensor<'float32'> {
    this.#pinZeroPoint();
    const { scale, zeroPoint, quantMin, quantMax, chAxis, numerics } = this;
    return this.isPerChannel
      ? fakeQuantizeLearnablePerChannelAffine(x, scale, zeroPoint, chAxis, quantMin, quantMax, { numerics })
      : fakeQuantizeLearnablePerTensorAffine(x, scale, zeroPoint, quantMin, quantMax, { numerics });
  }

  /** Gradients for the `x` of a `forward` and the gradient `dY` of its result. */
  backward(x: TensorLike, dY: TensorLike): LearnableGradients {
    const { scale, zeroPoint, quantMin, quantMax, chAxis, numerics } = this;
    const elements = floatInput(x, this.type).data.length;
    const options = { numerics, gradFactor: this.useGradScaling ? 1 / Math.sqrt(elements * quantMax) : 1 };
    return this.isPerChannel
      ? fakeQuantizeLearnablePerChannelAffineBackward(
          dY,
          x,
          scale,
          zeroPoint,
          chAxis,
          quantMin,
          quantMax,
          options,
        )
      : fakeQuantizeLearnablePerTensorAffineBackward(dY, x, scale, zeroPoint, quantMin, quantMax, options);
  }

  /** The current scale, at least 2^-23, and the zero point rounded half to even and clamped to the codes. */
  override calculateQParams(): QParams {
    this.#raiseScale();
    const { quantMin, quantMax } = this;
    const zeroPoint = Int32Array.from(this.zeroPoint, (zp) => clamp(roundHalfEven(zp), quantMin, quantMax));
    return { scale: this.scale.slice(), zeroPoint };
  }

  #raiseScale(): void {
    this.scale = this.scale.map((scale) => Math.max(scale, DEFAULT_EPS));
  }

  #pinZeroPoint(): void {
    if (qschemeInfo(this.qscheme).mapping !== 'symmetric') return;
    const { quantMin, quantMax } = this;
    const own = quantRange(this.dtype, { quantMin, quantMax }).symmetricZeroPoint;
    this.zeroPoint.fill(this.numerics === 'torch-2.13' ? 0 : own);
  }

  protected override saveState(): Record<string, unknown> {
    return { ...super.saveState(), learningEnabled: this.learningEnabled };
  }

  protected override loadState(state: Readonly<Record<string, unknown>>): void {
    super.loadState(state);
    this.learningEnabled = state.learningEnabled === true;
  }
}
