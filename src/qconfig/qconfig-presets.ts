/** PyTorch's named configurations (`torch.ao.quantization.qconfig`), one line each. */
import { FusedMovingAvgObsFakeQuantize } from '../observers/fused-moving-avg-obs-fake-quantize.ts';
import { HistogramObserver } from '../observers/histogram-observer.ts';
import { MinMaxObserver } from '../observers/min-max-observer.ts';
import { MovingAverageMinMaxObserver } from '../observers/moving-average-min-max-observer.ts';
import { NoopObserver } from '../observers/noop-observer.ts';
import { PlaceholderObserver } from '../observers/placeholder-observer.ts';
import * as fake from './fake-quantize-presets.ts';
import * as observers from './observer-presets.ts';
import { QConfig } from './qconfig.ts';

/** Leaves a tensor as it is. torch writes `torch.nn.Identity` here. */
const LEFT_ALONE = NoopObserver.withArgs({ dtype: 'float32' });
const FLOAT16 = PlaceholderObserver.withArgs({ dtype: 'float16' });
/** XNNPACK's signed activations. */
const QNNPACK_ACTIVATION = HistogramObserver.withArgs({ dtype: 'qint8', eps: 2 ** -12 });
const QNNPACK_QAT_ACTIVATION = FusedMovingAvgObsFakeQuantize.withArgs({
  observer: MovingAverageMinMaxObserver,
  quantMin: -128,
  quantMax: 127,
  dtype: 'qint8',
  eps: 2 ** -12,
});

/** Static: min/max activations, one weight scale. */
export const defaultQConfig: QConfig = new QConfig({
  activation: observers.defaultObserver,
  weight: observers.defaultWeightObserver,
});
/** Keeps all activations, for debugging. */
export const defaultDebugQConfig: QConfig = new QConfig({
  activation: observers.defaultDebugObserver,
  weight: observers.defaultWeightObserver,
});
/** Static: min/max activations, a weight scale for each channel. */
export const defaultPerChannelQConfig: QConfig = new QConfig({
  activation: observers.defaultObserver,
  weight: observers.defaultPerChannelWeightObserver,
});
/** Dynamic: one weight scale. */
export const defaultDynamicQConfig: QConfig = new QConfig({
  activation: observers.defaultDynamicQuantObserver,
  weight: observers.defaultWeightObserver,
});
/** Dynamic: a weight scale for each channel. */
export const perChannelDynamicQConfig: QConfig = new QConfig({
  activation: observers.defaultDynamicQuantObserver,
  weight: observers.defaultPerChannelWeightObserver,
});
/** Dynamic, float16 weights. */
export const float16DynamicQConfig: QConfig = new QConfig({
  activation: PlaceholderObserver.withArgs({ dtype: 'float16', isDynamic: true }),
  weight: FLOAT16,
});
/** float16 throughout. */
export const float16StaticQConfig: QConfig = new QConfig({ activation: FLOAT16, weight: FLOAT16 });
/** Embedding tables, float zero points. */
export const floatQParamsWeightOnlyQConfig: QConfig = new QConfig({
  activation: observers.defaultPlaceholderObserver,
  weight: observers.defaultFloatQParamsObserver,
});
/** Embedding tables of 4 bits, float zero points. */
export const floatQParamsWeightOnlyQConfig4bit: QConfig = new QConfig({
  activation: observers.defaultPlaceholderObserver,
  weight: observers.defaultFloatQParamsObserver4bit,
});
/** Training: fake-quantized activations and weights. */
export const defaultQatQConfig: QConfig = new QConfig({
  activation: fake.defaultFakeQuant,
  weight: fake.defaultWeightFakeQuant,
});
/** Training: the fused form, 8-bit activations. */
export const defaultQatQConfigV2: QConfig = new QConfig({
  activation: fake.defaultFusedActFakeQuant,
  weight: fake.defaultFusedWtFakeQuant,
});
/** Training for dynamic quantization. */
export const defaultDynamicQatQConfig: QConfig = new QConfig({
  activation: fake.defaultDynamicFakeQuant,
  weight: fake.defaultWeightFakeQuant,
});
/** Training: weights only. */
export const defaultWeightOnlyQConfig: QConfig = new QConfig({
  activation: LEFT_ALONE,
  weight: fake.defaultWeightFakeQuant,
});
/** Training: activations only. */
export const defaultActivationOnlyQConfig: QConfig = new QConfig({
  activation: fake.defaultFakeQuant,
  weight: LEFT_ALONE,
});
/** The output has the input's scale and zero point: reshape. */
export const defaultReuseInputQConfig: QConfig = new QConfig({
  activation: observers.defaultReuseInputObserver,
  weight: NoopObserver,
});
/** XNNPACK: signed activations, symmetric weights in -127..127. */
export const defaultSymmetricQnnpackQConfig: QConfig = new QConfig({
  activation: QNNPACK_ACTIVATION,
  weight: observers.weightObserverRangeNeg127To127,
});
/** XNNPACK, a weight scale for each channel. */
export const defaultPerChannelSymmetricQnnpackQConfig: QConfig = new QConfig({
  activation: QNNPACK_ACTIVATION,
  weight: observers.perChannelWeightObserverRangeNeg127To127,
});
/** XNNPACK, training. */
export const defaultSymmetricQnnpackQatQConfig: QConfig = new QConfig({
  activation: QNNPACK_QAT_ACTIVATION,
  weight: fake.fusedWtFakeQuantRangeNeg127To127,
});
/** XNNPACK, training, a weight scale for each channel. */
export const defaultPerChannelSymmetricQnnpackQatQConfig: QConfig = new QConfig({
  activation: QNNPACK_QAT_ACTIVATION,
  weight: fake.fusedPerChannelWtFakeQuantRangeNeg127To127,
});
/** Embedding tables, training. */
export const defaultEmbeddingQatQConfig: QConfig = new QConfig({
  activation: LEFT_ALONE,
  weight: fake.defaultEmbeddingFakeQuant,
});
/** Embedding tables of 4 bits, training. */
export const defaultEmbeddingQatQConfig4bit: QConfig = new QConfig({
  activation: LEFT_ALONE,
  weight: fake.defaultEmbeddingFakeQuant4bit,
});
/** Weights as quint8, affine: PReLU's slopes. */
export const defaultQuint8WeightQConfig: QConfig = new QConfig({
  activation: HistogramObserver,
  weight: MinMaxObserver,
});
