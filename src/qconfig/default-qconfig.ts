/** Defaults for a backend, PyTorch's or onnxruntime's: one configuration, or a mapping with its special cases. */
import { FakeQuantize } from '../observers/fake-quantize.ts';
import { FixedQParamsFakeQuantize } from '../observers/fixed-qparams-fake-quantize.ts';
import { FusedMovingAvgObsFakeQuantize } from '../observers/fused-moving-avg-obs-fake-quantize.ts';
import { HistogramObserver } from '../observers/histogram-observer.ts';
import { MovingAverageMinMaxObserver } from '../observers/moving-average-min-max-observer.ts';
import * as fake from './fake-quantize-presets.ts';
import * as observers from './observer-presets.ts';
import { isOnnxBackend, ONNX_BACKENDS, onnxBackendQConfig, type OnnxBackend } from './onnx-backends.ts';
import { QConfigMapping } from './qconfig-mapping.ts';
import { defaultQuint8WeightQConfig, defaultReuseInputQConfig } from './qconfig-presets.ts';
import { QConfig, type ObserverFactory } from './qconfig.ts';

/** torch's quantized engines. */
export type TorchBackend = 'x86' | 'fbgemm' | 'onednn' | 'qnnpack';

/** Where a quantized model is to run. */
export type QuantBackend = TorchBackend | OnnxBackend;

interface BackendTraits {
  /** 7-bit activations: without VNNI, sums of two 8-bit products overflow 16 bits. */
  readonly reduceRange: boolean;
  /** A scale for each channel of a weight. */
  readonly perChannel: boolean;
  /** Transposed convolutions take one weight scale only. */
  readonly perTensorConvTranspose: boolean;
}

const BACKENDS: Readonly<Record<TorchBackend, BackendTraits>> = {
  x86: { reduceRange: true, perChannel: true, perTensorConvTranspose: true },
  fbgemm: { reduceRange: true, perChannel: true, perTensorConvTranspose: true },
  onednn: { reduceRange: false, perChannel: true, perTensorConvTranspose: false },
  qnnpack: { reduceRange: false, perChannel: false, perTensorConvTranspose: false },
};

/** `others`: what the caller takes besides, for the message. */
function traitsOf(backend: TorchBackend, where: string, others: readonly string[] = []): BackendTraits {
  if (!Object.hasOwn(BACKENDS, backend)) {
    const known = [...Object.keys(BACKENDS), ...others].join(', ');
    throw new RangeError(`${where}: expected a backend of ${known}, got ${String(backend)}`);
  }
  return BACKENDS[backend];
}

function checkVersion(version: number, versions: readonly number[], where: string): void {
  if (!versions.includes(version)) {
    throw new RangeError(`${where}: expected version ${versions.join(' or ')}, got ${version}`);
  }
}

/**
 * The configuration for static quantization. torch's engines: histogram activations and min/max weights, as torch
 * `get_default_qconfig`. onnxruntime's: min/max throughout, scales by the rule of its quantizer, weights int8 by channel;
 * activations are uint8, on ARM int8, for WebGPU float.
 * Throws RangeError for an unknown backend or version.
 */
export function getDefaultQConfig(backend: QuantBackend = 'x86', version: number = 0): QConfig {
  const where = 'getDefaultQConfig';
  checkVersion(version, [0], where);
  if (isOnnxBackend(backend)) return onnxBackendQConfig(backend);
  const { reduceRange, perChannel } = traitsOf(backend, where, ONNX_BACKENDS);
  return new QConfig({
    activation: HistogramObserver.withArgs({ reduceRange }),
    weight: perChannel ? observers.defaultPerChannelWeightObserver : observers.defaultWeightObserver,
  });
}

/**
 * The configuration for training: version 1 is the fused fake-quantize, version 0 the plain one. torch
 * `get_default_qat_qconfig`. Throws RangeError for an unknown backend or version.
 */
