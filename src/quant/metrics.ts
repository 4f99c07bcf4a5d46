/**
 * How far one tensor is from another: torch's `ns.fx.utils` over float32 values, a whole tensor at a time. Differences
 * are float32; sums run in double in index order and the results are float32, so they do not depend on vector widths.
 * A quantized argument is dequantized first. NaN anywhere gives NaN.
 */
import { floatInput } from '../tensor/cast.ts';
import { elementCount } from '../tensor/shape.ts';
import type { TensorLike } from '../tensor/tensor.ts';
import { QuantizedTensor } from './quantized-tensor.ts';

const f32 = Math.fround;

/** What the metrics compare: a float tensor or a quantized one. */
export type Comparable = TensorLike | QuantizedTensor;

/**
 * Signal to quantization noise ratio in dB, 20·log10(‖x‖ / ‖x - y‖): higher is better, 6 dB a bit. Equal inputs give
 * Infinity, two all-zero or empty tensors NaN. torch: `compute_sqnr`.
 *
 * @throws RangeError if the shapes differ; TypeError for values that are not float32, float16 or bfloat16.
 */
export function sqnr(x: Comparable, y: Comparable): number {
  const [a, b] = pair(x, y, 'sqnr');
  let signal = 0;
  let noise = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = f32(a[i] - b[i]);
    signal += a[i] * a[i];
    noise += difference * difference;
  }
  return f32(20 * f32(Math.log10(f32(f32(Math.sqrt(signal)) / f32(Math.sqrt(noise))))));
}

/**
 * sqrt(Σ(x - y)² / Σx²): 0 for equal inputs, Infinity if only x is all zero, NaN if both are or for empty tensors.
 * torch: `compute_normalized_l2_error`.
 *
 * @throws as {@link sqnr}.
 */
export function normalizedL2Error(x: Comparable, y: Comparable): number {
  const [a, b] = pair(x, y, 'normalizedL2Error');
  let signal = 0;
  let noise = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = f32(a[i] - b[i]);
    signal += a[i] * a[i];
    noise += difference * difference;
  }
  return f32(Math.sqrt(f32(f32(noise) / f32(signal))));
}

/** Below this a norm counts as this, so that a zero vector has cosine 0. */
const SMALLEST_NORM = 1e-8;

/**
 * Cosine of the angle between the flattened tensors, Σxy / (max(‖x‖, 1e-8)·max(‖y‖, 1e-8)): 1 for the same direction,
 * 0 if one is all zero or empty. torch: `compute_cosine_similarity`, which gives it as a tensor of shape (1,).
 *
 * @throws as {@link sqnr}.
 */
export function cosineSimilarity(x: Comparable, y: Comparable): number {
  const [a, b] = pair(x, y, 'cosineSimilarity');
  let dot = 0;
  let squaresA = 0;
  let squaresB = 0;
  for (let i = 0; i < a.length; i++) {
    dot += a[i] * b[i];
    squaresA += a[i] * a[i];
    squaresB += b[i] * b[i];
  }
  const norms = Math.max(Math.sqrt(squaresA), SMALLEST_NORM) * Math.max(Math.sqrt(squaresB), SMALLEST_NORM);
  return f32(dot / norms);
}

function pair(x: Comparable, y: Comparable, where: string): readonly [Float32Array, Float32Array] {
  const a = x instanceof QuantizedTensor ? x.dequantize() : floatInput(x, where);
  const b = y instanceof QuantizedTensor ? y.dequantize() : floatInput(y, where);
  if (a.shape.length !== b.shape.length || a.shape.some((size, i) => size !== b.shape[i])) {
    throw new RangeError(
      `${where}: expected equal shapes, got [${a.shape.join(', ')}] and [${b.shape.join(', ')}] ` +
        `(${elementCount(a.shape)} and ${elementCount(b.shape)} values)`,
    );
  }
  return [a.data, b.data];
}
