/**
 * Dynamic quantization: weights as int8, activations as uint8 with a range found at each run. No calibration.
 *
 *   x → DynamicQuantizeLinear → MatMulInteger(·, W) → Cast → Mul(x_scale · w_scale) [→ Add(bias)]
 *
 * onnxruntime fuses the whole chain into one DynamicQuantizeMatMul. Gemm becomes the same chain: its alpha goes into the
 * weight's scale, its transB into the stored weight, its beta into the stored bias.
 *
 * Cases:
 * 1. MatMul with a constant float32 matrix as B.
 * 2. Gemm with a constant float32 B and transA = 0.
 * 3. B is computed (attention), is no matrix, or is not float32; the op is another one: left in float, with the reason.
 */
import { checkOpset } from '../graph/opset.ts';
import type { Graph } from '../graph/graph.ts';
import type { Model } from '../graph/model.ts';
import type { Node } from '../graph/node.ts';
import type { Value } from '../graph/value.ts';
import { getBackend } from '../kernels/backend.ts';
import { inputOf, outputOf, present } from '../passes/access.ts';
import { clean } from '../passes/clean.ts';
import type { SkippedNode } from '../passes/pass.ts';
import { raiseOpset } from '../passes/raise-opset.ts';
import { removeUnusedInPlace } from '../passes/remove-unused.ts';
import type { QConfigMapping } from '../qconfig/qconfig-mapping.ts';
import { Tensor } from '../tensor/tensor.ts';
import { checkNotQuantized, checkSomethingQuantized } from './check-model.ts';
import { emptyReason, loadFloat32, quantizeWeight, type QuantizedWeightData } from './constants.ts';
import type { Converted, ConvertOptions } from './convert.ts';
import { staticQConfigMapping } from './default-qconfig.ts';
import { Emitter } from './emit.ts';
import type { NamedPart, NameStyle } from './names.ts';
import { checkDynamicWeight, observerSpec } from './observer-spec.ts';
import type { ObserverSpec } from './plan.ts';
import type { QuantizedNode, QuantizedWeight } from './report.ts';
import { signModel } from './version.ts';

/** DynamicQuantizeLinear exists since this opset; older models are raised to it. */
const DYNAMIC_OPSET = 11;
/** TensorProto.DataType of float32, for Cast. */
const FLOAT = 1;

/** Configuration of {@link quantizeDynamic}. */
export interface QuantizeDynamicOptions {
  /** Whose `weight` factories make the weights' scales; `null` leaves a node in float. Overrides `perChannel`. */
  readonly qconfigMapping?: QConfigMapping;
  /** One scale a column of the weight. Default true. */
  readonly perChannel?: boolean;
}

/**
 * Quantizes every MatMul and Gemm whose weight is a constant. The model is not changed.
 *
 * @throws UnsupportedError below opset 11, or for weights that are not of 8 bits; GraphError if the model is quantized
 *   already, or has no node that can be
 */
export async function quantizeDynamic(
  model: Model,
  { qconfigMapping, perChannel = true }: QuantizeDynamicOptions = {},
  options: ConvertOptions = {},
): Promise<Converted> {
  checkOpset(model);
  checkNotQuantized(model);
  const cleaned = (await clean(model)).model;
  const ready = (await raiseOpset(cleaned, DYNAMIC_OPSET)).model;
  const copy = ready === model ? model.clone() : ready;
  const mapping = qconfigMapping ?? staticQConfigMapping({ perChannel });
  const job = new DynamicJob(copy.graph, options.names ?? 'short');
  const nodes = copy.graph.nodes.toArray();
  const qconfigs = mapping.resolveAll(nodes.map(({ qualifiedOp, name }) => ({ opType: qualifiedOp, name })));
  for (const [index, node] of nodes.entries()) {
    options.signal?.throwIfAborted();
    const qconfig = qconfigs[index];
    await job.visit(node, qconfig ? observerSpec(qconfig.weight) : undefined);
    options.onProgress?.({ stage: 'convert', done: index + 1, total: nodes.length, unit: 'nodes' });
  }
  checkSomethingQuantized(job.quantized.length, job.skipped);
  removeUnusedInPlace(copy);
  signModel(copy);
  const { quantized, skipped, weights } = job;
  const report = {
    mode: 'dynamic',
    quantized,
    skipped,
    weights,
    activations: [],
    absorbed: [],
    samples: 0,
    backend: getBackend(),
    ...(ready.opset === model.opset ? {} : { raisedOpset: { from: model.opset, to: ready.opset } }),
  } as const;
  return { model: copy, report };
}

/** The three outputs of DynamicQuantizeLinear. */
interface QuantizedInput {
  readonly codes: Value;
  readonly scale: Value;
  readonly zeroPoint: Value;
}

class DynamicJob {
  readonly #graph: Graph;
  readonly #emitter: Emitter;
  /** One DynamicQuantizeLinear a value, whoever reads it. */
  readonly #inputs = new Map<Value, QuantizedInput>();
  readonly quantized: QuantizedNode[] = [];
  readonly skipped: SkippedNode[] = [];
  readonly weights: QuantizedWeight[] = [];

  constructor(graph: Graph, names: NameStyle) {
    this.#graph = graph;
    this.#emitter = new Emitter(graph, names);
  }

  async visit(node: Node, spec: ObserverSpec | undefined): Promise<void> {
    if (node.is('Constant')) return;
    const reason = obstacle(node);
    if (reason === undefined && spec !== undefined) {
      checkDynamicWeight(spec);
      this.quantized.push({ node: node.label, opType: node.opType });
      await this.#replace(node, spec);
    } else {
      const why = reason ?? 'the QConfigMapping leaves it in float';
      this.skipped.push({ node: node.label, opType: node.qualifiedOp, reason: why });
    }
  }

