/**
 * Files in Node, Deno and Bun. The only file here with `node:` imports; loaded when a path is given, so that bundles
 * for browsers go without.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, read, readSync } from 'node:fs';
import { link, lstat, open, realpath, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, posix, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { FormatError, QuantError } from '../errors.ts';
import type { Sink } from './sink.ts';
import type { ExternalOpener, Source } from './source.ts';

function pathOf(input: string | URL): string {
  if (typeof input === 'string' && !input.startsWith('file:')) return input;
  const url = new URL(input);
  if (url.protocol !== 'file:') {
    throw new TypeError(`source: expected a path or file: URL, got ${url.protocol}`);
  }
  return fileURLToPath(url);
}

/** Opens a file for reading. Throws FormatError if there is none, or something else (a folder, a pipe). */
export async function openFile(input: string | URL): Promise<Source> {
  const path = resolve(pathOf(input));
  const name = basename(path);
  const info = await stat(path).catch((cause: unknown) => {
    throw notAFile(name, `${path}: expected a file, got ${reason(cause)}`, cause);
  });
  if (info.isDirectory()) throw notAFile(name, `${path}: expected a file, got a folder`);
  if (!info.isFile()) throw notAFile(name, `${path}: expected a regular file, got a device or pipe`);
  return new FileSource(path, info.size, info.mtimeMs);
}

function notAFile(file: string, message: string, cause?: unknown): FormatError {
  const hint = 'Check the path; a relative one starts at the working directory.';
  return new FormatError(message, { code: 'FORMAT_NOT_A_FILE', hint, details: { file }, cause });
}

function reason(cause: unknown): string {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  return code === 'ENOENT' || code === 'ENOTDIR' ? 'nothing there' : String(cause);
}

/** Reads up to this length wait for the file: handing one to a thread and back takes longer than the page cache. */
const AT_ONCE = 65_536;

/**
 * Opens the file for each read: a model holds many sources for a long time, and a handle that is kept must be closed
 * by somebody. In return each read checks that the file is still the one that was indexed.
 */
class FileSource implements Source {
  readonly name: string;
  readonly size: number;
  readonly #path: string;
  readonly #mtime: number;

  constructor(path: string, size: number, mtime: number) {
    this.name = basename(path);
    this.size = size;
    this.#path = path;
    this.#mtime = mtime;
  }

  async read(offset: number, length: number, into?: Uint8Array): Promise<Uint8Array> {
    const file = this.#open();
    try {
      this.#checkUnchanged(file);
      return await readAt(file, offset, into ?? new Uint8Array(length));
    } finally {
      closeSync(file);
    }
  }

  #open(): number {
    try {
      return openSync(this.#path, 'r');
    } catch (cause) {
      throw notAFile(this.name, `${this.#path}: expected a readable file, got ${reason(cause)}`, cause);
    }
  }

  #checkUnchanged(file: number): void {
    const { size, mtimeMs } = fstatSync(file);
    if (size === this.size && mtimeMs === this.#mtime) return;
    throw new FormatError(
      `${this.#path}: expected the file as it was when it was opened, got a changed one`,
      {
        code: 'FORMAT_INVALID',
        hint: 'Read the model again.',
        details: { file: this.name },
      },
    );
  }
}

const readLater = promisify(read);

/** Fills `bytes`; a shorter view of it where the file ends before. */
async function readAt(file: number, offset: number, bytes: Uint8Array): Promise<Uint8Array> {
  const { length } = bytes;
  for (let done = 0; done < length;) {
    const left = length - done;
    const bytesRead =
      length <= AT_ONCE
        ? readSync(file, bytes, done, left, offset + done)
        : (await readLater(file, bytes, done, left, offset + done)).bytesRead;
    if (bytesRead === 0) return bytes.subarray(0, done);
    done += bytesRead;
  }
  return bytes;
}

/**
 * Opens external data of the model at `model`. A location is a relative path with `/` (ONNX "External Data") and must
 * stay in the model's folder, also after symbolic links are followed: a model from the net could otherwise copy any
 * file of this machine into its output.
 */
export function externalOpener(model: string | URL): ExternalOpener {
  const folder = dirname(resolve(pathOf(model)));
  return async (location) => {
    const inside = posix.normalize(location.replaceAll('\\', '/'));
    if (isOutside(inside) || location.includes('\0')) throw outside(location);
    const path = join(folder, inside);
    const real = await realpath(path).catch(() => undefined);
    if (real === undefined) return undefined;
    const way = relative(await realpath(folder), real);
    if (way.split(sep)[0] === '..' || isAbsolute(way)) throw outside(location);
    return openFile(real);
  };
}

function isOutside(path: string): boolean {
  return path === '..' || path.startsWith('../') || path.startsWith('/') || /^[a-z]:/i.test(path);
}

