/**
 * Steps through the fields of a piece of a file. `next` looks at a field's head and finds where it ends; the values
 * are read only where somebody wants them. Spec: protobuf encoding guide.
 */
import { END_GROUP, FIXED32, FIXED64, GROUP, LENGTH, VARINT } from './schema.ts';

/** Why the bytes are no fields; the reader turns it into a FormatError with place and path. */
export class WireError extends Error {
  /** In the file. */
  readonly offset: number;

  constructor(message: string, offset: number) {
    super(message);
    this.offset = offset;
  }
}

/** A varint has at most this many bytes: 64 bits, 7 in each. */
const MAX_VARINT = 10;
/** Nesting of groups inside unknown fields; nobody writes groups any more. */
const MAX_GROUPS = 10;

export class Cursor {
  readonly bytes: Uint8Array;
  /** Offset of the first byte in the file. */
  readonly base: number;
  /** The field that {@link next} found: its number, wire type, and where tag, body and the next field begin. */
  number = 0;
  wire = 0;
  start = 0;
  body = 0;
  end = 0;

  constructor(bytes: Uint8Array, base: number) {
    this.bytes = bytes;
    this.base = base;
  }

  /**
   * Moves on to the field at {@link end}. False if its head, or the whole of a field without length, is not inside
   * the bytes; a field with a length may well end outside.
   */
  next(): boolean {
    this.start = this.end;
    const tag = this.#shortVarint(this.start);
    if (tag === undefined) return false;
    this.number = Math.floor(tag / 8);
    this.wire = tag % 8;
    if (this.number === 0 || this.number > 536_870_911) {
      throw new WireError(
        `expected a field number from 1 to 2^29 - 1, got ${this.number}`,
        this.base + this.start,
      );
    }
    return this.#findEnd();
  }

  /** Reads past the tag; the position is left in {@link body}. */
  #shortVarint(at: number): number | undefined {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < MAX_VARINT; i++) {
      if (at + i >= this.bytes.length) return undefined;
      const byte = this.bytes[at + i];
      value += (byte & 0x7f) * scale;
      scale *= 128;
      if (byte < 0x80) {
        this.body = at + i + 1;
        if (value > Number.MAX_SAFE_INTEGER) break;
        return value;
      }
    }
    throw new WireError('expected a tag or length, got a varint that is too long', this.base + at);
  }

  #findEnd(): boolean {
    switch (this.wire) {
      case VARINT:
        return this.#findVarintEnd();
      case FIXED64:
        this.end = this.body + 8;
        return this.end <= this.bytes.length;
      case FIXED32:
        this.end = this.body + 4;
        return this.end <= this.bytes.length;
      case LENGTH: {
        const length = this.#shortVarint(this.body);
        if (length === undefined) return false;
        this.end = this.body + length;
        return true;
      }
      case GROUP:
        return this.#findGroupEnd();
      default:
        throw new WireError(`expected wire type 0 to 3 or 5, got ${this.wire}`, this.base + this.start);
    }
  }

  #findVarintEnd(): boolean {
    for (let at = this.body; at < this.body + MAX_VARINT; at++) {
      if (at >= this.bytes.length) return false;
      if (this.bytes[at] < 0x80) {
        this.end = at + 1;
        return true;
      }
    }
    throw new WireError('expected a varint of at most 10 bytes, got a longer one', this.base + this.body);
  }

  #findGroupEnd(): boolean {
    const { number, start, body } = this;
    const open = [number];
    const inner = new Cursor(this.bytes, this.base);
    inner.end = body;
    while (open.length > 0) {
      if (!inner.#nextInGroup(open)) return false;
      if (open.length > MAX_GROUPS || inner.end > this.bytes.length) {
        throw new WireError('expected a short group, got one that does not end', this.base + start);
      }
    }
    this.end = inner.end;
    return true;
  }

  /** One tag of a group: opens, closes or skips. */
  #nextInGroup(open: number[]): boolean {
    const tag = this.#shortVarint(this.end);
    if (tag === undefined) return false;
    const wire = tag % 8;
    if (wire !== GROUP && wire !== END_GROUP) return this.next();
    const number = Math.floor(tag / 8);
    if (wire === GROUP) open.push(number);
    else if (open.pop() !== number) {
      throw new WireError(`expected the end of another group, got that of ${number}`, this.base + this.end);
    }
    this.end = this.body;
    return true;
  }

  /** The varint at `at`, as a signed 64-bit integer; {@link body} is left behind it. */
  int64(at: number): bigint {
    let value = 0n;
    for (let i = 0; i < MAX_VARINT && at + i < this.bytes.length; i++) {
      const byte = this.bytes[at + i];
      value |= BigInt(byte & 0x7f) << BigInt(7 * i);
      if (byte < 0x80) {
        this.body = at + i + 1;
        return BigInt.asIntN(64, value);
      }
    }
    throw new WireError(
      'expected a varint of at most 10 bytes, got one that is longer or cut off',
      this.base + at,
    );
  }

  /** As {@link int64}, as a number. Throws beyond ±(2^53 - 1). */
  int(at: number): number {
    // Up to 7 bytes are 49 bits, which a double holds: nearly all integers of a model.
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 7 && at + i < this.bytes.length; i++) {
      const byte = this.bytes[at + i];
      value += (byte & 0x7f) * scale;
      scale *= 128;
      if (byte < 0x80) {
        this.body = at + i + 1;
        return value;
      }
    }
    const wide = Number(this.int64(at));
    if (Number.isSafeInteger(wide)) return wide;
    throw new WireError(`expected an integer within ±2^53, got ${wide}`, this.base + at);
  }

  /** Numbers in the packed field, of `width` bytes each; 0 for varints, each of which ends with a byte below 128. */
  countPacked(width: number): number {
    if (width > 0) return Math.ceil((this.end - this.body) / width);
    let count = 0;
    for (let at = this.body; at < this.end; at++) if (this.bytes[at] < 128) count++;
    return count;
  }

  /** 32 bits, little-endian, unsigned. */
  fixed32(at: number): number {
    const { bytes } = this;
    if (at + 4 > bytes.length) throw new WireError('expected 4 bytes, got fewer', this.base + at);
    return (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0;
  }
}
