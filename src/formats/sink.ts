/**
 * Where files are written to: paths, browser file handles, streams, memory, or an object of the caller's. Several files
 * that belong together (a model and its external data) are committed together or not at all, as far as the target can.
 */
import { checkOptions } from '../errors/check-options.ts';
import { BOOLEAN } from '../errors/option-rules.ts';
import { QuantError } from '../errors.ts';
import type { Span } from './protobuf/schema.ts';

/** Takes the bytes of one file. Only `write` is needed; without the others the target has no way back. */
export interface Sink {
  /** File name, which external data files are named after. */
  readonly name?: string;
  /** True if bytes are stored or copied once `write` is done, so that their memory can be used again. Default false. */
  readonly copies?: boolean;
  /** Is called again only when the last call is done. */
  write(bytes: Uint8Array): Promise<void> | void;
  /** Prepares for `close`, so that what can fail fails now: called for all files before the first `close`. */
  flush?(): Promise<void>;
  /** Makes the file final. */
  close?(): Promise<void> | void;
  /** Takes everything back, after an error. */
  abort?(reason: unknown): Promise<void> | void;
  /** Begins another file beside this one, for external data. */
  sibling?(name: string): Promise<Sink> | Sink;
}

/** A path or `file:` URL (Node, Deno, Bun), a file handle of the browser, a stream, or a {@link Sink}. */
export type SinkLike = string | URL | FileSystemFileHandle | WritableStream<Uint8Array> | Sink;

/** Collects files in memory: `await writeModel(model, sink); sink.bytes`. */
export class MemorySink implements Sink {
  readonly name: string;
  readonly copies = true;
  /** Finished files by name; external data files are here too. */
  readonly files: Map<string, Uint8Array>;
  #pieces: Uint8Array[] = [];

  constructor(name = 'model.onnx', files: Map<string, Uint8Array> = new Map()) {
    this.name = name;
    this.files = files;
  }

  /** The file of this sink. Throws TypeError before it is finished. */
  get bytes(): Uint8Array<ArrayBuffer> {
    const bytes = this.files.get(this.name);
    if (bytes === undefined)
      throw new TypeError(`MemorySink: expected ${this.name} to be written, got nothing`);
    // close() made it with its own buffer.
    return bytes as Uint8Array<ArrayBuffer>;
  }

  write(bytes: Uint8Array): void {
    this.#pieces.push(bytes.slice());
  }

  close(): void {
    const whole = new Uint8Array(this.#pieces.reduce((sum, piece) => sum + piece.length, 0));
    let at = 0;
    for (const piece of this.#pieces) {
      whole.set(piece, at);
      at += piece.length;
    }
    this.files.set(this.name, whole);
    this.#pieces = [];
  }

  abort(): void {
    this.#pieces = [];
    this.files.delete(this.name);
  }

  sibling(name: string): MemorySink {
    return new MemorySink(name, this.files);
  }
}

/**
 * A file in a folder of the browser, with its external data beside it. A file that was not there before is gone again
 * after an error. Throws QuantError OUTPUT_EXISTS if one is there, unless `overwrite` is set.
 */
export async function directorySink(
  folder: FileSystemDirectoryHandle,
  name: string,
  options: { readonly overwrite?: boolean } = {},
): Promise<Sink> {
  checkOptions('directorySink', options, { overwrite: BOOLEAN });
  const existing = await folder.getFileHandle(name).catch(() => undefined);
  if (existing !== undefined && options.overwrite !== true) {
    throw new QuantError(`${name}: expected no file of that name in the folder, got one`, {
      code: 'OUTPUT_EXISTS',
      hint: 'Choose another name, or allow overwriting.',
      details: { file: name },
    });
  }
  const sink = await handleSink(existing ?? (await folder.getFileHandle(name, { create: true })));
  return {
    ...sink,
    name,
    abort: async (reason) => {
      await sink.abort?.(reason);
      if (existing === undefined) await folder.removeEntry(name);
    },
    sibling: (other) => directorySink(folder, other, options),
  };
}

/** Writes into the browser's swap file, which replaces the file when it is closed. */
async function handleSink(handle: FileSystemFileHandle): Promise<Sink> {
  const stream = await handle.createWritable();
  return { name: handle.name, ...streamSink(stream) };
}

function streamSink(stream: WritableStream<Uint8Array>): Sink {
  const writer = stream.getWriter();
  return {
    write: (bytes) => writer.write(bytes),
    close: () => writer.close(),
    abort: (reason) => writer.abort(reason),
  };
}

/** Opens a sink. Throws QuantError OUTPUT_EXISTS or OUTPUT_FAILED for paths, TypeError for what is no sink. */
export async function openSink(target: SinkLike, options: { overwrite: boolean }): Promise<Sink> {
  if (typeof target === 'string' || target instanceof URL) {
    // Loaded only here, so that bundles for browsers have no node: import.
    const { openFileSink } = await import('./node-files.ts');
    return openFileSink(target, options);
  }
  if (typeof target === 'object' && target !== null) {
    if ('createWritable' in target) return handleSink(target);
    if ('getWriter' in target) return streamSink(target);
    if (typeof target.write === 'function') return target;
  }
  throw new TypeError(`sink: expected a path, URL, file handle, stream or {write}, got ${String(target)}`);
}

/** Files that belong together. */
export class SinkSet {
  readonly main: Sink;
  readonly #sinks: Sink[];

