/**
 * A source whose CRC-32 is checked while it is read: what is read in order adds to it, and the read that reaches the
 * end compares. Who is about to leave out a part calls `verify` first, which reads all of a file that is not large; of a
 * large one parts are given unchecked, since looking at ten samples must not cost reading gigabytes.
 */
import type { Source } from '../source.ts';
import { crc32 } from './crc32.ts';
import { npyError } from './header.ts';

/** Files up to this size are verified: half a second. */
const MAX_VERIFIED = 67_108_864;
/** Bytes that `verify` reads at a time. */
const STEP = 1_048_576;

export class CheckedSource implements Source {
  readonly size: number;
  readonly name: string | undefined;
  readonly #input: Source;
  readonly #expected: number;
  readonly #where: string;
  #crc = 0;
  /** All before this offset is in `#crc`. */
  #next = 0;
  #verified: Promise<void> | undefined;

  constructor(input: Source, expected: number, where: string) {
    this.size = input.size;
    this.name = input.name;
    this.#input = input;
    this.#expected = expected;
    this.#where = where;
  }

  /** Throws FormatError NPY_INVALID once all bytes have been read and are not those that were written, then always. */
  async read(offset: number, length: number): Promise<Uint8Array> {
    const bytes = await this.#input.read(offset, length);
    if (offset <= this.#next && offset + length > this.#next) this.#add(bytes, offset);
    if (this.#next === this.size) this.#check();
    return bytes;
  }

  /**
   * Reads what has not been read yet, once, if the file has at most {@link MAX_VERIFIED} bytes. Throws FormatError NPY_INVALID
   * if the bytes are not those that were written.
   */
  verify(): Promise<void> {
    return (this.#verified ??= this.size > MAX_VERIFIED ? Promise.resolve() : this.#readRest());
  }

  async #readRest(): Promise<void> {
    while (this.#next < this.size) await this.read(this.#next, Math.min(STEP, this.size - this.#next));
  }

  #add(bytes: Uint8Array, offset: number): void {
    this.#crc = crc32(bytes.subarray(this.#next - offset), this.#crc);
    this.#next = offset + bytes.length;
  }

  #check(): void {
    if (this.#crc === this.#expected) return;
    const text = `expected CRC-32 ${hex(this.#expected)}, got ${hex(this.#crc)}`;
    throw npyError(this.#where, text, 'The archive is damaged.');
  }
}

function hex(crc: number): string {
  return `0x${crc.toString(16).padStart(8, '0')}`;
}