function outside(location: string): FormatError {
  return new FormatError(
    `external data: expected a file in the model's folder, got ${JSON.stringify(location)}`,
    {
      code: 'EXTERNAL_DATA_OUTSIDE',
      hint: 'Put the model and its data files, not links to them, into one folder.',
      details: { location },
    },
  );
}

/**
 * Writes to a temporary file beside `target`; `close` flushes it to the disk and renames it. Without `overwrite` a file that
 * appears meanwhile is not replaced either.
 */
export async function openFileSink(target: string | URL, options: { overwrite: boolean }): Promise<Sink> {
  const path = resolve(pathOf(target));
  await checkFree(path, options.overwrite);
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`);
  const flags = constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY;
  const handle = await failing(path, () => open(temporary, flags, 0o666));
  return new FileSink(path, temporary, handle, options.overwrite);
}

class FileSink implements Sink {
  readonly name: string;
  readonly copies = true;
  readonly #path: string;
  readonly #temporary: string;
  readonly #handle: FileHandle;
  readonly #overwrite: boolean;
  #open = true;
  #renamed = false;

  constructor(path: string, temporary: string, handle: FileHandle, overwrite: boolean) {
    this.name = basename(path);
    this.#path = path;
    this.#temporary = temporary;
    this.#handle = handle;
    this.#overwrite = overwrite;
  }

  async write(bytes: Uint8Array): Promise<void> {
    await failing(this.#path, async () => {
      for (let done = 0; done < bytes.length;) {
        done += (await this.#handle.write(bytes, done, bytes.length - done)).bytesWritten;
      }
    });
  }

  /** What is left may fail only in the rename, which takes no space. */
  async flush(): Promise<void> {
    await failing(this.#path, () => this.#handle.sync());
    await this.#closeHandle();
    await checkFree(this.#path, this.#overwrite);
  }

  async close(): Promise<void> {
    if (this.#open) await this.flush();
    await this.#move();
    this.#renamed = true;
  }

  /** Where nothing may be overwritten, somebody else may have put a file there at this moment: a rename would replace it. */
  async #move(): Promise<void> {
    if (this.#overwrite) return failing(this.#path, () => rename(this.#temporary, this.#path));
    const linked = await link(this.#temporary, this.#path).then(
      () => true,
      () => false,
    );
    if (linked) return rm(this.#temporary, { force: true });
    await checkFree(this.#path, false);
    // A file system without hard links: the name is taken with an empty file, which the rename replaces.
    const flags = constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY;
    const placeholder = await failing(this.#path, () => open(this.#path, flags));
    this.#renamed = true;
    await placeholder.close();
    await failing(this.#path, () => rename(this.#temporary, this.#path));
  }

  /** Also takes back a file that was renamed already, unless it replaced another: that one is gone. */
  async abort(): Promise<void> {
    await this.#closeHandle();
    await rm(this.#temporary, { force: true });
    if (this.#renamed && !this.#overwrite) await rm(this.#path, { force: true });
  }

  sibling(name: string): Promise<Sink> {
    return openFileSink(join(dirname(this.#path), name), { overwrite: this.#overwrite });
  }

  async #closeHandle(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    await this.#handle.close();
  }
}

async function checkFree(path: string, overwrite: boolean): Promise<void> {
  const info = await lstat(path).catch(() => undefined);
  if (info === undefined || (overwrite && !info.isDirectory())) return;
  const got = info.isDirectory() ? 'a folder of that name' : 'an existing file';
  throw new QuantError(`${path}: expected no file there, got ${got}`, {
    code: 'OUTPUT_EXISTS',
    hint: 'Choose another name, or allow overwriting.',
    details: { file: path },
  });
}

/** Runs `deed`; what the system says against it becomes a QuantError that names the file. */
async function failing<T>(path: string, deed: () => Promise<T>): Promise<T> {
  try {
    return await deed();
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'UNKNOWN';
    throw new QuantError(`${path}: expected to write the file, got ${FAILURES[code] ?? String(cause)}`, {
      code: 'OUTPUT_FAILED',
      hint:
        code === 'ENOSPC' ? 'Free some space or write elsewhere.' : 'Check the folder and its permissions.',
      details: { file: path, reason: code },
      cause,
    });
  }
}

const FAILURES: Readonly<Record<string, string>> = {
  ENOSPC: 'a full disk',
  EDQUOT: 'an exhausted quota',
  EACCES: 'no permission',
  EPERM: 'no permission',
  EROFS: 'a read-only file system',
  ENOENT: 'no such folder',
  ENOTDIR: 'no such folder',
  EEXIST: 'one that another program has just put there',
  EFBIG: 'a file too large for the file system',
};
