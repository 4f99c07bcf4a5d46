/** Elements as numbers: bit patterns decoded, packed codes unpacked. */
import { dtypeInfo, isSigned, type DType, type TensorData } from './dtype.ts';
import { bfloat16Value, float16Value } from './float16.ts';
import { unpackBits, type PackedBits } from './pack.ts';
import { elementCount } from './shape.ts';

/** What a tensor is made of; the `Tensor` class and anything like it. */
export interface TensorParts {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: TensorData;
}

/** Element values in row-major order. The data itself where it holds them already; bigints for 64-bit integers. */
export function elementValues(t: TensorParts): ArrayLike<number> | ArrayLike<bigint> {
  const { bits } = dtypeInfo(t.dtype);
  if (t.dtype === 'float16') return Float32Array.from(t.data as Uint16Array, float16Value);
  if (t.dtype === 'bfloat16') return Float32Array.from(t.data as Uint16Array, bfloat16Value);
  if (bits >= 8) return t.data;
  return unpackBits(t.data as Uint8Array, bits as PackedBits, elementCount(t.shape), isSigned(t.dtype));
}
