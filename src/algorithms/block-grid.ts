/**
 * What the algorithms for weights in blocks share: a row of weights is cut into blocks, each gets a scale s and a zero
 * point z, and each weight a code. How s and z are chosen is the algorithm; what a code means is not:
 *
 *   code(w) = clamp(round(f32(f32(w·f32(1/s)) + z)), 0, 2^bits - 1), ties away from zero;   w' = (code - z)·s
 *
 * That is `half-away` of kernels/reference-weights.ts, for 2 bits too. Symmetric grids have z = 2^(bits-1).
 */
import type { BlockOutput, BlockPlace } from '../kernels/types.ts';

const f32 = Math.fround;

/** How many codes a block has, and where. */
export interface BlockGrid {
  readonly bits: 2 | 4 | 8;
  /** Elements along a row that share a scale; a multiple of 4. */
  readonly blockSize: number;
  /** True: the zero point is the middle code. */
  readonly symmetric: boolean;
}

export interface BlockChoice {
  /** A float32; can be negative. 0 for a block of zeros. */
  readonly scale: number;
  /** An integer in [0, 2^bits - 1]. */
  readonly zeroPoint: number;
}

/** Weights `from` to `end` of an array: a block. Not empty, all finite. */
export interface Block {
  readonly w: Float32Array;
  readonly from: number;
  readonly end: number;
}

/** Chooses the scale and the zero point of a block. */
export type ChooseBlock = (block: Block, grid: BlockGrid) => BlockChoice;

export const middleCode = (bits: number): number => 2 ** (bits - 1);
export const topCode = (bits: number): number => 2 ** bits - 1;

/** 0 where 1 / scale is not a finite float32: such weights are as good as 0. */
export function inverseOf(scale: number): number {
  const inverse = f32(1 / scale);
  return Math.abs(inverse) === Infinity ? 0 : inverse;
}

/** The code of a weight. */
export function codeOf(weight: number, inverse: number, zeroPoint: number, top: number): number {
  // Half away from zero is half up here, because what is negative becomes 0 anyway.
  const code = Math.floor(f32(f32(weight * inverse) + zeroPoint) + 0.5);
  return code < 0 ? 0 : code > top ? top : code;
}

/** Writes code `i` of packed codes; the bits must be 0 before. */
export function orCode(codes: Uint8Array, i: number, bits: number, code: number): void {
  const bit = i * bits;
  codes[bit >> 3] |= code << (bit & 7);
}

/** Quantizes rows of `cols` weights block by block. A short last block is filled with the code of 0. */
export function quantizeByBlocks(
  choose: ChooseBlock,
  { w, cols }: { readonly w: Float32Array; readonly cols: number },
  grid: BlockGrid,
  out: BlockOutput,
  { first, pitch }: BlockPlace = { first: 0, pitch: Math.ceil(cols / grid.blockSize) },
): void {
  const blocks = Math.ceil(cols / grid.blockSize);
  for (let row = 0; row * cols < w.length; row++) {
    for (let b = 0; b < blocks; b++) {
      const index = row * pitch + first + b;
      const from = row * cols + b * grid.blockSize;
      const block: Block = { w, from, end: Math.min(from + grid.blockSize, (row + 1) * cols) };
      const choice = choose(block, grid);
      putChoice(out, index, choice);
      encodeBlock(block, choice, grid, out.codes, index);
    }
  }
}

/** Keeps the choice for block `index`. */
export function putChoice(out: BlockOutput, index: number, { scale, zeroPoint }: BlockChoice): void {
  out.scales[index] = scale;
  if (out.zeroPoints !== undefined) out.zeroPoints[index] = zeroPoint;
}

function encodeBlock(
  { w, from, end }: Block,
  { scale, zeroPoint }: BlockChoice,
  { bits, blockSize }: BlockGrid,
  codes: Uint8Array,
  index: number,
): void {
  const [inverse, top, perByte] = [inverseOf(scale), topCode(bits), 8 / bits];
  let at = (index * blockSize) / perByte;
  for (let i = from; i < from + blockSize; i += perByte, at++) {
    let byte = 0;
    for (let j = 0; j < perByte; j++) {
      const code = i + j < end ? codeOf(w[i + j], inverse, zeroPoint, top) : zeroPoint;
      byte |= code << (j * bits);
    }
    codes[at] = byte;
  }
}
