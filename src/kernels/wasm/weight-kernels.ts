/**
 * What weights need on the SIMD kernels. Blocks: rows, whole blocks of a long row, or strips of columns, that fit the staging
 * areas.
 */
import { referenceWeightKernels as reference } from '../reference-weights.ts';
import type {
  BlockOutput,
  BlockPlace,
  BlockScheme,
  CodeTable,
  MagnitudeCounts,
  MagnitudeRange,
  ThresholdOutput,
  WeightKernels,
} from '../types.ts';
import { machineFor } from './machine.ts';
import type { Machine } from './machine.ts';
import { operand, pieceLength } from './operand.ts';
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

/** Of columns: sixteen have room for a padded block. */
const MAX_COLUMN_BLOCK = 256;
const STRIP = 16;

const covers = ({ blockSize }: BlockScheme): boolean => blockSize % 16 === 0 && blockSize <= MAX_BLOCK;
const coversColumns = ({ blockSize }: BlockScheme): boolean =>
  blockSize % 32 === 0 && blockSize <= MAX_COLUMN_BLOCK;

function quantizeByThresholds(
  w: Float32Array,
  blockSize: number,
  table: CodeTable,
  { codes, absmax }: ThresholdOutput,
): void {
  const isCovered = blockSize % 16 === 0 && blockSize <= MAX_BLOCK;
  const whole = isCovered ? w.length - (w.length % blockSize) : 0;
  if (whole > 0) quantizeWholeByThresholds(w.subarray(0, whole), blockSize, table, { codes, absmax });
  if (whole === w.length) return;
  const rest = { codes: codes.subarray(whole / 2), absmax: absmax.subarray(whole / blockSize) };
  reference.quantizeByThresholds(w.subarray(whole), blockSize, table, rest);
}

function quantizeWholeByThresholds(
  w: Float32Array,
  blockSize: number,
  { thresholds, codeOf }: CodeTable,
  out: ThresholdOutput,
): void {
  const machine = machineFor(w, out.codes);
  const { run, at, float32, uint8 } = machine;
  float32.set(thresholds, at.THRESHOLDS / 4);
  uint8.set(codeOf, at.CODE_OF);
  const weights = operand(machine, w, at.INPUT);
  const codes = operand(machine, out.codes, at.OUTPUT);
  const absmax = operand(machine, out.absmax, at.OUTPUT_2);
  const piece = Math.floor(pieceLength(machine, w.length, [weights, codes, absmax]) / blockSize) * blockSize;
  for (let start = 0; start < w.length; start += piece) {
    const count = Math.min(piece, w.length - start);
    const blocks = count / blockSize;
    const from = weights.load(start, count);
    run.quantizeByThresholds(
      from,
      blocks,
      blockSize,
      codes.target(start / 2),
      absmax.target(start / blockSize),
    );
    codes.store(start / 2, count / 2);
    absmax.store(start / blockSize, blocks);
  }
}

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

function quantizeBlocksByColumn(
  w: Float32Array,
  rows: number,
  cols: number,
  scheme: BlockScheme,
  out: BlockOutput,
  place: BlockPlace = { first: 0, pitch: Math.ceil(cols / scheme.blockSize) },
): void {
  if (!coversColumns(scheme)) {
    reference.quantizeBlocksByColumn(w, rows, cols, scheme, out, place);
    return;
  }
  const machine = machineFor(w, out.codes);
  const { codes, scales, zeroPoints } = out;
  const arrays = [w, codes, scales, ...(zeroPoints === undefined ? [] : [zeroPoints])];
  const isWhole = place.pitch === Math.ceil(cols / scheme.blockSize);
  if (isWhole && arrays.every(({ buffer }) => buffer === machine.buffer)) {
    const to = [codes, scales, zeroPoints].map((array) => array?.byteOffset ?? 0);
    runColumns(machine, scheme, { src: w.byteOffset, stride: rows, rows, cols }, to);
  } else {
    quantizePatches(machine, { w, rows, cols }, scheme, out, place);
  }
}

/** Columns in the machine's memory: `cols` lines of `stride` weights, of which the first `rows` are meant. */
interface Columns {
  readonly src: number;
  readonly stride: number;
  readonly rows: number;
  readonly cols: number;
}

function runColumns(
  { run }: Machine,
  { bits, blockSize, rounding, scale }: BlockScheme,
  { src, stride, rows, cols }: Columns,
  [codes, scales, zeroPoints]: readonly number[],
): void {
  const halfAway = rounding === 'half-away' ? 1 : 0;
  const rule = SCALES[scale];
  run.quantizeBlocksByColumn(
    bits,
    halfAway,
    src,
    stride,
    rows,
    cols,
    blockSize,
    rule,
    codes,
    scales,
    zeroPoints,
  );
}

/**
 * Blocks of a column whose results are staged together, where the weights lie in the machine's memory: their codes are a cache
 * line. Where weights must be copied in, few long lines are better than many short ones.
 */
const DEPTH = 4;

