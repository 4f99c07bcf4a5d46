/**
 * Which nodes have a weight that can be quantized alone.
 *
 * Cases:
 * 1. MatMul with a constant float32 matrix as B, also with leading axes of size 1, also through a Transpose.
 * 2. Gemm with a constant float32 B. MatMulNBits and MatMulBnb4 need transA = 0, alpha = 1, and beta = 1 if there is a C.
 * 3. Einsum that multiplies the last axis of A with one of B's two, `abk,kn->abn` or `...k,nk->...n`; FusedMatMul with
 *    transA = 0, alpha = 1 and no batch transposed. Both become what MatMul would.
 * 4. Gather along axis 0 of a constant float32 table with two axes: an embedding.
 * 5. Anything else stays in float, with the reason; so does a weight whose blocks would be larger than its floats.
 */
import type { Node } from '../../graph/node.ts';
import type { TensorSource } from '../../graph/tensor-source.ts';
import type { Value } from '../../graph/value.ts';
import { einsumOrder } from './einsum-order.ts';
import type { WeightFormat } from './options.ts';
import type { WeightMatrix } from './weight-matrix.ts';

/** A node and the weight that it reads. */
export interface Target {
  readonly kind: 'product' | 'embedding';
  readonly node: Node;
  /** Which input leads to the weight. */
  readonly index: number;
  /** The constant; input `index` itself, or what a Transpose turns into it. */
  readonly value: Value;
  readonly matrix: WeightMatrix;
  /** True if the node says by other attributes what a MatMul with the weight as [K, N] would. */
  readonly isMatMul?: true;
}

/** The target, or why there is none. */
export type Found = Target | { readonly reason: string };

/** Looks at a node. */
export function findTarget(node: Node, format: WeightFormat): Found {
  const find = Object.hasOwn(FINDERS, node.qualifiedOp) ? FINDERS[node.qualifiedOp] : undefined;
  return find === undefined
    ? { reason: `${node.qualifiedOp} has no weight-only form here` }
    : find(node, format);
}

type Finder = (node: Node, format: WeightFormat) => Found;

const FINDERS: Readonly<Record<string, Finder>> = {
  MatMul: (node, format) => {
    const found = constantMatrix(node.inputs[1], 'columns');
    if ('reason' in found) return found;
    const reason = format === 'dequantize-linear' ? undefined : rankObstacle(node);
    return reason === undefined ? { kind: 'product', node, index: 1, ...found } : { reason };
  },
  Gemm: (node, format) => {
    const found = constantMatrix(node.inputs[1], node.int('transB', 0) === 1 ? 'rows' : 'columns');
    if ('reason' in found) return found;
    const reason = format === 'dequantize-linear' ? undefined : gemmObstacle(node);
    return reason === undefined ? { kind: 'product', node, index: 1, ...found } : { reason };
  },
  Einsum: (node, format) => {
    const order = einsumOrder(node.string('equation', ''));
    if (order === undefined) return { reason: 'its equation is no product with a matrix' };
    return likeMatMul(node, format, order);
  },
  'com.microsoft.FusedMatMul': (node, format) => {
    const reason = fusedObstacle(node);
    if (reason !== undefined) return { reason };
    return likeMatMul(node, format, node.int('transB', 0) === 1 ? 'rows' : 'columns');
  },
  Gather: (node) => {
    const table = node.inputs[0];
    if (table?.constant === undefined) return { reason: 'its table is computed' };
    if (table.constant.shape.length !== 2 || node.int('axis', 0) !== 0) {
      return { reason: 'it is no look-up of rows in a table' };
    }
    const found = constantMatrix(table, 'rows');
    return 'reason' in found ? found : { kind: 'embedding', node, index: 0, ...found };
  },
};

function likeMatMul(node: Node, format: WeightFormat, order: WeightMatrix['order']): Found {
  const found = constantMatrix(node.inputs[1], order);
  if ('reason' in found) return found;
  const reason = format === 'dequantize-linear' ? undefined : rankObstacle(node);
  return reason === undefined ? { kind: 'product', node, index: 1, ...found, isMatMul: true } : { reason };
}

function constantMatrix(
  input: Value | undefined,
  order: WeightMatrix['order'],
): Pick<Target, 'value' | 'matrix'> | { readonly reason: string } {
  const turned = input === undefined ? undefined : transposed(input);
  const value = turned ?? input;
  const source = value?.constant;
  if (value === undefined || source === undefined) return { reason: 'its second operand is computed' };
  if (source.elementType !== 'float32') {
    return { reason: `its weight is ${source.elementType}, not float32` };
  }
  const reason = shapeObstacle(source);
  if (reason !== undefined) return { reason };
  const flipped = order === 'rows' ? 'columns' : 'rows';
  return { value, matrix: matrixOf(value.name, source, turned === undefined ? order : flipped) };
}

/** The constant matrix that a Transpose turns into `value`, as tied embeddings have it. */
function transposed(value: Value): Value | undefined {
  const { producer } = value;
  const [from] = producer?.inputs ?? [];
  if (producer?.is('Transpose') !== true || from?.constant?.shape.length !== 2) return undefined;
  const perm = producer.ints('perm') ?? [1, 0];
  return perm[0] === 1 && perm[1] === 0 ? from : undefined;
}

function shapeObstacle({ shape }: TensorSource): string | undefined {
  if (shape.length < 2) return `its weight has ${shape.length} axes, not 2`;
  if (shape.slice(0, -2).some((size) => size !== 1)) {
    return `its weight is a stack of matrices, [${shape.join(', ')}]`;
  }
  return shape.some((size) => size === 0) ? 'its weight is empty' : undefined;
}

function matrixOf(name: string, source: TensorSource, order: WeightMatrix['order']): WeightMatrix {
  const [first, second] = source.shape.slice(-2);
  return order === 'rows'
    ? { name, source, rows: first, cols: second, order }
    : { name, source, rows: second, cols: first, order };
}

/** MatMulNBits gives as many axes as A has, and wants at least two. */
function rankObstacle({ inputs: [a, b] }: Node): string | undefined {
  const rank = a?.dims?.length;
  const rankB = b?.dims?.length ?? b?.producer?.inputs[0]?.dims?.length ?? 2;
  if (rank !== undefined && rank < 2) return 'its first operand is a vector';
  if (rankB <= 2 || (rank !== undefined && rank >= rankB)) return undefined;
  return `its weight has ${rankB} axes, and its first operand ${rank ?? 'an unknown number'}`;
}

function gemmObstacle(node: Node): string | undefined {
  if (node.int('transA', 0) !== 0) return 'it transposes its first operand';
  if (node.float('alpha', 1) !== 1) return 'it scales its product (alpha)';
  return node.inputs[2] !== undefined && node.float('beta', 1) !== 1
    ? 'it scales its bias (beta)'
    : undefined;
}

function fusedObstacle(node: Node): string | undefined {
  const turned = ['transA', 'transBatchA', 'transBatchB'].find((name) => node.int(name, 0) !== 0);
  if (turned !== undefined) return `it transposes an operand (${turned})`;
  return node.float('alpha', 1) === 1 ? undefined : 'it scales its product (alpha)';
}
