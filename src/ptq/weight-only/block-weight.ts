/**
 * Weights in blocks along K, packed as onnxruntime's MatMulNBits takes them (its operator documentation):
 *
 *   codes [N, blocks, blockSize·bits/8], scales [N, blocks], zero points [N, ceil(blocks·bits/8)],
 *   element i of a block (or row of zero points) in ascending bit order; w = (code - zeroPoint)·scale
 *
 * How they are chosen is src/algorithms. With `rtn` they equal those of onnxruntime's MatMulNBitsQuantizer (default
 * algorithm) in bits: round to nearest, ties away from zero; symmetric scales have the sign that puts the extreme on code 0.
 */
import { quantizeByBlocks, type BlockGrid, type ChooseBlock } from '../../algorithms/block-grid.ts';
import { quantizeGptq } from '../../algorithms/gptq.ts';
import { fitHalfQuadratic } from '../../algorithms/half-quadratic.ts';
import type { InputFactor } from '../../algorithms/input-factor.ts';
import { spanBlock } from '../../algorithms/round-to-nearest.ts';
import { searchScale } from '../../algorithms/scale-search.ts';
import type { BlockPlace } from '../../kernels/types.ts';
import { weightKernels } from '../../kernels/weight-kernels.ts';
import { present } from '../../passes/access.ts';
import { readTiles, type Tile, type TileOptions, type WeightMatrix } from './weight-matrix.ts';

/** How scales, zero points and codes are chosen; documented at `WeightSettings.algorithm`. */
export type WeightAlgorithm = 'rtn' | 'mse' | 'hqq' | 'gptq';

export interface BlockSpec extends BlockGrid {
  readonly algorithm: WeightAlgorithm;
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
export function blobBytes({ bits, blockSize }: BlockGrid): number {
  return (blockSize * bits) / 8;
}

/** Bytes of a row of packed zero points. */
export function zeroPointBytes(blocks: number, bits: number): number {
  return Math.ceil((blocks * bits) / 8);
}

/** Quantizes all blocks of a weight; a short last block is filled with the code of 0. `gptq` needs the factor. */
export async function quantizeBlocks(
  matrix: WeightMatrix,
  spec: BlockSpec,
  factor?: InputFactor,
): Promise<BlockWeight> {
  const pitch = blocksOf(matrix.cols, spec.blockSize);
  const whole = outputFor(matrix.rows, pitch, spec);
  const rule = RULES[spec.algorithm];
  for await (const tile of readTiles(matrix, tileOptions(rule, spec))) {
    // Tiles have all columns or all rows.
    const out = slice(whole, tile.row * pitch, tile.rows * pitch, spec);
    rule.quantize(tile, spec, out, { place: { first: tile.col / spec.blockSize, pitch }, factor });
  }
  return whole;
}

function tileOptions({ wholeRows, asStored }: Rule, { bits, blockSize }: BlockSpec): TileOptions {
  return wholeRows ? {} : { colStep: blockSize, asStored: asStored && bits !== 2 };
}

interface Rule {
  /** True if the tiles must hold whole rows. */
  readonly wholeRows: boolean;
  /** True if tiles of either order will do, for 4 and 8 bits. */
  readonly asStored: boolean;
  /** `out`: whole rows of blocks, of which the tile has some. */
  readonly quantize: (tile: Tile, spec: BlockSpec, out: BlockWeight, more: Place) => void;
}

interface Place {
  readonly place: BlockPlace;
  readonly factor: InputFactor | undefined;
}

const blockByBlock = (choose: ChooseBlock): Rule => ({
  wholeRows: false,
  asStored: false,
  quantize: (tile, spec, out, { place }) =>
    quantizeByBlocks(choose, { w: tile.data, cols: tile.cols }, spec, out, place),
});

const span = blockByBlock(spanBlock);

const RULES: Readonly<Record<WeightAlgorithm, Rule>> = {
  rtn: {
    wholeRows: false,
    asStored: true,
    quantize(tile, spec, out, more) {
      const { bits, blockSize, symmetric } = spec;
      if (bits === 2) return span.quantize(tile, spec, out, more);
      const { data, rows, cols, order } = tile;
      const scale = symmetric ? 'signed-extreme' : 'min-max';
      const scheme = { bits, blockSize, scale, rounding: 'half-away' } as const;
      if (order === 'rows') weightKernels().quantizeBlocks(data, rows, cols, scheme, out);
      else weightKernels().quantizeBlocksByColumn(data, rows, cols, scheme, out, more.place);
    },
  },
  mse: blockByBlock((block, grid) => searchScale(block, grid)),
  hqq: blockByBlock(fitHalfQuadratic),
  gptq: {
    wholeRows: true,
    asStored: false,
    quantize(tile, spec, out, { factor }) {
      quantizeGptq(
        tile.data,
        present(factor, 'gptq: expected the factor of the inputs, got none'),
        spec,
        out,
      );
    },
  },
};

function outputFor(rows: number, blocks: number, spec: BlockGrid): BlockWeight {
  return {
    codes: new Uint8Array(rows * blocks * blobBytes(spec)),
    scales: new Float32Array(rows * blocks),
    zeroPoints: new Uint8Array(rows * blocks),
  };
}

/** `count` blocks from block `first`, as a view. */
function slice(whole: BlockWeight, first: number, count: number, spec: BlockGrid): BlockWeight {
  const blob = blobBytes(spec);
  return {
    codes: whole.codes.subarray(first * blob, (first + count) * blob),
    scales: whole.scales.subarray(first, first + count),
    zeroPoints: whole.zeroPoints.subarray(first, first + count),
  };
}
