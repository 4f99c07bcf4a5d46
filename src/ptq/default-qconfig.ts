/**
 * Defaults of the ONNX workflow. Activations: uint8, affine, min/max, the full range (onnxruntime's kernels on x64 and in
 * WebAssembly are fastest with unsigned activations). Weights: int8, symmetric, -127..127, one scale a channel. Scales and
 * zero points by the rule of onnxruntime's quantizer, so that the same data gives the same numbers as there.
 */
import { MinMaxObserver, PerChannelMinMaxObserver } from '../observers/index.ts';
import { onnxBackendQConfig } from '../qconfig/onnx-backends.ts';
import { QConfig } from '../qconfig/qconfig.ts';
import { QConfigMapping } from '../qconfig/qconfig-mapping.ts';

const DEFAULT = onnxBackendQConfig('onnxruntime-cpu');

const WEIGHTS = {
  int8: { dtype: 'qint8', mapping: 'symmetric' },
  uint8: { dtype: 'quint8', mapping: 'affine' },
} as const;

/** Where the defaults of the ONNX workflow can be turned. */
export interface DefaultQConfigOptions {
  /** One scale an output channel of a weight. Default true; needs opset 13. */
  readonly perChannel?: boolean;
  /** int8 (default) is symmetric, uint8 affine, as onnxruntime's quantizer has them. */
  readonly weightDType?: 'int8' | 'uint8';
  /** Weights in 7 bits, for x64 without VNNI. Default false. */
  readonly reduceRange?: boolean;
  /** Factory of the activations' observers. Default min/max, uint8. */
  readonly activation?: QConfig['activation'];
}

/** The QConfig that {@link staticQConfigMapping} and dynamic quantization give every node. */
export function onnxQConfig(options: DefaultQConfigOptions = {}): QConfig {
  const { activation = DEFAULT.activation } = options;
  return new QConfig({ activation, weight: weightFactory(options) });
}

function weightFactory(options: DefaultQConfigOptions): QConfig['weight'] {
  const { perChannel = true, weightDType = 'int8', reduceRange = false } = options;
  const { dtype, mapping } = WEIGHTS[weightDType];
  const args = { dtype, rule: 'onnx', reduceRange } as const;
  return perChannel
    ? PerChannelMinMaxObserver.withArgs({ ...args, qscheme: `per_channel_${mapping}` })
    : MinMaxObserver.withArgs({ ...args, qscheme: `per_tensor_${mapping}` });
}

/** Every op that static quantization knows, with {@link onnxQConfig}. */
export function staticQConfigMapping(options: DefaultQConfigOptions = {}): QConfigMapping {
  return new QConfigMapping().setGlobal(onnxQConfig(options));
}
