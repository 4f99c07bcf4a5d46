/**
 * A message while it is encoded: bytes in one growing buffer, and tensors as spans at their places between them. The
 * length of a message is known only after its fields, so its head is put in front of them afterwards.
 */
import { LENGTH, type Span } from './schema.ts';

interface PlacedSpan {
  /** How many bytes of the buffer come before it. */
  at: number;
  readonly span: Span;
}

const encoder = new TextEncoder();

/** A varint has at most this many bytes. */
const MAX_VARINT = 10;

export class Output {
  #bytes = new Uint8Array(1024);
  #length = 0;
  readonly #spans: PlacedSpan[] = [];
  #spanBytes = 0;

  /** Pieces in order. */
  pieces(): (Uint8Array | Span)[] {
    const pieces: (Uint8Array | Span)[] = [];
    let at = 0;
    for (const { at: end, span } of this.#spans) {
      if (end > at) pieces.push(this.#bytes.subarray(at, end));
      pieces.push(span);
      at = end;
    }
    if (this.#length > at) pieces.push(this.#bytes.subarray(at, this.#length));
    return pieces;
  }

  get length(): number {
    return this.#length + this.#spanBytes;
  }

  #reserve(count: number): void {
    const needed = this.#length + count;
    if (needed <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(needed, 2 * this.#bytes.length));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }

  tag(number: number, wire: number): void {
    this.varint(number * 8 + wire);
  }

  /** A number of at least 0, or a negative one of at least -(2^53 - 1). */
  varint(value: number): void {
    if (value < 0) {
      this.varint64(BigInt(value));
      return;
    }
    this.#reserve(MAX_VARINT);
    let rest = value;
    for (; rest >= 128; rest = Math.floor(rest / 128)) this.#bytes[this.#length++] = (rest & 127) | 128;
    this.#bytes[this.#length++] = rest;
  }

  /** Negative numbers take ten bytes, as protobuf's int32 and int64 do. */
  varint64(value: bigint): void {
    this.#reserve(MAX_VARINT);
    let rest = BigInt.asUintN(64, value);
    for (; rest >= 128n; rest >>= 7n) this.#bytes[this.#length++] = Number(rest & 127n) | 128;
    this.#bytes[this.#length++] = Number(rest);
  }

  fixed32(bits: number): void {
    this.#reserve(4);
    for (let shift = 0; shift < 32; shift += 8) this.#bytes[this.#length++] = (bits >>> shift) & 255;
  }

  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** A field with a string. Most are short and ASCII: those are written without a detour. */
  text(number: number, text: string): void {
    this.tag(number, LENGTH);
    this.#reserve(text.length + MAX_VARINT);
    const start = this.#length;
    this.varint(text.length);
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code > 127) {
        this.#length = start;
        this.#delimited(encoder.encode(text));
        return;
      }
      this.#bytes[this.#length++] = code;
    }
  }

  bytes(number: number, bytes: Uint8Array): void {
    this.tag(number, LENGTH);
    this.#delimited(bytes);
  }

  #delimited(bytes: Uint8Array): void {
    this.varint(bytes.length);
    this.raw(bytes);
  }

  span(span: Span): void {
    this.#spans.push({ at: this.#length, span });
    this.#spanBytes += span.length;
  }

  /** A field whose bytes `write` writes. */
  message(number: number, write: () => void): void {
    this.tag(number, LENGTH);
    const start = this.#length;
    const startSpans = this.#spans.length;
    const startTotal = this.length;
    write();
    const head = varintLength(this.length - startTotal);
    const body = this.length - startTotal;
    const end = this.#length;
    this.#reserve(MAX_VARINT);
    this.#bytes.copyWithin(start + head, start, end);
    this.#length = start;
    this.varint(body);
    this.#length = end + head;
    for (let i = startSpans; i < this.#spans.length; i++) this.#spans[i].at += head;
  }
}

function varintLength(value: number): number {
  let length = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) length++;
  return length;
}
