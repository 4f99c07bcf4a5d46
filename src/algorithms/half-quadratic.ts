/**
 * Half-quadratic quantization (Badri and Shaji 2023, "Half-Quadratic Quantization of Large Machine Learning Models", its
 * sections "Quantization as a sparsity problem" and "Half-quadratic solver"): minimizes Σ |w - w'|^p with p < 1, which
 * forgives outliers, by splitting off an error e and taking turns:
 *
 *   e = shrink(w - w'),   shrink(x) = sign(x)·max(0, |x| - |x|^(p-1) / β)
 *   z = mean(c - (w - e) / s),   β = κ·β
 *
 * The paper keeps z as a float. Here it is rounded, because no fast kernel takes a float one, and what that costs is won
 * back by the same step for the scale, d = c - z:
 *
 *   s = Σ (w - e)·d / Σ d²
 */
import { clamp, roundHalfAway } from '../kernels/round.ts';
import { inverseOf, topCode, type Block, type BlockChoice, type BlockGrid } from './block-grid.ts';
import { spanBlock } from './round-to-nearest.ts';

const f32 = Math.fround;

/** As the paper's code has them. */
const P = 0.7;
const FIRST_BETA = 10;
const KAPPA = 1.01;
const STEPS = 20;
/** Steps of the scale after z was rounded. Measured on normal values, 4 bits: 22.01 dB for 1, 22.11 for 3, 22.12 for 8. */
const SCALE_STEPS = 3;

/** Scale and integer zero point of a block; symmetric grids keep their zero point, and only the scale is fitted. */
export function fitHalfQuadratic(block: Block, grid: BlockGrid): BlockChoice {
  const span = spanBlock(block, grid);
  if (inverseOf(span.scale) === 0) return span;
  const top = topCode(grid.bits);
  const fit = grid.symmetric
    ? { zeroPoint: span.zeroPoint, beta: FIRST_BETA }
    : fitZeroPoint(block, span, top);
  const zeroPoint = clamp(roundHalfAway(fit.zeroPoint), 0, top);
  let { scale } = span;
  for (let step = 0; step < SCALE_STEPS; step++) scale = fitScale(block, { scale, zeroPoint }, top, fit.beta);
  return inverseOf(scale) === 0 ? span : { scale, zeroPoint };
}

/** The float zero point of least error that the steps came to, and where they had brought β. */
function fitZeroPoint(
  { w, from, end }: Block,
  { scale, zeroPoint: start }: BlockChoice,
  top: number,
): { readonly zeroPoint: number; readonly beta: number } {
  let zeroPoint = start;
  let beta = FIRST_BETA;
  let best = { zeroPoint, beta, error: Infinity };
  for (let step = 0; step < STEPS; step++) {
    const root = rootOf(beta);
    let [sum, error] = [0, 0];
    for (let i = from; i < end; i++) {
      const code = clamp(Math.floor(w[i] / scale + zeroPoint + 0.5), 0, top);
      const x = w[i] - (code - zeroPoint) * scale;
      error += Math.abs(x);
      sum += code - (w[i] - shrink(x, beta, root)) / scale;
    }
    if (error >= best.error) break;
    best = { zeroPoint, beta, error };
    zeroPoint = sum / (end - from);
    beta *= KAPPA;
  }
  return best;
}

function fitScale(
  { w, from, end }: Block,
  { scale, zeroPoint }: BlockChoice,
  top: number,
  beta: number,
): number {
  const root = rootOf(beta);
  let [product, square] = [0, 0];
  for (let i = from; i < end; i++) {
    const d = clamp(Math.floor(w[i] / scale + zeroPoint + 0.5), 0, top) - zeroPoint;
    product += (w[i] - shrink(w[i] - d * scale, beta, root)) * d;
    square += d * d;
  }
  return product === 0 ? scale : f32(product / square);
}

/** Up to this size an error shrinks to 0: the root of x = x^(p-1) / β. */
const rootOf = (beta: number): number => beta ** (-1 / (2 - P));

function shrink(x: number, beta: number, root: number): number {
  const size = Math.abs(x);
  // Most errors end here, before the power, which takes longer than all the rest.
  if (size <= root) return 0;
  return Math.sign(x) * (size - size ** (P - 1) / beta);
}
