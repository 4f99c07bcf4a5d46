/**
 * Blocks of 2-bit codes, four a byte, first element in the lowest bits: the rules of kernels/reference-blocks.ts, which
 * has 4 and 8 bits, with ties away from zero.
 *
 *   signed-extreme: s = e / -2, zp = 2;   min-max: s = (max(0,max) - min(0,min)) / 3, zp = round(-min / s)
 *   code(w) = clamp(round(f32(f32(w·f32(1/s)) + zp)), 0, 3)
 *
 * Plain loops: 2 bits are for size above all, and no kernel of onnxruntime runs them faster than 4.
 */
import { clamp, roundHalfAway } from '../../kernels/round.ts';
import type { BlockOutput, BlockScheme } from '../../kernels/types.ts';

const f32 = Math.fround;
const MIDDLE = 2;
const TOP = 3;

export interface TwoBitScheme {
  /** A multiple of 4. */
  readonly blockSize: number;
  readonly scale: Exclude<BlockScheme['scale'], 'absmax'>;
}

/** As `quantizeBlocks` of the kernels; `out.codes` gets blockSize / 4 bytes a block. */
export function quantizeBlocks2(
  w: Float32Array,
  rows: number,
  cols: number,
  { blockSize, scale: rule }: TwoBitScheme,
  out: BlockOutput,
): void {
  const blocks = Math.ceil(cols / blockSize);
  for (let row = 0; row < rows; row++) {
    for (let b = 0; b < blocks; b++) {
      const from = row * cols + b * blockSize;
      const end = Math.min(from + blockSize, (row + 1) * cols);
      const index = row * blocks + b;
      const { scale, zeroPoint } = choose(w, from, end, rule);
      out.scales[index] = scale;
      if (out.zeroPoints !== undefined) out.zeroPoints[index] = zeroPoint;
      const inverse = f32(1 / scale);
      const inv = Math.abs(inverse) === Infinity ? 0 : inverse;
      const bytes = (index * blockSize) / 4;
      for (let i = 0; i < blockSize; i += 4) {
        let byte = 0;
        for (let j = 0; j < 4; j++) {
          const at = from + i + j;
          const t = at < end ? f32(f32(w[at] * inv) + zeroPoint) : zeroPoint;
          // Rounded and clamped: comparisons, because the branches of round and clamp cost four times as much.
          byte |= (Number(t >= 0.5) + Number(t >= 1.5) + Number(t >= 2.5)) << (2 * j);
        }
        out.codes[bytes + i / 4] = byte;
      }
    }
  }
}

function choose(
  w: Float32Array,
  from: number,
  end: number,
  rule: TwoBitScheme['scale'],
): { readonly scale: number; readonly zeroPoint: number } {
  let min = 0;
  let max = 0;
  for (let i = from; i < end; i++) {
    if (w[i] < min) min = w[i];
    if (w[i] > max) max = w[i];
  }
  if (rule === 'signed-extreme') {
    // Adding 0 makes 0 of -0.
    return { scale: f32((max > -min ? max : min) / -MIDDLE) + 0, zeroPoint: MIDDLE };
  }
  const scale = f32(f32(max - min) / TOP);
  return { scale, zeroPoint: scale === 0 ? 0 : clamp(roundHalfAway(f32(-min / scale)), 0, TOP) };
}
