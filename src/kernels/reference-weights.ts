/**
 * What weights need, in readable form (reference.ts says more).
 *
 * Block quantization, 4 or 8 bits, packed (see {@link BlockScheme} for the scale rules). With inv = f32(1 / s),
 * 0 if that is not finite, and t = f32(w·inv):
 *
 *   half-even: code(w) = clamp(roundHalfEven(t) + zp, 0, 2^bits - 1), as `multiply-round-add` has it
 *   half-away: code(w) = clamp(roundHalfAway(f32(t + zp)), 0, 2^bits - 1)
 *
 * half-away is what onnxruntime's MatMulNBits quantizer computes; for |s| < 2^-128 that has Infinity for inv.
 */
import { float16Bits, float16Value } from '../tensor/float16.ts';
import { clamp, roundHalfAway, roundHalfEven } from './round.ts';
import type {
  BlockOutput,
  BlockPlace,
  BlockScheme,
  CodeTable,
  MagnitudeRange,
  ThresholdOutput,
  WeightKernels,
} from './types.ts';

const f32 = Math.fround;

interface BlockParams {
  readonly scale: number;
  readonly zeroPoint: number;
}

const ROUND = { 'half-even': roundHalfEven, 'half-away': roundHalfAway } as const;

const ROUND_AND_ADD = {
  'half-even': (t: number, zeroPoint: number): number => roundHalfEven(t) + zeroPoint,
  'half-away': (t: number, zeroPoint: number): number => roundHalfAway(f32(t + zeroPoint)),
} as const;

/** 0 where 1 / scale is not a finite float32: for scale 0, and for scales so small that every weight is as good as 0. */
function inverse(scale: number): number {
  const inv = f32(1 / scale);
  return Math.abs(inv) === Infinity ? 0 : inv;
}

/** The scale rules; `block` is not empty. */
const CHOOSE: Record<BlockScheme['scale'], (block: Float32Array, scheme: BlockScheme) => BlockParams> = {
  'signed-extreme': (block, { bits }) => {
    let min = 0;
    let max = 0;
    for (const w of block) {
      if (w < min) min = w;
      if (w > max) max = w;
    }
    const extreme = max > -min ? max : min;
    const middle = 2 ** (bits - 1);
    // Adding 0 makes 0 of -0.
    return { scale: f32(extreme / -middle) + 0, zeroPoint: middle };
  },
  absmax: (block, { bits }) => {
    let largest = 0;
    for (const w of block) largest = Math.max(largest, Math.abs(w));
    const middle = 2 ** (bits - 1);
    return { scale: f32(largest / (middle - 1)), zeroPoint: middle };
  },
  'min-max': (block, { bits, rounding }) => {
    let min = 0;
    let max = 0;
    for (const w of block) {
      if (w < min) min = w;
      if (w > max) max = w;
    }
    const top = 2 ** bits - 1;
    const scale = f32(f32(max - min) / top);
    const zeroPoint = scale === 0 ? 0 : clamp(ROUND[rounding](f32(-min / scale)), 0, top);
    return { scale, zeroPoint };
  },
};

function quantizeBlocks(
  w: Float32Array,
  rows: number,
  cols: number,
  scheme: BlockScheme,
  out: BlockOutput,
): void {
  const { blockSize } = scheme;
  const blocks = Math.ceil(cols / blockSize);
  for (let row = 0; row < rows; row++) {
    for (let b = 0; b < blocks; b++) {
      const first = row * cols + b * blockSize;
      const block = w.subarray(first, Math.min(first + blockSize, (row + 1) * cols));
      quantizeBlock(block, row * blocks + b, scheme, out);
    }
  }
}

function quantizeBlocksByColumn(
  w: Float32Array,
  rows: number,
  cols: number,
  scheme: BlockScheme,
  out: BlockOutput,
  { first: firstBlock, pitch }: BlockPlace = { first: 0, pitch: Math.ceil(cols / scheme.blockSize) },
): void {
  const { blockSize } = scheme;
  const blocks = Math.ceil(cols / blockSize);
  const gathered = new Float32Array(blockSize);
  for (let row = 0; row < rows; row++) {
    for (let b = 0; b < blocks; b++) {
      const first = b * blockSize;
      const block = gathered.subarray(0, Math.min(blockSize, cols - first));
      for (let i = 0; i < block.length; i++) block[i] = w[(first + i) * rows + row];
      quantizeBlock(block, row * pitch + firstBlock + b, scheme, out);
    }
  }
}

