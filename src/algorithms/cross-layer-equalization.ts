/**
 * Cross-layer equalization (Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction",
 * arXiv 1906.04721, section 4.1). Between two layers with only positively homogeneous ops between them (f(s·x) = s·f(x)
 * for s > 0), channel i of the first can be divided by s_i and what reads it in the second multiplied by it:
 *
 *   s_i = sqrt(r1_i / r2_i),  r1_i = max|W1, output channel i|,  r2_i = max|W2, input channel i|
 *
 * after which both ranges are equal, and no channel wastes the grid that it shares with louder ones. Here s_i is rounded to
 * a power of two: ranges then agree within a factor of 2, and the network computes the very same floats as before.
 *
 * Cases:
 * 1. Conv or Gemm → (Relu, LeakyRelu, pooling, Flatten)* → Conv (grouped and depthwise too) or Gemm, each read once: equalized.
 * 2. A Clip (Relu6), another op, a graph output or a second reader between them: not a pair.
 * 3. Weights or biases that are computed, shared with other nodes, or not float32: not a pair.
 * 4. Equalizing would not lower the error on int8 by {@link LEAST_GAIN} dB: the chain is left, with the reason.
 */
import { memorySource } from '../graph/tensor-source.ts';
import type { Graph } from '../graph/graph.ts';
import type { Model } from '../graph/model.ts';
import type { Node } from '../graph/node.ts';
import type { Use, Value } from '../graph/value.ts';
import { constantOf, inputOf, outputOf } from '../passes/access.ts';
import type { PassResult, SkippedNode } from '../passes/pass.ts';
import { removeUnusedInPlace } from '../passes/remove-unused.ts';
import { toFloat32 } from '../tensor/cast.ts';
import { Tensor } from '../tensor/tensor.ts';

/** Options of {@link equalizeLayers}. */
export interface EqualizeOptions {
  /** How the weights will be quantized: with one scale an output channel, or one for all. Default true. */
  readonly perChannel?: boolean;
}

/**
 * Mean gain of a chain's pairs in dB below which it is left as it is: one bit. The estimate is made without data; below that
 * it misleads (digits_cnn, estimated gains of 1 to 4 dB a pair: outputs 36.3 dB before, 35.0 dB after).
 */
const LEAST_GAIN = 6;
/** Layers in the middle of a chain belong to two pairs; the rounds end when no factor changes. */
const MAX_ROUNDS = 20;
/** Largest code of the symmetric int8 grid that weights get. */
const LARGEST_CODE = 127;

/** Ops through which a positive factor passes unchanged. */
const HOMOGENEOUS = new Set([
  'Relu',
  'LeakyRelu',
  'MaxPool',
  'AveragePool',
  'GlobalAveragePool',
  'GlobalMaxPool',
  'Flatten',
]);

/** A layer's weight in memory, and where its channels lie: outputs·inputs·inner elements, in some order. */
interface Layer {
  readonly node: Node;
  readonly shape: readonly number[];
  readonly weight: Float32Array;
  readonly bias: Float32Array | undefined;
  readonly outputs: number;
  /** Channels that it reads; of Gemm features, several of which can be one channel. */
  readonly inputs: number;
  /** Output channel of element `i` of the weight. */
  readonly outputOf: (i: number) => number;
  /** Of what the layer reads, which of `count` channels element `i` of the weight belongs to. */
  readonly inputOf: (i: number, count: number) => number;
}

interface Pair {
  readonly first: Layer;
  readonly second: Layer;
}

/**
 * Equalizes every chain of layers where that lowers the error on int8. Normalizations must be folded first
 * (`clean`). The weights of the layers concerned are held in memory together.
 */
export async function equalizeLayers(model: Model, options: EqualizeOptions = {}): Promise<PassResult> {
  const { perChannel = true } = options;
  const copy = model.clone();
  const skipped: SkippedNode[] = [];
  let modified = false;
  for (const chain of chainsOf(await findPairs(copy.graph))) {
    const before = meanSnr(chain, perChannel);
    equalize(chain);
    const gain = meanSnr(chain, perChannel) - before;
    if (gain >= LEAST_GAIN) {
      for (const layer of layersOf(chain)) store(copy.graph, layer);
      modified = true;
    } else {
      skipped.push(...chain.map((pair) => tooLittle(pair, gain)));
    }
  }
  if (modified) removeUnusedInPlace(copy);
  return { model: modified ? copy : model, modified, skipped };
}

/** Pairs that share layers, in the order of the graph: factors move along the whole chain, so it is kept or left as one. */
function chainsOf(pairs: readonly Pair[]): Pair[][] {
  const chainOf = new Map<Layer, Pair[]>();
  const chains: Pair[][] = [];
  for (const pair of pairs) {
    const chain = chainOf.get(pair.first) ?? [];
    if (chain.length === 0) chains.push(chain);
    chain.push(pair);
    chainOf.set(pair.second, chain);
  }
  return chains;
}

