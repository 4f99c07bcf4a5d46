/** Unpacks a deflated stretch of a source from its beginning, a piece at a time. */
import { Inflate } from 'fflate';
import { FormatError } from '../../errors.ts';
import type { Source } from '../source.ts';

/** Packed bytes taken at a time. Deflate expands at most 1032 times: a piece gives no more than 17 MB. */
const PIECE_BYTES = 16_384;

export class InflatedStream {
  readonly #source: Source;
  readonly #end: number;
  readonly #where: string;
  readonly #inflate: Inflate;
  #offset: number;
  /** Unpacked bytes that nobody has taken yet. */
  #ready: Uint8Array[] = [];
  /** Unpacked bytes taken or skipped so far. */
  position = 0;

  constructor(source: Source, offset: number, length: number, where: string) {
    this.#source = source;
    this.#offset = offset;
    this.#end = offset + length;
    this.#where = where;
    this.#inflate = new Inflate((bytes) => this.#ready.push(bytes));
  }

  async skip(count: number): Promise<void> {
    await this.#take(count, () => undefined);
  }

  /** The next `out.length` bytes, or as many as there are left. */
  async read(out: Uint8Array): Promise<number> {
    return this.#take(out.length, (bytes, at) => out.set(bytes, at));
  }

  async #take(count: number, use: (bytes: Uint8Array, at: number) => void): Promise<number> {
    let done = 0;
    while (done < count) {
      const first = this.#ready[0];
      if (first === undefined) {
        if (!(await this.#unpackMore())) break;
        continue;
      }
      const part = first.subarray(0, count - done);
      use(part, done);
      done += part.length;
      if (part.length === first.length) this.#ready.shift();
      else this.#ready[0] = first.subarray(part.length);
    }
    this.position += done;
    return done;
  }

  async #unpackMore(): Promise<boolean> {
    const length = Math.min(PIECE_BYTES, this.#end - this.#offset);
    if (length === 0) return false;
    const piece = await this.#source.read(this.#offset, length);
    this.#offset += length;
    try {
      this.#inflate.push(piece, this.#offset === this.#end);
    } catch (cause) {
      throw new FormatError(`${this.#where}: expected deflated bytes, got damaged ones`, {
        code: 'NPY_INVALID',
        hint: 'The archive is damaged; copy it again.',
        cause,
      });
    }
    return true;
  }
}
