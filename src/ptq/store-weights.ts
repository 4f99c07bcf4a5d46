/**
 * Weights as int8 for storage alone: an integer constant and a DequantizeLinear by channel stand where the float weight
 * stood, and everything is computed in float. A quarter of the size, no calibration, ONNX's own operators from opset 13 on
 * (10 with one scale a tensor), for every runtime.
 *
 * For convolutions where integer kernels do not pay: in WebAssembly a MobileNetV2 runs as fast as in float, and takes four
 * fifths of the time that integer activations take. A native CPU dequantizes at each run: 2.3 times the time of float
 * (docs/config.md).
 */
import { checkOptions, type Rule } from '../errors/check-options.ts';
import type { Graph } from '../graph/graph.ts';
import { checkModel, type Model } from '../graph/model.ts';
import type { Node } from '../graph/node.ts';
import type { Value } from '../graph/value.ts';
import type { SkippedNode } from '../passes/pass.ts';
import type { QConfigMapping } from '../qconfig/qconfig-mapping.ts';
import { elementCount } from '../tensor/shape.ts';
import { emptyReason } from './constants.ts';
import type { Converted, CopyOptions } from './convert.ts';
import { staticQConfigMapping } from './default-qconfig.ts';
import { Emitter } from './emit.ts';
import type { NameStyle } from './names.ts';
import { observerSpec, opsetOfWeight } from './observer-spec.ts';
import { policyOf } from './ops/index.ts';
import { isRefusal } from './ops/policy.ts';
import { COPY_RULES, MAPPING } from './option-rules.ts';
import type { ObserverSpec } from './plan.ts';
import { quantizeCopy, type Work } from './quantize-copy.ts';
import { QuantizedWeights } from './quantized-weights.ts';
import type { QuantizedNode, QuantizedWeight } from './report.ts';

/** Configuration of {@link storeWeights}. */
export interface StoreWeightsOptions {
  /** Whose `weight` factories make the weights' scales; `null` leaves a node as it is. Default: int8 by channel. */
  readonly qconfigMapping?: QConfigMapping;
}

const RULES = { qconfigMapping: MAPPING } satisfies Record<keyof StoreWeightsOptions, Rule>;

/**
 * Stores the weights of Conv, ConvTranspose, Gemm, MatMul, and of Gather the table, as integers, those in bodies of If, Loop
 * and Scan too: dequantized in the branch that wants them, and in front of a loop. The model is not changed.
 *
 * @throws GraphError if the model is quantized already, has no such weight, or one with NaN or an infinity;
 *   UnsupportedError for observers that no DequantizeLinear can stand for; RangeError if a name or pattern of the mapping is
 *   about no node
 * @example const { model: small } = await storeWeights(await readModel('mobilenet.onnx'));
 */
export async function storeWeights(
  model: Model,
  settings: StoreWeightsOptions = {},
  options: CopyOptions = {},
): Promise<Converted> {
  checkModel('storeWeights', model);
  checkOptions('storeWeights', settings, RULES);
  checkOptions('storeWeights', options, COPY_RULES);
  const { qconfigMapping = staticQConfigMapping() } = settings;
  const { allowQuantized } = options;
  return quantizeCopy(model, {
    mode: 'weight-only',
    mapping: qconfigMapping,
    allowQuantized,
    raiseTo: (cleaned) => neededOpset(cleaned, qconfigMapping),
    edit: (copy) => replaceAll(copy, qconfigMapping, options),
  });
}

/** The oldest opset that has the forms of all weights, not below the model's. */
function neededOpset(model: Model, mapping: QConfigMapping): number {
  const { weights } = findWeights(model, mapping);
  return Math.max(model.opset, ...weights.map(({ spec }) => opsetOfWeight(spec)));
}

/** A weight of a node, and how it is to be stored. */
interface FoundWeight {
  readonly node: Node;
  readonly index: number;
  readonly value: Value;
  readonly axis: number | undefined;
  readonly spec: ObserverSpec;
}

