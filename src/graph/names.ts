/**
 * Names in use in a graph and all graphs inside it. ONNX wants value names unique over the whole tree, so a fresh
 * name is fresh everywhere. Names are never given back: a removed value's name may still be seen in a log.
 */
export class NameTable {
  readonly #taken = new Set<string>();
  /** Next number to try for a base, so that n fresh names of one base cost n steps, not n². */
  readonly #next = new Map<string, number>();

  add(name: string): void {
    this.#taken.add(name);
  }

  has(name: string): boolean {
    return this.#taken.has(name);
  }

  /** `base` if free, else `base_1`, `base_2`, ...; the name is taken from then on. */
  fresh(base: string): string {
    let name = base;
    let next = this.#next.get(base) ?? 1;
    while (name === '' || this.#taken.has(name)) name = `${base}_${next++}`;
    this.#next.set(base, next);
    this.#taken.add(name);
    return name;
  }
}
