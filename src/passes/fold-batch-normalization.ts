/**
 * BatchNormalization behind Conv or Gemm becomes part of their weight and bias:
 *
 *   k = scale / sqrt(variance + epsilon);  weight' = weight · k (by output channel);  bias' = (bias - mean) · k + B
 *
 * Cases:
 * 1. Conv or Gemm (alpha = beta = 1) with a constant weight, whose output only the normalization reads: folded.
 * 2. Somebody else reads the output, or the graph gives it: left, the un-normalized value is needed.
 * 3. Weight, bias or statistics are not constants, or the node is in training mode: left.
 * 4. No Conv or Gemm before it: left; a normalization of its own has no integer form.
 *
 * Computed in float64 and rounded once, so the result is nearer to exact than running both nodes in float32.
 */
import { constantOf, inputOf, outputOf, producerOf } from './access.ts';
import { memorySource } from '../graph/tensor-source.ts';
import { Tensor } from '../tensor/tensor.ts';
import { toFloat32 } from '../tensor/cast.ts';
import type { Graph } from '../graph/graph.ts';
import type { Node } from '../graph/node.ts';
import type { Value } from '../graph/value.ts';
import type { Model } from '../graph/model.ts';
import { onCopy, type PassResult, type SkippedNode } from './pass.ts';

const EPSILON = 1e-5;

/** Output channels lie on axis 0 of these weights, unless the row says otherwise. */
const CHANNEL_AXIS: Readonly<Record<string, (node: Node) => number>> = {
  Conv: () => 0,
  Gemm: (node) => (node.int('transB', 0) === 1 ? 0 : 1),
};

/** Folds BatchNormalization into the Conv or Gemm before it; `skipped` names those that stay, with the reason. */
export function foldBatchNormalization(model: Model): Promise<PassResult> {
  return onCopy(model, foldBatchNormalizationInPlace);
}

/** The same on a model that the caller owns. */
export async function foldBatchNormalizationInPlace(model: Model): Promise<Omit<PassResult, 'model'>> {
  const skipped: SkippedNode[] = [];
  let modified = false;
  for (const node of model.graph.nodes.toArray()) {
    if (!node.is('BatchNormalization')) continue;
    const reason = obstacle(node);
    if (reason === undefined) {
      await fold(model.graph, node);
      modified = true;
    } else {
      skipped.push({ node: node.label, opType: node.opType, reason });
    }
  }
  return { modified, skipped };
}

/** Why a normalization cannot be folded; undefined if it can. */
function obstacle(node: Node): string | undefined {
  const [input, ...statistics] = node.inputs;
  const target = input?.producer;
  if (input === undefined || target === undefined || !Object.hasOwn(CHANNEL_AXIS, target.opType)) {
    return 'no Conv or Gemm comes before it';
  }
  if (target.domain !== '') return 'no Conv or Gemm comes before it';
  if (input.isOutput || input.consumers.size > 1)
    return `the output of ${target.label} is also read elsewhere`;
  if (node.int('training_mode', 0) !== 0) return 'it is in training mode';
  if (node.int('spatial', 1) === 0) return 'it normalizes every position';
  if (node.outputs.slice(1).some((output) => output !== undefined && !output.isUnused)) {
    return 'its running statistics are read';
  }
  if (target.is('Gemm') && (target.float('alpha', 1) !== 1 || target.float('beta', 1) !== 1)) {
    return `${target.label} scales its result`;
  }
  const constants = [...statistics, ...target.inputs.slice(1)];
  const dynamic = constants.find((value) => value !== undefined && value.constant === undefined);
  if (dynamic !== undefined) return `${dynamic.name} is not a constant`;
  if ((target.inputs[2]?.dims?.slice(0, -1) ?? []).some((size) => size !== 1)) {
    return `the bias of ${target.label} differs by row`;
  }
  const foreign = constants.find((value) => value !== undefined && value.elementType !== 'float32');
  return foreign === undefined ? undefined : `${foreign.name} is not float32`;
}

async function load(value: Value): Promise<Float32Array> {
  return toFloat32(await constantOf(value).load()).data;
}

async function fold(graph: Graph, node: Node): Promise<void> {
  const before = inputOf(node, 0);
  const target = producerOf(before);
  const weight = inputOf(target, 1);
  const { shape } = constantOf(weight);
  const [gamma, beta, mean, variance] = await Promise.all(
    [1, 2, 3, 4].map((index) => load(inputOf(node, index))),
  );
  const epsilon = node.float('epsilon', EPSILON);
  const factor = Float64Array.from(gamma, (g, c) => g / Math.sqrt(variance[c] + epsilon));
  const bias = target.inputs[2] && (await load(target.inputs[2]));
  const newBias = Float32Array.from(
    factor,
    (k, c) => ((bias?.[c % bias.length] ?? 0) - mean[c]) * k + beta[c],
  );
  const axis = CHANNEL_AXIS[target.opType](target);
  const newWeight = scaleChannels(await load(weight), shape, axis, factor);
  const weightValue = graph.addInitializer(
    graph.freshName(`${weight.name}_folded`),
    memorySource(new Tensor('float32', shape, newWeight)),
  );
  const biasValue = graph.addInitializer(
    graph.freshName(`${target.inputs[2]?.name ?? weight.name}_bias_folded`),
    memorySource(new Tensor('float32', [newBias.length], newBias)),
  );
  target.setInputs([target.inputs[0], weightValue, biasValue]);
  const after = outputOf(node);
  const { name: publicName } = after;
  graph.replaceAllUses(after, before);
  graph.removeNode(node);
  // The value keeps the name of what it now is, so that a runner of the original model means the same by it.
  if (before.name !== publicName) graph.rename(before, publicName);
}

function scaleChannels(
  weight: Float32Array,
  shape: readonly number[],
  axis: number,
  factor: Float64Array,
): Float32Array<ArrayBuffer> {
  const inner = shape.slice(axis + 1).reduce((product, size) => product * size, 1);
  const channels = shape[axis];
  return Float32Array.from(weight, (w, i) => w * factor[Math.floor(i / inner) % channels]);
}
