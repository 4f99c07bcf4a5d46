/** Public names of the tensor layer. */
export { toFloat32 } from './cast.ts';
export {
  DTYPES,
  codeRange,
  type DType,
  type DTypeInfo,
  type QuantDType,
  type TensorData,
  type TensorDataOf,
} from './dtype.ts';
export { bfloat16Bits, bfloat16Value, float16Bits, float16Value } from './float16.ts';
export { formatTensor, type PrintOptions } from './format.ts';
export { packBits, unpackBits, type PackedBits } from './pack.ts';
export type { NestedNumbers } from './nested.ts';
export { Tensor, tensor, type TensorLike } from './tensor.ts';
