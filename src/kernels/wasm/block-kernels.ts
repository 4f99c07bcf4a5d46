/** Block quantization on the SIMD kernels: rows, or whole blocks of a long row, that fit the staging areas. */
import { blockKernels as reference } from '../reference-blocks.ts';
import type { BlockOutput, BlockScheme, Kernels } from '../types.ts';
import { machineFor } from './machine.ts';
import type { Machine } from './machine.ts';
import { operand } from './operand.ts';
import type { Operand } from './operand.ts';

/** Numbers of assembly/blocks.ts. */
const SCALES: Readonly<Record<BlockScheme['scale'], number>> = {
  'signed-extreme': 0,
  absmax: 1,
  'min-max': 2,
};

const MAX_BLOCK = 4096;
/** Room for codes (bytes) and for blocks in the staging areas. */
const CODE_BYTES = 65536;
const BLOCKS = 8192;

const covers = ({ blockSize }: BlockScheme): boolean => blockSize % 16 === 0 && blockSize <= MAX_BLOCK;

interface Operands {
  readonly weights: Operand;
  readonly codes: Operand;
  readonly scales: Operand;
  readonly zeroPoints: Operand | undefined;
}

function operandsOf(
  machine: Machine,
  w: Float32Array,
  blocks: BlockOutput,
  slots: [number, number],
): Operands {
  const { at } = machine;
  const { codes, scales, zeroPoints } = blocks;
  return {
    weights: operand(machine, w, slots[0]),
    codes: operand(machine, codes, slots[1]),
    scales: operand(machine, scales, at.OUTPUT_2),
    zeroPoints: zeroPoints === undefined ? undefined : operand(machine, zeroPoints, at.OUTPUT_3),
  };
}

/** A call: `rows` rows of `cols` weights from weight `start`, and the blocks and code bytes that belong to them. */
interface Part {
  readonly start: number;
  readonly rows: number;
  readonly cols: number;
  readonly block: number;
  readonly blocks: number;
  readonly code: number;
  readonly codes: number;
}

function* partsOf(
  rows: number,
  cols: number,
  { bits, blockSize }: BlockScheme,
  { weights, codes, scales, zeroPoints }: Operands,
  maxElements: number,
): Generator<Part> {
  const perRow = Math.ceil(cols / blockSize);
  const blockBytes = (blockSize * bits) / 8;
  const staged = ![weights, codes, scales].every((o) => o.resident) || zeroPoints?.resident === false;
  // Whole blocks that fit: short last blocks take as much room for codes as long ones.
  const limit = Math.min(Math.floor(CODE_BYTES / blockBytes), Math.floor(maxElements / blockSize), BLOCKS);
  const fitting = staged ? limit : Infinity;
  const height = Math.max(1, Math.min(rows, Math.floor(fitting / perRow)));
  const width = Math.min(perRow, fitting);
  for (let row = 0; row < rows; row += height) {
    for (let first = 0; first < perRow; first += width) {
      const count = Math.min(height, rows - row);
      const blocks = count * Math.min(width, perRow - first);
      const block = row * perRow + first;
      yield {
        start: row * cols + first * blockSize,
        rows: count,
        cols: Math.min(width * blockSize, cols - first * blockSize),
        block,
        blocks,
        code: block * blockBytes,
        codes: blocks * blockBytes,
      };
    }
  }
}

function quantizeBlocks(
  w: Float32Array,
  rows: number,
  cols: number,
  scheme: BlockScheme,
  out: BlockOutput,
): void {
  if (!covers(scheme)) {
    reference.quantizeBlocks(w, rows, cols, scheme, out);
    return;
  }
  const machine = machineFor(w, out.codes);
  const { run, at } = machine;
  const operands = operandsOf(machine, w, out, [at.INPUT, at.OUTPUT]);
  const { weights, codes, scales, zeroPoints } = operands;
  const { bits, blockSize } = scheme;
  const halfAway = scheme.rounding === 'half-away' ? 1 : 0;
  const rule = SCALES[scheme.scale];
  for (const part of partsOf(rows, cols, scheme, operands, at.MAX_ELEMENTS)) {
    run.quantizeBlocks(
      bits,
      halfAway,
      weights.load(part.start, part.rows * part.cols),
      part.rows,
      part.cols,
      blockSize,
      rule,
      codes.target(part.code),
      scales.target(part.block),
      zeroPoints?.target(part.block) ?? 0,
    );
    codes.store(part.code, part.codes);
    scales.store(part.block, part.blocks);
    zeroPoints?.store(part.block, part.blocks);
  }
}

function dequantizeBlocks(
  blocks: BlockOutput,
  rows: number,
  cols: number,
  scheme: BlockScheme,
  out: Float32Array,
): void {
  if (!covers(scheme)) {
    reference.dequantizeBlocks(blocks, rows, cols, scheme, out);
    return;
  }
  const machine = machineFor(out, blocks.codes);
  const { run, at } = machine;
  const operands = operandsOf(machine, out, blocks, [at.OUTPUT, at.INPUT]);
  const { weights, codes, scales, zeroPoints } = operands;
  const { bits, blockSize } = scheme;
  for (const part of partsOf(rows, cols, scheme, operands, at.MAX_ELEMENTS)) {
    run.dequantizeBlocks(
      bits,
      codes.load(part.code, part.codes),
      scales.load(part.block, part.blocks),
      zeroPoints?.load(part.block, part.blocks) ?? 0,
      part.rows,
      part.cols,
      blockSize,
      weights.target(part.start),
    );
    weights.store(part.start, part.rows * part.cols);
  }
}

export const blockKernels: Pick<Kernels, 'quantizeBlocks' | 'dequantizeBlocks'> = {
  quantizeBlocks,
  dequantizeBlocks,
};
