/** Whether a node can compute in integers, by what it is and what it reads: the first of the questions in select.ts. */
import type { ElementType } from '../graph/element-type.ts';
import type { Node } from '../graph/node.ts';
import type { Value } from '../graph/value.ts';
import type { ElementTypes } from '../passes/infer-element-types.ts';
import { emptyReason } from './constants.ts';
import { comparisonAdvice } from './ops/comparison.ts';
import { floatReason, policyOf, type Coverage } from './ops/index.ts';
import { isRefusal, KEEP, type InputRole, type OpPlan, type OpPolicy } from './ops/policy.ts';

export interface SelectedNode {
  readonly policy: OpPolicy;
  readonly plan: OpPlan;
}

export interface Wishes {
  /** True if the configuration wants this node; a string says why not. */
  readonly wants: (node: Node) => true | string;
  /** True if it names this very node, so that advice to leave it in float is not taken. */
  readonly insists: (node: Node) => boolean;
  /** Default 'kernels'. With 'all' carriers are quantized wherever they stand, and outputs keep no float form. */
  readonly coverage?: Coverage;
}

/** What is around a node. */
export interface Surroundings {
  readonly opset: number;
  readonly types: ElementTypes;
  /** Whether a value has codes. */
  readonly hasCodes: (value: Value) => boolean;
}

/** What the node becomes, or why it stays in float. */
export function consider(
  node: Node,
  { wants, insists, coverage }: Wishes,
  { opset, types, hasCodes }: Surroundings,
): SelectedNode | string {
  const policy = policyOf(node, coverage);
  if (policy === undefined) return floatReason(node);
  const decision = wants(node);
  if (decision !== true) return decision;
  const planned = policy.plan(node, opset);
  if (isRefusal(planned)) return planned.reason;
  const plan = withoutIntegers(node, planned, types);
  const empty = emptyConstant(node, plan);
  if (empty !== undefined) return empty;
  const type = dataType(node, plan, types);
  if (type !== 'float32') return `its data is ${type ?? 'of unknown type'}, not float32`;
  const advice = plan.advice ?? comparisonAdvice(node);
  if (advice !== undefined && !insists(node)) return advice;
  const everywhere = policy.kind === 'compute' || plan.always === true || coverage === 'all';
  if (!everywhere && !readsCodes(node, plan, hasCodes)) return 'its input is float';
  return { policy, plan };
}

/** Element type of what the node computes on: the first operand that is known tells, since all have the same. */
function dataType(node: Node, plan: OpPlan, types: ElementTypes): ElementType | undefined {
  return node.inputs
    .filter((_input, index) => plan.inputs[index]?.kind !== 'keep')
    .map((input) => input && types.get(input))
    .find((type) => type !== undefined);
}

/** Operands after the first may be integers already, as the exponent of Pow: they have no grid. */
function withoutIntegers(node: Node, plan: OpPlan, types: ElementTypes): OpPlan {
  const inputs = plan.inputs.map((role, index): InputRole => {
    const input = node.inputs[index];
    const type = index > 0 && role.kind === 'activation' && input && types.get(input);
    return type && type !== 'float32' ? KEEP : role;
  });
  return { ...plan, inputs };
}

function readsCodes(node: Node, plan: OpPlan, hasCodes: (value: Value) => boolean): boolean {
  return node.inputs.some(
    (input, index) => input !== undefined && plan.inputs[index]?.kind === 'activation' && hasCodes(input),
  );
}

/** Nothing can be said of the range of an empty constant. */
function emptyConstant(node: Node, { inputs }: OpPlan): string | undefined {
  return node.inputs
    .filter((_input, index) => inputs[index] !== undefined && inputs[index].kind !== 'keep')
    .map((input) => input && emptyReason(input))
    .find((reason) => reason !== undefined);
}
