/**
 * A weight as a matrix of `rows` output channels with `cols` elements each, however it is stored, read in tiles: memory
 * holds one tile of a few megabytes (or one band of blocks, where rows are very many), never a transposed copy.
 */
import { GraphError } from '../../errors.ts';
import { FileTensor } from '../../formats/onnx/file-tensor.ts';
import { bytesOf, floatsOf, type TensorSource } from '../../graph/tensor-source.ts';
import { kernels } from '../../kernels/backend.ts';
import { borrow, giveBack } from '../scratch.ts';
import { asBits, transpose } from './transpose.ts';

export interface WeightMatrix {
  /** For messages. */
  readonly name: string;
  /** float32. */
  readonly source: TensorSource;
  /** Output channels: N. */
  readonly rows: number;
  /** Elements a channel: K. */
  readonly cols: number;
  /** - `rows`: [N, K], as Gemm with transB and Gather have it. - `columns`: [K, N], as MatMul has it. */
  readonly order: 'rows' | 'columns';
}

/** Part of a matrix: rows `row` to `row + rows`, columns `col` to `col + cols`. */
export interface Tile {
  readonly row: number;
  readonly rows: number;
  readonly col: number;
  readonly cols: number;
  /** - `rows`: `data[r·cols + c]`. - `columns`: `data[c·rows + r]`, only where {@link TileOptions.asStored} allows it. */
  readonly order: WeightMatrix['order'];
  /** rows · cols values; valid until the next tile is asked for. Do not write into it. */
  readonly data: Float32Array;
}

export interface TileOptions {
  /** Tiles begin at multiples of this many columns; default: tiles hold whole rows. */
  readonly colStep?: number;
  /** Tiles begin at multiples of this many rows. Default 1. */
  readonly rowStep?: number;
  /** With `colStep`: whether tiles of a matrix that is stored by columns may stay so. Default false. */
  readonly asStored?: boolean;
}

/** Elements of a tile: 8 MB as float32. Larger ones gain nothing, smaller ones cost more reads. */
const TILE_ELEMENTS = 2_097_152;
/**
 * The tiles of a matrix, in order. With `colStep` a tile of a matrix that is stored by columns has all rows and some
 * columns; all other tiles have some rows and all columns.
 *
 * @throws GraphError GRAPH_INVALID if the weight holds NaN or an infinity
 */
export async function* readTiles(matrix: WeightMatrix, options: TileOptions = {}): AsyncGenerator<Tile> {
  const tiles = matrix.order === 'rows' ? rowTiles(matrix, options) : columnTiles(matrix, options);
  for await (const tile of tiles) {
    checkFinite(matrix.name, tile.data);
    yield tile;
  }
}

async function* rowTiles(
  { rows, cols, source }: WeightMatrix,
  { rowStep = 1 }: TileOptions,
): AsyncGenerator<Tile> {
  const stretches = stretchesOf(rows, rowsOfTile(cols, rowStep));
  for await (const [row, count, data] of readAhead(await openFloats(source), stretches, cols)) {
    yield { row, rows: count, col: 0, cols, order: 'rows', data };
  }
}

async function* columnTiles(matrix: WeightMatrix, options: TileOptions): AsyncGenerator<Tile> {
  const { colStep, rowStep = 1, asStored = false } = options;
  if (colStep === undefined) return yield* turnedRowTiles(matrix, rowStep);
  const { rows, cols, source } = matrix;
  const width = Math.max(1, Math.floor(TILE_ELEMENTS / (rows * colStep))) * colStep;
  const stretches = readAhead(await openFloats(source), stretchesOf(cols, width), rows);
  if (asStored) {
    for await (const [col, count, data] of stretches) {
      yield { row: 0, rows, col, cols: count, order: 'columns', data };
    }
    return;
  }
  const buffer = borrow(rows * Math.min(cols, width));
  try {
    for await (const [col, count, stored] of stretches) {
      const data = buffer.subarray(0, rows * count);
      transpose(asBits(stored), count, rows, asBits(data), rows);
      yield { row: 0, rows, col, cols: count, order: 'rows', data };
    }
  } finally {
    giveBack(buffer);
  }
}