/** As many columns as can be staged at a time; results are put where they belong one by one. */
function quantizePatches(
  machine: Machine,
  { w, rows, cols }: { readonly w: Float32Array; readonly rows: number; readonly cols: number },
  scheme: BlockScheme,
  out: BlockOutput,
  place: BlockPlace,
): void {
  const { blockSize } = scheme;
  const { at } = machine;
  const resident = w.buffer === machine.buffer;
  const depth = resident ? DEPTH : 1;
  const blockBytes = (blockSize * scheme.bits) / 8;
  const fitting = resident ? Math.min(CODE_BYTES / blockBytes, BLOCKS) : at.MAX_ELEMENTS / blockSize;
  const width = Math.floor(fitting / depth / STRIP) * STRIP;
  const to = [at.OUTPUT, at.OUTPUT_2, at.OUTPUT_3];
  const aligned = out.codes.byteOffset % 4 === 0 ? out.codes : out.codes.slice();
  const words = new Int32Array(aligned.buffer, aligned.byteOffset, aligned.length / 4);
  for (let col = 0; col < cols; col += depth * blockSize) {
    const lines = Math.min(depth * blockSize, cols - col);
    const blocks = Math.ceil(lines / blockSize);
    for (let row = 0; row < rows; row += width) {
      const count = Math.min(width, rows - row);
      const start = col * rows + row;
      if (!resident) stageLines(machine, w.subarray(start), { lines, count, pitch: rows });
      const src = resident ? w.byteOffset + start * 4 : at.INPUT;
      runColumns(machine, scheme, { src, stride: resident ? rows : count, rows: count, cols: lines }, to);
      const first = row * place.pitch + place.first + col / blockSize;
      putPatch(
        machine,
        { rows: count, blocks, wordsPerBlock: blockBytes / 4 },
        { ...out, words },
        {
          first,
          pitch: place.pitch,
        },
      );
    }
  }
  if (aligned !== out.codes) out.codes.set(aligned);
}

/** Copies `count` weights of each of `lines` lines to the staging area. */
function stageLines(
  { at, float32 }: Machine,
  w: Float32Array,
  { lines, count, pitch }: { readonly lines: number; readonly count: number; readonly pitch: number },
): void {
  for (let line = 0; line < lines; line++) {
    const start = line * pitch;
    float32.set(w.subarray(start, start + count), at.INPUT / 4 + line * count);
  }
}

interface Patch {
  readonly rows: number;
  readonly blocks: number;
  /** Of codes. Blocks have 16 bytes and more. */
  readonly wordsPerBlock: number;
}

/** Moves staged results to their places. In loops: a call of set() for each row took five times as long. */
function putPatch(
  { at, int32, float32, uint8 }: Machine,
  { rows, blocks, wordsPerBlock }: Patch,
  { words, scales, zeroPoints }: BlockOutput & { readonly words: Int32Array },
  { first, pitch }: BlockPlace,
): void {
  const width = blocks * wordsPerBlock;
  let [code, entry] = [at.OUTPUT / 4, at.OUTPUT_2 / 4];
  let zeroPoint = at.OUTPUT_3;
  for (let row = 0; row < rows; row++) {
    const block = first + row * pitch;
    const end = block * wordsPerBlock + width;
    for (let i = end - width; i < end; i++) words[i] = int32[code++];
    for (let b = block; b < block + blocks; b++) scales[b] = float32[entry++];
    if (zeroPoints === undefined) continue;
    for (let b = block; b < block + blocks; b++) zeroPoints[b] = uint8[zeroPoint++];
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

const EVERY_MAGNITUDE: MagnitudeRange = { least: 0, greatest: Infinity };

function float32ToFloat16(
  x: Float32Array,
  out: Uint16Array,
  { least, greatest }: MagnitudeRange = EVERY_MAGNITUDE,
): void {
  const machine = machineFor(x, out);
  const { run, at } = machine;
  const source = operand(machine, x, at.INPUT);
  const halves = operand(machine, out, at.OUTPUT);
  const piece = pieceLength(machine, x.length, [source, halves]);
  for (let start = 0; start < x.length; start += piece) {
    const count = Math.min(piece, x.length - start);
    run.float32ToFloat16(source.load(start, count), halves.target(start), count, least, greatest);
    halves.store(start, count);
  }
}

function countMagnitudes(x: Float32Array, { least, greatest }: MagnitudeRange): MagnitudeCounts {
  const machine = machineFor(x);
  const { run, at, float32, int32 } = machine;
  const source = operand(machine, x, at.INPUT);
  const piece = Math.min(MOST_COUNTED, pieceLength(machine, x.length, [source], { readsOnly: true }));
  let [below, above, largest] = [0, 0, 0];
  for (let start = 0; start < x.length; start += piece) {
    const count = Math.min(piece, x.length - start);
    run.countMagnitudes(source.load(start, count), count, least, greatest);
    const results = at.EXTREMES / 4;
    largest = Math.max(largest, float32[results]);
    below += int32[results + 1];
    above += int32[results + 2];
  }
  return { below, above, largest };
}

/** Counters have 32 bits. */
const MOST_COUNTED = 2 ** 30;

function float16ToFloat32(bits: Uint16Array, out: Float32Array): void {
  const machine = machineFor(bits, out);
  const { run, at } = machine;
  const source = operand(machine, bits, at.INPUT);
  const values = operand(machine, out, at.OUTPUT);
  const piece = pieceLength(machine, bits.length, [source, values]);
  for (let start = 0; start < bits.length; start += piece) {
    const count = Math.min(piece, bits.length - start);
    run.float16ToFloat32(source.load(start, count), values.target(start), count);
    values.store(start, count);
  }
}

/** The SIMD backend for weights. */
export const wasmWeightKernels: WeightKernels = {
  name: 'wasm',
  quantizeBlocks,
  quantizeBlocksByColumn,
  dequantizeBlocks,
  quantizeByThresholds,
  float32ToFloat16,
  float16ToFloat32,
  countMagnitudes,
};
