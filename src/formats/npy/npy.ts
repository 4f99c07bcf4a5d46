/**
 * NumPy arrays in .npy files. `rows` and `batches` read slices of the first axis, so that memory is bounded by the
 * slice and not by the array; arrays in Fortran order are the exception, they are held whole.
 */
import { bytesOf } from '../../graph/tensor-source.ts';
import { allocate } from '../../tensor/dtype.ts';
import { elementCount } from '../../tensor/shape.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { openSource, type Source, type SourceLike } from '../source.ts';
import { formatHeader, headerEnd, npyError, parseHeader, PREAMBLE, type NpyHeader } from './header.ts';

/** Opens a .npy file. Throws FormatError NPY_INVALID, naming the file, for anything else. */
export async function openNpy(source: SourceLike): Promise<NpyArray> {
  const { source: opened } = await openSource(source);
  return readArray(opened, opened.name ?? 'source', opened.name ?? 'source');
}

/** 1 GiB. A packed archive of a megabyte can hold an array of that size. */
const MOST_AT_ONCE = 1_073_741_824;

/** A source that can tell whether all of it is as it was written, for those who read only parts. */
export interface VerifiableSource extends Source {
  verify?(): Promise<void>;
}

/** The array in `source`; `where` is for messages. */
export async function readArray(source: VerifiableSource, name: string, where: string): Promise<NpyArray> {
  const head = await source.read(0, Math.min(PREAMBLE, source.size));
  const end = headerEnd(head, where);
  if (end > source.size) throw npyError(where, `expected a header of ${end} bytes, got the end of the file`);
  return new NpyArray(source, name, where, parseHeader(await source.read(0, end), source.size, where));
}

/** An array in a file, not read yet. */
export class NpyArray {
  readonly name: string;
  readonly header: NpyHeader;
  readonly #source: VerifiableSource;
  readonly #where: string;
  /** Arrays in Fortran order, once they have been read: rows of them lie scattered over the file. */
  #whole: Tensor | undefined;

  constructor(source: VerifiableSource, name: string, where: string, header: NpyHeader) {
    this.#source = source;
    this.name = name;
    this.#where = where;
    this.header = header;
  }

  get dtype(): NpyHeader['dtype'] {
    return this.header.dtype;
  }

  get shape(): readonly number[] {
    return this.header.shape;
  }

  /** Size of the first axis. Throws TypeError for an array without axes. */
  get rowCount(): number {
    const [rows] = this.shape;
    if (rows === undefined)
      throw new TypeError(`${this.#where}: expected an array with an axis, got a scalar`);
    return rows;
  }

  /** The whole array, in C order and this machine's byte order. */
  async load(): Promise<Tensor> {
    const { shape, fortranOrder } = this.header;
    if (!fortranOrder || shape.length < 2) return this.#read(0, shape);
    return (this.#whole ??= fromFortran(await this.#read(0, shape)));
  }

  /** `count` slices of the first axis from `start`. Throws RangeError outside the array. */
  async rows(start: number, count: number): Promise<Tensor> {
    const { rowCount, shape } = this;
    if (
      !(
        Number.isInteger(start) &&
        Number.isInteger(count) &&
        start >= 0 &&
        count >= 0 &&
        start + count <= rowCount
      )
    ) {
      throw new RangeError(
        `${this.#where}: expected rows within 0 to ${rowCount}, got ${count} from ${start}`,
      );
    }
    const slice = [count, ...shape.slice(1)];
    if (this.header.fortranOrder && shape.length > 1) return rowsOf(await this.load(), start, slice);
    return this.#read(start * elementCount(shape.slice(1)), slice);
  }

  /** All rows in order, `size` at a time; the last batch may be smaller. One pass over the file. */
  async *batches(size: number): AsyncGenerator<Tensor> {
    if (!Number.isInteger(size) || size < 1) {
      throw new RangeError(`${this.#where}: expected a batch size of at least 1, got ${size}`);
    }
    const { rowCount } = this;
    for (let start = 0; start < rowCount; start += size)
      yield await this.rows(start, Math.min(size, rowCount - start));
  }

  async #read(first: number, shape: readonly number[]): Promise<Tensor> {
    const { dtype, itemSize, dataOffset, bigEndian } = this.header;
    const count = elementCount(shape);
    if (count * itemSize > MOST_AT_ONCE) {
      throw npyError(
        this.#where,
        `expected at most ${MOST_AT_ONCE} bytes to hold at once, got ${count * itemSize}`,
        'Read fewer samples at a time; arrays in Fortran order are read whole, so save them in C order.',
      );
    }
    if (count < elementCount(this.shape)) await this.#source.verify?.();
    const data = allocate(dtype, count);
    const bytes = bytesOf(data);
    bytes.set(await this.#source.read(dataOffset + first * itemSize, count * itemSize));
    if (bigEndian) swapBytes(bytes, itemSize);
    return new Tensor(dtype, shape, data);
  }
}

function swapBytes(bytes: Uint8Array, itemSize: number): void {
  if (itemSize === 1) return;
  for (let at = 0; at < bytes.length; at += itemSize) bytes.subarray(at, at + itemSize).reverse();
}

/** The same array with the last axis fastest. */
function fromFortran(source: Tensor): Tensor {
  const { dtype, shape, size } = source;
  const data = allocate(dtype, size);
  const index = shape.map(() => 0);
  const strides = shape.map((_, axis) => elementCount(shape.slice(0, axis)));
  let from = 0;
  for (let to = 0; to < size; to++) {
    data[to] = source.data[from];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += strides[axis];
      if (++index[axis] < shape[axis]) break;
      from -= strides[axis] * shape[axis];
      index[axis] = 0;
    }
  }
  return new Tensor(dtype, shape, data);
}

function rowsOf(whole: Tensor, start: number, shape: readonly number[]): Tensor {
  const row = elementCount(shape.slice(1));
  return new Tensor(whole.dtype, shape, whole.data.slice(start * row, start * row + elementCount(shape)));
}

/** A tensor as a .npy file. Throws TypeError for dtypes that NumPy has not (bfloat16, 4 and 2 bits, quantized). */
export function encodeNpy(tensor: Tensor): Uint8Array<ArrayBuffer> {
  const header = formatHeader(tensor.dtype, tensor.shape);
  const bytes = new Uint8Array(header.length + tensor.data.byteLength);
  bytes.set(header);
  bytes.set(bytesOf(tensor.data), header.length);
  return bytes;
}