/** Whole rows of a matrix that is stored by columns: these need all of it. */
async function* turnedRowTiles({ rows, cols, source }: WeightMatrix, rowStep: number): AsyncGenerator<Tile> {
  const { read, inMemory } = await openFloats(source);
  const height = rowsOfTile(cols, rowStep);
  const stored = inMemory ? undefined : borrow(rows * cols);
  const buffer = borrow(Math.min(rows, height) * cols);
  try {
    const all = await read(0, rows * cols, stored);
    for (const [row, count] of stretchesOf(rows, height)) {
      const data = buffer.subarray(0, count * cols);
      transpose(asBits(all.subarray(row)), cols, count, asBits(data), rows);
      yield { row, rows: count, col: 0, cols, order: 'rows', data };
    }
  } finally {
    giveBack(buffer);
    if (stored !== undefined) giveBack(stored);
  }
}

interface Floats {
  /** `count` elements from element `from`; may fill and give back `into`, which has at least that length. */
  readonly read: (from: number, count: number, into?: Float32Array) => Promise<Float32Array>;
  readonly inMemory: boolean;
}

type Stretch = readonly [first: number, count: number];

function stretchesOf(total: number, step: number): Stretch[] {
  const count = Math.ceil(total / step);
  return Array.from({ length: count }, (_, i) => [i * step, Math.min(step, total - i * step)] as const);
}

/** Reads stretches of lines of `width` elements, each while the one before it is worked on. */
async function* readAhead(
  { read, inMemory }: Floats,
  stretches: readonly Stretch[],
  width: number,
): AsyncGenerator<readonly [...Stretch, data: Float32Array]> {
  const size = Math.max(0, ...stretches.slice(0, 1).map(([, count]) => count * width));
  // Two, since one is worked on while the other is filled.
  const buffers = inMemory ? [] : stretches.slice(0, 2).map(() => borrow(size));
  const begin = (i: number): Promise<Float32Array> | undefined => {
    if (i >= stretches.length) return undefined;
    const [first, count] = stretches[i];
    const data = read(first * width, count * width, buffers[i % 2]);
    // If the consumer stops before it, nobody waits for this one.
    data.catch(() => undefined);
    return data;
  };
  let next = begin(0);
  try {
    for (const [i, [first, count]] of stretches.entries()) {
      const data = await next;
      next = begin(i + 1);
      if (data !== undefined) yield [first, count, data];
    }
  } finally {
    // Whoever borrows a buffer next must not find it being filled.
    await next?.catch(() => undefined);
    for (const buffer of buffers) giveBack(buffer);
  }
}

function rowsOfTile(cols: number, rowStep: number): number {
  return Math.max(1, Math.floor(TILE_ELEMENTS / (cols * rowStep))) * rowStep;
}

/** Reads stretches of a float32 constant without loading all of it, where its bytes lie in one piece. */
async function openFloats(source: TensorSource): Promise<Floats> {
  const tensor = source.tensor ?? (isScattered(source) ? await source.load() : undefined);
  if (tensor !== undefined) {
    // Only float32 weights come here (targets.ts).
    const data = tensor.data as Float32Array;
    return { inMemory: true, read: (from, count) => Promise.resolve(data.subarray(from, from + count)) };
  }
  return {
    inMemory: false,
    async read(from, count, into) {
      return floatsOf(await source.read(from * 4, count * 4, into && bytesOf(into).subarray(0, count * 4)));
    },
  };
}

/** Elements in float_data: each read would decode all of them. */
function isScattered(source: TensorSource): boolean {
  return source instanceof FileTensor && source.raw?.source === source;
}

function checkFinite(name: string, data: Float32Array): void {
  const { min, max } = kernels().minMax(data);
  if (data.length === 0 || (min > -Infinity && max < Infinity)) return;
  const got = Number.isNaN(min) ? 'NaN' : 'an infinity';
  throw new GraphError(`quantizeWeights: ${name}: expected finite weights, got ${got}`, {
    code: 'GRAPH_INVALID',
    hint: 'The export is damaged or overflowed: look at the float model first.',
    details: { value: name },
  });
}
