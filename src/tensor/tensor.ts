/** A dense row-major tensor: dtype, shape and a typed array. Nothing else; arithmetic lives in the layers above. */
import { dtypeInfo, storageLength, type DType, type TensorData, type TensorDataOf } from './dtype.ts';
import { checkShape, elementCount } from './shape.ts';
import { formatTensor, type PrintOptions } from './format.ts';
import { htmlTable } from './html.ts';
import { flattenNested, nest, storeValues, type NestedNumbers } from './nested.ts';
import { elementValues } from './values.ts';

/**
 * What every function takes for a tensor: ours, or anything with `{data, dims}` such as an onnxruntime tensor, whose
 * `type` names the dtype. Values must be float32, float16 or bfloat16; `toFloat32` (cast.ts) converts the others.
 */
export type TensorLike =
  | Tensor
  | { readonly data: unknown; readonly dims: readonly number[]; readonly type?: string };

const INSPECT = Symbol.for('nodejs.util.inspect.custom');
const JUPYTER = Symbol.for('Jupyter.display');

/** A dense row-major tensor. Immutable but for `data`, which is the caller's own array. */
export class Tensor<D extends DType = DType> {
  readonly dtype: D;
  readonly shape: readonly number[];
  /** Elements in row-major order; bit patterns for float16 and bfloat16, packed bytes below 8 bits. */
  readonly data: TensorDataOf<D>;

  /** Wraps `data` without a copy. Throws if its type or length does not fit dtype and shape. */
  constructor(dtype: D, shape: readonly number[], data: TensorData) {
    checkShape(shape, 'Tensor');
    const { storage } = dtypeInfo(dtype);
    const length = storageLength(dtype, elementCount(shape));
    if (!(data instanceof storage)) {
      throw new TypeError(`Tensor: expected ${storage.name} for ${dtype}, got ${data?.constructor?.name}`);
    }
    if (data.length !== length) {
      throw new RangeError(
        `Tensor: expected ${length} values for shape [${shape.join(', ')}] of ${dtype}, got ${data.length}`,
      );
    }
    this.dtype = dtype;
    this.shape = Object.freeze([...shape]);
    // `storage` is the row of this dtype, and TensorDataOf repeats the table for the compiler.
    this.data = data as TensorDataOf<D>;
  }

  /** Number of elements. */
  get size(): number {
    return elementCount(this.shape);
  }

  /** Elements as nested arrays, decoded and unpacked; a scalar gives the bare number, 64-bit integers bigints. */
  toArray(): NestedNumbers {
    return nest(elementValues(this), this.shape);
  }

  /** As `print(torch_tensor)` writes it. */
  toString(options?: PrintOptions): string {
    return formatTensor(this, options);
  }

  [INSPECT](): string {
    return this.toString();
  }

  /** Shown as a table by notebook kernels. */
  [JUPYTER](): Record<string, string> {
    return { 'text/plain': this.toString(), 'text/html': htmlTable(this) };
  }
}

/** The dtype that an array type stands for where none is named. */
export const DTYPE_OF_ARRAY: ReadonlyMap<unknown, DType> = new Map<unknown, DType>([
  [Float32Array, 'float32'],
  [Float64Array, 'float64'],
  [Int8Array, 'int8'],
  [Uint8Array, 'uint8'],
  [Int16Array, 'int16'],
  [Uint16Array, 'uint16'],
  [Int32Array, 'int32'],
  [Uint32Array, 'uint32'],
  [BigInt64Array, 'int64'],
  [BigUint64Array, 'uint64'],
]);

function isTensorData(values: unknown): values is TensorData {
  return ArrayBuffer.isView(values) && DTYPE_OF_ARRAY.has(values.constructor);
}

/**
 * A tensor from nested numbers (float32, or `dtype`) or from a typed array (its own dtype, or `dtype`, no copy).
 * `shape` defaults to the nesting, or to one axis for a typed array.
 *
 * @throws TypeError on ragged nesting; RangeError if `shape` does not fit the number of values, or an integer dtype
 * cannot hold one of them.
 * @example tensor([[1, 2], [3, 4]])            // float32, shape [2, 2]
 * @example tensor(new Int8Array(6), [2, 3])    // int8
 */
export function tensor(values: NestedNumbers | Float32Array, shape?: readonly number[]): Tensor<'float32'>;
export function tensor(values: TensorData, shape?: readonly number[]): Tensor;
export function tensor<D extends DType>(
  values: NestedNumbers | TensorData,
  shape: readonly number[] | undefined,
  dtype: D,
): Tensor<D>;
export function tensor(
  values: NestedNumbers | TensorData,
  shape: readonly number[] | undefined,
  dtype: DType | undefined,
): Tensor;
export function tensor(values: NestedNumbers | TensorData, shape?: readonly number[], dtype?: DType): Tensor {
  if (isTensorData(values)) {
    const own = dtype ?? (DTYPE_OF_ARRAY.get(values.constructor) as DType);
    return new Tensor(own, shape ?? [values.length], values);
  }
  const flat = flattenNested(values);
  const target = dtype ?? 'float32';
  return new Tensor(target, shape ?? flat.shape, storeValues(flat.values, target));
}
