/**
 * Round to nearest: the grid spans the values of the block, and 0. What onnxruntime's MatMulNBits quantizer computes.
 *
 *   zero points   s = (max(0, max) - min(0, min)) / (2^bits - 1),   z = round(-min / s)
 *   symmetric     s = e / -2^(bits-1), e the value of greatest magnitude (the negative one of two equals)
 *
 * The kernels have the same, faster, for 4 and 8 bits (`signed-extreme` and `min-max` of kernels/types.ts). This one is
 * for 2 bits, and where the other algorithms start.
 */
import { clamp, roundHalfAway } from '../kernels/round.ts';
import { middleCode, topCode, type Block, type BlockChoice, type BlockGrid } from './block-grid.ts';

const f32 = Math.fround;

/** The scale and zero point that span a block; scale 0 for a block of zeros. */
export function spanBlock({ w, from, end }: Block, { bits, symmetric }: BlockGrid): BlockChoice {
  let min = 0;
  let max = 0;
  for (let i = from; i < end; i++) {
    if (w[i] < min) min = w[i];
    if (w[i] > max) max = w[i];
  }
  if (symmetric) {
    const middle = middleCode(bits);
    // Adding 0 makes 0 of -0.
    return { scale: f32((max > -min ? max : min) / -middle) + 0, zeroPoint: middle };
  }
  const top = topCode(bits);
  const scale = f32(f32(max - min) / top);
  return { scale, zeroPoint: scale === 0 ? 0 : clamp(roundHalfAway(f32(-min / scale)), 0, top) };
}
