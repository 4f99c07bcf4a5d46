/** PyTorch's named fake-quantizes (`torch.ao.quantization.fake_quantize`), one line each. */
import type { Factory } from '../observers/factory.ts';
import type { FakeQuantizeModuleOptions } from '../observers/fake-quantize-base.ts';
import { FakeQuantize } from '../observers/fake-quantize.ts';
import {
  FixedQParamsFakeQuantize,
  type FixedQParamsFakeQuantizeOptions,
} from '../observers/fixed-qparams-fake-quantize.ts';
import { FusedMovingAvgObsFakeQuantize } from '../observers/fused-moving-avg-obs-fake-quantize.ts';
import { HistogramObserver } from '../observers/histogram-observer.ts';
import { MovingAverageMinMaxObserver } from '../observers/moving-average-min-max-observer.ts';
import { MovingAveragePerChannelMinMaxObserver } from '../observers/moving-average-per-channel-min-max-observer.ts';
import {
  defaultFixedQParamsRange0To1Observer,
  defaultFixedQParamsRangeNeg1To1Observer,
} from './observer-presets.ts';

type FakeFactory = Factory<FakeQuantize, FakeQuantizeModuleOptions>;
type FusedFactory = Factory<FusedMovingAvgObsFakeQuantize, FakeQuantizeModuleOptions>;
type FixedFactory = Factory<FixedQParamsFakeQuantize, FixedQParamsFakeQuantizeOptions>;

const TENSOR = MovingAverageMinMaxObserver.withArgs({});
const CHANNEL = MovingAveragePerChannelMinMaxObserver.withArgs({});
const UINT8 = { quantMin: 0, quantMax: 255, dtype: 'quint8' } as const;
const INT8 = { quantMin: -128, quantMax: 127, dtype: 'qint8' } as const;
/** XNNPACK: no code -128, and no scale that its requantization could not hold. */
const INT8_127 = { quantMin: -127, quantMax: 127, dtype: 'qint8', eps: 2 ** -12 } as const;
const TENSOR_WEIGHT = { observer: TENSOR, qscheme: 'per_tensor_symmetric' } as const;
const CHANNEL_WEIGHT = { observer: CHANNEL, qscheme: 'per_channel_symmetric' } as const;
const EMBEDDING = {
  observer: CHANNEL,
  qscheme: 'per_channel_affine_float_qparams',
  chAxis: 0,
  averagingConstant: 1,
} as const;

/** Activations, 7 bits (the range 0..255, halved). */
export const defaultFakeQuant: FakeFactory = FakeQuantize.withArgs({
  observer: TENSOR,
  ...UINT8,
  qscheme: 'per_tensor_affine',
  reduceRange: true,
});
/** Weights, one symmetric scale. torch's notes call it memoryless, but its averaging constant is 0.01. */
export const defaultWeightFakeQuant: FakeFactory = FakeQuantize.withArgs({ ...TENSOR_WEIGHT, ...INT8 });
/** Activations whose range is that of the batch. */
export const defaultDynamicFakeQuant: FakeFactory = FakeQuantize.withArgs({
  observer: TENSOR,
  ...UINT8,
  isDynamic: true,
  averagingConstant: 1,
});
/** Weights, a symmetric scale for each channel of axis 0. */
export const defaultPerChannelWeightFakeQuant: FakeFactory = FakeQuantize.withArgs({
  ...CHANNEL_WEIGHT,
  ...INT8,
  chAxis: 0,
});
/** Embedding tables, float zero points, range of the batch. */
export const defaultEmbeddingFakeQuant: FakeFactory = FakeQuantize.withArgs({ ...EMBEDDING, ...UINT8 });
/** Embedding tables of 4 bits, float zero points, range of the batch. */
export const defaultEmbeddingFakeQuant4bit: FakeFactory = FakeQuantize.withArgs({
  ...EMBEDDING,
  dtype: 'quint4x2',
});
/** Activations, 7 bits, range searched over a histogram. */
export const defaultHistogramFakeQuant: FakeFactory = FakeQuantize.withArgs({
  observer: HistogramObserver.withArgs({}),
  ...UINT8,
  qscheme: 'per_tensor_affine',
  reduceRange: true,
});
/** Activations, 8 bits. */
export const defaultFusedActFakeQuant: FusedFactory = FusedMovingAvgObsFakeQuantize.withArgs({
  observer: TENSOR,
  ...UINT8,
});
/** Weights, one symmetric scale. */
export const defaultFusedWtFakeQuant: FusedFactory = FusedMovingAvgObsFakeQuantize.withArgs({
  ...TENSOR_WEIGHT,
  ...INT8,
});
/** Weights, a symmetric scale for each channel. */
export const defaultFusedPerChannelWtFakeQuant: FusedFactory = FusedMovingAvgObsFakeQuantize.withArgs({
  ...CHANNEL_WEIGHT,
  ...INT8,
});
/** Weights, one symmetric scale, codes -127..127. */
export const fusedWtFakeQuantRangeNeg127To127: FusedFactory = FusedMovingAvgObsFakeQuantize.withArgs({
  ...TENSOR_WEIGHT,
  ...INT8_127,
});
/** Weights, a symmetric scale for each channel, codes -127..127. */
export const fusedPerChannelWtFakeQuantRangeNeg127To127: FusedFactory =
  FusedMovingAvgObsFakeQuantize.withArgs({
    ...CHANNEL_WEIGHT,
    ...INT8_127,
  });
/** Values in [-1, 1]: tanh. */
export const defaultFixedQParamsRangeNeg1To1FakeQuant: FixedFactory = FixedQParamsFakeQuantize.withArgs({
  observer: defaultFixedQParamsRangeNeg1To1Observer,
});
/** Values in [0, 1]: sigmoid, softmax. */
export const defaultFixedQParamsRange0To1FakeQuant: FixedFactory = FixedQParamsFakeQuantize.withArgs({
  observer: defaultFixedQParamsRange0To1Observer,
});
/** Old name of {@link defaultFixedQParamsRangeNeg1To1FakeQuant}. */
export const defaultSymmetricFixedQParamsFakeQuant: FixedFactory = defaultFixedQParamsRangeNeg1To1FakeQuant;
/** Old name of {@link defaultFixedQParamsRange0To1FakeQuant}. */
export const defaultAffineFixedQParamsFakeQuant: FixedFactory = defaultFixedQParamsRange0To1FakeQuant;
