/**
 * Dynamic quantization: weights in 8 bits, activations as uint8 with a range found at each run. No calibration.
 * What becomes what: dynamic/, one file a family of operators. Bodies of If, Loop and Scan are included.
 */
import { checkOptions, type Rule } from '../errors/check-options.ts';
import { BOOLEAN, oneOf } from '../errors/option-rules.ts';
import { checkModel, type Model } from '../graph/model.ts';
import type { Node } from '../graph/node.ts';
import type { Value } from '../graph/value.ts';
import { inputOf } from '../passes/access.ts';
import type { SkippedNode } from '../passes/pass.ts';
import type { QConfigMapping } from '../qconfig/qconfig-mapping.ts';
import type { Converted, CopyOptions } from './convert.ts';
import { staticQConfigMapping } from './default-qconfig.ts';
import type { DynamicForm } from './dynamic/form.ts';
import { DYNAMIC_RULES, formOf, type DynamicRules } from './dynamic/index.ts';
import { DynamicWriter } from './dynamic/writer.ts';
import { checkDynamicWeight, observerSpec } from './observer-spec.ts';
import { COPY_RULES, MAPPING } from './option-rules.ts';
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
  /** Whose forms: ours (default), or those of onnxruntime's Python quantizer, Conv included (docs/dynamic.md). */
  readonly rules?: DynamicRules;
}

const RULES = {
  qconfigMapping: MAPPING,
  perChannel: BOOLEAN,
  weightDType: oneOf('int8', 'uint8'),
  reduceRange: BOOLEAN,
  convolutions: BOOLEAN,
  rules: oneOf(...DYNAMIC_RULES),
} satisfies Record<keyof QuantizeDynamicOptions, Rule>;

/**
 * Quantizes every MatMul and Gemm whose weight is a constant, every LSTM, and the tables of Gather. The model is not changed.
 *
 * @throws UnsupportedError below opset 11, or for weights that are not of 8 bits; GraphError if the model is quantized
 *   already, or has no node that can be; RangeError if a name or pattern of the mapping is about no node
 */
export async function quantizeDynamic(
  model: Model,
  settings: QuantizeDynamicOptions = {},
  options: CopyOptions = {},
): Promise<Converted> {
  checkModel('quantizeDynamic', model);
  checkOptions('quantizeDynamic', settings, RULES);
  checkOptions('quantizeDynamic', options, COPY_RULES);
  const { qconfigMapping, convolutions = false, rules = 'zeropoint', ...weights } = settings;
  const mapping = qconfigMapping ?? staticQConfigMapping(weights);
  const edit = (copy: Model): Promise<Work> => quantizeNodes(copy, { mapping, convolutions, rules }, options);
  const { allowQuantized } = options;
  return quantizeCopy(model, { mode: 'dynamic', raiseTo: DYNAMIC_OPSET, mapping, allowQuantized, edit });
}

/** What is wanted. */
interface Choice {
  readonly mapping: QConfigMapping;
  readonly convolutions: boolean;
  readonly rules: DynamicRules;
}

interface Chosen {
  readonly node: Node;
  readonly form: DynamicForm;
  readonly weight: ObserverSpec;
}

async function quantizeNodes(
  { graph }: Model,
  choice: Choice,
  { names = 'short', signal, onProgress }: CopyOptions,
): Promise<Work> {
  const { chosen, skipped } = choose([...graph.allNodes()], choice);
  const readers = chosen.filter(({ form }) => form.quantizesInput).map(({ node }) => node);
  const writer = new DynamicWriter(graph, names, readers, { share: choice.rules === 'zeropoint' });
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
  { mapping, convolutions, rules }: Choice,
): { readonly chosen: readonly Chosen[]; readonly skipped: readonly SkippedNode[] } {
  const [chosen, skipped]: [Chosen[], SkippedNode[]] = [[], []];
  const coded = new Set<Value>();
  const qconfigs = mapping.resolveAll(nodes.map(({ qualifiedOp, name }) => ({ opType: qualifiedOp, name })));
  for (const [index, node] of nodes.entries()) {
    if (node.is('Constant')) continue;
    const form = formOf(node, rules);
    const found =
      'reason' in form ? form : chooseWeight(node, form, qconfigs[index]?.weight, { coded, convolutions });
    if ('reason' in found) {
      skipped.push({ node: node.label, opType: node.qualifiedOp, ...found });
      continue;
    }
    chosen.push({ node, ...found });
    for (const value of valuesWithCodes(node, found.form)) coded.add(value);
  }
  return { chosen, skipped };
}

/** What later nodes find as integers once `form` stands in the place of `node`. */
function valuesWithCodes(node: Node, form: DynamicForm): Value[] {
  const values = [
    ...(form.quantizesInput ? [inputOf(node, 0)] : []),
    ...(form.codes === undefined ? [] : [form.codes(node)]),
  ];
  // What is quantized inside a branch is not there for others.
  return values.filter(({ graph }) => graph === node.graph);
}

interface Situation {
  readonly coded: ReadonlySet<Value>;
  readonly convolutions: boolean;
}

function chooseWeight(
  node: Node,
  form: DynamicForm,
  factory: Parameters<typeof observerSpec>[0] | undefined,
  { coded, convolutions }: Situation,
): Omit<Chosen, 'node'> | { readonly reason: string } {
  const reason = (convolutions ? undefined : form.onRequest) ?? form.obstacle(node, coded);
  if (reason !== undefined) return { reason };
  if (factory === undefined) return { reason: 'the QConfigMapping leaves it in float' };
  const weight = observerSpec(factory);
  checkDynamicWeight(weight);
  return { form, weight };
}
