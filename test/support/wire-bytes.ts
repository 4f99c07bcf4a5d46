/** Protobuf written field by field, for files that no library would write. */

/** Grows by doubling; fields are put behind one another. */
export class Bytes {
  #bytes = new Uint8Array(48);
  length = 0;

  get view(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }

  byte(value: number): void {
    if (this.length === this.#bytes.length) this.#grow(1);
    this.#bytes[this.length++] = value;
  }

  varint(value: number): void {
    let rest = value;
    for (; rest >= 128; rest = Math.floor(rest / 128)) this.byte((rest & 127) | 128);
    this.byte(rest);
  }

  raw(bytes: Uint8Array): void {
    if (this.length + bytes.length > this.#bytes.length) this.#grow(bytes.length);
    this.#bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  /** Tag, length and bytes. */
  field(number: number, body: Uint8Array | string): void {
    const bytes = typeof body === 'string' ? ENCODER.encode(body) : body;
    this.varint(number * 8 + 2);
    this.varint(bytes.length);
    this.raw(bytes);
  }

  int(number: number, value: number): void {
    this.varint(number * 8);
    this.varint(value);
  }

  #grow(count: number): void {
    const larger = new Uint8Array(Math.max(this.length + count, 2 * this.#bytes.length));
    larger.set(this.view);
    this.#bytes = larger;
  }
}

const ENCODER = new TextEncoder();

/** Calls `add` until `bytes` are there. */
export function filled(bytes: number, add: (out: Bytes, index: number) => void): Uint8Array {
  const out = new Bytes();
  for (let i = 0; out.length < bytes; i++) add(out, i);
  return out.view;
}

export function message(write: (out: Bytes) => void): Uint8Array {
  const out = new Bytes();
  write(out);
  return out.view;
}

/** Short names: letters and digits, the shortest first. */
export const nameOf = (index: number): string => index.toString(36);