function findWeights(
  { graph, opset }: Model,
  mapping: QConfigMapping,
): { readonly weights: readonly FoundWeight[]; readonly skipped: readonly SkippedNode[] } {
  const nodes = [...graph.allNodes()];
  const qconfigs = mapping.resolveAll(nodes.map(({ qualifiedOp, name }) => ({ opType: qualifiedOp, name })));
  const weights: FoundWeight[] = [];
  const skipped: SkippedNode[] = [];
  for (const [i, node] of nodes.entries()) {
    const place = weightOf(node, opset);
    const qconfig = qconfigs[i];
    if (typeof place !== 'string' && qconfig !== undefined) {
      weights.push({ node, ...place, spec: observerSpec(qconfig.weight) });
    } else if (!node.is('Constant')) {
      const reason = typeof place === 'string' ? place : 'the QConfigMapping leaves it in float';
      skipped.push({ node: node.label, opType: node.qualifiedOp, reason });
    }
  }
  return { weights, skipped };
}

/** Where a node has its weight, or why it has none. */
function weightOf(node: Node, opset: number): Omit<FoundWeight, 'node' | 'spec'> | string {
  const plan = policyOf(node)?.plan(node, opset);
  if (plan === undefined) return 'it has no weight';
  if (isRefusal(plan)) return plan.reason;
  const index = plan.always === true ? 0 : plan.inputs.findIndex(({ kind }) => kind === 'weight');
  const value = node.inputs[index];
  const role = plan.inputs[index];
  if (value?.constant === undefined) return 'it has no weight';
  if (value.elementType !== 'float32') return `its weight is ${value.elementType}, not float32`;
  return emptyReason(value) ?? { index, value, axis: role.kind === 'weight' ? role.axis : undefined };
}

async function replaceAll(
  model: Model,
  mapping: QConfigMapping,
  { names = 'short', signal, onProgress }: CopyOptions,
): Promise<Work> {
  const { weights: found, skipped } = findWeights(model, mapping);
  const shelf = new Shelf(names);
  for (const [done, weight] of found.entries()) {
    signal?.throwIfAborted();
    weight.node.setInput(weight.index, await shelf.stored(weight));
    onProgress?.({ stage: 'convert', done: done + 1, total: found.length, unit: 'weights' });
  }
  const quantized = found.map(({ node }): QuantizedNode => ({ node: node.label, opType: node.opType }));
  return { quantized, skipped, weights: shelf.weights };
}

/**
 * In front of which node a weight is dequantized: the first reader, or what it lies in, in the graph of the weight; in front
 * of the outermost loop around that graph, so that it is done once.
 */
function placeOf(reader: Node, value: Value): Node {
  let place = reader;
  for (let node = reader, inside = true; ;) {
    const { graph } = node;
    if (graph === value.graph) inside = false;
    const owner = graph?.owner;
    if (owner === undefined) return place;
    if (inside || owner.is('Loop') || owner.is('Scan')) place = owner;
    node = owner;
  }
}

/** The stored weights: one that several nodes read in the same way is stored once. */
class Shelf {
  readonly #names: NameStyle;
  /** onnxruntime 1.30 does not load a DequantizeLinear in a body whose constants are not there. */
  readonly #emitters = new Map<Graph, Emitter>();
  readonly #quantized = new QuantizedWeights();
  /** Graphs beside each other may have constants of the same name. */
  readonly #known = new Map<Value, Map<string, Value>>();
  readonly weights: QuantizedWeight[] = [];

  constructor(names: NameStyle) {
    this.#names = names;
  }

  #emitterIn(graph: Graph): Emitter {
    const emitter = this.#emitters.get(graph) ?? new Emitter(graph, this.#names);
    this.#emitters.set(graph, emitter);
    return emitter;
  }

  async stored({ node, value, axis, spec }: FoundWeight): Promise<Value> {
    const key = JSON.stringify([axis, spec]);
    const byUse = this.#known.get(value) ?? new Map<string, Value>();
    this.#known.set(value, byUse);
    const known = byUse.get(key);
    if (known !== undefined) return known;
    const { name } = value;
    const data = await this.#quantized.weight(value, { spec, axis });
    const { dtype, codes, scaleData } = data;
    this.weights.push({ name, dtype, scales: scaleData.length, elements: elementCount(codes.shape) });
    const place = placeOf(node, value);
    const made = this.#emitterIn(place.graph ?? value.graph).dequantized(name, data, place);
    byUse.set(key, made);
    return made;
  }
}