export function getDefaultQatQConfig(backend: TorchBackend = 'x86', version: number = 1): QConfig {
  const where = 'getDefaultQatQConfig';
  const { reduceRange, perChannel } = traitsOf(backend, where);
  checkVersion(version, [0, 1], where);
  const args = {
    observer: MovingAverageMinMaxObserver,
    quantMin: 0,
    quantMax: 255,
    reduceRange: reduceRange || undefined,
  } as const;
  if (version === 0) {
    const weight = perChannel ? fake.defaultPerChannelWeightFakeQuant : fake.defaultWeightFakeQuant;
    return new QConfig({ activation: FakeQuantize.withArgs(args), weight });
  }
  const weight = perChannel ? fake.defaultFusedPerChannelWtFakeQuant : fake.defaultFusedWtFakeQuant;
  return new QConfig({ activation: FusedMovingAvgObsFakeQuantize.withArgs(args), weight });
}

/** Ops whose output range does not depend on the data, by ONNX op type. */
const FIXED_RANGE_OPS: Readonly<Record<string, ObserverFactory>> = {
  HardSigmoid: observers.defaultFixedQParamsRange0To1Observer,
  Sigmoid: observers.defaultFixedQParamsRange0To1Observer,
  Softmax: observers.defaultFixedQParamsRange0To1Observer,
  Tanh: observers.defaultFixedQParamsRangeNeg1To1Observer,
};

interface MappingParts {
  readonly qconfig: QConfig;
  readonly weight: ObserverFactory;
  readonly fixed: (observer: ObserverFactory) => ObserverFactory;
  readonly traits: BackendTraits;
}

function defaultMapping({ qconfig, weight, fixed, traits }: MappingParts): QConfigMapping {
  const { activation } = qconfig;
  const transposed = traits.perTensorConvTranspose ? new QConfig({ activation, weight }) : qconfig;
  const mapping = new QConfigMapping()
    .setGlobal(qconfig)
    .setObjectType('Reshape', defaultReuseInputQConfig)
    .setObjectType('ConvTranspose', transposed)
    .setObjectType(
      'LayerNormalization',
      new QConfig({ activation, weight: observers.defaultPlaceholderObserver }),
    )
    .setObjectType('PRelu', defaultQuint8WeightQConfig);
  for (const [opType, observer] of Object.entries(FIXED_RANGE_OPS)) {
    mapping.setObjectType(opType, new QConfig({ activation: fixed(observer), weight }));
  }
  return mapping;
}

/**
 * The mapping for static quantization: {@link getDefaultQConfig} for all. torch's engines add its special cases under ONNX
 * op types: Reshape keeps its input's scale; ConvTranspose has one weight scale on x86 and fbgemm; LayerNormalization's
 * weight stays float; PRelu's slope is quint8; Sigmoid, HardSigmoid, Softmax and Tanh have fixed ranges (torch
 * `get_default_qconfig_mapping`). For onnxruntime's backends the ops' policies say such things, so they add nothing.
 * With `'webgpu'` activations stay float: it is for `quantizeWeights`, and `prepare` refuses it.
 *
 * @example prepare(model, getDefaultQConfigMapping('onnxruntime-web'))
 */
export function getDefaultQConfigMapping(backend: QuantBackend = 'x86', version: number = 0): QConfigMapping {
  if (isOnnxBackend(backend)) return new QConfigMapping().setGlobal(getDefaultQConfig(backend, version));
  return defaultMapping({
    qconfig: getDefaultQConfig(backend, version),
    weight: observers.defaultWeightObserver,
    fixed: (observer) => observer,
    traits: traitsOf(backend, 'getDefaultQConfigMapping'),
  });
}

/** The mapping for training, with the same special cases. torch `get_default_qat_qconfig_mapping`. */
export function getDefaultQatQConfigMapping(
  backend: TorchBackend = 'x86',
  version: number = 1,
): QConfigMapping {
  return defaultMapping({
    qconfig: getDefaultQatQConfig(backend, version),
    weight: fake.defaultWeightFakeQuant,
    fixed: (observer) => FixedQParamsFakeQuantize.withArgs({ observer }),
    traits: traitsOf(backend, 'getDefaultQatQConfigMapping'),
  });
}
