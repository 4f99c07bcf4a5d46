/**
 * Neighbours with different types. A node computes in one type: what it reads in another one is converted, DequantizeLinear →
 * QuantizeLinear, with a range that the reader's observer finds. Ops that move codes take them as they are.
 */
import type { Node } from '../graph/node.ts';
import type { Value } from '../graph/value.ts';
import type { ActivationGrid } from './emit.ts';
import { codeDType } from './observer-spec.ts';
import type { ObserverSpec, Plan, PlannedActivation } from './plan.ts';
import type { Selection } from './select.ts';

type Activations = Record<string, PlannedActivation>;

/** The selected nodes that read codes of `value` to compute with them, in the order in which they came about. */
export function computingReaders({ uses }: Value, { nodes }: Selection): Node[] {
  const readers = [...uses].filter(({ node, index }) => {
    const plan = nodes.get(node)?.plan;
    return plan?.inputs[index]?.kind === 'activation' && plan.output !== 'shared';
  });
  return [...new Set(readers.map(({ node }) => node))];
}

/** `activations` and, behind them, an observer for each other type in which a value is read; `specOf` is a node's. */
export function withConversions(
  activations: Activations,
  selection: Selection,
  specOf: (node: Node) => ObserverSpec,
): Activations {
  const all: Activations = { ...activations };
  const done = new Set<string>();
  for (const [value, root] of selection.grids) {
    const planned = activations[root.name];
    if (planned === undefined) continue;
    for (const reader of computingReaders(value, selection)) {
      const spec = specOf(reader);
      const dtype = codeDType(spec);
      const what = JSON.stringify([root.name, dtype]);
      if (dtype === codeDType(planned.spec) || done.has(what)) continue;
      done.add(what);
      all[freeKey(`${root.name} as ${dtype}`, all)] = { ...planned, spec, value: root.name };
    }
  }
  return all;
}

/** A value may be named so. */
function freeKey(base: string, taken: Activations): string {
  let key = base;
  while (Object.hasOwn(taken, key)) key += "'";
  return key;
}

/** Those of `grids` that {@link withConversions} planned, by the value that was observed. */
export function readConversions(
  plan: Plan,
  grids: ReadonlyMap<string, ActivationGrid>,
): ReadonlyMap<string, readonly ActivationGrid[]> {
  const byValue = new Map<string, ActivationGrid[]>();
  for (const [key, grid] of grids) {
    const { value } = plan.activations[key];
    if (value !== undefined) byValue.set(value, [...(byValue.get(value) ?? []), grid]);
  }
  return byValue;
}
