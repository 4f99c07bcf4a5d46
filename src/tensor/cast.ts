/**
 * Float32 from whatever a caller has. Two doors: {@link floatInput} lets in what converts exactly, and is what every
 * quantizing function uses; {@link toFloat32} rounds anything, and is what a caller uses to say "I mean it".
 */
import type { DType, TensorData } from './dtype.ts';
import { DTYPE_OF_ARRAY, Tensor, type TensorLike } from './tensor.ts';
import { elementValues } from './values.ts';

/** What the arithmetic works on. */
export interface FloatInput {
  readonly data: Float32Array;
  readonly shape: readonly number[];
}

/**
 * `x` as one of our tensors, without a copy where its array type is ours. `type` of an onnxruntime tensor names the
 * dtype; without it the array type does (a Float16Array is float16). Throws TypeError for anything else.
 */
export function asTensor(x: TensorLike, where: string): Tensor {
  if (x instanceof Tensor) return x;
  const given: unknown = x;
  if (typeof given !== 'object' || given === null || !('data' in given) || !('dims' in given)) {
    const isValues = Array.isArray(given) || ArrayBuffer.isView(given);
    const remedy = isValues ? '; make one with tensor(values)' : '';
    throw new TypeError(`${where}: expected a Tensor or {data, dims}, got ${describe(given)}${remedy}`);
  }
  const { data, dims, type } = x;
  if (!ArrayBuffer.isView(data)) {
    throw new TypeError(`${where}: expected data in a typed array, got ${describe(data)}`);
  }
  const dtype = dtypeOf(data, type, where);
  const bits = isFloat16Array(data)
    ? new Uint16Array(data.buffer, data.byteOffset, data.byteLength / 2)
    : data;
  return new Tensor(dtype, dims.map(Number), bits as TensorData);
}

/**
 * The float32 values of `x`: no copy for float32, an exact conversion for float16 and bfloat16.
 *
 * @throws TypeError for every other dtype, as torch does: float64 and integers would be rounded silently. The hint names
 * {@link toFloat32}.
 */
export function floatInput(x: TensorLike, where: string): FloatInput {
  const t = asTensor(x, where);
  if (t.dtype === 'float32') return { data: t.data as Float32Array, shape: t.shape };
  if (t.dtype === 'float16' || t.dtype === 'bfloat16') return { data: float32Values(t), shape: t.shape };
  throw new TypeError(
    `${where}: expected float32, float16 or bfloat16 values, got ${t.dtype}; convert them with toFloat32(x)`,
  );
}

/**
 * `x` as float32, each value rounded to nearest even: exact for float16, bfloat16, bool and integers below 2^24. Float32
 * input is returned as it is, not copied. NaN stays NaN, float64 beyond float32's range becomes ±Inf.
 */
export function toFloat32(x: TensorLike): Tensor<'float32'> {
  const t = asTensor(x, 'toFloat32');
  return new Tensor('float32', t.shape, float32Values(t));
}

function float32Values(t: Tensor): Float32Array {
  if (t.data instanceof Float32Array) return t.data;
  const values = elementValues(t);
  if (values instanceof Float32Array) return values;
  return Float32Array.from(values as ArrayLike<number | bigint>, Number);
}

const ORT_TYPES: Readonly<Record<string, DType>> = {
  float32: 'float32',
  float64: 'float64',
  float16: 'float16',
  bfloat16: 'bfloat16',
  bool: 'bool',
  int4: 'int4',
  uint4: 'uint4',
  int8: 'int8',
  uint8: 'uint8',
  int16: 'int16',
  uint16: 'uint16',
  int32: 'int32',
  uint32: 'uint32',
  int64: 'int64',
  uint64: 'uint64',
};

function dtypeOf(data: ArrayBufferView, type: string | undefined, where: string): DType {
  if (type !== undefined) {
    if (!Object.hasOwn(ORT_TYPES, type))
      throw new TypeError(`${where}: expected a numeric tensor, got type ${type}`);
    return ORT_TYPES[type];
  }
  if (isFloat16Array(data)) return 'float16';
  const dtype = DTYPE_OF_ARRAY.get(data.constructor);
  if (dtype === undefined)
    throw new TypeError(`${where}: expected a typed array of numbers, got ${describe(data)}`);
  return dtype;
}

/** By name, because Node 20 has no Float16Array. */
function isFloat16Array(data: ArrayBufferView): boolean {
  return data.constructor.name === 'Float16Array';
}

function describe(value: unknown): string {
  if (value === null || typeof value !== 'object') return String(value);
  return value.constructor?.name ?? 'an object';
}
