/**
 * The dtype table. Quantized dtypes (qint8, quint4x2, ...) are PyTorch's and hold codes; the plain ones are
 * what ONNX and PyTorch call by the same names. 4- and 2-bit tensors lie packed in a Uint8Array, first element
 * in the lowest bits, over the flat index (rows are not padded), as torch's `int_repr()` of quint4x2 and ONNX do.
 */

/** Typed arrays that can hold a tensor's elements. float16 and bfloat16 are held as their bit patterns. */
export type TensorData =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;

/** A row of the dtype table. */
export interface DTypeInfo {
  /** Bits of one element. */
  readonly bits: number;
  readonly kind: 'float' | 'int' | 'bool';
  /** Array type that holds the elements, or the packed bytes below 8 bits. */
  readonly storage: new (length: number) => TensorData;
  /** Range of the codes; absent where a dtype cannot hold codes. */
  readonly range?: readonly [min: number, max: number];
  /** True for PyTorch's dtypes that exist only on quantized tensors. */
  readonly quantized?: true;
}

/** Dtypes whose elements can be quantization codes: PyTorch's quantized ones first, then the plain ones. */
export type QuantDType =
  | 'qint8'
  | 'quint8'
  | 'qint32'
  | 'quint4x2'
  | 'quint2x4'
  | 'int2'
  | 'uint2'
  | 'int4'
  | 'uint4'
  | 'int8'
  | 'uint8'
  | 'int16'
  | 'uint16'
  | 'int32';

/** Every dtype a tensor can have. */
export type DType =
  | QuantDType
  | 'float32'
  | 'float64'
  | 'float16'
  | 'bfloat16'
  | 'bool'
  | 'uint32'
  | 'int64'
  | 'uint64';

/** The array type that holds a dtype's elements, as {@link DTYPES} says. */
export type TensorDataOf<D extends DType> = D extends 'float32'
  ? Float32Array
  : D extends 'float64'
    ? Float64Array
    : D extends 'qint8' | 'int8'
      ? Int8Array
      : D extends 'float16' | 'bfloat16' | 'uint16'
        ? Uint16Array
        : D extends 'int16'
          ? Int16Array
          : D extends 'qint32' | 'int32'
            ? Int32Array
            : D extends 'uint32'
              ? Uint32Array
              : D extends 'int64'
                ? BigInt64Array
                : D extends 'uint64'
                  ? BigUint64Array
                  : Uint8Array;

const INT32 = [-2147483648, 2147483647] as const;

/** The facts of every dtype, by name. */
export const DTYPES: Readonly<Record<DType, DTypeInfo>> = {
  float32: { bits: 32, kind: 'float', storage: Float32Array },
  float64: { bits: 64, kind: 'float', storage: Float64Array },
  float16: { bits: 16, kind: 'float', storage: Uint16Array },
  bfloat16: { bits: 16, kind: 'float', storage: Uint16Array },
  bool: { bits: 8, kind: 'bool', storage: Uint8Array },
  int2: { bits: 2, kind: 'int', storage: Uint8Array, range: [-2, 1] },
  uint2: { bits: 2, kind: 'int', storage: Uint8Array, range: [0, 3] },
  int4: { bits: 4, kind: 'int', storage: Uint8Array, range: [-8, 7] },
  uint4: { bits: 4, kind: 'int', storage: Uint8Array, range: [0, 15] },
  int8: { bits: 8, kind: 'int', storage: Int8Array, range: [-128, 127] },
  uint8: { bits: 8, kind: 'int', storage: Uint8Array, range: [0, 255] },
  int16: { bits: 16, kind: 'int', storage: Int16Array, range: [-32768, 32767] },
  uint16: { bits: 16, kind: 'int', storage: Uint16Array, range: [0, 65535] },
  int32: { bits: 32, kind: 'int', storage: Int32Array, range: INT32 },
  uint32: { bits: 32, kind: 'int', storage: Uint32Array },
  int64: { bits: 64, kind: 'int', storage: BigInt64Array },
  uint64: { bits: 64, kind: 'int', storage: BigUint64Array },
  qint8: { bits: 8, kind: 'int', storage: Int8Array, range: [-128, 127], quantized: true },
  quint8: { bits: 8, kind: 'int', storage: Uint8Array, range: [0, 255], quantized: true },
  qint32: { bits: 32, kind: 'int', storage: Int32Array, range: INT32, quantized: true },
  quint4x2: { bits: 4, kind: 'int', storage: Uint8Array, range: [0, 15], quantized: true },
  quint2x4: { bits: 2, kind: 'int', storage: Uint8Array, range: [0, 3], quantized: true },
};

/** The row of a dtype. Throws TypeError for an unknown name. */
export function dtypeInfo(dtype: DType): DTypeInfo {
  if (!Object.hasOwn(DTYPES, dtype)) {
    throw new TypeError(`dtype: expected one of ${Object.keys(DTYPES).join(', ')}, got ${String(dtype)}`);
  }
  return DTYPES[dtype];
}

/** Range of a dtype's codes. Throws TypeError where the dtype cannot hold codes (float32, int64, ...). */
export function codeRange(dtype: DType): readonly [min: number, max: number] {
  const { range } = dtypeInfo(dtype);
  if (range === undefined) {
    throw new TypeError(`dtype: expected an integer dtype of at most 32 bits for codes, got ${dtype}`);
  }
  return range;
}

/** True if codes of this dtype can be negative. */
export function isSigned(dtype: DType): boolean {
  return codeRange(dtype)[0] < 0;
}

/** Length of the storage array that holds `count` elements: packed bytes below 8 bits, else `count`. */
export function storageLength(dtype: DType, count: number): number {
  const { bits } = dtypeInfo(dtype);
  return bits < 8 ? Math.ceil((count * bits) / 8) : count;
}

/** A zeroed storage array for `count` elements. */
export function allocate(dtype: DType, count: number): TensorData {
  return new (dtypeInfo(dtype).storage)(storageLength(dtype, count));
}
