/** The header of a .npy file (NumPy Enhancement Proposal 1, format versions 1 to 3). */
import { FormatError, UnsupportedError } from '../../errors.ts';
import type { OnnxDType } from '../../graph/element-type.ts';

export interface NpyHeader {
  readonly dtype: OnnxDType;
  readonly shape: readonly number[];
  /** Where the elements begin. */
  readonly dataOffset: number;
}

/** Reads bytes of one file or archive entry from its beginning; fewer at its end. */
export type ReadStart = (length: number) => Promise<Uint8Array>;

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59] as const;
/** Magic, two bytes of version, the longest length field. */
const PREAMBLE_BYTES = 12;
/** NumPy writes below 256 bytes for plain arrays, and itself refuses to read headers above 10,000 by default. */
const MAX_HEADER_BYTES = 65_536;

const DTYPES: Readonly<Record<string, OnnxDType>> = {
  '|b1': 'bool',
  '|i1': 'int8',
  '|u1': 'uint8',
  '<i2': 'int16',
  '<u2': 'uint16',
  '<i4': 'int32',
  '<u4': 'uint32',
  '<i8': 'int64',
  '<u8': 'uint64',
  '<f2': 'float16',
  '<f4': 'float32',
  '<f8': 'float64',
};

export function isNpy(start: Uint8Array): boolean {
  return MAGIC.every((byte, i) => start[i] === byte);
}

/** Throws FormatError NPY_INVALID or FORMAT_TRUNCATED; UnsupportedError for dtypes and orders that we do not read. */
export async function readHeader(read: ReadStart, where: string): Promise<NpyHeader> {
  const preamble = await read(PREAMBLE_BYTES);
  if (!isNpy(preamble)) throw invalid(where, 'a NumPy array', 'something else');
  if (preamble.length < PREAMBLE_BYTES) throw truncated(where, PREAMBLE_BYTES, preamble.length);
  const { start, length } = headerPlace(preamble, where);
  const bytes = await read(start + length);
  if (bytes.length < start + length) throw truncated(where, start + length, bytes.length);
  // Version 3 is UTF-8; versions 1 and 2 are Latin-1, and ASCII but for field names, which plain arrays lack.
  const text = new TextDecoder().decode(bytes.subarray(start, start + length));
  return { ...parseHeader(text, where), dataOffset: start + length };
}

function headerPlace(
  preamble: Uint8Array,
  where: string,
): { readonly start: number; readonly length: number } {
  const view = new DataView(preamble.buffer, preamble.byteOffset);
  const version = preamble[6];
  if (version < 1 || version > 3) throw invalid(where, 'format version 1, 2 or 3', String(version));
  const place =
    version === 1
      ? { start: 10, length: view.getUint16(8, true) }
      : { start: 12, length: view.getUint32(8, true) };
  if (place.length > MAX_HEADER_BYTES) {
    throw invalid(where, `a header of at most ${MAX_HEADER_BYTES} bytes`, String(place.length));
  }
  return place;
}

/** A Python literal such as `{'descr': '<f4', 'fortran_order': False, 'shape': (5000, 28, 28), }`. */
function parseHeader(text: string, where: string): Omit<NpyHeader, 'dataOffset'> {
  const descr = /'descr'\s*:\s*'([^']*)'/.exec(text)?.[1];
  const order = /'fortran_order'\s*:\s*(True|False)/.exec(text)?.[1];
  const sizes = /'shape'\s*:\s*\(([\d\s,]*)\)/.exec(text)?.[1];
  if (order === undefined || sizes === undefined)
    throw invalid(where, 'descr, fortran_order and shape', text.trim());
  const shape = sizes.split(',').flatMap((size) => (size.trim() === '' ? [] : [Number(size)]));
  if (!shape.every(Number.isSafeInteger)) throw invalid(where, 'a shape', `(${sizes})`);
  if (order === 'True' && shape.length > 1) throw fortranError(where);
  return { dtype: dtypeOf(descr, text, where), shape };
}

function dtypeOf(descr: string | undefined, text: string, where: string): OnnxDType {
  // Records have a list as descr; native order ('=') does not occur in files.
  if (descr !== undefined && Object.hasOwn(DTYPES, descr)) return DTYPES[descr];
  throw new UnsupportedError(
    `${where}: expected numbers in little-endian order, got dtype ${descr ?? text.trim()}`,
    {
      code: 'UNSUPPORTED_DTYPE',
      hint: descr?.startsWith('>')
        ? `In Python: array.astype('<${descr.slice(1)}').`
        : `Store it as one of ${[...new Set(Object.values(DTYPES))].join(', ')}.`,
      details: { descr },
    },
  );
}

function fortranError(where: string): UnsupportedError {
  return new UnsupportedError(`${where}: expected C order, got Fortran order`, {
    code: 'UNSUPPORTED_FEATURE',
    hint: 'Samples would lie scattered over the file. In Python: numpy.ascontiguousarray(array).',
  });
}

function invalid(where: string, expected: string, got: string): FormatError {
  return new FormatError(`${where}: expected ${expected}, got ${got}`, { code: 'NPY_INVALID' });
}

export function truncated(where: string, expected: number, got: number): FormatError {
  return new FormatError(`${where}: expected ${expected} bytes, got ${got}`, {
    code: 'FORMAT_TRUNCATED',
    hint: 'The file is cut off; copy it again.',
    details: { expected, got },
  });
}
