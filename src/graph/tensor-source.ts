/**
 * Where the elements of a constant lie: in the model's file, in an external file, or in memory. Immutable, so
 * copies of a model share it; nothing is read before `load` or `read`.
 */
import { UnsupportedError } from '../errors.ts';
import type { TensorData } from '../tensor/dtype.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { isOurs, type ElementType } from './element-type.ts';

/** A constant, wherever its elements lie. */
export interface TensorSource {
  readonly elementType: ElementType;
  readonly shape: readonly number[];
  /** Bytes of the elements, little-endian and packed below 8 bits, as ONNX's raw_data would hold them. */
  readonly byteLength: number;
  /** For people: `memory`, or a file's name. */
  readonly where: string;
  /** The tensor if it already lies in memory, so that small constants can be looked at without waiting. */
  readonly tensor?: Tensor;
  /**
   * Reads all elements into a fresh tensor (or returns the one in memory: do not write into it).
   * @throws UnsupportedError if we have no such dtype; FormatError if the bytes are not what the model says.
   */
  load(): Promise<Tensor>;
  /**
   * `length` bytes from `offset`, for copies in pieces. `into` has that length and may be filled and given back: memory
   * that is used again costs a tenth of fresh memory.
   */
  read(offset: number, length: number, into?: Uint8Array): Promise<Uint8Array>;
}

/** A constant in memory. The tensor is not copied. */
export function memorySource(tensor: Tensor): TensorSource {
  const elementType = tensor.dtype;
  if (!isOnnx(elementType)) {
    throw new UnsupportedError(`memorySource: expected a dtype that ONNX has, got ${tensor.dtype}`, {
      code: 'UNSUPPORTED_DTYPE',
      hint: 'Take the integer representation (intRepr) first.',
    });
  }
  const bytes = bytesOf(tensor.data);
  return {
    elementType,
    shape: tensor.shape,
    byteLength: bytes.length,
    where: 'memory',
    tensor,
    load: () => Promise.resolve(tensor),
    read: (offset, length) => Promise.resolve(bytes.subarray(offset, offset + length)),
  };
}

/** A constant of `from`'s element type that `compute` makes when it is read, and is kept as long as somebody holds it. */
export function derivedSource(
  { elementType, where }: Pick<TensorSource, 'elementType' | 'where'>,
  { shape, byteLength }: Pick<TensorSource, 'shape' | 'byteLength'>,
  compute: () => Promise<Tensor>,
): TensorSource {
  // So that reading in pieces does not compute everything each time.
  let held: WeakRef<Tensor> | undefined;
  const load = async (): Promise<Tensor> => {
    const tensor = held?.deref() ?? (await compute());
    held = new WeakRef(tensor);
    return tensor;
  };
  const read = async (offset: number, length: number): Promise<Uint8Array> =>
    bytesOf((await load()).data).subarray(offset, offset + length);
  return { elementType, shape, byteLength, where, load, read };
}

function isOnnx(dtype: string): dtype is ElementType {
  return isOurs(dtype as ElementType) && !dtype.startsWith('q');
}

/** The bytes behind a typed array, not copied. Every runtime that we support is little-endian, as ONNX is. */
export function bytesOf(data: TensorData): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** Float32 values over bytes; a copy where they begin at an odd place. */
export function floatsOf(bytes: Uint8Array): Float32Array {
  if (bytes.byteOffset % 4 === 0) {
    return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  }
  const aligned = new Float32Array(bytes.length / 4);
  bytesOf(aligned).set(bytes);
  return aligned;
}