  async #replace(node: Node, spec: ObserverSpec): Promise<void> {
    const [input, weight, bias] = [inputOf(node, 0), inputOf(node, 1), node.inputs[2]];
    const isGemm = node.is('Gemm');
    const transposed = isGemm && node.int('transB', 0) === 1;
    const stored = await quantizeWeight(weight, spec, transposed ? 0 : 1);
    this.weights.push({
      name: weight.name,
      dtype: stored.dtype,
      scales: stored.scaleData.length,
      elements: stored.codes.size,
    });
    const chain = new Chain(this.#emitter, node, this.#input(input));
    const alpha = isGemm ? node.float('alpha', 1) : 1;
    const scaled = chain.product(weight.name, transposed ? transpose(stored) : stored, alpha);
    if (bias === undefined) {
      this.#graph.replaceNode(node, { opType: 'Mul', name: node.name, inputs: scaled });
    } else {
      const inputs = [chain.multiply(scaled), await chain.bias(bias)];
      this.#graph.replaceNode(node, { opType: 'Add', name: node.name, inputs });
    }
  }

  #input(value: Value): QuantizedInput {
    const known = this.#inputs.get(value);
    if (known !== undefined) return known;
    const [first] = this.#graph.nodes;
    const made = this.#emitter.node(
      {
        opType: 'DynamicQuantizeLinear',
        of: value.name,
        number: this.#emitter.number(),
        inputs: [value],
        parts: ['quantized', 'scale', 'zero_point'],
      },
      value.producer === undefined ? { before: first } : { after: value.producer },
    );
    // The node has just been made with three outputs.
    const [codes, scale, zeroPoint] = made.outputs as readonly Value[];
    const result = { codes, scale, zeroPoint };
    this.#inputs.set(value, result);
    return result;
  }
}

/** The nodes that take the place of one MatMul or Gemm; all are put before it. */
class Chain {
  readonly #emitter: Emitter;
  readonly #node: Node;
  readonly #input: QuantizedInput;
  readonly #of: string;
  readonly #number: number;

  constructor(emitter: Emitter, node: Node, input: QuantizedInput) {
    this.#emitter = emitter;
    this.#node = node;
    this.#input = input;
    this.#of = outputOf(node).name;
    this.#number = emitter.number();
  }

  /** The integer product as float, and what it is to be multiplied with. */
  product(weight: string, stored: QuantizedWeightData, alpha: number): [Value, Value] {
    const { codes, zeroPoint, scale } = this.#input;
    const zeroPoints = present(stored.zeroPoints, `${weight}: expected zero points, got none`);
    const scaleData = Float32Array.from(stored.scaleData, (s) => s * alpha);
    const constant = (part: NamedPart, value: Tensor): Value =>
      this.#emitter.constant(part, weight, this.#number, value);
    const weightCodes = constant('integers', stored.codes);
    const weightZeroPoint = constant('zero_point', zeroPoints);
    const weightScale = constant('scale', new Tensor('float32', stored.scales.shape, scaleData));
    const integers = this.#add('MatMulInteger', 'product', [codes, weightCodes, zeroPoint, weightZeroPoint]);
    const product = this.#add('Cast', 'float', [integers], { to: FLOAT });
    return [product, this.#add('Mul', 'rescale', [scale, weightScale])];
  }

  multiply(factors: readonly Value[]): Value {
    return this.#add('Mul', 'scaled', factors);
  }

  /** The bias, times Gemm's beta. */
  async bias(bias: Value): Promise<Value> {
    const beta = this.#node.float('beta', 1);
    if (beta === 1) return bias;
    const { shape, data } = await loadFloat32(bias);
    const scaled = Float32Array.from(data as Float32Array, (value) => value * beta);
    return this.#emitter.constant('bias', bias.name, this.#number, new Tensor('float32', shape, scaled));
  }

  #add(
    opType: string,
    part: NamedPart,
    inputs: readonly Value[],
    attributes: Readonly<Record<string, number>> = {},
  ): Value {
    const named = { opType, of: this.#of, number: this.#number, inputs, parts: [part], attributes };
    return outputOf(this.#emitter.node(named, { before: this.#node }));
  }
}

/** Why a node stays in float; undefined if it can be quantized. */
function obstacle(node: Node): string | undefined {
  if (!node.is('MatMul') && !node.is('Gemm')) return `${node.qualifiedOp} has no dynamic integer form here`;
  const [, weight, bias] = node.inputs;
  if (weight?.constant === undefined) return 'its second operand is computed';
  if (weight.elementType !== 'float32') return `its weight is ${weight.elementType}, not float32`;
  if (weight.dims?.length !== 2) return `its weight has ${weight.dims?.length} axes, not 2`;
  const empty = emptyReason(weight);
  if (empty !== undefined || !node.is('Gemm')) return empty;
  if (node.int('transA', 0) !== 0) return 'it transposes its first operand';
  return node.float('beta', 1) !== 1 && bias !== undefined && bias.constant === undefined
    ? 'it scales a computed bias'
    : undefined;
}

/** [N, K] → [K, N]. */
function transpose(stored: QuantizedWeightData): QuantizedWeightData {
  const [rows, cols] = stored.codes.shape;
  const from = stored.codes.data as Int8Array;
  const to = from.slice();
  for (let r = 0; r < rows; r++) for (let c = 0; c < cols; c++) to[c * rows + r] = from[r * cols + c];
  return { ...stored, codes: new Tensor(stored.codes.dtype, [cols, rows], to) };
}
