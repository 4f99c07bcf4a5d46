/**
 * FNV-1a (Fowler, Noll, Vo), two lanes of 32 bits with different starts: h = (h ^ byte)·16777619. Tells contents apart by
 * mistake, not forged ones; `crypto.subtle` would do so, but is missing on pages without TLS.
 */
export class Fnv {
  #a = 0x811c9dc5;
  #b = 0x050c5d1f;

  text(text: string): void {
    this.bytes(new TextEncoder().encode(`${text}\n`));
  }

  bytes(bytes: Uint8Array): void {
    let [a, b] = [this.#a, this.#b];
    for (const byte of bytes) {
      a = Math.imul(a ^ byte, 16777619);
      b = Math.imul(b ^ byte ^ 0x5a, 16777619);
    }
    [this.#a, this.#b] = [a, b];
  }

  digest(): string {
    return [this.#a, this.#b].map((lane) => (lane >>> 0).toString(16).padStart(8, '0')).join('');
  }
}
