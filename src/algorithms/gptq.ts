/**
 * GPTQ (Frantar et al. 2022, arXiv 2210.17323, section 3, Algorithm 1): quantizes a row of weights one column after the
 * other, and lets the columns that are still to come make up for the error. With U of input-factor.ts, for each column k
 *
 *   e = (w_k - w'_k) / U_kk,   w_j = w_j - e·U_kj for all j > k     (row k of U, which is upper triangular)
 *
 * Scales are chosen when a block begins, from what its weights have become; with loud columns first all are chosen at the
 * beginning, from the weights as they are, so that blocks still lie side by side and no index of groups is needed.
 */
import { codeOf, inverseOf, middleCode, orCode, putChoice, topCode, type BlockGrid } from './block-grid.ts';
import type { InputFactor } from './input-factor.ts';
import { searchScale } from './scale-search.ts';
import type { BlockOutput } from '../kernels/types.ts';

/** Rows that are worked on together: each row of U is read once for all of them. */
const ROWS = 32;

type Output = Required<BlockOutput>;

/** Rows in work: their weights in the order of steps, and what they are quantized to. */
interface Work {
  readonly factor: InputFactor;
  readonly grid: BlockGrid;
  readonly out: Output;
  readonly rows: number;
  /** rows · K. */
  readonly w: Float32Array;
  /** rows · blockSize: e of the columns of the last steps. */
  readonly errors: Float64Array;
  /** Index of the first row's first block. */
  readonly block: number;
}

/** Quantizes rows of K weights, as `quantizeByBlocks` does. The codes of `out` must be 0 before. */
export function quantizeGptq(w: Float32Array, factor: InputFactor, grid: BlockGrid, out: Output): void {
  const { size } = factor;
  const blocks = Math.ceil(size / grid.blockSize);
  const total = w.length / size;
  const buffer = new Float32Array(ROWS * size);
  const errors = new Float64Array(ROWS * grid.blockSize);
  for (let row = 0; row < total; row += ROWS) {
    const rows = Math.min(ROWS, total - row);
    buffer.set(w.subarray(row * size, (row + rows) * size));
    const work = { factor, grid, out, rows, w: buffer, errors, block: row * blocks };
    if (factor.order !== undefined) {
      for (let b = 0; b < blocks; b++) chooseScales(work, b);
      reorder(work, factor.order);
    }
    quantizeRows(work);
  }
  fillPadding(size, total, grid, out);
}

function quantizeRows(work: Work): void {
  const { factor, grid } = work;
  const { size } = factor;
  for (let first = 0; first < size; first += grid.blockSize) {
    const end = Math.min(first + grid.blockSize, size);
    if (factor.order === undefined) chooseScales(work, first / grid.blockSize);
    for (let k = first; k < end; k++) quantizeColumn(work, k, first, end);
    passOn(work, first, end);
  }
}

/** Scales of block `b` of each row, for inputs as loud as they are. */
function chooseScales({ factor, grid, out, rows, w, block }: Work, b: number): void {
  const { size, importance } = factor;
  const [start, end] = [b * grid.blockSize, Math.min((b + 1) * grid.blockSize, size)];
  const counted = importance.subarray(start, end);
  const blocks = Math.ceil(size / grid.blockSize);
  for (let row = 0; row < rows; row++) {
    const choice = searchScale({ w, from: row * size + start, end: row * size + end }, grid, counted);
    putChoice(out, block + row * blocks + b, choice);
  }
}

/** Quantizes column `k` of each row; columns up to `end` take up its error at once. */
function quantizeColumn(
  { factor, grid, out, rows, w, errors, block }: Work,
  k: number,
  first: number,
  end: number,
): void {
  const { size, upper, order } = factor;
  const { bits, blockSize } = grid;
  const column = order?.[k] ?? k;
  const [b, within, top] = [Math.floor(column / blockSize), column % blockSize, topCode(bits)];
  const [line, blocks] = [k * size, Math.ceil(size / blockSize)];
  for (let row = 0; row < rows; row++) {
    const index = block + row * blocks + b;
    const [scale, zeroPoint] = [out.scales[index], out.zeroPoints[index]];
    const at = row * size + k;
    const code = codeOf(w[at], inverseOf(scale), zeroPoint, top);
    orCode(out.codes, index * blockSize + within, bits, code);
    const error = (w[at] - (code - zeroPoint) * scale) / upper[line + k];
    errors[row * blockSize + k - first] = error;
    for (let j = k + 1; j < end; j++) w[row * size + j] -= error * upper[line + j];
  }
}

/** The columns after `end` take up the errors of columns `first` to `end`, four at a time: a quarter of the stores. */
function passOn({ factor, grid, rows, w, errors }: Work, first: number, end: number): void {
  const { size, upper } = factor;
  for (let row = 0; row < rows; row++) {
    const [to, from] = [row * size, row * grid.blockSize - first];
    for (let k = first; k < end; k += 4) {
      const [e0, e1, e2, e3] = [0, 1, 2, 3].map((i) => (k + i < end ? errors[from + k + i] : 0));
      const line = k * size;
      // Only a block that nothing comes after can have a length that is no multiple of 4.
      for (let j = end; j < size; j++) {
        w[to + j] -=
          e0 * upper[line + j] +
          e1 * upper[line + size + j] +
          e2 * upper[line + 2 * size + j] +
          e3 * upper[line + 3 * size + j];
      }
    }
  }
}

function reorder({ w, rows }: Work, order: Int32Array): void {
  const size = order.length;
  const row = new Float32Array(size);
  for (let r = 0; r < rows; r++) {
    row.set(w.subarray(r * size, (r + 1) * size));
    for (let k = 0; k < size; k++) w[r * size + k] = row[order[k]];
  }
}

/** What is behind the last weight of a row gets the code of 0. */
function fillPadding(size: number, rows: number, { bits, blockSize }: BlockGrid, out: Output): void {
  const blocks = Math.ceil(size / blockSize);
  for (let row = 0; row < rows; row++) {
    const index = (row + 1) * blocks - 1;
    const zeroPoint = out.zeroPoints[index] ?? middleCode(bits);
    for (let i = size - (blocks - 1) * blockSize; i < blockSize; i++)
      orCode(out.codes, index * blockSize + i, bits, zeroPoint);
  }
}
