/**
 * The directory of a zip archive and its files as sources. Spec: PKWARE APPNOTE 6.3 (sections 4.3 and 4.5.3); zip64, stored and
 * deflated files are read, encrypted and split archives refused.
 */
import type { FormatError } from '../../errors.ts';
import type { Source } from '../source.ts';
import { CheckedSource } from './checked-source.ts';
import { npyError } from './header.ts';

interface ZipEntry {
  readonly name: string;
  readonly method: number;
  readonly compressed: number;
  readonly size: number;
  readonly crc: number;
  /** Where the file's local header is. */
  readonly offset: number;
}

/** End of central directory record, without its comment. */
const END_BYTES = 22;
const MAX_COMMENT = 65_535;
const LOCATOR_BYTES = 20;
const ENTRY_BYTES = 46;
const LOCAL_BYTES = 30;
/** The directory is held in memory; this is about a million arrays. */
const MAX_DIRECTORY = 67_108_864;
/** Deflate cannot do better (zlib's documentation), so a file that says so lies. */
const MAX_RATIO = 1032;

const STORED = 0;
const DEFLATED = 8;
/** Fields that hold this have their value in the zip64 extra field. */
const IN_ZIP64 = 0xffffffff;

const SIGNATURES = {
  end: 0x06054b50,
  locator: 0x07064b50,
  end64: 0x06064b50,
  entry: 0x02014b50,
  local: 0x04034b50,
};

/** Files of an archive by name. */
export class ZipArchive {
  readonly entries: ReadonlyMap<string, ZipEntry>;
  readonly #source: Source;
  readonly #where: string;

  private constructor(source: Source, where: string, entries: ReadonlyMap<string, ZipEntry>) {
    this.#source = source;
    this.#where = where;
    this.entries = entries;
  }

  /** Throws FormatError NPY_INVALID for what is no zip archive. */
  static async open(source: Source): Promise<ZipArchive> {
    const where = source.name ?? 'source';
    const directory = await findDirectory(source, where);
    return new ZipArchive(source, where, readEntries(directory, source.size, where));
  }

  /**
   * The bytes of a file. Stored files are read where they lie; deflated ones from their start on, forward. Whoever reads to
   * the end without gaps, or calls `verify`, has the CRC-32 checked: FormatError NPY_INVALID from the last read.
   */
  async file(name: string): Promise<CheckedSource> {
    const entry = this.entries.get(name);
    if (entry === undefined)
      throw new TypeError(`${this.#where}: expected a file of the archive, got ${name}`);
    const start = await this.#dataStart(entry);
    const source: Source = {
      name,
      size: entry.compressed,
      read: (offset, length) => this.#source.read(start + offset, length),
    };
    const where = `${this.#where}: ${name}`;
    if (entry.method === STORED) return new CheckedSource(source, entry.crc, where);
    // Loaded only where something is packed, and so that bundles take only this part of fflate.
    const { InflateSource } = await import('./inflate.ts');
    return new CheckedSource(new InflateSource(source, entry.size, where), entry.crc, where);
  }

