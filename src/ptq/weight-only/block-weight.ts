/**
 * Weights in blocks along K, packed as onnxruntime's MatMulNBits takes them (its operator documentation):
 *
 *   codes [N, blocks, blockSize·bits/8], scales [N, blocks], zero points [N, ceil(blocks·bits/8)],
 *   element i of a block (or row of zero points) in ascending bit order; w = (code - zeroPoint)·scale
 *
 * Codes and scales equal those of onnxruntime's MatMulNBitsQuantizer (default algorithm) in bits: round to nearest, ties
 * away from zero; symmetric scales have the sign that puts the extreme on code 0 (kernels/types.ts, `signed-extreme`).
 */
import { kernels } from '../../kernels/backend.ts';
import type { BlockOutput, BlockScheme } from '../../kernels/types.ts';
import { quantizeBlocks2 } from './two-bit.ts';
import { readTiles, type Tile, type WeightMatrix } from './weight-matrix.ts';

/** Bits of a code in MatMulNBits. */
export type WeightBits = 2 | 4 | 8;

export interface BlockSpec {
  readonly bits: WeightBits;
  readonly blockSize: number;
  readonly symmetric: boolean;
}

export interface BlockWeight {
  readonly codes: Uint8Array;
  readonly scales: Float32Array;
  /** One a byte: N · blocks. */
  readonly zeroPoints: Uint8Array;
}

export function blocksOf(cols: number, blockSize: number): number {
  return Math.ceil(cols / blockSize);
}

/** Bytes of one block's codes. */
export function blobBytes({ bits, blockSize }: BlockSpec): number {
  return (blockSize * bits) / 8;
}

/** Bytes of a row of packed zero points. */
export function zeroPointBytes(blocks: number, bits: WeightBits): number {
  return Math.ceil((blocks * bits) / 8);
}

/** Quantizes all blocks of a weight; a short last block is filled with the code of 0. */
export async function quantizeBlocks(matrix: WeightMatrix, spec: BlockSpec): Promise<BlockWeight> {
  const { rows, cols } = matrix;
  const blocks = blocksOf(cols, spec.blockSize);
  const whole = outputFor(rows, blocks, spec);
  let band: BlockWeight | undefined;
  for await (const tile of readTiles(matrix, { colStep: spec.blockSize })) {
    const tileBlocks = blocksOf(tile.cols, spec.blockSize);
    if (tileBlocks === blocks) {
      quantizeTile(tile, spec, slice(whole, tile.row * blocks, tile.rows * blocks, spec));
    } else {
      // The first band is the largest.
      band ??= outputFor(rows, tileBlocks, spec);
      const part = slice(band, 0, rows * tileBlocks, spec);
      quantizeTile(tile, spec, part);
      scatter(part, whole, { rows, blocks, first: tile.col / spec.blockSize }, spec);
    }
  }
  return whole;
}

function outputFor(rows: number, blocks: number, spec: BlockSpec): BlockWeight {
  return {
    codes: new Uint8Array(rows * blocks * blobBytes(spec)),
    scales: new Float32Array(rows * blocks),
    zeroPoints: new Uint8Array(rows * blocks),
  };
}

/** `count` blocks from block `first`, as a view. */
function slice(whole: BlockWeight, first: number, count: number, spec: BlockSpec): BlockWeight {
  const blob = blobBytes(spec);
  return {
    codes: whole.codes.subarray(first * blob, (first + count) * blob),
    scales: whole.scales.subarray(first, first + count),
    zeroPoints: whole.zeroPoints.subarray(first, first + count),
  };
}

function quantizeTile({ data, rows, cols }: Tile, spec: BlockSpec, out: BlockOutput): void {
  const { bits, blockSize, symmetric } = spec;
  const scale = symmetric ? 'signed-extreme' : 'min-max';
  if (bits === 2) return quantizeBlocks2(data, rows, cols, { blockSize, scale }, out);
  const scheme: BlockScheme = { bits, blockSize, scale, rounding: 'half-away' };
  kernels().quantizeBlocks(data, rows, cols, scheme, out);
}

/** Puts the blocks of a band of columns into their places: row by row, from block `first` on. */
function scatter(
  part: BlockWeight,
  whole: BlockWeight,
  { rows, blocks, first }: { readonly rows: number; readonly blocks: number; readonly first: number },
  spec: BlockSpec,
): void {
  const count = part.scales.length / rows;
  // Blobs are 4 bytes and more. In words, because a call of set() for each row took five times as long.
  const words = (count * blobBytes(spec)) / 4;
  const from = new Int32Array(part.codes.buffer, part.codes.byteOffset, rows * words);
  const to = new Int32Array(whole.codes.buffer, whole.codes.byteOffset, whole.codes.length / 4);
  for (let row = 0; row < rows; row++) {
    const block = row * blocks + first;
    const word = (block * blobBytes(spec)) / 4;
    for (let i = 0; i < words; i++) to[word + i] = from[row * words + i];
    for (let i = 0; i < count; i++) {
      whole.scales[block + i] = part.scales[row * count + i];
      whole.zeroPoints[block + i] = part.zeroPoints[row * count + i];
    }
  }
}
