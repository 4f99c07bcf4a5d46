/**
 * Which nodes compute in integers. Three questions, in this order:
 *
 * 1. Forward: has the op a policy, does the QConfigMapping want it, is its data float32, and (for ops that only carry
 *    integers on) has one of its inputs codes already?
 * 2. Backward: a carrier whose codes nobody reads is left in float, and an op with a float form of its output (Gemm)
 *    keeps it unless somebody after it computes in integers.
 * 3. Fusion: a Relu or Clip that alone reads a quantized op's output belongs to that op.
 */
import type { Graph } from '../graph/graph.ts';
import type { Node } from '../graph/node.ts';
import type { Value } from '../graph/value.ts';
import type { Model } from '../graph/model.ts';
import { inferElementTypes } from '../passes/infer-element-types.ts';
import type { SkippedNode } from '../passes/pass.ts';
import { consider, type SelectedNode, type Surroundings, type Wishes } from './consider.ts';
import type { OpPlan, OpPolicy } from './ops/policy.ts';
import { skipBodies } from './skip-bodies.ts';

export interface Selection {
  /** In the order of the graph. */
  readonly nodes: ReadonlyMap<Node, SelectedNode>;
  /** Relu or Clip → the op whose saturation it is. */
  readonly fused: ReadonlyMap<Node, Node>;
  /** Values with a grid, each mapped to the value whose range it has (itself, or the input of a reshape, ...). */
  readonly grids: ReadonlyMap<Value, Value>;
  /** Values of {@link grids} whose codes come out of a constant: its grid is theirs, calibration has no part in it. */
  readonly tables: ReadonlySet<Value>;
  readonly skipped: readonly SkippedNode[];
}

/** Ops that hold or describe data and are never worth a line in a report. */
const SILENT = new Set(['Constant', 'Shape', 'Size', 'ConstantOfShape']);

export function selectNodes(model: Model, wishes: Wishes): Selection {
  const state = new SelectionState(model);
  for (const node of model.graph.nodes) state.visit(node, wishes);
  if (wishes.coverage !== 'all') state.dropIdle();
  state.skipBodies(wishes);
  return state.finish();
}

class SelectionState {
  readonly #graph: Graph;
  readonly #surroundings: Surroundings;
  readonly #nodes = new Map<Node, SelectedNode>();
  readonly #skipped = new Map<Node, string>();
  readonly #gridded = new Set<Value>();
  /** Outputs that keep the float form that their op has. */
  readonly #floatOutputs = new Set<Value>();

  constructor({ graph, opset }: Model) {
    this.#graph = graph;
    const hasCodes = (value: Value): boolean => this.#gridded.has(value);
    this.#surroundings = { opset, types: inferElementTypes(graph), hasCodes };
  }

  visit(node: Node, wishes: Wishes): void {
    const selected = consider(node, wishes, this.#surroundings);
    if (typeof selected === 'string') return this.#skip(node, selected);
    this.#nodes.set(node, selected);
    this.#markGridded(node, selected);
  }

  #skip(node: Node, reason: string): void {
    if (!SILENT.has(node.opType)) this.#skipped.set(node, reason);
  }

  skipBodies(wishes: Wishes): void {
    for (const [node, reason] of skipBodies(this.#graph, wishes, this.#surroundings))
      this.#skip(node, reason);
  }

  #markGridded(node: Node, { plan }: SelectedNode): void {
    plan.inputs.forEach((role, index) => {
      const input = node.inputs[index];
      if (role.kind === 'activation' && input !== undefined && !isFixed(input)) this.#gridded.add(input);
    });
    for (const output of codedOutputs(node, plan)) {
      if (!this.#floatOutputs.has(output)) this.#gridded.add(output);
    }
  }

  /** Backwards from the outputs: takes out what nobody reads as integers. */
  dropIdle(): void {
    for (const [node, { policy, plan }] of [...this.#nodes].reverse()) {
      const outputs = codedOutputs(node, plan);
      if (outputs.some((output) => this.#hasIntegerReader(output))) continue;
      if (plan.output === 'wide') outputs.forEach((output) => this.#floatOutputs.add(output));
      else if (plan.always !== true && this.#isIdle(node, policy)) {
        this.#nodes.delete(node);
        this.#skipped.set(node, 'nothing after it computes in integers');
      }
    }
    // A value may have had its grid only for a node that is gone.
    this.#gridded.clear();
    for (const [node, selected] of this.#nodes) this.#markGridded(node, selected);
  }

  /** A Relu or Clip ends the range of the op before it, and costs nothing, unless that op has a float form. */
  #isIdle(node: Node, policy: OpPolicy): boolean {
    return policy.kind === 'carry' || (policy.kind === 'clamp' && this.#isWideChain(node));
  }

  #hasIntegerReader(value: Value): boolean {
    return [...value.uses].some(
      ({ node, index }) => this.#nodes.get(node)?.plan.inputs[index]?.kind === 'activation',
    );
  }

  /** True if following input 0 through clamps and carriers ends at an op with a float form of its output. */
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
    const grids = this.#resolveGrids();
    return {
      nodes: this.#nodes,
      fused,
      grids,
      tables: new Set([...grids.values()].filter((root) => this.#isTable(root))),
      skipped: [...this.#skipped].map(([node, reason]) => ({
        node: node.label,
        opType: node.qualifiedOp,
        reason,
      })),
    };
  }

  #isTable({ producer }: Value): boolean {
    const plan = producer && this.#nodes.get(producer)?.plan;
    const [input] = producer?.inputs ?? [];
    return plan?.output === 'shared' && input !== undefined && isFixed(input);
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
      // A grid that is said by the op is the only one that its kernel is made for.
      if (before.plan.range !== undefined) continue;
      fused.set(node, producer);
      this.#gridded.delete(input);
    }
    return fused;
  }

  #resolveGrids(): Map<Value, Value> {
    const grids = new Map<Value, Value>();
    for (const input of this.#graph.inputs) if (this.#gridded.has(input)) grids.set(input, input);
    for (const node of this.#graph.nodes) {
      const shares = this.#nodes.get(node)?.plan.output === 'shared' ? node.inputs[0] : undefined;
      const root = shares && grids.get(shares);
      for (const output of node.outputs) {
        if (output !== undefined && this.#gridded.has(output)) grids.set(output, root ?? output);
      }
    }
    return grids;
  }
}

/** The outputs that get codes: all where they are the input's, else the first, unless the plan says how many. */
function codedOutputs(node: Node, { output, coded }: OpPlan): readonly Value[] {
  const count = coded ?? (output === 'shared' ? node.outputs.length : 1);
  return node.outputs.slice(0, count).filter((value) => value !== undefined);
}

function isOnlyReader(node: Node): boolean {
  const [input] = node.inputs;
  return input !== undefined && !input.isOutput && input.uses.size === 1;
}

/** Constants get their grid from their own elements, not from calibration. */
function isFixed(value: Value): boolean {
  return value.constant !== undefined;
}
