/** Codes back to float32. */
import { toFloat32 } from '../tensor/cast.ts';
import type { Tensor, TensorLike } from '../tensor/tensor.ts';
import { QuantizedTensor, type DequantizeOptions } from './quantized-tensor.ts';

/**
 * The values a quantized tensor stands for, (code - zeroPoint)·scale; a plain tensor is only cast to float32 (and not
 * copied if it is float32). torch: `dequantize`, its list form included.
 *
 * @throws TypeError or RangeError if `options.out` does not fit; it is for quantized tensors only.
 */
export function dequantize(q: QuantizedTensor | TensorLike, options?: DequantizeOptions): Tensor<'float32'>;
export function dequantize(list: readonly (QuantizedTensor | TensorLike)[]): Tensor<'float32'>[];
export function dequantize(
  q: QuantizedTensor | TensorLike | readonly (QuantizedTensor | TensorLike)[],
  options: DequantizeOptions = {},
): Tensor<'float32'> | Tensor<'float32'>[] {
  if (isList(q)) return q.map((item) => dequantize(item));
  return q instanceof QuantizedTensor ? q.dequantize(options) : toFloat32(q);
}

type Item = QuantizedTensor | TensorLike;

function isList(q: Item | readonly Item[]): q is readonly Item[] {
  return Array.isArray(q);
}
