/**
 * A weight as a matrix of `rows` output channels with `cols` elements each, however it is stored, read in tiles: memory
 * holds one tile of a few megabytes (or one band of blocks, where rows are very many), never a transposed copy.
 */
import { GraphError } from '../../errors.ts';
import { FileTensor } from '../../formats/onnx/file-tensor.ts';
import { bytesOf, type TensorSource } from '../../graph/tensor-source.ts';
import { kernels } from '../../kernels/backend.ts';

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

/** Part of a matrix, row-major: rows `row` to `row + rows`, columns `col` to `col + cols`. */
export interface Tile {
  readonly row: number;
  readonly rows: number;
  readonly col: number;
  readonly cols: number;
  /** rows · cols values; valid until the next tile is asked for. Do not write into it. */
  readonly data: Float32Array;
}

export interface TileOptions {
  /** Tiles begin at multiples of this many columns; default: tiles hold whole rows. */
  readonly colStep?: number;
  /** Tiles begin at multiples of this many rows. Default 1. */
  readonly rowStep?: number;
}

/** Elements of a tile: 8 MB as float32. Larger ones gain nothing, smaller ones cost more reads. */
const TILE_ELEMENTS = 2_097_152;
/** Rows and columns that are transposed together: both sides stay in the first-level cache. */
const TRANSPOSE = 32;

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

function rowTiles(matrix: WeightMatrix, { rowStep = 1 }: TileOptions): AsyncGenerator<Tile> {
  return tilesOfRows(matrix, rowStep, async (read, row, rows) => read(row * matrix.cols, rows * matrix.cols));
}

async function* columnTiles(matrix: WeightMatrix, options: TileOptions): AsyncGenerator<Tile> {
  const { rows, cols } = matrix;
  const { colStep, rowStep = 1 } = options;
  if (colStep === undefined) {
    const all = await (await openFloats(matrix.source))(0, rows * cols);
    const buffer = new Float32Array(Math.min(rows, rowsOfTile(cols, rowStep)) * cols);
    yield* tilesOfRows(matrix, rowStep, (_, row, height) => {
      const tile = buffer.subarray(0, height * cols);
      transpose(all.subarray(row), cols, height, tile, rows);
      return Promise.resolve(tile);
    });
    return;
  }
  const read = await openFloats(matrix.source);
  const width = Math.max(1, Math.floor(TILE_ELEMENTS / (rows * colStep))) * colStep;
  const buffer = new Float32Array(rows * Math.min(cols, width));
  for (let col = 0; col < cols; col += width) {
    const count = Math.min(width, cols - col);
    const data = buffer.subarray(0, rows * count);
    transpose(await read(col * rows, count * rows), count, rows, data, rows);
    yield { row: 0, rows, col, cols: count, data };
  }
}

type ReadFloats = (from: number, count: number) => Promise<Float32Array>;

async function* tilesOfRows(
  { rows, cols, source }: WeightMatrix,
  rowStep: number,
  load: (read: ReadFloats, row: number, rows: number) => Promise<Float32Array>,
): AsyncGenerator<Tile> {
  const read = await openFloats(source);
  const height = rowsOfTile(cols, rowStep);
  for (let row = 0; row < rows; row += height) {
    const count = Math.min(height, rows - row);
    yield { row, rows: count, col: 0, cols, data: await load(read, row, count) };
  }
}

function rowsOfTile(cols: number, rowStep: number): number {
  return Math.max(1, Math.floor(TILE_ELEMENTS / (cols * rowStep))) * rowStep;
}

/** Reads stretches of a float32 constant without loading all of it, where its bytes lie in one piece. */
async function openFloats(source: TensorSource): Promise<ReadFloats> {
  const inMemory = source.tensor ?? (isScattered(source) ? await source.load() : undefined);
  if (inMemory !== undefined) {
    // Only float32 weights come here (targets.ts).
    const data = inMemory.data as Float32Array;
    return (from, count) => Promise.resolve(data.subarray(from, from + count));
  }
  return async (from, count) => floatsOf(await source.read(from * 4, count * 4));
}

/** Elements in float_data: each read would decode all of them. */
function isScattered(source: TensorSource): boolean {
  return source instanceof FileTensor && source.raw?.source === source;
}

function floatsOf(bytes: Uint8Array): Float32Array {
  if (bytes.byteOffset % 4 === 0) {
    return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  }
  const aligned = new Float32Array(bytes.length / 4);
  bytesOf(aligned).set(bytes);
  return aligned;
}

/** `to`[c·rows + r] = `from`[r·stride + c] for r < rows, c < cols. */
function transpose(from: Float32Array, rows: number, cols: number, to: Float32Array, stride: number): void {
  for (let r0 = 0; r0 < rows; r0 += TRANSPOSE) {
    const rEnd = Math.min(rows, r0 + TRANSPOSE);
    for (let c0 = 0; c0 < cols; c0 += TRANSPOSE) {
      const cEnd = Math.min(cols, c0 + TRANSPOSE);
      for (let c = c0; c < cEnd; c++) {
        for (let r = r0, at = r0 * stride + c; r < rEnd; r++, at += stride) to[c * rows + r] = from[at];
      }
    }
  }
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
