/**
 * Random access to bytes, wherever they lie: files, Blobs, memory, or an object of the caller's. Nothing here reads
 * more than it is asked for, so that a model of many gigabytes costs what is looked at.
 */
import { FormatError } from '../errors.ts';

/** Random access to bytes. */
export interface Source {
  readonly size: number;
  /** For messages: a file's name. */
  readonly name?: string;
  /**
   * `length` bytes from `offset`. The caller never asks past `size`; the bytes may be a view: do not write to them. They
   * must stay as they are while more is read.
   * `into` has that length and may be filled and given back, or be ignored.
   */
  read(offset: number, length: number, into?: Uint8Array): Promise<Uint8Array>;
}

/** A path or `file:` URL (Node, Deno, Bun), a Blob or File, bytes, or random access of the caller's own. */
export type SourceLike = string | URL | Blob | Uint8Array | ArrayBuffer | Source;

/** Finds the file that external data of a model lies in; undefined if there is none. */
export type ExternalOpener = (location: string) => Promise<Source | undefined>;

export interface OpenedSource {
  readonly source: Source;
  /** Opens files beside a model that was given by path; undefined for other sources. */
  readonly openExternal: ExternalOpener | undefined;
}

/** Throws FormatError if a path is not a readable file; TypeError for anything that is no source. */
export async function openSource(input: SourceLike): Promise<OpenedSource> {
  if (typeof input === 'string' || input instanceof URL) {
    // Loaded only here, so that bundles for browsers have no node: import.
    const { openFile, externalOpener } = await import('./node-files.ts');
    return { source: new Windowed(await openFile(input)), openExternal: externalOpener(input) };
  }
  return { source: sourceOf(input), openExternal: undefined };
}

/** As {@link openSource} for what is not a path. */
export function sourceOf(input: Exclude<SourceLike, string | URL>): Source {
  if (input instanceof Uint8Array) return memoryFile(input);
  if (input instanceof ArrayBuffer) return memoryFile(new Uint8Array(input));
  if (typeof Blob === 'function' && input instanceof Blob) return new Windowed(blobSource(input));
  if (typeof input === 'object' && input !== null && 'read' in input && Number.isSafeInteger(input.size)) {
    return new Windowed(input);
  }
  throw new TypeError(
    `source: expected a path, URL, Blob, bytes or {read, size}, got ${Object.prototype.toString.call(input)}`,
  );
}

function memoryFile(bytes: Uint8Array): Source {
  return {
    size: bytes.length,
    name: 'bytes',
    read: (offset, length) => Promise.resolve(bytes.subarray(offset, offset + length)),
  };
}

function blobSource(blob: Blob): Source {
  return {
    size: blob.size,
    name: 'name' in blob ? String(blob.name) : 'Blob',
    async read(offset, length) {
      return new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer());
    },
  };
}

/** Longest window. */
const WINDOW = 65_536;
/** Window after a jump: when tensors are skipped, little of a long one would be used. */
const SHORT_WINDOW = 4096;

/**
 * Keeps the last bytes that were read, since neighbours are mostly read in a row; checks that the source gives as many
 * bytes as it was asked for.
 */
class Windowed implements Source {
  readonly size: number;
  readonly name: string;
  readonly #source: Source;
  #start = 0;
  #bytes: Uint8Array = new Uint8Array(0);

  constructor(source: Source) {
    this.#source = source;
    this.size = source.size;
    this.name = source.name ?? 'source';
  }

  async read(offset: number, length: number, into?: Uint8Array): Promise<Uint8Array> {
    if (length > WINDOW) return this.#exactly(offset, length, into);
    const at = offset - this.#start;
    if (at >= 0 && at + length <= this.#bytes.length) return this.#bytes.subarray(at, at + length);
    const isNext = at >= 0 && at <= this.#bytes.length;
    const window = Math.max(length, isNext ? Math.min(2 * this.#bytes.length, WINDOW) : SHORT_WINDOW);
    const bytes = await this.#exactly(offset, Math.min(window, this.size - offset));
    this.#start = offset;
    this.#bytes = bytes;
    return bytes.subarray(0, length);
  }

  async #exactly(offset: number, length: number, into?: Uint8Array): Promise<Uint8Array> {
    const bytes = await this.#source.read(offset, length, into);
    if (bytes.length === length) return bytes;
    throw new FormatError(`${this.name}: expected ${length} bytes at offset ${offset}, got ${bytes.length}`, {
      code: 'FORMAT_TRUNCATED',
      hint: 'Was the file changed while it was read?',
      details: { offset, length },
    });
  }
}