function meanSnr(chain: readonly Pair[], perChannel: boolean): number {
  return chain.reduce((sum, pair) => sum + pairSnr(pair, perChannel), 0) / chain.length;
}

function tooLittle({ first, second }: Pair, gain: number): SkippedNode {
  const reason = `equalizing it with ${second.node.label} gains ${gain.toFixed(1)} dB, below ${LEAST_GAIN} dB`;
  return { node: first.node.label, opType: first.node.opType, reason };
}

function layersOf(pairs: readonly Pair[]): Set<Layer> {
  return new Set(pairs.flatMap(({ first, second }) => [first, second]));
}

async function findPairs(graph: Graph): Promise<Pair[]> {
  const layers = new Map<Node, Layer>();
  for (const node of graph.nodes) {
    const layer = await readLayer(node);
    if (layer !== undefined) layers.set(node, layer);
  }
  const pairs: Pair[] = [];
  for (const [node, first] of layers) {
    const reader = nextLayer(node);
    const second = reader && layers.get(reader);
    if (second !== undefined && fits(first, second)) pairs.push({ first, second });
  }
  return pairs;
}

/** True if the second layer reads as many channels as the first gives. */
function fits(first: Layer, second: Layer): boolean {
  return second.inputs % first.outputs === 0 && (second.node.is('Gemm') || second.inputs === first.outputs);
}

/** The layer that alone reads what `node` gives, through homogeneous ops. */
function nextLayer(node: Node): Node | undefined {
  for (let value: Value | undefined = outputOf(node); value !== undefined;) {
    if (value.isOutput || value.uses.size !== 1) return undefined;
    const [use]: Iterable<Use> = value.uses;
    if (use.index !== 0 || use.node.graph !== node.graph || use.node.domain !== '') return undefined;
    if (!HOMOGENEOUS.has(use.node.opType)) return use.node;
    if (use.node.is('Flatten') && use.node.int('axis', 1) !== 1) return undefined;
    value = use.node.outputs.length === 1 ? use.node.outputs[0] : undefined;
  }
  return undefined;
}

async function readLayer(node: Node): Promise<Layer | undefined> {
  const layout = LAYOUTS[node.opType];
  if (layout === undefined || node.domain !== '' || node.outputs[0] === undefined) return undefined;
  const [, weight, bias] = node.inputs;
  if (weight === undefined || !isOwn(weight) || (bias !== undefined && !isOwn(bias))) return undefined;
  const { shape } = constantOf(weight);
  const channels = layout(node, shape);
  const biasData = bias && toFloat32(await constantOf(bias).load()).data.slice();
  if (biasData !== undefined && biasData.length !== channels.outputs) return undefined;
  const data = toFloat32(await constantOf(weight).load()).data.slice();
  return { node, shape, weight: data, bias: biasData, ...channels };
}

/** True for a float32 constant that one node reads. */
function isOwn(value: Value): boolean {
  return (
    value.constant !== undefined &&
    value.elementType === 'float32' &&
    value.uses.size === 1 &&
    !value.isOutput
  );
}

type Channels = Pick<Layer, 'outputs' | 'inputs' | 'outputOf' | 'inputOf'>;

/** Where the channels of a weight lie, by op. */
const LAYOUTS: Readonly<Record<string, ((node: Node, shape: readonly number[]) => Channels) | undefined>> = {
  // [M, C/group, k, ...]; input channel of element (m, c) is c + C/group · (group of m).
  Conv(node, [outputs, perGroup, ...kernel]) {
    const inner = kernel.reduce((product, size) => product * size, 1);
    const outputsPerGroup = outputs / node.int('group', 1);
    const output = (i: number): number => Math.floor(i / (perGroup * inner));
    return {
      outputs,
      inputs: perGroup * node.int('group', 1),
      outputOf: output,
      inputOf: (i) => (Math.floor(i / inner) % perGroup) + Math.floor(output(i) / outputsPerGroup) * perGroup,
    };
  },
  // [K, N], or [N, K] with transB; K may hold several positions of each channel (Flatten).
  Gemm(node, shape) {
    const transposed = node.int('transB', 0) === 1;
    const [outputs, features] = transposed ? shape : [shape[1], shape[0]];
    const feature = (i: number): number => (transposed ? i % features : Math.floor(i / outputs));
    return {
      outputs,
      inputs: features,
      outputOf: (i) => (transposed ? Math.floor(i / features) : i % outputs),
      inputOf: (i, count) => Math.floor(feature(i) / (features / count)),
    };
  },
};

