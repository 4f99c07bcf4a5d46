/**
 * The directory of a zip archive (PKWARE APPNOTE 6.3.10), as far as .npz needs it: stored and deflated entries, zip64,
 * no encryption, one disk.
 */
import { FormatError, UnsupportedError } from '../../errors.ts';
import type { Source } from '../source.ts';

export interface ZipEntry {
  readonly name: string;
  readonly method: 'stored' | 'deflated';
  /** Bytes in the archive, and when unpacked. */
  readonly packedSize: number;
  readonly size: number;
  /** Where the entry's local header lies. */
  readonly headerOffset: number;
}

// Signatures and sizes of 4.3.7, 4.3.12 and 4.3.14-16.
const LOCAL_HEADER = 0x04034b50;
const LOCAL_BYTES = 30;
const DIRECTORY_HEADER = 0x02014b50;
const DIRECTORY_BYTES = 46;
const END = 0x06054b50;
const END_BYTES = 22;
const MAX_COMMENT = 65_535;
const ZIP64_LOCATOR = 0x07064b50;
const ZIP64_LOCATOR_BYTES = 20;
const ZIP64_END = 0x06064b50;
const ZIP64_END_BYTES = 56;
const ZIP64_EXTRA = 0x0001;
const SEE_ZIP64 = 0xffffffff;
const METHODS: Readonly<Record<number, ZipEntry['method']>> = { 0: 'stored', 8: 'deflated' };
/** An .npz has an entry an array; a directory beyond this is none of an .npz. */
const MAX_DIRECTORY_BYTES = 67_108_864;

export function isZip(start: Uint8Array): boolean {
  const view = new DataView(start.buffer, start.byteOffset, start.byteLength);
  return start.length >= 4 && (view.getUint32(0, true) === LOCAL_HEADER || view.getUint32(0, true) === END);
}

/** The entries of an archive. Throws FormatError for what is no whole zip file, UnsupportedError for what we cannot unpack. */
export async function readDirectory(source: Source, where: string): Promise<readonly ZipEntry[]> {
  const { offset, size, count } = await findDirectory(source, where);
  if (size > MAX_DIRECTORY_BYTES || offset + size > source.size)
    throw broken(where, 'a directory in the file');
  const view = viewOf(await source.read(offset, size));
  const entries: ZipEntry[] = [];
  for (let at = 0; entries.length < count;) {
    if (at + DIRECTORY_BYTES > size || view.getUint32(at, true) !== DIRECTORY_HEADER) {
      throw broken(where, `${count} entries in the directory`);
    }
    entries.push(readEntry(view, at, where));
    at +=
      DIRECTORY_BYTES +
      view.getUint16(at + 28, true) +
      view.getUint16(at + 30, true) +
      view.getUint16(at + 32, true);
  }
  return entries;
}

/** Where the packed bytes of an entry begin. */
export async function dataOffset(source: Source, entry: ZipEntry, where: string): Promise<number> {
  const { headerOffset } = entry;
  if (headerOffset + LOCAL_BYTES > source.size) throw broken(where, `entry ${entry.name} in the file`);
  const view = viewOf(await source.read(headerOffset, LOCAL_BYTES));
  if (view.getUint32(0, true) !== LOCAL_HEADER) throw broken(where, `a header of entry ${entry.name}`);
  const offset = headerOffset + LOCAL_BYTES + view.getUint16(26, true) + view.getUint16(28, true);
  if (offset + entry.packedSize > source.size) throw broken(where, `entry ${entry.name} in the file`);
  return offset;
}

interface Directory {
  readonly offset: number;
  readonly size: number;
  readonly count: number;
}