  constructor(main: Sink) {
    this.main = main;
    this.#sinks = [main];
  }

  /** Begins a file beside the main one. Throws TypeError if the target cannot have one. */
  async sibling(name: string): Promise<Sink> {
    if (this.main.sibling === undefined) {
      throw new TypeError(
        `writeModel: expected a sink with sibling(name) for external data, got one for a single file`,
      );
    }
    const sink = await this.main.sibling(name);
    this.#sinks.push(sink);
    return sink;
  }

  /** The main file last: whoever sees it finds the others. */
  async commit(): Promise<void> {
    const files = this.#sinks.toReversed();
    for (const sink of files) await sink.flush?.();
    for (const sink of files) await sink.close?.();
  }

  /** Takes all files back; failures to do so are not reported, since the caller has an error already. */
  async abort(reason: unknown): Promise<void> {
    for (const sink of this.#sinks) {
      try {
        await sink.abort?.(reason);
      } catch {
        continue;
      }
    }
  }
}

/** Bytes that are read and written at a time. */
const COPY_BYTES = 4_194_304;
/** Small pieces are gathered up to this before they are written. */
const GATHER_BYTES = 262_144;

/** Buffers for what is copied: one is written while the other is filled. */
const COPY_BUFFERS = 2;

/**
 * Writes pieces to a sink: small ones gathered, spans copied a few megabytes at a time. The next piece is read (or computed)
 * while the last one is written.
 */
export class PieceWriter {
  readonly #sink: Sink;
  readonly #signal: AbortSignal | undefined;
  readonly #onBytes: ((count: number) => void) | undefined;
  readonly #gathered = new Uint8Array(GATHER_BYTES);
  #length = 0;
  /** The write that is under way. */
  #writing: Promise<void> = Promise.resolve();
  /** Memory that spans may be read into, used in turn; none where the sink may keep what it got. */
  readonly #buffers: Uint8Array[] = [];
  #turn = 0;

  constructor(sink: Sink, options: { signal?: AbortSignal; onBytes?: (count: number) => void } = {}) {
    this.#sink = sink;
    this.#signal = options.signal;
    this.#onBytes = options.onBytes;
  }

  async write(piece: Uint8Array | Span): Promise<void> {
    if (piece instanceof Uint8Array) {
      await this.#gather(piece);
      return;
    }
    try {
      for (let done = 0; done < piece.length; done += COPY_BYTES) {
        this.#signal?.throwIfAborted();
        const length = Math.min(COPY_BYTES, piece.length - done);
        await this.#gather(await piece.source.read(piece.offset + done, length, this.#buffer(length)));
      }
    } catch (error) {
      // The sink is not to be taken back while it writes; what this says against it comes second.
      await this.#writing.catch(() => undefined);
      throw error;
    }
  }

  /** Memory to read a span into, if it is one that is written as it is. */
  #buffer(length: number): Uint8Array | undefined {
    if (this.#sink.copies !== true || length <= GATHER_BYTES) return undefined;
    const turn = this.#turn++ % COPY_BUFFERS;
    const buffer = (this.#buffers[turn] ??= new Uint8Array(COPY_BYTES));
    return buffer.subarray(0, length);
  }

  async #gather(bytes: Uint8Array): Promise<void> {
    if (this.#length + bytes.length > GATHER_BYTES) await this.#putGathered();
    if (bytes.length > GATHER_BYTES) {
      await this.#put(bytes);
      return;
    }
    this.#gathered.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** Resolves when everything has been written. */
  async flush(): Promise<void> {
    await this.#putGathered();
    await this.#writing;
  }

  async #putGathered(): Promise<void> {
    if (this.#length === 0) return;
    const bytes = this.#gathered.slice(0, this.#length);
    this.#length = 0;
    await this.#put(bytes);
  }

  /** Begins to write, as soon as the write before it is done. */
  async #put(bytes: Uint8Array): Promise<void> {
    await this.#writing;
    this.#signal?.throwIfAborted();
    this.#writing = this.#writeNow(bytes);
    // Whoever waits for it next gets the error.
    this.#writing.catch(() => undefined);
  }

  async #writeNow(bytes: Uint8Array): Promise<void> {
    try {
      await this.#sink.write(bytes);
    } catch (cause) {
      if (cause instanceof QuantError) throw cause;
      throw new QuantError(`${this.#sink.name ?? 'sink'}: expected to write, got ${String(cause)}`, {
        code: 'OUTPUT_FAILED',
        details: { file: this.#sink.name },
        cause,
      });
    }
    this.#onBytes?.(bytes.length);
  }
}
