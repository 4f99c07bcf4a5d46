/**
 * Operators that only move elements, of one constant: Transpose, Reshape, Flatten, Squeeze, Unsqueeze, Slice, Identity. What
 * they give is made when it is read. Arguments must be constants in memory (loadSmallConstants).
 */
import type { Node } from '../graph/node.ts';
import { derivedSource, type TensorSource } from '../graph/tensor-source.ts';
import type { Value } from '../graph/value.ts';
import type { TensorData } from '../tensor/dtype.ts';
import { elementCount as count } from '../tensor/shape.ts';
import { Tensor } from '../tensor/tensor.ts';
import { rangeOfSource } from './joined-source.ts';

/** `source` as a node gives it that only moves elements; undefined if it does something else, or its arguments do not fit. */
export function moved(node: Node, source: TensorSource): TensorSource | undefined {
  const move = node.domain === '' && Object.hasOwn(MOVES, node.opType) ? MOVES[node.opType] : undefined;
  return move?.(node, source);
}

type Move = (node: Node, source: TensorSource) => TensorSource | undefined;

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

/** Along each axis in steps of 1. */
function sliced(node: Node, source: TensorSource): TensorSource | undefined {
  const names = ['starts', 'ends', 'axes', 'steps'] as const;
  const [starts, ends, axes, steps] = names.map((name, i) => argument(node, name, node.inputs[i + 1]));
  if (starts === undefined || ends?.length !== starts.length) return undefined;
  // Arguments that are there but computed, or long.
  if (
    (axes === undefined && node.inputs[3] !== undefined) ||
    (steps === undefined && node.inputs[4] !== undefined)
  )
    return undefined;
  if (steps?.some((step) => step !== 1)) return undefined;
  return starts.reduce<TensorSource | undefined>(
    (part, start, i) => part && rangeOfSource(part, axes === undefined ? i : axes[i], start, ends[i]),
    source,
  );
}

const MOVES: Readonly<Record<string, Move>> = {
  Identity: (_node, source) => reshaped(source, source.shape),
  Slice: sliced,
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

/** Operators that {@link moved} knows. */
export const MOVE_OPS: readonly string[] = Object.keys(MOVES);
