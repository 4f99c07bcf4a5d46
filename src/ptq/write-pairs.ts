/** QuantizeLinear and DequantizeLinear behind every value with a grid: one pair for all readers, or one for each. */
import type { Node } from '../graph/node.ts';
import type { Value } from '../graph/value.ts';
import type { ActivationGrid, Emitter, GridValues } from './emit.ts';
import type { QuantizedValue } from './report.ts';
import type { Selection } from './select.ts';
import type { KnownGrid, ValueGrids } from './value-grids.ts';

/** Gives the grids of readers that take a value in another type. */
export function writePairs(
  emitter: Emitter,
  selection: Selection,
  grids: ValueGrids,
  dedicated: boolean,
): readonly QuantizedValue[] {
  const writer = new PairWriter(emitter, selection, grids);
  for (const [value, known] of grids.all) {
    const own = dedicated ? [...value.consumers].filter((node) => selection.nodes.has(node)) : [];
    if (own.length > 1) writer.dedicated(value, known, own);
    else writer.shared(value, known);
  }
  return writer.converted;
}

class PairWriter {
  readonly #emitter: Emitter;
  readonly #selection: Selection;
  readonly #grids: ValueGrids;
  /** The initializers of each grid: those that share one share them. */
  readonly #values = new Map<string, GridValues>();
  readonly converted: QuantizedValue[] = [];

  constructor(emitter: Emitter, selection: Selection, grids: ValueGrids) {
    this.#emitter = emitter;
    this.#selection = selection;
    this.#grids = grids;
  }

  /** A pair for each reader; everything else takes the value as it is. */
  dedicated(value: Value, { root, grid }: KnownGrid, readers: readonly Node[]): void {
    const conversions = this.#grids.conversions(value);
    this.#report(root, conversions);
    for (const reader of readers) {
      const other = [...conversions].find(([, nodes]) => nodes.includes(reader))?.[0];
      const values = this.#valuesOf(root, other ?? grid);
      this.#emitter.pair(value, values, { readers: (node) => node === reader, outputs: false });
    }
  }

  /** One pair; behind it, or beside it where the value is computed in float, one for each other type. */
  shared(value: Value, { root, grid }: KnownGrid): void {
    const { nodes } = this.#selection;
    const conversions = this.#grids.conversions(value);
    this.#report(root, conversions);
    const converting = new Set([...conversions.values()].flat());
    // What computes in float may as well be read in float: only quantized readers go through the pair then.
    const fromFloat = value.producer === undefined || !nodes.has(value.producer);
    const readers = (node: Node): boolean => !converting.has(node) && (!fromFloat || nodes.has(node));
    const values = this.#valuesOf(root, grid);
    const pair = this.#emitter.pair(value, values, { readers, outputs: !fromFloat });
    for (const [other, itsNodes] of conversions) {
      const own = (node: Node): boolean => itsNodes.includes(node);
      const to = this.#valuesOf(root, other);
      if (fromFloat) this.#emitter.pair(value, to, { readers: own, outputs: false });
      else this.#emitter.convert(pair, to, own);
    }
  }

  #valuesOf(root: string, grid: ActivationGrid): GridValues {
    const key = `${grid.dtype} ${root}`;
    const values = this.#values.get(key) ?? this.#emitter.grid(root, grid);
    this.#values.set(key, values);
    return values;
  }

  #report(name: string, conversions: ReadonlyMap<ActivationGrid, readonly Node[]>): void {
    for (const [grid, nodes] of conversions) {
      this.converted.push({ name, ...grid, readers: nodes.map(({ label }) => label) });
    }
  }
}
