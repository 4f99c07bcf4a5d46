/** Arrays in .npy and .npz files, read in stretches of their first axis. */
import { FormatError } from '../../errors.ts';
import type { OnnxDType } from '../../graph/element-type.ts';
import { dtypeInfo, type TensorData } from '../../tensor/dtype.ts';
import { elementCount } from '../../tensor/shape.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { openSource, type Source, type SourceLike } from '../source.ts';
import { isNpy, readHeader, truncated, type NpyHeader, type ReadStart } from './header.ts';
import { dataOffset, isZip, readDirectory, type ZipEntry } from './zip.ts';

/** Reads rows: elements with the same index on the first axis. */
export interface RowReader {
  /** Rows from `start`, row-major, in an array of their own. Fast where `start` does not go back. */
  read(start: number, count: number): Promise<TensorData>;
}

/** An array in a file; its elements are read when they are asked for. */
export interface NumpyArray {
  /** Name in an .npz; the file's name without `.npy` otherwise. */
  readonly name: string;
  /** False for a .npy file, whose array nobody has named. */
  readonly inArchive: boolean;
  readonly dtype: OnnxDType;
  readonly shape: readonly number[];
  /** A reader of its own position. Packed arrays are unpacked as it goes on. */
  rows(): RowReader;
  /** The whole array. */
  load(): Promise<Tensor>;
}

/** Reads up to `out.length` bytes of an array's file from `offset`. */
interface ByteReader {
  read(offset: number, out: Uint8Array): Promise<number>;
}

/**
 * The arrays of an .npz or .npy file (told apart by their content), in the file's order. Only headers are read.
 *
 * @throws FormatError for another or a damaged file, also where two arrays have one name; UnsupportedError for arrays
 *   of text or records, in Fortran or big-endian order, and for packing methods other than deflate
 */
export async function openNumpy(input: SourceLike): Promise<readonly NumpyArray[]> {
  const { source } = await openSource(input);
  const where = source.name ?? 'source';
  const start = await source.read(0, Math.min(8, source.size));
  if (isNpy(start)) return [await openNpy(source, where)];
  if (isZip(start)) return openNpz(source, where);
  throw new FormatError(
    `${where}: expected an .npz or .npy file, got ${start.length === 0 ? 'an empty file' : 'something else'}`,
    {
      code: start.length === 0 ? 'FORMAT_EMPTY' : 'NPY_INVALID',
      hint: "In Python: numpy.savez('data.npz', input=array), the first axis counting samples.",
      details: { file: where },
    },
  );
}

async function openNpy(source: Source, where: string): Promise<NumpyArray> {
  const open = (): ByteReader => plainReader(source, 0);
  const header = await readHeader(startOf(open, source.size), where);
  return arrayOf(
    { name: where.replace(/\.npy$/i, ''), inArchive: false, size: source.size, where },
    header,
    open,
  );
}

async function openNpz(source: Source, where: string): Promise<readonly NumpyArray[]> {
  const entries = (await readDirectory(source, where)).filter(({ name }) => name.endsWith('.npy'));
  const arrays: NumpyArray[] = [];
  for (const entry of entries) {
    const name = entry.name.slice(0, -'.npy'.length);
    if (arrays.some((array) => array.name === name)) throw twice(where, name);
    arrays.push(await openEntry(source, entry, name, `${where}: array '${name}'`));
  }
  return arrays;
}

async function openEntry(source: Source, entry: ZipEntry, name: string, where: string): Promise<NumpyArray> {
  const offset = await dataOffset(source, entry, where);
  // Loaded only where something is packed.
  const inflate = entry.method === 'deflated' ? await import('./inflate.ts') : undefined;
  const open = (): ByteReader =>
    inflate === undefined
      ? plainReader(source, offset)
      : inflatedReader(() => new inflate.InflatedStream(source, offset, entry.packedSize, where));
  const size = inflate === undefined ? entry.packedSize : entry.size;
  return arrayOf({ name, inArchive: true, size, where }, await readHeader(startOf(open, size), where), open);
}

/** A .npy file, alone or in an archive. */
interface ArrayPlace {
  readonly name: string;
  readonly inArchive: boolean;
  /** Bytes of the file, unpacked. */
  readonly size: number;
  readonly where: string;
}

function arrayOf(
  { name, inArchive, size, where }: ArrayPlace,
  { dtype, shape, dataOffset: start }: NpyHeader,
  open: () => ByteReader,
): NumpyArray {
  const { storage, bits } = dtypeInfo(dtype);
  const rowLength = elementCount(shape.slice(1));
  const rowBytes = (rowLength * bits) / 8;
  const needed = start + (elementCount(shape) * bits) / 8;
  if (size < needed) throw truncated(where, needed, size);
  const readElements = async (bytes: ByteReader, first: number, count: number): Promise<TensorData> => {
    const data = new storage(count);
    const out = new Uint8Array(data.buffer);
    const done = await bytes.read(start + first, out);
    if (done < out.length) throw truncated(where, out.length, done);
    return data;
  };
  return {
    name,
    inArchive,
    dtype,
    shape,
    rows: () => {
      const bytes = open();
      return { read: (row, count) => readElements(bytes, row * rowBytes, count * rowLength) };
    },
    load: async () => new Tensor(dtype, shape, await readElements(open(), 0, elementCount(shape))),
  };
}

/** Bytes from the beginning of an array's file. */
function startOf(open: () => ByteReader, size: number): ReadStart {
  return async (length) => {
    const out = new Uint8Array(Math.min(length, size));
    return out.subarray(0, await open().read(0, out));
  };
}

function plainReader(source: Source, base: number): ByteReader {
  return {
    async read(offset, out) {
      const bytes = await source.read(base + offset, out.length);
      out.set(bytes);
      return bytes.length;
    },
  };
}

/** What {@link inflatedReader} needs of a stream. */
interface Stream {
  readonly position: number;
  skip(count: number): Promise<void>;
  read(out: Uint8Array): Promise<number>;
}

/** Reads onwards in one stream; begins again where it has to go back. */
function inflatedReader(open: () => Stream): ByteReader {
  let stream = open();
  return {
    async read(offset, out) {
      if (offset < stream.position) stream = open();
      await stream.skip(offset - stream.position);
      return stream.read(out);
    },
  };
}

function twice(where: string, name: string): FormatError {
  return new FormatError(`${where}: expected each array once, got '${name}' twice`, {
    code: 'NPY_INVALID',
    details: { array: name },
  });
}
