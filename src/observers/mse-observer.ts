import { clamp, roundHalfEven } from '../kernels/round.ts';
import type { Histogram } from './histogram.ts';
import { HISTOGRAM_DEFAULTS, HistogramBase, type HistogramOptions } from './histogram-base.ts';
import type { ValueRange } from './histogram-search.ts';

/** Options of {@link MSEObserver}. */
export interface MSEObserverOptions extends HistogramOptions {}

/** Each end is tried at this many positions between 0 and its extreme, then between the neighbours of the best. */
const POSITIONS = 16;
/** Halvings of the step around the best position; the last step is 1/4096 of an end. */
const REFINEMENTS = 8;
/** Moves before a step is halved; a longer way means that the error hardly depends on the end. */
const MOVES_A_STEP = 4;

/**
 * The range with the least expected squared error on the grid that it will really get: scale and zero point of every
 * candidate are those that `calculateQParams` would give, rounding of the zero point, eps and code range included.
 * (Sung, Shin, Hwang 2015, "Resiliency of Deep Neural Networks under Quantization", arXiv 1511.06488; Choukroun et al.
 * 2019, "Low-bit Quantization of Neural Networks for Efficient Inference", arXiv 1902.06822.)
 *
 * With the values of a bin [b, e] spread evenly, s = scale and k(x) = clamp(rne(x/s), quantMin - zp, quantMax - zp):
 *   error = Σ count/(e - b) · (F(e) - F(b)),   F(x) = k·s³/12 + (x - k·s)³/3,
 * which is exact, clipping included. Candidates: both ends shrunk toward 0 independently, on a grid of 16 × 16 positions,
 * then by a pattern search with halving steps.
 */
export class MSEObserver extends HistogramBase {
  static override readonly type: string = 'MSEObserver';
  static override readonly defaults: object = HISTOGRAM_DEFAULTS;

  constructor(options: MSEObserverOptions = {}) {
    super(options);
  }

  protected override rangeOf(histogram: Histogram): ValueRange {
    const { min, max } = histogram;
    if (min === max) return { min, max };
    const error = (range: ValueRange): number => squaredError(histogram, this.gridOf(range));
    return leastError(Math.min(min, 0), Math.max(max, 0), error);
  }
}

/** The mean squared error a grid makes on the values of a histogram. */
function squaredError(
  { min, max, counts }: Histogram,
  grid: { scale: number; zeroPoint: number; quantMin: number; quantMax: number },
): number {
  const { scale, zeroPoint } = grid;
  const low = grid.quantMin - zeroPoint;
  const high = grid.quantMax - zeroPoint;
  // In units of the scale, so that cubes stay in range; the factor scale² comes back at the end.
  const integral = (x: number): number => {
    const k = clamp(roundHalfEven(x), low, high);
    const d = x - k;
    return k / 12 + (d * d * d) / 3;
  };
  const width = (max - min) / counts.length / scale;
  const first = min / scale;
  let error = 0;
  let before = integral(first);
  for (let i = 0; i < counts.length; i++) {
    const after = integral(first + width * (i + 1));
    if (counts[i] !== 0) error += counts[i] * (after - before);
    before = after;
  }
  return (error / width) * scale * scale;
}

/** Pattern search over the two ends [a·lowest, b·highest], a and b in [0, 1] but not both 0. */
function leastError(lowest: number, highest: number, error: (range: ValueRange) => number): ValueRange {
  const range = (a: number, b: number): ValueRange => ({
    min: Math.fround(lowest * a),
    max: Math.fround(highest * b),
  });
  let best = { a: 1, b: 1, error: error(range(1, 1)) };
  const attempt = (a: number, b: number): boolean => {
    if (a < 0 || b < 0 || a > 1 || b > 1 || (a * lowest === 0 && b * highest === 0)) return false;
    const candidate = { a, b, error: error(range(a, b)) };
    if (!(candidate.error < best.error)) return false;
    best = candidate;
    return true;
  };
  // An end that is 0 has one position.
  const lows = lowest === 0 ? [1] : Array.from({ length: POSITIONS }, (_, i) => 1 - i / POSITIONS);
  const highs = highest === 0 ? [1] : Array.from({ length: POSITIONS }, (_, i) => 1 - i / POSITIONS);
  for (const a of lows) for (const b of highs) attempt(a, b);
  for (let step = 0.5 / POSITIONS, i = 0; i < REFINEMENTS; i++, step /= 2) {
    for (let move = 0, moved = true; moved && move < MOVES_A_STEP; move++) {
      const { a, b } = best;
      moved = MOVES.map(([da, db]) => attempt(a + da * step, b + db * step)).includes(true);
    }
  }
  return range(best.a, best.b);
}

const MOVES = [
  [-1, 0],
  [1, 0],
  [0, -1],
  [0, 1],
  [-1, -1],
  [1, 1],
  [-1, 1],
  [1, -1],
] as const;
