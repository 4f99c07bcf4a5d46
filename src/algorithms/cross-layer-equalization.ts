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
import { checkOptions, type Rule } from '../errors/check-options.ts';
import { BOOLEAN } from '../errors/option-rules.ts';
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

const RULES = { perChannel: BOOLEAN } satisfies Record<keyof EqualizeOptions, Rule>;

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

/**
 * A layer's weight in memory, and where its channels lie: rows × columns × as many elements as share both channels.
 * (Channels of elements instead of runs of them made equalizing ResNet-18 take 2.7 s instead of 0.5.)
 */
interface Layer {
  readonly node: Node;
  readonly shape: readonly number[];
  readonly weight: Float32Array;
  readonly bias: Float32Array | undefined;
  readonly outputs: number;
  /** Channels that it reads; of Gemm features, several of which can be one channel. */
  readonly inputs: number;
  readonly rows: number;
  readonly columns: number;
  /** Output channel of the elements at a row and column. */
  readonly outputOf: ChannelOf;
  /** Of what the layer reads, if it has `count` channels: that of the elements at a row and column. */
  readonly inputOf: (count: number) => ChannelOf;
}

type ChannelOf = (row: number, column: number) => number;

interface Pair {
  readonly first: Layer;
  readonly second: Layer;
}

/**
 * Equalizes every chain of layers where that lowers the error on int8. Normalizations must be folded first
 * (`clean`). The weights of the layers concerned are held in memory together.
 */
export async function equalizeLayers(model: Model, options: EqualizeOptions = {}): Promise<PassResult> {
  checkOptions('equalizeLayers', options, RULES);
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

type Channels = Pick<Layer, 'outputs' | 'inputs' | 'rows' | 'columns' | 'outputOf' | 'inputOf'>;

/** Where the channels of a weight lie, by op. */
const LAYOUTS: Readonly<Record<string, ((node: Node, shape: readonly number[]) => Channels) | undefined>> = {
  // [M, C/group, k, ...]; input channel of (m, c) is c + C/group · (group of m).
  Conv(node, [outputs, perGroup]) {
    const groups = node.int('group', 1);
    const outputsPerGroup = outputs / groups;
    return {
      outputs,
      inputs: perGroup * groups,
      rows: outputs,
      columns: perGroup,
      outputOf: (m) => m,
      inputOf: () => (m, c) => c + Math.floor(m / outputsPerGroup) * perGroup,
    };
  },
  // [K, N], or [N, K] with transB; K may hold several positions of each channel (Flatten).
  Gemm(node, [rows, columns]) {
    const transposed = node.int('transB', 0) === 1;
    const [outputs, features] = transposed ? [rows, columns] : [columns, rows];
    return {
      outputs,
      inputs: features,
      rows,
      columns,
      outputOf: transposed ? (n) => n : (_k, n) => n,
      inputOf(count) {
        const positions = features / count;
        const channel = (feature: number): number => Math.floor(feature / positions);
        return transposed ? (_n, k) => channel(k) : channel;
      },
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
  const read = second.inputOf(count);
  const r1 = ranges(first, count, first.outputOf);
  const r2 = ranges(second, count, read);
  const { bias } = first;
  const loudest = Math.max(...r1, ...(bias ?? []).map(Math.abs));
  const factors = Float64Array.from(r1, (range, i) =>
    Math.max(powerOfTwo(Math.sqrt(range / r2[i])), leastFactor(bias?.[i], loudest)),
  );
  if (factors.every((factor) => factor === 1)) return false;
  scale(first, (row, column) => 1 / factors[first.outputOf(row, column)]);
  if (bias !== undefined) for (let c = 0; c < count; c++) bias[c] /= factors[c];
  scale(second, (row, column) => factors[read(row, column)]);
  return true;
}

/**
 * A channel that is nearly dead is little but its bias, which a tiny factor would make louder than everything else on the
 * grid: no bias grows beyond `loudest`. (Weights of 1e-13 beside a bias of 0.5: the outputs had 0 dB of signal to noise.)
 */
function leastFactor(bias: number | undefined, loudest: number): number {
  return bias === undefined || bias === 0
    ? 0
    : Math.min(1, 2 ** Math.ceil(Math.log2(Math.abs(bias) / loudest)));
}

/** Multiplies by powers of two, which changes exponents alone. */
function scale({ weight, rows, columns }: Layer, factorOf: ChannelOf): void {
  const inner = weight.length / (rows * columns);
  for (let row = 0, i = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const factor = factorOf(row, column);
      for (const end = i + inner; i < end; i++) weight[i] *= factor;
    }
  }
}

/** Nearest power of two; 1 for 0, infinite and NaN, so that dead channels stay as they are. */
function powerOfTwo(x: number): number {
  return x > 0 && Number.isFinite(x) ? 2 ** Math.round(Math.log2(x)) : 1;
}

/** Largest magnitude of each channel. */
function ranges({ weight, rows, columns }: Layer, count: number, channelOf: ChannelOf): Float64Array {
  const inner = weight.length / (rows * columns);
  const result = new Float64Array(count);
  for (let row = 0, i = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const channel = channelOf(row, column);
      let largest = result[channel];
      for (const end = i + inner; i < end; i++) largest = Math.max(largest, Math.abs(weight[i]));
      result[channel] = largest;
    }
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
  const read = second.inputOf(count);
  const r1 = ranges(first, count, first.outputOf);
  const r2 = ranges(second, count, read);
  return (
    layerSnr(first, perChannel, (row, column) => r2[first.outputOf(row, column)]) +
    layerSnr(second, perChannel, (row, column) => r1[read(row, column)]) +
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
function layerSnr(layer: Layer, perChannel: boolean, loudness: ChannelOf): number {
  const { weight, outputs, rows, columns, outputOf } = layer;
  const inner = weight.length / (rows * columns);
  const channelRanges = ranges(layer, outputs, outputOf);
  const whole = channelRanges.reduce((a, b) => Math.max(a, b), 0);
  const signal = new Float64Array(outputs);
  const noise = new Float64Array(outputs);
  for (let row = 0, i = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const channel = outputOf(row, column);
      const step = (perChannel ? channelRanges[channel] : whole) / LARGEST_CODE;
      const perStep = step === 0 ? 0 : 1 / step;
      let squares = 0;
      let errors = 0;
      for (const end = i + inner; i < end; i++) {
        const error = weight[i] - Math.round(weight[i] * perStep) * step;
        squares += weight[i] * weight[i];
        errors += error * error;
      }
      const loud = loudness(row, column) ** 2;
      signal[channel] += squares * loud;
      noise[channel] += errors * loud;
    }
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
