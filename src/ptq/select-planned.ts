/** The nodes of a plan, found again in the model at conversion, but for those that calibration spoke against. */
import { GraphError } from '../errors.ts';
import type { Model } from '../graph/model.ts';
import { outputOf } from '../passes/access.ts';
import type { SkippedNode } from '../passes/pass.ts';
import { maskedNodes } from './masked-nodes.ts';
import type { Plan, PlannedNode } from './plan.ts';
import { selectNodes, type Selection } from './select.ts';

export interface PlannedSelection {
  readonly selection: Selection;
  /** The nodes of the plan that are quantized. */
  readonly quantized: readonly PlannedNode[];
  /** Nodes of the plan that are left in float, with the reason. */
  readonly skipped: readonly SkippedNode[];
}

/** @throws GraphError GRAPH_INVALID if the plan was made from another model */
export function selectPlanned(model: Model, plan: Plan): PlannedSelection {
  const whole = select(model, plan, new Map());
  checkSelection(whole, plan);
  const masked = maskedNodes(model.graph, plan);
  if (masked.size === 0) return { selection: whole, quantized: plan.nodes, skipped: [] };
  const selection = select(model, plan, masked);
  const kept = new Set([...selection.nodes.keys()].map((node) => outputOf(node).name));
  const before = new Set(whole.skipped.map(({ node }) => node));
  return {
    selection,
    quantized: plan.nodes.filter(({ output }) => kept.has(output)),
    skipped: selection.skipped.filter(({ node }) => !before.has(node)),
  };
}

/** Nodes that policies advise against are in a plan only if they were named. */
function select(model: Model, plan: Plan, left: ReadonlyMap<string, string>): Selection {
  const planned = new Set(plan.nodes.map(({ output }) => output));
  return selectNodes(model, {
    wants(node) {
      const name = node.outputs[0]?.name ?? '';
      return planned.has(name) ? (left.get(name) ?? true) : 'not in the plan';
    },
    insists: () => true,
    ...(plan.coverage && { coverage: plan.coverage }),
  });
}

function checkSelection(selection: Selection, plan: Plan): void {
  if (selection.nodes.size === plan.nodes.length) return;
  throw new GraphError(
    `convert: expected the model that the plan was made from (${plan.nodes.length} nodes), got one in which ` +
      `${selection.nodes.size} of them are found`,
    { code: 'GRAPH_INVALID', hint: 'Pass the same model, after the same passes, to prepare and convert.' },
  );
}
