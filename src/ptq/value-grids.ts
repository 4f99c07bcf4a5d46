/** Which grid each value of a graph has, and in which one each reader takes it. */
import type { Node } from '../graph/node.ts';
import type { Value } from '../graph/value.ts';
import { outputOf } from '../passes/access.ts';
import { computingReaders, readConversions } from './conversions.ts';
import type { ActivationGrid, CodeDType } from './emit.ts';
import { readGrids } from './grids.ts';
import { codeDType } from './observer-spec.ts';
import type { Plan } from './plan.ts';
import type { Selection } from './select.ts';

/** A grid, and the value that it was observed of. */
export interface KnownGrid {
  readonly root: string;
  readonly grid: ActivationGrid;
}

export class ValueGrids {
  /** A clamp that is absorbed hands its grid to the op before it. */
  readonly #of = new Map<Value, KnownGrid>();
  readonly #selection: Selection;
  readonly #shared: Plan['shared'];
  readonly #conversions: ReadonlyMap<string, readonly ActivationGrid[]>;
  /** What each node computes in; empty where all values are read as they are. */
  readonly #dtypes: ReadonlyMap<Node, CodeDType>;
  /** The grids in use, by the value that was observed. */
  readonly used = new Map<string, ActivationGrid>();

  constructor(selection: Selection, plan: Plan) {
    this.#selection = selection;
    this.#shared = plan.shared;
    const grids = readGrids(plan);
    this.#conversions = readConversions(plan, grids);
    this.#dtypes = this.#conversions.size === 0 ? new Map() : dtypesOf(selection, plan);
    for (const [value, root] of selection.grids) {
      const grid = grids.get(root.name) ?? grids.get(this.#sharer(root.name));
      if (grid !== undefined) this.#set(value, root, grid);
    }
  }

  /** Where a node before it is left in float after all, a value is its own root that shared one in the plan. */
  #sharer(root: string): string {
    return this.#shared[root] ?? '';
  }

  #set(value: Value, root: Value, grid: ActivationGrid): void {
    this.#of.set(value, { root: root.name, grid });
    this.used.set(root.name, grid);
  }

  get all(): Iterable<[Value, KnownGrid]> {
    return this.#of;
  }

  get(value: Value): KnownGrid | undefined {
    return this.#of.get(value);
  }

  /** Rows of a table have the grid of the table, and so has everything that shares theirs. */
  setTable(root: Value, grid: ActivationGrid): void {
    for (const [value, itsRoot] of this.#selection.grids) {
      if (itsRoot === root) this.#set(value, root, grid);
    }
  }

  /** `to` has the grid of `from` from now on, too. */
  share(from: Value, to: Value): void {
    const known = this.#of.get(from);
    if (known !== undefined) this.#of.set(to, known);
  }

  /** `to` has the grid of `from` from now on, which is gone. */
  move(from: Value, to: Value): void {
    this.share(from, to);
    this.#of.delete(from);
  }

  /** The grid in which `reader` takes the value: another one than the value's if it computes in another type. */
  forReader(value: Value, reader: Node): ActivationGrid | undefined {
    for (const [grid, readers] of this.conversions(value)) if (readers.includes(reader)) return grid;
    return this.#of.get(value)?.grid;
  }

  /** The other grids in which the value is read, and by whom. */
  conversions(value: Value): ReadonlyMap<ActivationGrid, readonly Node[]> {
    const readers = new Map<ActivationGrid, Node[]>();
    const known = this.#of.get(value);
    if (known === undefined) return readers;
    const { root, grid } = known;
    const others = this.#conversions.get(root) ?? this.#conversions.get(this.#sharer(root)) ?? [];
    if (others.length === 0) return readers;
    for (const node of computingReaders(value, this.#selection)) {
      const dtype = this.#dtypes.get(node);
      const other = others.find((candidate) => candidate.dtype === dtype && dtype !== grid.dtype);
      if (other !== undefined) readers.set(other, [...(readers.get(other) ?? []), node]);
    }
    return readers;
  }
}

/** By node, since names of outputs move when a clamp is absorbed. */
function dtypesOf({ nodes }: Selection, plan: Plan): ReadonlyMap<Node, CodeDType> {
  const byOutput = new Map(plan.nodes.map(({ output, activation }) => [output, activation]));
  const dtypes = new Map<Node, CodeDType>();
  for (const node of nodes.keys()) {
    const spec = byOutput.get(outputOf(node).name);
    if (spec !== undefined) dtypes.set(node, codeDType(spec));
  }
  return dtypes;
}
