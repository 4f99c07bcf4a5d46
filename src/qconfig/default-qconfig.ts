/** PyTorch's defaults for a backend: one configuration, or a mapping with its special cases. */
import { FakeQuantize } from '../observers/fake-quantize.ts';
import { FixedQParamsFakeQuantize } from '../observers/fixed-qparams-fake-quantize.ts';
import { FusedMovingAvgObsFakeQuantize } from '../observers/fused-moving-avg-obs-fake-quantize.ts';
import { HistogramObserver } from '../observers/histogram-observer.ts';
import { MovingAverageMinMaxObserver } from '../observers/moving-average-min-max-observer.ts';
import * as fake from './fake-quantize-presets.ts';
import * as observers from './observer-presets.ts';
import { QConfigMapping } from './qconfig-mapping.ts';
import { defaultQuint8WeightQConfig, defaultReuseInputQConfig } from './qconfig-presets.ts';
import { QConfig, type ObserverFactory } from './qconfig.ts';

/** torch's quantized engines. */
export type QuantBackend = 'x86' | 'fbgemm' | 'onednn' | 'qnnpack';

interface BackendTraits {
  /** 7-bit activations: without VNNI, sums of two 8-bit products overflow 16 bits. */
  readonly reduceRange: boolean;
  /** A scale for each channel of a weight. */
  readonly perChannel: boolean;
  /** Transposed convolutions take one weight scale only. */
  readonly perTensorConvTranspose: boolean;
}

const BACKENDS: Readonly<Record<QuantBackend, BackendTraits>> = {
  x86: { reduceRange: true, perChannel: true, perTensorConvTranspose: true },
  fbgemm: { reduceRange: true, perChannel: true, perTensorConvTranspose: true },
  onednn: { reduceRange: false, perChannel: true, perTensorConvTranspose: false },
  qnnpack: { reduceRange: false, perChannel: false, perTensorConvTranspose: false },
};

function traitsOf(backend: QuantBackend, where: string): BackendTraits {
  if (!Object.hasOwn(BACKENDS, backend)) {
    throw new RangeError(
      `${where}: expected a backend of ${Object.keys(BACKENDS).join(', ')}, got ${String(backend)}`,
    );
  }
  return BACKENDS[backend];
}

function checkVersion(version: number, versions: readonly number[], where: string): void {
  if (!versions.includes(version)) {
    throw new RangeError(`${where}: expected version ${versions.join(' or ')}, got ${version}`);
  }
}

/**
 * The configuration for static quantization: histogram activations and min/max weights. torch `get_default_qconfig`.
 * Throws RangeError for an unknown backend or version.
 */
export function getDefaultQConfig(backend: QuantBackend = 'x86', version: number = 0): QConfig {
  const where = 'getDefaultQConfig';
  const { reduceRange, perChannel } = traitsOf(backend, where);
  checkVersion(version, [0], where);
  return new QConfig({
    activation: HistogramObserver.withArgs({ reduceRange }),
    weight: perChannel ? observers.defaultPerChannelWeightObserver : observers.defaultWeightObserver,
  });
}

/**
 * The configuration for training: version 1 is the fused fake-quantize, version 0 the plain one. torch
 * `get_default_qat_qconfig`. Throws RangeError for an unknown backend or version.
 */
export function getDefaultQatQConfig(backend: QuantBackend = 'x86', version: number = 1): QConfig {
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
 * The mapping for static quantization: {@link getDefaultQConfig} for all, with torch's special cases under ONNX op types:
 * Reshape keeps its input's scale; ConvTranspose has one weight scale on x86 and fbgemm; LayerNormalization's weight
 * stays float; PRelu's slope is quint8; Sigmoid, HardSigmoid, Softmax and Tanh have fixed ranges. torch
 * `get_default_qconfig_mapping`.
 */
export function getDefaultQConfigMapping(backend: QuantBackend = 'x86', version: number = 0): QConfigMapping {
  return defaultMapping({
    qconfig: getDefaultQConfig(backend, version),
    weight: observers.defaultWeightObserver,
    fixed: (observer) => observer,
    traits: traitsOf(backend, 'getDefaultQConfigMapping'),
  });
}

/** The mapping for training, with the same special cases. torch `get_default_qat_qconfig_mapping`. */
export function getDefaultQatQConfigMapping(
  backend: QuantBackend = 'x86',
  version: number = 1,
): QConfigMapping {
  return defaultMapping({
    qconfig: getDefaultQatQConfig(backend, version),
    weight: fake.defaultWeightFakeQuant,
    fixed: (observer) => FixedQParamsFakeQuantize.withArgs({ observer }),
    traits: traitsOf(backend, 'getDefaultQatQConfigMapping'),
  });
}
