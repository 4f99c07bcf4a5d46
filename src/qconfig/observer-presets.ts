/** PyTorch's named observers (`torch.ao.quantization.observer`), one line each. */
import type { Factory } from '../observers/factory.ts';
import {
  FixedQParamsObserver,
  type FixedQParamsObserverOptions,
} from '../observers/fixed-qparams-observer.ts';
import { HistogramObserver, type HistogramObserverOptions } from '../observers/histogram-observer.ts';
import { MinMaxObserver, type MinMaxObserverOptions } from '../observers/min-max-observer.ts';
import {
  PerChannelMinMaxObserver,
  type PerChannelMinMaxObserverOptions,
} from '../observers/per-channel-min-max-observer.ts';
import { PlaceholderObserver, type PlaceholderObserverOptions } from '../observers/placeholder-observer.ts';
import { RecordingObserver, type RecordingObserverOptions } from '../observers/recording-observer.ts';
import { ReuseInputObserver } from '../observers/reuse-input-observer.ts';

type MinMaxFactory = Factory<MinMaxObserver, MinMaxObserverOptions>;
type ChannelFactory = Factory<PerChannelMinMaxObserver, PerChannelMinMaxObserverOptions>;
type PlaceholderFactory = Factory<PlaceholderObserver, PlaceholderObserverOptions>;
type FixedFactory = Factory<FixedQParamsObserver, FixedQParamsObserverOptions>;

const TENSOR_WEIGHT = { dtype: 'qint8', qscheme: 'per_tensor_symmetric' } as const;
const CHANNEL_WEIGHT = { dtype: 'qint8', qscheme: 'per_channel_symmetric' } as const;
/** XNNPACK: no code -128, and no scale that its requantization could not hold. */
const RANGE_127 = { quantMin: -127, quantMax: 127, eps: 2 ** -12 } as const;
const FLOAT_QPARAMS = { qscheme: 'per_channel_affine_float_qparams', chAxis: 0 } as const;

/** Activations, 7 bits. */
export const defaultObserver: MinMaxFactory = MinMaxObserver.withArgs({ quantMin: 0, quantMax: 127 });
/** Activations, 7 bits, range searched over a histogram. */
export const defaultHistogramObserver: Factory<HistogramObserver, HistogramObserverOptions> =
  HistogramObserver.withArgs({ quantMin: 0, quantMax: 127 });
/** Weights, one symmetric scale. */
export const defaultWeightObserver: MinMaxFactory = MinMaxObserver.withArgs(TENSOR_WEIGHT);
/** Weights, a symmetric scale for each channel. */
export const defaultPerChannelWeightObserver: ChannelFactory =
  PerChannelMinMaxObserver.withArgs(CHANNEL_WEIGHT);
/** Weights, one symmetric scale, codes -127..127. */
export const weightObserverRangeNeg127To127: MinMaxFactory = MinMaxObserver.withArgs({
  ...TENSOR_WEIGHT,
  ...RANGE_127,
});
/** Weights, a symmetric scale for each channel, codes -127..127. */
export const perChannelWeightObserverRangeNeg127To127: ChannelFactory = PerChannelMinMaxObserver.withArgs({
  ...CHANNEL_WEIGHT,
  ...RANGE_127,
});
/** Activations whose range is found when the model runs. */
export const defaultDynamicQuantObserver: PlaceholderFactory = PlaceholderObserver.withArgs({
  dtype: 'quint8',
  quantMin: 0,
  quantMax: 255,
  isDynamic: true,
});
/** Embedding tables, float zero points. */
export const defaultFloatQParamsObserver: ChannelFactory = PerChannelMinMaxObserver.withArgs({
  dtype: 'quint8',
  ...FLOAT_QPARAMS,
});
/** Embedding tables of 4 bits, float zero points. */
export const defaultFloatQParamsObserver4bit: ChannelFactory = PerChannelMinMaxObserver.withArgs({
  dtype: 'quint4x2',
  ...FLOAT_QPARAMS,
});
/** Values in [-1, 1]: tanh. */
export const defaultFixedQParamsRangeNeg1To1Observer: FixedFactory = FixedQParamsObserver.withArgs({
  scale: 2 / 256,
  zeroPoint: 128,
  quantMin: 0,
  quantMax: 255,
});
/** Values in [0, 1]: sigmoid, softmax. */
export const defaultFixedQParamsRange0To1Observer: FixedFactory = FixedQParamsObserver.withArgs({
  scale: 1 / 256,
  zeroPoint: 0,
  quantMin: 0,
  quantMax: 255,
});
/** Old name of {@link defaultFixedQParamsRangeNeg1To1Observer}. */
export const defaultSymmetricFixedQParamsObserver: FixedFactory = defaultFixedQParamsRangeNeg1To1Observer;
/** Old name of {@link defaultFixedQParamsRange0To1Observer}. */
export const defaultAffineFixedQParamsObserver: FixedFactory = defaultFixedQParamsRange0To1Observer;
/** Stays float32 until the conversion says otherwise. */
export const defaultPlaceholderObserver: PlaceholderFactory = PlaceholderObserver.withArgs({});
/** Keeps every tensor. */
export const defaultDebugObserver: Factory<RecordingObserver, RecordingObserverOptions> =
  RecordingObserver.withArgs({});
/** The output has the input's scale and zero point. */
export const defaultReuseInputObserver: Factory<ReuseInputObserver> = ReuseInputObserver.withArgs({});
