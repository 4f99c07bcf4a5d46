/**
 * Element types of tensors in a model: our dtypes where we have one, the type's ONNX name where we do not.
 * Tensors of foreign types are carried through unread: nothing here computes on them.
 */
import { DTYPES, type DType } from '../tensor/dtype.ts';

/** Dtypes that exist in ONNX: ours without PyTorch's quantized ones. */
export type OnnxDType = Exclude<DType, 'qint8' | 'quint8' | 'qint32' | 'quint4x2' | 'quint2x4'>;

/** Bits of one element of the types that ONNX has and we have not; 0 where elements have no fixed size. */
export const FOREIGN_TYPES = {
  undefined: 0,
  string: 0,
  complex64: 64,
  complex128: 128,
  float8e4m3fn: 8,
  float8e4m3fnuz: 8,
  float8e5m2: 8,
  float8e5m2fnuz: 8,
  float8e8m0: 8,
  float4e2m1: 4,
  float6e2m3: 6,
  float6e3m2: 6,
} as const satisfies Record<string, number>;

/** `unknown:N` is TensorProto.DataType N of a newer ONNX than we know. */
export type ForeignType = keyof typeof FOREIGN_TYPES | `unknown:${number}`;

/** Element type of a tensor in a model. */
export type ElementType = OnnxDType | ForeignType;

/** True if tensors of this type can be loaded as {@link DType} tensors. */
export function isOurs(type: ElementType): type is OnnxDType {
  return Object.hasOwn(DTYPES, type);
}

/** Bits of one element; 0 if elements have no fixed or no known size (`string`, `unknown:N`). */
export function elementBits(type: ElementType): number {
  if (isOurs(type)) return DTYPES[type].bits;
  return Object.hasOwn(FOREIGN_TYPES, type) ? FOREIGN_TYPES[type as keyof typeof FOREIGN_TYPES] : 0;
}
