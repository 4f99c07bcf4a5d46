/**
 * Dynamic quantization: weights in 8 bits, activations as uint8 with a range found at each run. No calibration.
 * What becomes what: dynamic/, one file a family of operators. Bodies of If, Loop and Scan are included.
 */
import type { Model } from '../graph/model.ts';
import type { Node } from '../graph/node.ts';
import type { SkippedNode } from '../passes/pass.ts';
import type { QConfigMapping } from '../qconfig/qconfig-mapping.ts';
import type { Converted, ConvertOptions } from './convert.ts';
import { staticQConfigMapping } from './default-qconfig.ts';
import type { DynamicForm } from './dynamic/form.ts';
import { formOf } from './dynamic/index.ts';
import { DynamicWriter } from './dynamic/writer.ts';
import { checkDynamicWeight, observerSpec } from './observer-spec.ts';
import type { ObserverSpec } from './plan.ts';
import { quantizeCopy, type Work } from './quantize-copy.ts';

/** DynamicQuantizeLinear exists since this opset; older models are raised to it. */
const DYNAMIC_OPSET = 11;

/** Configuration of {@link quantizeDynamic}. */
export interface QuantizeDynamicOptions {
  /** Whose `weight` factories make the weights' scales; `null` leaves a node in float. In place of the options of weights. */
  readonly qconfigMapping?: QConfigMapping;
  /** One scale an output channel of a weight. Default true. */
  readonly perChannel?: boolean;
  /** Default int8, symmetric; uint8 is affine. Tables are always uint8. */
  readonly weightDType?: 'int8' | 'uint8';
  /** Weights in 7 bits: x64 without VNNI adds pairs of products in 16 bits, which saturate otherwise. Default false. */
  readonly reduceRange?: boolean;
  /** Also Conv. Default false: in integers it took 1.1 to 2.5 times as long as in float. */
  readonly convolutions?: boolean;
}

/**
 * Quantizes every MatMul and Gemm whose weight is a constant, every LSTM, and the tables of Gather. The model is not changed.
 *
 * @throws UnsupportedError below opset 11, or for weights that are not of 8 bits; GraphError if the model is quantized
 *   already, or has no node that can be; RangeError if a name or pattern of the mapping is about no node
 */
export async function quantizeDynamic(
  model: Model,
  { qconfigMapping, convolutions = false, ...weights }: QuantizeDynamicOptions = {},
  options: Omit<ConvertOptions, 'format'> = {},
): Promise<Converted> {
  const mapping = qconfigMapping ?? staticQConfigMapping(weights);
  const edit = (copy: Model): Promise<Work> => quantizeNodes(copy, { mapping, convolutions }, options);
  return quantizeCopy(model, { mode: 'dynamic', raiseTo: DYNAMIC_OPSET, mapping, edit });
}

/** What is wanted. */
interface Choice {
  readonly mapping: QConfigMapping;
  readonly convolutions: boolean;
}

interface Chosen {
  readonly node: Node;
  readonly form: DynamicForm;
  readonly weight: ObserverSpec;
}

async function quantizeNodes(
  { graph }: Model,
  choice: Choice,
  { names = 'short', signal, onProgress }: ConvertOptions,
): Promise<Work> {
  const { chosen, skipped } = choose([...graph.allNodes()], choice);
  const readers = chosen.filter(({ form }) => form.quantizesInput).map(({ node }) => node);
  const writer = new DynamicWriter(graph, names, readers);
  const quantized = chosen.map(({ node }) => ({ node: node.label, opType: node.opType }));
  for (const [index, { node, form, weight }] of chosen.entries()) {
    signal?.throwIfAborted();
    await form.rewrite(node, weight, writer);
    onProgress?.({ stage: 'convert', done: index + 1, total: chosen.length, unit: 'nodes' });
  }
  return { quantized, skipped, weights: writer.weights };
}

/** Which nodes get a form; every other node is skipped, with the reason. */
function choose(
  nodes: readonly Node[],
  { mapping, convolutions }: Choice,
): { readonly chosen: readonly Chosen[]; readonly skipped: readonly SkippedNode[] } {
  const [chosen, skipped]: [Chosen[], SkippedNode[]] = [[], []];
  const qconfigs = mapping.resolveAll(nodes.map(({ qualifiedOp, name }) => ({ opType: qualifiedOp, name })));
  for (const [index, node] of nodes.entries()) {
    if (node.is('Constant')) continue;
    const found = chooseForm(node, qconfigs[index]?.weight, convolutions);
    if ('form' in found) chosen.push({ node, ...found });
    else skipped.push({ node: node.label, opType: node.qualifiedOp, ...found });
  }
  return { chosen, skipped };
}

function chooseForm(
  node: Node,
  factory: Parameters<typeof observerSpec>[0] | undefined,
  onRequest: boolean,
): Omit<Chosen, 'node'> | { readonly reason: string } {
  const form = formOf(node);
  if ('reason' in form) return form;
  const reason = onRequest ? form.obstacle(node) : (form.onRequest ?? form.obstacle(node));
  if (reason !== undefined) return { reason };
  if (factory === undefined) return { reason: 'the QConfigMapping leaves it in float' };
  const weight = observerSpec(factory);
  checkDynamicWeight(weight);
  return { form, weight };
}
