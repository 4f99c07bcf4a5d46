/**
 * From a shape and a granularity to kernel {@link Layout}s: the one place that walks channels and blocks.
 * With outer, n, inner = sizes before, on and after the axis, parameters lie in row-major order over
 *   per_tensor: []      per_channel: [n]      per_block: the shape with n replaced by ceil(n / blockSize)
 */
import type { Layout } from '../kernels/types.ts';
import { elementCount, normalizeAxis } from '../tensor/shape.ts';
import type { Granularity } from './types.ts';

/** A run of elements that one kernel call can do, and the first of its parameters. */
export interface LayoutPiece {
  readonly layout: Layout;
  readonly first: number;
  readonly length: number;
  readonly firstParam: number;
}

export interface LayoutPlan {
  /** Shape and number of the parameters. */
  readonly paramShape: readonly number[];
  readonly params: number;
  /** In order, together every element once; empty for an empty tensor. */
  readonly pieces: readonly LayoutPiece[];
}

interface Split {
  readonly outer: number;
  readonly size: number;
  readonly inner: number;
}

/** Plans kernel calls for a tensor. Throws RangeError for an axis outside the rank or a block size below 1. */
export function planLayout(shape: readonly number[], granularity: Granularity, where: string): LayoutPlan {
  const count = elementCount(shape);
  if (granularity.kind === 'per_tensor') {
    return plan([], count === 0 ? [] : [whole(byRow(1, count, 1))]);
  }
  const axis = normalizeAxis(granularity.axis, shape.length, where);
  const split: Split = {
    outer: elementCount(shape.slice(0, axis)),
    size: shape[axis],
    inner: elementCount(shape.slice(axis + 1)),
  };
  if (granularity.kind === 'per_channel') {
    return plan([split.size], count === 0 ? [] : [whole(channels(split))]);
  }
  const { blockSize } = granularity;
  if (!Number.isSafeInteger(blockSize) || blockSize < 1) {
    throw new RangeError(`${where}: expected a block size of at least 1, got ${blockSize}`);
  }
  const paramShape = shape.with(axis, Math.ceil(split.size / blockSize));
  return plan(paramShape, count === 0 ? [] : blocks(split, blockSize));
}

function plan(paramShape: readonly number[], pieces: readonly LayoutPiece[]): LayoutPlan {
  return { paramShape, params: elementCount(paramShape), pieces };
}

function byRow(rows: number, cols: number, params: number): Layout {
  return { rows, cols, params, pattern: 'by-row', period: 1 };
}

function byColumn(rows: number, cols: number, params: number, period: number): Layout {
  return { rows, cols, params, pattern: 'by-column', period };
}

function whole(layout: Layout): LayoutPiece {
  return { layout, first: 0, length: layout.rows * layout.cols, firstParam: 0 };
}

function channels({ outer, size, inner }: Split): Layout {
  if (size === 1) return byRow(1, outer * inner, 1);
  return inner === 1 ? byColumn(outer, size, size, 1) : byRow(outer * size, inner, size);
}

/** One call where the blocks tile the axis, else one call (blocks of rows) or two (blocks in a row) for each outer index. */
function blocks(split: Split, blockSize: number): LayoutPiece[] {
  const { outer, size, inner } = split;
  const count = Math.ceil(size / blockSize);
  if (count === 1 && inner === 1) return [whole(byRow(outer, size, outer))];
  if (size % blockSize === 0) {
    const params = outer * count * inner;
    return [
      whole(
        inner === 1 ? byRow(params, blockSize, params) : byColumn(outer * size, inner, params, blockSize),
      ),
    ];
  }
  const pieces: LayoutPiece[] = [];
  for (let o = 0; o < outer; o++) {
    const first = o * size * inner;
    const firstParam = o * count * inner;
    if (inner > 1) {
      const layout = byColumn(size, inner, count * inner, blockSize);
      pieces.push({ layout, first, length: size * inner, firstParam });
      continue;
    }
    const full = (count - 1) * blockSize;
    pieces.push(
      { layout: byRow(count - 1, blockSize, count - 1), first, length: full, firstParam },
      {
        layout: byRow(1, size - full, 1),
        first: first + full,
        length: size - full,
        firstParam: firstParam + count - 1,
      },
    );
  }
  return pieces;
}

/** The part of a flat array that a piece covers; the array itself where that is all of it. */
export function pieceOf<T extends { readonly length: number; subarray(from: number, to: number): T }>(
  array: T,
  piece: LayoutPiece,
): T {
  return piece.length === array.length ? array : array.subarray(piece.first, piece.first + piece.length);
}

/** The parameters that a piece uses. */
export function paramsOf<T extends { readonly length: number; subarray(from: number, to: number): T }>(
  params: T,
  piece: LayoutPiece,
): T {
  const { params: count } = piece.layout;
  return count === params.length ? params : params.subarray(piece.firstParam, piece.firstParam + count);
}

/** Calls `visit(index, parameter)` for every element, for arithmetic that no kernel has; see {@link Layout}. */
export function visitElements(plan: LayoutPlan, visit: (index: number, param: number) => void): void {
  for (const { layout, first, firstParam } of plan.pieces) {
    const { rows, cols, params, period } = layout;
    for (let row = 0; row < rows; row++) {
      const base = layout.pattern === 'by-row' ? row : Math.floor(row / period) * cols;
      const step = layout.pattern === 'by-row' ? 0 : 1;
      for (let j = 0; j < cols; j++) visit(first + row * cols + j, firstParam + ((base + j * step) % params));
    }
  }
}
