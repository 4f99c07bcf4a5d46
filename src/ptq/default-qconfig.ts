/**
 * Defaults of the ONNX workflow. Activations: uint8, affine, min/max, the full range (onnxruntime's kernels on x64 and in
 * WebAssembly are fastest with unsigned activations). Weights: int8, symmetric, -127..127, one scale a channel. Scales and
 * zero points by the rule of onnxruntime's quantizer, so that the same data gives the same numbers as there.
 */
import { MinMaxObserver } from '../observers/index.ts';
import { onnxBackendQConfig } from '../qconfig/onnx-backends.ts';
import { QConfig } from '../qconfig/qconfig.ts';
import { QConfigMapping } from '../qconfig/qconfig-mapping.ts';

const DEFAULT = onnxBackendQConfig('onnxruntime-cpu');
const WEIGHT_PER_TENSOR = MinMaxObserver.withArgs({
  dtype: 'qint8',
  rule: 'onnx',
  qscheme: 'per_tensor_symmetric',
});

/** Where the defaults of the ONNX workflow can be turned. */
export interface DefaultQConfigOptions {
  /** One scale an output channel of a weight. Default true; needs opset 13. */
  readonly perChannel?: boolean;
  /** Factory of the activations' observers. Default min/max, uint8. */
  readonly activation?: QConfig['activation'];
}

/** The QConfig that {@link staticQConfigMapping} and dynamic quantization give every node. */
export function onnxQConfig(options: DefaultQConfigOptions = {}): QConfig {
  const { perChannel = true, activation = DEFAULT.activation } = options;
  return new QConfig({ activation, weight: perChannel ? DEFAULT.weight : WEIGHT_PER_TENSOR });
}

/** Every op that static quantization knows, with {@link onnxQConfig}. */
export function staticQConfigMapping(options: DefaultQConfigOptions = {}): QConfigMapping {
  return new QConfigMapping().setGlobal(onnxQConfig(options));
}