/** Block `index` of all; what is missing of a short one gets the code of 0. */
function quantizeBlock(block: Float32Array, index: number, scheme: BlockScheme, out: BlockOutput): void {
  const { bits, blockSize } = scheme;
  const top = 2 ** bits - 1;
  const round = ROUND_AND_ADD[scheme.rounding];
  const { scale, zeroPoint } = CHOOSE[scheme.scale](block, scheme);
  const inv = inverse(scale);
  out.scales[index] = scale;
  if (out.zeroPoints !== undefined) out.zeroPoints[index] = zeroPoint;
  for (let i = 0; i < blockSize; i++) {
    const code = i < block.length ? clamp(round(f32(block[i] * inv), zeroPoint), 0, top) : zeroPoint;
    storeCode(out.codes, index * blockSize + i, bits, code);
  }
}

/** Writes code `i`; the low nibble is written first and clears the byte. */
function storeCode(codes: Uint8Array, i: number, bits: 4 | 8, code: number): void {
  if (bits === 8) codes[i] = code;
  else if (i % 2 === 0) codes[i >> 1] = code;
  else codes[i >> 1] |= code << 4;
}

function loadCode(codes: Uint8Array, i: number, bits: 4 | 8): number {
  if (bits === 8) return codes[i];
  return i % 2 === 0 ? codes[i >> 1] & 15 : codes[i >> 1] >> 4;
}

function dequantizeBlocks(
  blocks: BlockOutput,
  rows: number,
  cols: number,
  scheme: BlockScheme,
  out: Float32Array,
): void {
  const { bits, blockSize } = scheme;
  const perRow = Math.ceil(cols / blockSize);
  for (let row = 0; row < rows; row++) {
    for (let j = 0; j < cols; j++) {
      const index = row * perRow + Math.floor(j / blockSize);
      const zeroPoint = blocks.zeroPoints?.[index] ?? 2 ** (bits - 1);
      const code = loadCode(blocks.codes, index * blockSize + (j % blockSize), bits);
      out[row * cols + j] = f32((code - zeroPoint) * blocks.scales[index]);
    }
  }
}

function quantizeByThresholds(
  w: Float32Array,
  blockSize: number,
  { thresholds, codeOf }: CodeTable,
  out: ThresholdOutput,
): void {
  for (let from = 0, block = 0; from < w.length; from += blockSize, block++) {
    const weights = w.subarray(from, from + blockSize);
    const absmax = weights.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const inv = inverse(absmax);
    out.absmax[block] = absmax;
    for (const [i, value] of weights.entries()) {
      const x = f32(value * inv);
      const code = codeOf[thresholds.reduce((rank, threshold) => rank + (threshold < x ? 1 : 0), 0)];
      const at = from + i;
      if (at % 2 === 0) out.codes[at >> 1] = code << 4;
      else out.codes[at >> 1] |= code;
    }
  }
  // What is missing of the last byte is a 0.
  if (w.length % 2 === 1) out.codes[w.length >> 1] |= codeOf[thresholds.filter((t) => t < 0).length];
}

/** `value` with its magnitude in the range; 0, NaN and infinities as they are. */
export function clampMagnitude(value: number, { least, greatest }: MagnitudeRange): number {
  const magnitude = Math.abs(value);
  if (!(magnitude > 0 && magnitude < Infinity)) return value;
  return Math.sign(value) * clamp(magnitude, least, greatest);
}

/** The normative backend for weights. */
export const referenceWeightKernels: WeightKernels = {
  name: 'reference',
  quantizeBlocks,
  quantizeBlocksByColumn,
  dequantizeBlocks,
  quantizeByThresholds,
  float32ToFloat16(x, out, range = { least: 0, greatest: Infinity }) {
    for (let i = 0; i < x.length; i++) out[i] = float16Bits(clampMagnitude(x[i], range));
  },
  float16ToFloat32(bits, out) {
    for (let i = 0; i < bits.length; i++) out[i] = float16Value(bits[i]);
  },
  countMagnitudes(x, { least, greatest }) {
    let [below, above, largest] = [0, 0, 0];
    for (const value of x) {
      const magnitude = Math.abs(value);
      if (!(magnitude > 0 && magnitude < Infinity)) continue;
      if (magnitude < least) below++;
      if (magnitude > greatest) above++;
      largest = Math.max(largest, magnitude);
    }
    return { below, above, largest };
  },
};
