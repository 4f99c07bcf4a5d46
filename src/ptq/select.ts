/**
 * Which nodes compute in integers. Three questions, in this order:
 *
 * 1. Forward: has the op a policy, does the QConfigMapping want it, is its data float32, and (for ops that only carry
 *    integers on) is its input quantized already?
 * 2. Backward: an op with a float form of its output (Gemm) keeps it unless somebody after it computes in integers;
 *    carriers between it and the end of the graph then have nothing to carry.
 * 3. Fusion: a Relu or Clip that alone reads a quantized op's output belongs to that op.
 */
import type { ElementType } from '../graph/element-type.ts';
import type { Graph } from '../graph/graph.ts';
import type { Node } from '../graph/node.ts';
import type { Value } from '../graph/value.ts';
import type { Model } from '../graph/model.ts';
import { inferElementTypes, type ElementTypes } from '../passes/infer-element-types.ts';
import type { SkippedNode } from '../passes/pass.ts';
import { policyOf } from './ops/index.ts';
import { isRefusal, type OpPlan, type OpPolicy } from './ops/policy.ts';

export interface SelectedNode {
  readonly policy: OpPolicy;
  readonly plan: OpPlan;
}

export interface Selection {
  /** In the order of the graph. */
  readonly nodes: ReadonlyMap<Node, SelectedNode>;
  /** Relu or Clip → the op whose saturation it is. */
  readonly fused: ReadonlyMap<Node, Node>;
  /** Values with a grid, each mapped to the value whose range it has (itself, or the input of a reshape, ...). */
  readonly grids: ReadonlyMap<Value, Value>;
  readonly skipped: readonly SkippedNode[];
}

/** True if the configuration wants this node; a string says why not. */
export type Wanted = (node: Node) => true | string;

/** Ops that hold or describe data and are never worth a line in a report. */
const SILENT = new Set(['Constant', 'Shape', 'Size', 'ConstantOfShape']);

export function selectNodes(model: Model, wanted: Wanted): Selection {
  const state = new SelectionState(model.graph, inferElementTypes(model.graph));
  for (const node of model.graph.nodes) state.visit(node, model.opset, wanted);
  state.dropIdle();
  return state.finish();
}

class SelectionState {
  readonly #graph: Graph;
  readonly #types: ElementTypes;
  readonly #nodes = new Map<Node, SelectedNode>();
  readonly #skipped = new Map<Node, string>();
  readonly #gridded = new Set<Value>();

  constructor(graph: Graph, types: ElementTypes) {
    this.#graph = graph;
    this.#types = types;
  }

  visit(node: Node, opset: number, wanted: Wanted): void {
    const selected = this.#consider(node, opset, wanted);
    if (typeof selected === 'string') {
      if (!SILENT.has(node.opType)) this.#skipped.set(node, selected);
      return;
    }
    this.#nodes.set(node, selected);
    selected.plan.inputs.forEach((role, index) => {
      const input = node.inputs[index];
      if (role.kind === 'activation' && input !== undefined && !isFixed(input)) this.#gridded.add(input);
    });
    const [output] = node.outputs;
    if (output !== undefined) this.#gridded.add(output);
  }

  #consider(node: Node, opset: number, wanted: Wanted): SelectedNode | string {
    const policy = policyOf(node);
    if (policy === undefined) return `no integer form of ${node.qualifiedOp} is known here`;
    const decision = wanted(node);
    if (decision !== true) return decision;
    const plan = policy.plan(node, opset);
    if (isRefusal(plan)) return plan.reason;
    const type = this.#dataType(node, plan);
    if (type !== 'float32') return `its data is ${type ?? 'of unknown type'}, not float32`;
    if (policy.kind !== 'compute' && !this.#readsGrid(node, plan)) return 'its input is float';
    return { policy, plan };
  }

  /** Element type of what the node computes on: the first operand that is known tells, since all have the same. */
  #dataType(node: Node, plan: OpPlan): ElementType | undefined {
    return node.inputs
      .filter((_input, index) => plan.inputs[index]?.kind !== 'keep')
      .map((input) => input && this.#types.get(input))
      .find((type) => type !== undefined);
  }

  #readsGrid(node: Node, plan: OpPlan): boolean {
    return node.inputs.some(
      (input, index) =>
        input !== undefined && plan.inputs[index]?.kind === 'activation' && this.#gridded.has(input),
    );
  }

  /** Backwards from the outputs: takes the grid off what nobody reads as integers. */
  dropIdle(): void {
    for (const [node, { policy, plan }] of [...this.#nodes].reverse()) {
      const [output] = node.outputs;
      if (output === undefined || this.#hasIntegerReader(output)) continue;
      if (plan.output === 'wide') this.#gridded.delete(output);
      else if (policy.kind !== 'compute' && this.#isWideChain(node)) {
        this.#nodes.delete(node);
        this.#gridded.delete(output);
        this.#skipped.set(node, 'nothing after it computes in integers, and before it float is to be had');
      }
    }
  }

  #hasIntegerReader(value: Value): boolean {
    return [...value.uses].some(({ node, index }) => {
      const reader = this.#nodes.get(node);
      if (reader?.plan.inputs[index]?.kind !== 'activation') return false;
      return node.outputs[0] !== undefined;
    });
  }

  /** True if following input 0 through carriers ends at an op with a float form of its output. */
  #isWideChain(node: Node): boolean {
    for (let at: Node | undefined = node; at !== undefined; at = at.inputs[0]?.producer) {
      const selected = this.#nodes.get(at);
      if (selected === undefined) return false;
      if (selected.plan.output === 'wide') return true;
      if (selected.policy.kind === 'compute' || !isOnlyReader(at)) return false;
    }
    return false;
  }

  finish(): Selection {
    const fused = this.#fuse();
    return {
      nodes: this.#nodes,
      fused,
      grids: this.#resolveGrids(),
      skipped: [...this.#skipped].map(([node, reason]) => ({
        node: node.label,
        opType: node.qualifiedOp,
        reason,
      })),
    };
  }

  #fuse(): Map<Node, Node> {
    const fused = new Map<Node, Node>();
    for (const [node, { policy }] of this.#nodes) {
      const [input] = node.inputs;
      const producer = input?.producer;
      if (policy.kind !== 'clamp' || input === undefined || producer === undefined || !isOnlyReader(node))
        continue;
      const before = this.#nodes.get(producer);
      // Behind a clamp that is fused itself there is no output grid of an op to saturate.
      if (before === undefined || before.plan.output === 'shared' || before.policy.kind === 'clamp') continue;
      fused.set(node, producer);
      this.#gridded.delete(input);
    }
    return fused;
  }

  #resolveGrids(): Map<Value, Value> {
    const grids = new Map<Value, Value>();
    for (const input of this.#graph.inputs) if (this.#gridded.has(input)) grids.set(input, input);
    for (const node of this.#graph.nodes) {
      for (const output of node.outputs) {
        if (output === undefined || !this.#gridded.has(output)) continue;
        const shares = this.#nodes.get(node)?.plan.output === 'shared' ? node.inputs[0] : undefined;
        grids.set(output, (shares && grids.get(shares)) ?? output);
      }
    }
    return grids;
  }
}

function isOnlyReader(node: Node): boolean {
  const [input] = node.inputs;
  return input !== undefined && !input.isOutput && input.uses.size === 1;
}

/** Constants get their grid from their own elements, not from calibration. */
function isFixed(value: Value): boolean {
  return value.constant !== undefined;
}
