/**
 * Where a variant runs without a part of it falling back to the CPU. Facts: one-op models on onnxruntime 1.30, its native CPU
 * provider, WebAssembly, and WebGPU with CPU fallback disabled. Operators that the float model had are not judged.
 */
import type { Model } from '../../graph/model.ts';

/** A place to run, as transformers.js tells them apart. */
export interface RunsOn {
  readonly cpu: boolean;
  readonly wasm: boolean;
  /** `shader-f16`: on GPUs with 16-bit arithmetic. */
  readonly webgpu: boolean | 'shader-f16';
}

/** Integer arithmetic on activations. WebGPU has none of it. */
const NOT_ON_WEBGPU =
  /^(DynamicQuantizeLinear|QuantizeLinear|MatMulInteger|ConvInteger|QLinear.+|QGemm|DynamicQuantize(LSTM|MatMul)|QAttention|QEmbedLayerNormalization)$/;

/** Looks at the operators and types of a model that was made here. */
export function runsOn({ graph }: Model): RunsOn {
  const nodes = [...graph.allNodes()];
  if (nodes.some(({ opType }) => NOT_ON_WEBGPU.test(opType))) return { cpu: true, wasm: true, webgpu: false };
  const isHalf = nodes.some(({ inputs }) => inputs.some((input) => input?.elementType === 'float16'));
  return { cpu: true, wasm: true, webgpu: isHalf ? 'shader-f16' : true };
}
