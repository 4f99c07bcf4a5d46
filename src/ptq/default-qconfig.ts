/**
 * Defaults of the ONNX workflow. Activations: uint8, affine, min/max, the full range (onnxruntime's kernels on x64 and in
 * WebAssembly are fastest with unsigned activations). Weights: int8, symmetric, -127..127, one scale a channel. Scales and
 * zero points by the rule of onnxruntime's quantizer, so that the same data gives the same numbers as there.
 */
import { checkOptions, type Rule } from '../errors/check-options.ts';
import { ANYTHING, BOOLEAN, FUNCTION } from '../errors/option-rules.ts';
import { MinMaxObserver, PerChannelMinMaxObserver } from '../observers/index.ts';
import { QConfig } from '../qconfig/qconfig.ts';
import { QConfigMapping } from '../qconfig/qconfig-mapping.ts';

/** Codes that static quantization can give activations. */
export type ActivationDType = 'uint8' | 'int8' | 'uint16' | 'int16';

/** Codes that static quantization can give weights. */
export type WeightDType = 'int8' | 'uint8' | 'int4' | 'uint4';

/** Where the defaults of the ONNX workflow can be turned. */
export interface DefaultQConfigOptions {
  /** One scale an output channel of a weight. Default true; needs opset 13. */
  readonly perChannel?: boolean;
  /** Factory of the activations' observers, instead of `activationDType` and `activationSymmetric`. */
  readonly activation?: QConfig['activation'];
  /** Default 'uint8'. 16 bits need opset 21. */
  readonly activationDType?: ActivationDType;
  /** Ranges mirrored at zero: zero point 0, or the middle code if unsigned. Default false. */
  readonly activationSymmetric?: boolean;
  /** Default 'int8'. 4 bits need opset 21. */
  readonly weightDType?: WeightDType;
  /** Weights' ranges mirrored at zero. Default: true for signed codes, false for unsigned ones. */
  readonly weightSymmetric?: boolean;
  /**
   * 8-bit weights with a bit less (-64..64, 0..127): x64 without VNNI adds pairs of products in 16 bits, which saturate
   * with all eight. Default false.
   */
  readonly reduceRange?: boolean;
}

const RULES = {
  perChannel: BOOLEAN,
  activation: FUNCTION,
  activationDType: ANYTHING,
  activationSymmetric: BOOLEAN,
  weightDType: ANYTHING,
  weightSymmetric: BOOLEAN,
  reduceRange: BOOLEAN,
} satisfies Record<keyof DefaultQConfigOptions, Rule>;

/** Names of dtypes in observers: PyTorch's for 8 bits. */
const ACTIVATION_DTYPES = {
  uint8: 'quint8',
  int8: 'qint8',
  uint16: 'uint16',
  int16: 'int16',
} as const satisfies Record<ActivationDType, string>;

/** `saturates`: products with uint8 codes, two at a time, may leave 16 bits. */
const WEIGHT_DTYPES = {
  int8: { dtype: 'qint8', signed: true, saturates: true },
  uint8: { dtype: 'quint8', signed: false, saturates: true },
  int4: { dtype: 'int4', signed: true, saturates: false },
  uint4: { dtype: 'uint4', signed: false, saturates: false },
} as const satisfies Record<WeightDType, { dtype: string; signed: boolean; saturates: boolean }>;

/**
 * The QConfig that {@link staticQConfigMapping} and dynamic quantization give every node.
 *
 * @throws TypeError for a dtype that is not in the lists, for `reduceRange` with 4-bit weights, and if `activation` stands
 *   beside `activationDType` or `activationSymmetric`
 */
export function onnxQConfig(options: DefaultQConfigOptions = {}): QConfig {
  checkOptions('onnxQConfig', options, RULES);
  return new QConfig({ activation: activationOf(options), weight: weightOf(options) });
}

/** Every op that static quantization knows, with {@link onnxQConfig}. */
export function staticQConfigMapping(options: DefaultQConfigOptions = {}): QConfigMapping {
  return new QConfigMapping().setGlobal(onnxQConfig(options));
}

function activationOf(options: DefaultQConfigOptions): QConfig['activation'] {
  const { activation, activationDType, activationSymmetric } = options;
  if (activation === undefined) {
    const dtype = rowOf(ACTIVATION_DTYPES, activationDType ?? 'uint8', 'activationDType');
    const qscheme = activationSymmetric === true ? ({ qscheme: 'per_tensor_symmetric' } as const) : {};
    return MinMaxObserver.withArgs({ dtype, rule: 'onnx', ...qscheme });
  }
  if (activationDType === undefined && activationSymmetric === undefined) return activation;
  throw new TypeError(
    'onnxQConfig: expected activation, or activationDType and activationSymmetric, got both; ' +
      'the factory says dtype and symmetry itself: MinMaxObserver.withArgs({ dtype, qscheme })',
  );
}

function weightOf(options: DefaultQConfigOptions): QConfig['weight'] {
  const { perChannel = true, weightDType = 'int8', reduceRange = false } = options;
  const { dtype, signed, saturates } = rowOf(WEIGHT_DTYPES, weightDType, 'weightDType');
  if (reduceRange && !saturates)
    throw new TypeError(
      `onnxQConfig: expected reduceRange with 8-bit weights, got ${dtype}, which cannot saturate`,
    );
  const { weightSymmetric = signed } = options;
  const mapping = weightSymmetric ? 'symmetric' : 'affine';
  const args = { dtype, rule: 'onnx', reduceRange } as const;
  return perChannel
    ? PerChannelMinMaxObserver.withArgs({ ...args, qscheme: `per_channel_${mapping}` })
    : MinMaxObserver.withArgs({ ...args, qscheme: `per_tensor_${mapping}` });
}

function rowOf<T>(table: Readonly<Record<string, T>>, name: string, option: string): T {
  if (Object.hasOwn(table, name)) return table[name];
  throw new TypeError(
    `onnxQConfig: expected ${option} ${Object.keys(table).join(', ')}, got ${String(name)}`,
  );
}
