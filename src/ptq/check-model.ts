/** What a model must not be when quantization starts, and what must have come of it. */
import { GraphError } from '../errors.ts';
import type { Graph } from '../graph/graph.ts';
import type { Model } from '../graph/model.ts';
import type { Node } from '../graph/node.ts';
import type { SkippedNode } from '../passes/pass.ts';

const QUANTIZED_OPS =
  /^(QuantizeLinear|DynamicQuantizeLinear|MatMulInteger|ConvInteger|QLinear.+|QGemm|MatMulNBits|MatMulBnb4|GatherBlockQuantized|DynamicQuantizeLSTM|QAttention|QEmbedLayerNormalization)$/;

/** DequantizeLinear of a constant is a weight that was quantized; of a graph input it only scales what comes in. */
function isQuantized({ opType, inputs }: Node): boolean {
  return QUANTIZED_OPS.test(opType) || (opType === 'DequantizeLinear' && inputs[0]?.constant !== undefined);
}

/** How often each operator stands in a model that computes with integers, or stores weights as such. */
export function quantizedOps(model: Model): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const node of model.graph.allNodes()) {
    if (isQuantized(node)) counts.set(node.opType, (counts.get(node.opType) ?? 0) + 1);
  }
  return counts;
}

/** @throws GraphError GRAPH_NOT_QUANTIZABLE if the model holds integer arithmetic already. */
export function checkNotQuantized(model: Model): void {
  for (const graph of [model.graph, ...model.functions.map(({ body }) => body)]) checkGraph(graph);
}

function checkGraph(graph: Graph): void {
  for (const node of graph.allNodes()) {
    if (!isQuantized(node)) continue;
    throw new GraphError(`quantize: expected a float model, got one that is quantized (${node.label})`, {
      code: 'GRAPH_NOT_QUANTIZABLE',
      hint: 'Start from the float model that this file was made from.',
      details: { node: node.label, opType: node.opType },
    });
  }
}

/** Reasons that are listed when nothing could be quantized. */
const SHOWN_REASONS = 4;

/**
 * A result equal to its input must not look like one.
 *
 * @throws GraphError GRAPH_NOT_QUANTIZABLE, with the commonest reasons, if no node was chosen
 */
export function checkSomethingQuantized(count: number, skipped: readonly SkippedNode[]): void {
  if (count > 0) return;
  const list = counted(
    skipped.map(({ opType, reason }) => `${opType}: ${reason}`),
    '; ',
  );
  const why = list === '' ? '' : `. ${list}`;
  throw new GraphError(`quantize: expected a node that can be quantized, got none${why}`, {
    code: 'GRAPH_NOT_QUANTIZABLE',
    hint:
      list === ''
        ? 'The model has no nodes that compute.'
        : 'Look at the reasons; another mode (static, dynamic) or a float32 export may help.',
    details: { skipped },
  });
}

/** The commonest of these, each with its count. */
export function counted(lines: readonly string[], separator: string): string {
  const counts = new Map<string, number>();
  for (const line of lines) counts.set(line, (counts.get(line) ?? 0) + 1);
  const shown = [...counts].sort((a, b) => b[1] - a[1]).slice(0, SHOWN_REASONS);
  return shown.map(([line, nodes]) => `${line} (${nodes})`).join(separator);
}
