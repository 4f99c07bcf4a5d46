/**
 * Constants behind ops that only move their elements become constants of their own: exporters without constant folding put
 * a Transpose or Reshape between a weight and the MatMul or Conv that reads it, and quantizers see no weight there.
 *
 * Cases:
 * 1. Transpose, Reshape, Flatten, Squeeze, Unsqueeze of a constant, with constant arguments: an initializer. Its elements
 *    are moved when they are read, not before.
 * 2. The constant has other readers too, and no reader of the result takes weights: left, it would be stored twice.
 * 3. The result is a graph output, elements are smaller than a byte, or the arguments do not fit: left.
 */
import type { Graph } from '../graph/graph.ts';
import type { Model } from '../graph/model.ts';
import type { Node } from '../graph/node.ts';
import { elementBits } from '../graph/element-type.ts';
import { derivedSource, type TensorSource } from '../graph/tensor-source.ts';
import type { Value } from '../graph/value.ts';
import { Tensor } from '../tensor/tensor.ts';
import type { TensorData } from '../tensor/dtype.ts';
import { outputOf } from './access.ts';
import type { PassResult } from './pass.ts';

/** Ops for which a weight is worth a copy of its own. */
const TAKES_WEIGHTS = new Set(['MatMul', 'Gemm', 'Conv', 'ConvTranspose']);

/** Folds what only moves the elements of constants; see the cases above. */
export async function foldConstants(model: Model): Promise<PassResult> {
  const copy = model.clone();
  let modified = false;
  for (const node of Array.from(copy.graph.allNodes())) {
    const { graph } = node;
    const folded = graph && foldedSource(node);
    if (graph === undefined || folded === undefined) continue;
    replaceByConstant(graph, node, folded);
    modified = true;
  }
  return { model: modified ? copy : model, modified, skipped: [] };
}

function replaceByConstant(graph: Graph, node: Node, source: TensorSource): void {
  const output = outputOf(node);
  const { name } = output;
  graph.rename(output, graph.freshName(name));
  graph.replaceAllUses(output, graph.addInitializer(name, source));
  graph.removeNode(node);
}

function foldedSource(node: Node): TensorSource | undefined {
  const [input] = node.inputs;
  const [output] = node.outputs;
  const source = input?.constant;
  if (input === undefined || source === undefined || output === undefined) return undefined;
  if (output.isOutput || elementBits(source.elementType) < 8) return undefined;
  if (input.uses.size > 1 && ![...output.consumers].some(({ opType }) => TAKES_WEIGHTS.has(opType))) {
    return undefined;
  }
  return moved(node, source);
}

/** `source` as a node gives it that only moves elements; undefined if it does something else, or its arguments do not fit. */
export function moved(node: Node, source: TensorSource): TensorSource | undefined {
  const fold = node.domain === '' && Object.hasOwn(FOLDS, node.opType) ? FOLDS[node.opType] : undefined;
  return fold?.(node, source);
}

type Fold = (node: Node, source: TensorSource) => TensorSource | undefined;

const count = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

/** Same elements in the same order: same bytes. */
function reshaped(source: TensorSource, shape: readonly number[] | undefined): TensorSource | undefined {
  const fits = shape?.every(Number.isInteger) && count(shape) === count(source.shape);
  if (shape === undefined || !fits) return undefined;
  const { elementType, byteLength, where } = source;
  return {
    elementType,
    shape,
    byteLength,
    where,
    async load() {
      const { dtype, data } = await source.load();
      return new Tensor(dtype, shape, data);
    },
    read: (offset, length) => source.read(offset, length),
  };
}

/** Output axis i is input axis perm[i]. */
function transposed(source: TensorSource, perm: readonly number[]): TensorSource {
  const shape = perm.map((axis) => source.shape[axis]);
  return derivedSource(source, { shape, byteLength: source.byteLength }, async () => {
    const { dtype, data } = await source.load();
    return new Tensor(dtype, shape, permute(data, source.shape, perm));
  });
}

function permute(data: TensorData, shape: readonly number[], perm: readonly number[]): TensorData {
  const strides = shape.map((_size, axis) => count(shape.slice(axis + 1)));
  const sizes = perm.map((axis) => shape[axis]);
  const steps = perm.map((axis) => strides[axis]);
  const result = data.slice();
  const index = new Int32Array(perm.length);
  let from = 0;
  for (let to = 0; to < result.length; to++) {
    result[to] = data[from];
    // The next place in the output: the last axis that is not at its end goes on, those after it begin again.
    for (let axis = perm.length - 1; axis >= 0; axis--) {
      from += steps[axis];
      if (++index[axis] < sizes[axis]) break;
      from -= steps[axis] * sizes[axis];
      index[axis] = 0;
    }
  }
  return result;
}

/** Ints of an attribute, or of a constant input that lies in memory. */
export function argument(node: Node, name: string, input: Value | undefined): readonly number[] | undefined {
  const held = input?.constant?.tensor;
  return node.ints(name) ?? (held && Array.from(held.data as BigInt64Array, Number));
}

function isAxis(axis: number, rank: number): boolean {
  return Number.isInteger(axis) && axis >= 0 && axis < rank;
}

const fromEnd = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);

const FOLDS: Readonly<Record<string, Fold>> = {
  Transpose(node, source) {
    const rank = source.shape.length;
    const perm = node.ints('perm') ?? Array.from({ length: rank }, (_, i) => rank - 1 - i);
    const isPermutation =
      perm.length === rank && new Set(perm).size === rank && perm.every((axis) => isAxis(axis, rank));
    return isPermutation ? transposed(source, perm) : undefined;
  },
  Reshape(node, source) {
    const wanted = argument(node, 'shape', node.inputs[1]);
    if (wanted === undefined) return undefined;
    const copiesZero = node.int('allowzero', 0) === 0;
    const sizes = wanted.map((size, i) => (size === 0 && copiesZero ? (source.shape[i] ?? 0) : size));
    const known = count(sizes.filter((size) => size !== -1));
    const rest = count(source.shape) / known;
    return reshaped(
      source,
      sizes.map((size) => (size === -1 ? rest : size)),
    );
  },
  Flatten(node, source) {
    const axis = fromEnd(node.int('axis', 1), source.shape.length);
    return reshaped(source, [count(source.shape.slice(0, axis)), count(source.shape.slice(axis))]);
  },
  Squeeze(node, source) {
    const { shape } = source;
    const axes = argument(node, 'axes', node.inputs[1])?.map((axis) => fromEnd(axis, shape.length));
    if (axes === undefined && node.inputs[1] !== undefined) return undefined;
    return reshaped(
      source,
      shape.filter((size, axis) => !(axes === undefined ? size === 1 : axes.includes(axis))),
    );
  },
  Unsqueeze(node, source) {
    const axes = argument(node, 'axes', node.inputs[1]);
    if (axes === undefined) return undefined;
    const rank = source.shape.length + axes.length;
    const added = new Set(axes.map((axis) => fromEnd(axis, rank)));
    const sizes = [...source.shape];
    const shape = Array.from({ length: rank }, (_, axis) => (added.has(axis) ? 1 : (sizes.shift() ?? 0)));
    return reshaped(source, shape);
  },
};