/** Moves factors between the layers of each pair until they agree within a factor of 2. */
function equalize(pairs: readonly Pair[]): void {
  for (let round = 0; round < MAX_ROUNDS; round++) {
    let changed = false;
    for (const pair of pairs) changed = equalizePair(pair) || changed;
    if (!changed) return;
  }
}

function equalizePair({ first, second }: Pair): boolean {
  const count = first.outputs;
  const r1 = ranges(first.weight, count, first.outputOf);
  const r2 = ranges(second.weight, count, (i) => second.inputOf(i, count));
  const factors = Float64Array.from(r1, (range, i) => powerOfTwo(Math.sqrt(range / r2[i])));
  if (factors.every((factor) => factor === 1)) return false;
  for (let i = 0; i < first.weight.length; i++) first.weight[i] /= factors[first.outputOf(i)];
  if (first.bias !== undefined) for (let c = 0; c < count; c++) first.bias[c] /= factors[c];
  for (let i = 0; i < second.weight.length; i++) second.weight[i] *= factors[second.inputOf(i, count)];
  return true;
}

/** Nearest power of two; 1 for 0, infinite and NaN, so that dead channels stay as they are. */
function powerOfTwo(x: number): number {
  return x > 0 && Number.isFinite(x) ? 2 ** Math.round(Math.log2(x)) : 1;
}

function ranges(weight: Float32Array, count: number, channelOf: (i: number) => number): Float64Array {
  const result = new Float64Array(count);
  for (let i = 0; i < weight.length; i++) {
    const channel = channelOf(i);
    result[channel] = Math.max(result[channel], Math.abs(weight[i]));
  }
  return result;
}

/**
 * Signal to noise on int8 grids, in dB, of three things added up: both weights, and the activation between them, which has
 * one grid for all its channels (loudness of a channel: the range of the weights that make it). Each element is weighed by
 * how loud what it meets is: a weight of the first layer by the range of what reads its channel, one of the second by the
 * range of what feeds it. Without that a quiet weight behind a loud channel would count for nothing. Equalizing leaves the
 * weighed signals as they are, so only the noise changes.
 */
function pairSnr({ first, second }: Pair, perChannel: boolean): number {
  const count = first.outputs;
  const read = (i: number): number => second.inputOf(i, count);
  const r1 = ranges(first.weight, count, first.outputOf);
  const r2 = ranges(second.weight, count, read);
  return (
    layerSnr(first, perChannel, (i) => r2[first.outputOf(i)]) +
    layerSnr(second, perChannel, (i) => r1[read(i)]) +
    activationSnr(r1)
  );
}

/** Mean over channels of 20·log10(range of the channel / range of the tensor); steps are the tensor's for all of them. */
function activationSnr(channelRanges: Float64Array): number {
  const heard = channelRanges.filter((range) => range > 0);
  const whole = heard.reduce((a, b) => Math.max(a, b), 0);
  return heard.reduce((sum, range) => sum + 20 * Math.log10(range / whole), 0) / Math.max(1, heard.length);
}

/** Mean over output channels: each is a sum of its own. */
function layerSnr(layer: Layer, perChannel: boolean, loudness: (i: number) => number): number {
  const { weight, outputs, outputOf: channelOf } = layer;
  const channelRanges = ranges(weight, outputs, channelOf);
  const whole = channelRanges.reduce((a, b) => Math.max(a, b), 0);
  const signal = new Float64Array(outputs);
  const noise = new Float64Array(outputs);
  for (let i = 0; i < weight.length; i++) {
    const channel = channelOf(i);
    const scale = (perChannel ? channelRanges[channel] : whole) / LARGEST_CODE;
    const error = scale === 0 ? 0 : weight[i] - Math.round(weight[i] / scale) * scale;
    signal[channel] += (weight[i] * loudness(i)) ** 2;
    noise[channel] += (error * loudness(i)) ** 2;
  }
  const heard = [...signal.keys()].filter((c) => signal[c] > 0 && noise[c] > 0);
  const sum = heard.reduce((total, c) => total + 10 * Math.log10(signal[c] / noise[c]), 0);
  return heard.length === 0 ? 0 : sum / heard.length;
}

function store(graph: Graph, { node, shape, weight, bias }: Layer): void {
  const add = (of: Value, data: Float32Array, dims: readonly number[]): Value =>
    graph.addInitializer(
      graph.freshName(`${of.name}_equalized`),
      memorySource(new Tensor('float32', dims, data)),
    );
  const oldWeight = inputOf(node, 1);
  node.setInput(1, add(oldWeight, weight, shape));
  if (bias !== undefined) {
    const oldBias = inputOf(node, 2);
    node.setInput(2, add(oldBias, bias, constantOf(oldBias).shape));
  }
}