  async #dataStart({ name, offset, compressed }: ZipEntry): Promise<number> {
    const where = `${this.#where}: ${name}`;
    if (offset + LOCAL_BYTES > this.#source.size) throw cut(where);
    const view = viewOf(await this.#source.read(offset, LOCAL_BYTES));
    if (view.getUint32(0, true) !== SIGNATURES.local)
      throw npyError(where, 'expected a zip file header, got other bytes');
    const start = offset + LOCAL_BYTES + view.getUint16(26, true) + view.getUint16(28, true);
    if (start + compressed > this.#source.size) throw cut(where);
    return start;
  }
}

function cut(where: string): FormatError {
  return npyError(where, 'expected a whole file, got one that goes past the end of the archive');
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Bytes of the central directory. */
async function findDirectory(source: Source, where: string): Promise<Uint8Array> {
  const tail = Math.min(source.size, END_BYTES + MAX_COMMENT);
  const bytes = await source.read(source.size - tail, tail);
  const view = viewOf(bytes);
  let at = tail - END_BYTES;
  while (at >= 0 && view.getUint32(at, true) !== SIGNATURES.end) at--;
  if (at < 0) throw npyError(where, 'expected a zip archive (.npz), got other bytes');
  const { size, offset } = await locate(source, where, view, at, source.size - tail + at);
  if (offset + size > source.size)
    throw npyError(where, 'expected a directory inside the archive, got one past its end');
  if (size > MAX_DIRECTORY)
    throw npyError(where, `expected a directory of at most ${MAX_DIRECTORY} bytes, got ${size}`);
  // A copy, since later reads move a source's window.
  return (await source.read(offset, size)).slice();
}

async function locate(
  source: Source,
  where: string,
  view: DataView,
  at: number,
  endOffset: number,
): Promise<{ size: number; offset: number }> {
  const size = view.getUint32(at + 12, true);
  const offset = view.getUint32(at + 16, true);
  if (view.getUint16(at + 4, true) !== 0 && view.getUint16(at + 4, true) !== 0xffff) {
    throw npyError(where, 'expected an archive in one part, got a split one');
  }
  if (size !== IN_ZIP64 && offset !== IN_ZIP64 && view.getUint16(at + 10, true) !== 0xffff)
    return { size, offset };
  if (endOffset < LOCATOR_BYTES) return { size, offset };
  const locator = viewOf((await source.read(endOffset - LOCATOR_BYTES, LOCATOR_BYTES)).slice());
  if (locator.getUint32(0, true) !== SIGNATURES.locator) return { size, offset };
  const end64 = long(locator, 8, where);
  if (end64 + 56 > source.size)
    throw npyError(where, 'expected a zip64 record inside the archive, got one past its end');
  const record = viewOf((await source.read(end64, 56)).slice());
  if (record.getUint32(0, true) !== SIGNATURES.end64)
    throw npyError(where, 'expected a zip64 record, got other bytes');
  return { size: long(record, 40, where), offset: long(record, 48, where) };
}

function long(view: DataView, at: number, where: string): number {
  const value = Number(view.getBigUint64(at, true));
  if (Number.isSafeInteger(value)) return value;
  throw npyError(where, `expected a size or offset below 2^53, got ${value}`);
}

function readEntries(directory: Uint8Array, archiveSize: number, where: string): Map<string, ZipEntry> {
  const entries = new Map<string, ZipEntry>();
  for (let at = 0; at < directory.length;) {
    const rest = directory.subarray(at);
    if (rest.length < ENTRY_BYTES || viewOf(rest).getUint32(0, true) !== SIGNATURES.entry) {
      throw npyError(where, `expected a directory entry at ${at}, got other bytes`);
    }
    const { entry, length } = readEntry(rest, where);
    if (entries.has(entry.name)) throw npyError(where, `expected each name once, got ${entry.name} twice`);
    checkEntry(entry, archiveSize, `${where}: ${entry.name}`);
    entries.set(entry.name, entry);
    at += length;
  }
  return entries;
}

function readEntry(bytes: Uint8Array, where: string): { entry: ZipEntry; length: number } {
  const view = viewOf(bytes);
  const nameLength = view.getUint16(28, true);
  const extraLength = view.getUint16(30, true);
  const length = ENTRY_BYTES + nameLength + extraLength + view.getUint16(32, true);
  if (length > bytes.length)
    throw npyError(where, 'expected a whole directory entry, got the end of the directory');
  const name = new TextDecoder().decode(bytes.subarray(ENTRY_BYTES, ENTRY_BYTES + nameLength));
  if ((view.getUint16(8, true) & 1) !== 0)
    throw npyError(`${where}: ${name}`, 'expected a plain file, got an encrypted one');
  const extra = viewOf(bytes.subarray(ENTRY_BYTES + nameLength, ENTRY_BYTES + nameLength + extraLength));
  const sizes = wideSizes(view, extra, `${where}: ${name}`);
  const crc = view.getUint32(16, true);
  return { entry: { name, method: view.getUint16(10, true), crc, ...sizes }, length };
}

/** Sizes and offset, from the zip64 extra field (id 1) where the short fields are full, in the order given there. */
function wideSizes(
  view: DataView,
  extra: DataView,
  where: string,
): Pick<ZipEntry, 'size' | 'compressed' | 'offset'> {
  const short = {
    size: view.getUint32(24, true),
    compressed: view.getUint32(20, true),
    offset: view.getUint32(42, true),
  };
  let at = 0;
  while (at + 4 <= extra.byteLength && extra.getUint16(at, true) !== 1)
    at += 4 + extra.getUint16(at + 2, true);
  at += 4;
  const wide = (value: number): number => {
    if (value !== IN_ZIP64) return value;
    if (at + 8 > extra.byteLength) throw npyError(where, 'expected a zip64 size, got none');
    at += 8;
    return long(extra, at - 8, where);
  };
  return { size: wide(short.size), compressed: wide(short.compressed), offset: wide(short.offset) };
}

function checkEntry({ method, size, compressed }: ZipEntry, archiveSize: number, where: string): void {
  if (method !== STORED && method !== DEFLATED) {
    throw npyError(where, `expected a stored or deflated file, got compression method ${method}`);
  }
  const possible = method === STORED ? size === compressed : size <= (compressed + 1) * MAX_RATIO;
  if (!possible || compressed > archiveSize) {
    throw npyError(where, `expected sizes that can be, got ${size} bytes from ${compressed}`);
  }
}
