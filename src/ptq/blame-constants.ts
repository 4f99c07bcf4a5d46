/**
 * NaN in the values of a model may come from its constants: what a weight with NaN gives is NaN, whatever the data.
 * Looked into only when a range could not be had, and then only at what the value is computed from.
 */
import { CalibrationError } from '../errors.ts';
import type { Model } from '../graph/model.ts';
import type { Node } from '../graph/node.ts';
import type { Value } from '../graph/value.ts';
import { loadOperand, loadWeight } from './constants.ts';
import { policyOf } from './ops/index.ts';
import { isRefusal } from './ops/policy.ts';

/** Codes of what NaN and infinities in constants look like in the values behind them. */
const SYMPTOMS: ReadonlySet<string> = new Set(['CALIBRATION_NAN', 'CALIBRATION_EMPTY']);

/**
 * The error of the first constant in the graph's order that holds NaN, or of the first weight with an infinity, if `error` may
 * be due to one; else `error` itself. Looks at what `value` is computed from, or at the whole graph without it.
 */
export async function blamed(error: unknown, model: Model | undefined, value?: string): Promise<unknown> {
  if (model === undefined || !(error instanceof CalibrationError && SYMPTOMS.has(error.code))) return error;
  try {
    for (const node of nodesBehind(model, value)) await checkConstants(node, model.opset);
    return error;
  } catch (found) {
    return found;
  }
}

/** Nodes that the value is computed from, in the graph's order, those in bodies among them. */
function nodesBehind({ graph }: Model, name: string | undefined): readonly Node[] {
  const nodes = [...graph.allNodes()];
  if (name === undefined) return nodes;
  const behind = new Set<Node>();
  const open: (Node | undefined)[] = [graph.value(name)?.producer];
  for (let node = open.pop(); node !== undefined || open.length > 0; node = open.pop()) {
    if (node === undefined || behind.has(node)) continue;
    behind.add(node);
    for (const input of node.inputs) open.push(input?.producer);
    for (const body of node.subgraphs) open.push(...body.nodes);
  }
  return nodes.filter((node) => behind.has(node));
}

async function checkConstants(node: Node, opset: number): Promise<void> {
  const weights = weightsOf(node, opset);
  for (const [index, input] of node.inputs.entries()) {
    if (input?.constant === undefined || !isFloat(input)) continue;
    await (weights.has(index) ? loadWeight(input) : loadOperand(input));
  }
}

/** Indices of inputs that are weights. Infinities elsewhere are masks and bounds. */
function weightsOf(node: Node, opset: number): ReadonlySet<number> {
  const plan = policyOf(node, 'all')?.plan(node, opset);
  if (plan === undefined || isRefusal(plan)) return new Set();
  return new Set(plan.inputs.flatMap(({ kind }, index) => (kind === 'weight' ? [index] : [])));
}

function isFloat({ elementType }: Value): boolean {
  return elementType === 'float32' || elementType === 'float16' || elementType === 'bfloat16';
}
