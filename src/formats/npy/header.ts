/**
 * The header of a .npy file: magic, version, and a Python dict with type, order and shape. Spec: numpy.lib.format,
 * versions 1 to 3 (they differ in the width of the header's length and in its character set).
 */
import { FormatError } from '../../errors.ts';
import type { DType } from '../../tensor/dtype.ts';
import { elementCount } from '../../tensor/shape.ts';

export interface NpyHeader {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** First axis fastest. */
  readonly fortranOrder: boolean;
  readonly bigEndian: boolean;
  /** Bytes of one element. */
  readonly itemSize: number;
  /** Where the elements begin. */
  readonly dataOffset: number;
}

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59] as const;
/** Magic, version and the longest form of the length. */
export const PREAMBLE = 12;
/** numpy itself refuses headers above 10,000 characters unless told otherwise; a type and a shape are far shorter. */
const MAX_HEADER = 65_536;

/** `descr` without the byte order, to our dtype and the size of an element. */
const DESCRS = {
  f2: ['float16', 2],
  f4: ['float32', 4],
  f8: ['float64', 8],
  i1: ['int8', 1],
  i2: ['int16', 2],
  i4: ['int32', 4],
  i8: ['int64', 8],
  u1: ['uint8', 1],
  u2: ['uint16', 2],
  u4: ['uint32', 4],
  u8: ['uint64', 8],
  b1: ['bool', 1],
} as const satisfies Record<string, readonly [DType, number]>;

/** An error about an array; `where` names file and array. */
export function npyError(where: string, message: string, hint?: string, cause?: unknown): FormatError {
  return new FormatError(`${where}: ${message}`, {
    code: 'NPY_INVALID',
    hint,
    details: { array: where },
    cause,
  });
}

/** Where the header ends, from the first {@link PREAMBLE} bytes. Throws FormatError NPY_INVALID. */
export function headerEnd(bytes: Uint8Array, where: string): number {
  if (bytes.length < PREAMBLE || MAGIC.some((byte, i) => bytes[i] !== byte)) {
    throw npyError(where, 'expected a NumPy array (.npy), got other bytes');
  }
  const [major] = bytes.subarray(6);
  if (major < 1 || major > 3) throw npyError(where, `expected .npy version 1 to 3, got ${major}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const length = major === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  if (length > MAX_HEADER)
    throw npyError(where, `expected a header of at most ${MAX_HEADER} bytes, got ${length}`);
  return length + (major === 1 ? 10 : 12);
}

/** The header in `bytes`, which end where it ends; `size` is that of the whole file. */
export function parseHeader(bytes: Uint8Array, size: number, where: string): NpyHeader {
  const text = new TextDecoder().decode(bytes.subarray(bytes[6] === 1 ? 10 : 12));
  const descr = /'descr'\s*:\s*'([^']*)'/.exec(text)?.[1];
  const order = /'fortran_order'\s*:\s*(True|False)/.exec(text)?.[1];
  const shape = /'shape'\s*:\s*\(([\d\s,L]*)\)/.exec(text)?.[1];
  if (order === undefined || shape === undefined) {
    throw npyError(
      where,
      `expected a header with descr, fortran_order and shape, got ${text.trim().slice(0, 80)}`,
    );
  }
  const header = {
    ...typeOf(descr, text, where),
    shape: sizesOf(shape, where),
    fortranOrder: order === 'True',
  };
  checkSize(header, size - bytes.length, where);
  return { ...header, dataOffset: bytes.length };
}

function typeOf(
  descr: string | undefined,
  text: string,
  where: string,
): Pick<NpyHeader, 'dtype' | 'itemSize' | 'bigEndian'> {
  const [, order, name] = /^([<>|=])(\w+)$/.exec(descr ?? '') ?? [];
  if (name === undefined || !Object.hasOwn(DESCRS, name)) {
    const got = descr === undefined ? text.trim().slice(0, 60) : `'${descr}'`;
    throw npyError(where, `expected numbers or bools, got type ${got}`, hintFor(name));
  }
  const [dtype, itemSize] = DESCRS[name as keyof typeof DESCRS];
  return { dtype, itemSize, bigEndian: order === '>' };
}

function hintFor(name: string | undefined): string {
  if (name?.startsWith('O') === true) return 'Python objects cannot be read safely; save plain arrays.';
  if (name?.startsWith('V') === true) return 'Save bfloat16 and structured arrays as float32.';
  return 'Text and complex numbers are not calibration data; convert with astype before saving.';
}

function sizesOf(text: string, where: string): number[] {
  const sizes = text.split(',').flatMap((part) => {
    const digits = part.trim().replace(/L$/, '');
    return digits === '' ? [] : [Number(digits)];
  });
  if (sizes.every(Number.isSafeInteger) && Number.isSafeInteger(elementCount(sizes) * 16)) return sizes;
  throw npyError(where, `expected fewer elements than memory can hold, got shape (${text})`);
}

function checkSize(header: Pick<NpyHeader, 'shape' | 'itemSize'>, got: number, where: string): void {
  const expected = elementCount(header.shape) * header.itemSize;
  if (expected === got) return;
  throw npyError(
    where,
    `expected ${expected} bytes of data for shape (${header.shape.join(', ')}), got ${got}`,
    got < expected ? 'The file was cut off.' : undefined,
  );
}

/** Header bytes for a C-order, little-endian array: version 1, data aligned to 64 bytes as numpy does. */
export function formatHeader(dtype: DType, shape: readonly number[]): Uint8Array {
  const found = Object.entries(DESCRS).find(([, [name]]) => name === dtype);
  if (found === undefined) {
    throw new TypeError(`encodeNpy: expected a dtype that NumPy has, got ${dtype}`);
  }
  const [name, [, itemSize]] = found;
  const sizes = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const order = itemSize === 1 ? '|' : '<';
  const dict = `{'descr': '${order}${name}', 'fortran_order': False, 'shape': (${sizes}), }`;
  const padded = dict.padEnd(Math.ceil((10 + dict.length + 1) / 64) * 64 - 11) + '\n';
  const bytes = new Uint8Array(10 + padded.length);
  bytes.set([...MAGIC, 1, 0, padded.length & 255, padded.length >> 8]);
  bytes.set(new TextEncoder().encode(padded), 10);
  return bytes;
}
