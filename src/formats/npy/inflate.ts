/**
 * A deflated file as a source that is read forward: memory is one piece of input and what it inflates to (16 KB to at
 * most 16 MB). Reading backward begins anew.
 */
import { Inflate } from 'fflate';
import type { Source } from '../source.ts';
import { npyError } from './header.ts';

/** Input at a time. */
const STEP = 16_384;

export class InflateSource implements Source {
  readonly size: number;
  readonly name: string;
  readonly #input: Source;
  readonly #where: string;
  #inflate: Inflate | undefined;
  #consumed = 0;
  /** Output that nobody has read yet, and where it begins in the file. */
  #pieces: Uint8Array[] = [];
  #start = 0;
  /** Reads come one after the other, since all share one inflater. */
  #queue: Promise<unknown> = Promise.resolve();

  constructor(input: Source, size: number, where: string) {
    this.#input = input;
    this.size = size;
    this.name = where;
    this.#where = where;
  }

  /** Throws FormatError NPY_INVALID if the file inflates to something else than it says. */
  read(offset: number, length: number): Promise<Uint8Array> {
    const result = this.#queue.then(() => this.#readInTurn(offset, length));
    this.#queue = result.catch(() => undefined);
    return result;
  }

  async #readInTurn(offset: number, length: number): Promise<Uint8Array> {
    if (this.#inflate === undefined || offset < this.#start) this.#restart();
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length;) {
      const piece = this.#pieces[0];
      if (piece === undefined) {
        await this.#advance();
        continue;
      }
      const skip = offset + done - this.#start;
      const part = piece.subarray(Math.min(skip, piece.length), Math.min(skip + length - done, piece.length));
      bytes.set(part, done);
      done += part.length;
      this.#drop(piece, Math.min(skip, piece.length) + part.length);
    }
    return bytes;
  }

  /** Forgets what was read, but for the last piece's tail. */
  #drop(piece: Uint8Array, used: number): void {
    this.#start += used;
    if (used === piece.length) this.#pieces.shift();
    else this.#pieces[0] = piece.subarray(used);
  }

  #restart(): void {
    this.#inflate = new Inflate((chunk) => {
      if (chunk.length > 0) this.#pieces.push(chunk);
    });
    this.#consumed = 0;
    this.#pieces = [];
    this.#start = 0;
  }

  async #advance(): Promise<void> {
    const length = Math.min(STEP, this.#input.size - this.#consumed);
    if (length === 0) throw npyError(this.#where, `expected ${this.size} bytes, got ${this.#start}`);
    const bytes = await this.#input.read(this.#consumed, length);
    this.#consumed += length;
    try {
      this.#inflate?.push(bytes, this.#consumed === this.#input.size);
    } catch (cause) {
      throw npyError(
        this.#where,
        `expected deflated data, got ${String(cause)}`,
        'The archive is damaged.',
        cause,
      );
    }
  }
}