async function findDirectory(source: Source, where: string): Promise<Directory> {
  const length = Math.min(source.size, END_BYTES + MAX_COMMENT);
  const start = source.size - length;
  const view = viewOf(await source.read(start, length));
  let at = length - END_BYTES;
  while (at >= 0 && view.getUint32(at, true) !== END) at--;
  if (at < 0) throw broken(where, 'the end of a zip archive');
  const zip64 = await findZip64(source, start + at, where);
  return (
    zip64 ?? {
      offset: view.getUint32(at + 16, true),
      size: view.getUint32(at + 12, true),
      count: view.getUint16(at + 10, true),
    }
  );
}

/** The zip64 record, if a locator stands before the end record. */
async function findZip64(source: Source, end: number, where: string): Promise<Directory | undefined> {
  if (end < ZIP64_LOCATOR_BYTES) return undefined;
  const locator = viewOf(await source.read(end - ZIP64_LOCATOR_BYTES, ZIP64_LOCATOR_BYTES));
  if (locator.getUint32(0, true) !== ZIP64_LOCATOR) return undefined;
  const offset = safe(locator.getBigUint64(8, true), where);
  if (offset + ZIP64_END_BYTES > source.size) throw broken(where, 'a zip64 record in the file');
  const view = viewOf(await source.read(offset, ZIP64_END_BYTES));
  if (view.getUint32(0, true) !== ZIP64_END) throw broken(where, 'a zip64 record');
  return {
    offset: safe(view.getBigUint64(48, true), where),
    size: safe(view.getBigUint64(40, true), where),
    count: safe(view.getBigUint64(32, true), where),
  };
}

function readEntry(view: DataView, at: number, where: string): ZipEntry {
  const nameLength = view.getUint16(at + 28, true);
  const extraStart = at + DIRECTORY_BYTES + nameLength;
  const extraEnd = extraStart + view.getUint16(at + 30, true);
  if (extraEnd > view.byteLength) throw broken(where, 'whole entries in the directory');
  const name = new TextDecoder().decode(
    new Uint8Array(view.buffer, view.byteOffset + at + DIRECTORY_BYTES, nameLength),
  );
  const method = METHODS[view.getUint16(at + 10, true)];
  const isEncrypted = (view.getUint16(at + 8, true) & 1) === 1;
  if (method === undefined || isEncrypted) throw packingError(where, name, isEncrypted);
  // Fields that do not fit 32 bits stand in the extra field, in this order.
  const wide = zip64Fields(view, extraStart, extraEnd);
  const field = (offset: number): number => {
    const value = view.getUint32(offset, true);
    return value === SEE_ZIP64 ? safe(wide.shift(), where) : value;
  };
  const size = field(at + 24);
  const packedSize = field(at + 20);
  return { name, method, size, packedSize, headerOffset: field(at + 42) };
}

function zip64Fields(view: DataView, start: number, end: number): bigint[] {
  const fields: bigint[] = [];
  for (let at = start; at + 4 <= end; at += 4 + view.getUint16(at + 2, true)) {
    if (view.getUint16(at, true) !== ZIP64_EXTRA) continue;
    const length = Math.min(view.getUint16(at + 2, true), end - at - 4);
    for (let i = 0; i + 8 <= length; i += 8) fields.push(view.getBigUint64(at + 4 + i, true));
  }
  return fields;
}

function safe(value: bigint | undefined, where: string): number {
  if (value !== undefined && value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value);
  throw broken(where, 'sizes in zip64 fields');
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function broken(where: string, expected: string): FormatError {
  return new FormatError(`${where}: expected ${expected}, got none`, {
    code: 'NPY_INVALID',
    hint: 'The archive is cut off or damaged; copy it again.',
  });
}

function packingError(where: string, entry: string, isEncrypted: boolean): UnsupportedError {
  const got = isEncrypted ? 'an encrypted one' : 'another packing method';
  return new UnsupportedError(`${where}: expected entry ${entry} stored or deflated, got ${got}`, {
    code: 'UNSUPPORTED_FEATURE',
    hint: 'Write it with numpy.savez or numpy.savez_compressed.',
  });
}
