/**
 * Which nodes compute in integers. Three questions, in this order:
 *
 * 1. Forward: has the op a policy, does the QConfigMapping want it, is its data float32, and (for ops that only carry
 *    integers on) has one of its inputs codes already?
 * 2. Backward: a carrier whose codes nobody reads is left in float, and an op with a float form of its output (Gemm)
 *    keeps it unless somebody after it computes in integers.
 * 3. Fusion: a Relu or Clip that alone reads a quantized op's output belongs to that op.
 */
import type { ElementType } from '../graph/element-type.ts';
import type { Graph } from '../graph/graph.ts';
import type { Node } from '../graph/node.ts';
import type { Value } from '../graph/value.ts';
import type { Model } from '../graph/model.ts';
import { inferElementTypes, type ElementTypes } from '../passes/infer-element-types.ts';
import type { SkippedNode } from '../passes/pass.ts';
import { emptyReason } from './constants.ts';
import { comparisonAdvice } from './ops/comparison.ts';
import { floatReason, policyOf, type Coverage } from './ops/index.ts';
import { isRefusal, KEEP, type InputRole, type OpPlan, type OpPolicy } from './ops/policy.ts';

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
  /** Values of {@link grids} whose codes come out of a constant: its grid is theirs, calibration has no part in it. */
  readonly tables: ReadonlySet<Value>;
  readonly skipped: readonly SkippedNode[];
}

export interface Wishes {
  /** True if the configuration wants this node; a string says why not. */
  readonly wants: (node: Node) => true | string;
  /** True if it names this very node, so that advice to leave it in float is not taken. */
  readonly insists: (node: Node) => boolean;
  /** Default 'kernels'. With 'all' carriers are quantized wherever they stand, and outputs keep no float form. */
  readonly coverage?: Coverage;
}

/** Ops that hold or describe data and are never worth a line in a report. */
const SILENT = new Set(['Constant', 'Shape', 'Size', 'ConstantOfShape']);

export function selectNodes(model: Model, wishes: Wishes): Selection {
  const state = new SelectionState(model.graph, inferElementTypes(model.graph));
  for (const node of model.graph.nodes) state.visit(node, model.opset, wishes);
  if (wishes.coverage !== 'all') state.dropIdle();
  return state.finish();
}

class SelectionState {
  readonly #graph: Graph;
  readonly #types: ElementTypes;
  readonly #nodes = new Map<Node, SelectedNode>();
  readonly #skipped = new Map<Node, string>();
  readonly #gridded = new Set<Value>();
  /** Outputs that keep the float form that their op has. */
  readonly #floatOutputs = new Set<Value>();

  constructor(graph: Graph, types: ElementTypes) {
    this.#graph = graph;
    this.#types = types;
  }

  visit(node: Node, opset: number, wishes: Wishes): void {
    const selected = this.#consider(node, opset, wishes);
    if (typeof selected === 'string') {
      if (!SILENT.has(node.opType)) this.#skipped.set(node, selected);
      return;
    }
    this.#nodes.set(node, selected);
    this.#markGridded(node, selected);
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

  #consider(node: Node, opset: number, { wants, insists, coverage }: Wishes): SelectedNode | string {
    const policy = policyOf(node, coverage);
    if (policy === undefined) return floatReason(node);
    const decision = wants(node);
    if (decision !== true) return decision;
    const planned = policy.plan(node, opset);
    if (isRefusal(planned)) return planned.reason;
    const plan = this.#withoutIntegers(node, planned);
    const empty = emptyConstant(node, plan);
    if (empty !== undefined) return empty;
    const type = this.#dataType(node, plan);
    if (type !== 'float32') return `its data is ${type ?? 'of unknown type'}, not float32`;
    const advice = plan.advice ?? comparisonAdvice(node);
    if (advice !== undefined && !insists(node)) return advice;
    const everywhere = policy.kind === 'compute' || plan.always === true || coverage === 'all';
    if (!everywhere && !this.#readsGrid(node, plan)) {
      return 'its input is float';
    }
    return { policy, plan };
  }

  /** Element type of what the node computes on: the first operand that is known tells, since all have the same. */
  #dataType(node: Node, plan: OpPlan): ElementType | undefined {
    return node.inputs
      .filter((_input, index) => plan.inputs[index]?.kind !== 'keep')
      .map((input) => input && this.#types.get(input))
      .find((type) => type !== undefined);
  }

  /** Operands after the first may be integers already, as the exponent of Pow: they have no grid. */
  #withoutIntegers(node: Node, plan: OpPlan): OpPlan {
    const inputs = plan.inputs.map((role, index): InputRole => {
      const input = node.inputs[index];
      const type = index > 0 && role.kind === 'activation' && input && this.#types.get(input);
      return type && type !== 'float32' ? KEEP : role;
    });
    return { ...plan, inputs };
  }

  #readsGrid(node: Node, plan: OpPlan): boolean {
    return node.inputs.some(
      (input, index) =>
        input !== undefined && plan.inputs[index]?.kind === 'activation' && this.#gridded.has(input),
    );
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

/** The outputs that get codes: all where they are the input's, else the first. */
function codedOutputs(node: Node, { output }: OpPlan): readonly Value[] {
  const outputs = node.outputs.filter((value) => value !== undefined);
  return output === 'shared' ? outputs : outputs.slice(0, 1);
}

/** Nothing can be said of the range of an empty constant. */
function emptyConstant(node: Node, { inputs }: OpPlan): string | undefined {
  return node.inputs
    .filter((_input, index) => inputs[index] !== undefined && inputs[index].kind !== 'keep')
    .map((input) => input && emptyReason(input))
    .find((reason) => reason !== undefined);
}

function isOnlyReader(node: Node): boolean {
  const [input] = node.inputs;
  return input !== undefined && !input.isOutput && input.uses.size === 1;
}

/** Constants get their grid from their own elements, not from calibration. */
function isFixed(value: Value): boolean {
  return value.constant !== undefined;
}
