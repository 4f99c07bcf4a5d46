/**
 * The range search of torch's HistogramObserver, equal to torch 2.13 in every bit of the result: shrink the range from
 * the end where fewer bins fall to a step of 1e-5 of the mass, as long as the expected squared error does not grow.
 *
 * Where it differs on purpose: the range is scaled by a power of two to about 1 first. That changes no bit, except that
 * the cubes below do not overflow for ranges above 1e12 or vanish below 1e-10, where torch's search goes astray.
 */
import { distance, finite32 } from '../quant/qparams-rules.ts';
import type { Histogram } from './histogram.ts';
import { torchSum } from './torch-sum.ts';

const f32 = Math.fround;

/** How much of the mass a step takes away at one end. */
const STEP = 1e-5;

export interface ValueRange {
  readonly min: number;
  readonly max: number;
}

/**
 * The range to quantize for.
 *
 * @param levels number of codes the error is computed for; torch takes 2^bits even for a reduced or custom range
 */
export function searchRange(h: Histogram, levels: number): ValueRange {
  const bins = h.counts.length;
  if (h.min === h.max) return { min: h.min, max: h.max };
  const [start, end] = searchBins(h, levels);
  const width = f32(distance(h.min, h.max) / bins);
  // Ranges wider than the largest float32 stay finite, as everywhere here; torch's scale is NaN.
  const edge = (bin: number): number => f32(h.min + finite32(width * bin));
  return { min: edge(start), max: Math.min(edge(end + 1), LARGEST) };
}

const LARGEST = f32(3.4028234663852886e38);

/** First and last bin of the chosen range. */
function searchBins(h: Histogram, levels: number): readonly [number, number] {
  const bins = h.counts.length;
  const counts = Float32Array.from(h.counts);
  const error = errorFunction(counts, (h.max - h.min) / 2 ** Math.floor(Math.log2(h.max - h.min)), levels);
  const cumulative = cumulativeSum(counts);
  const mass = torchSum(counts);
  let alpha = 0;
  let beta = 1;
  let start = 0;
  let end = bins - 1;
  let left = 0;
  let right = end;
  let best = Infinity;
  while (alpha < beta) {
    const nextAlpha = alpha + STEP;
    const nextBeta = beta - STEP;
    const low = f32(nextAlpha * mass);
    const high = f32(nextBeta * mass);
    // torch starts at `start` and `end` each time; the thresholds only move inward, so going on gives the same bins.
    left = Math.min(Math.max(left, start), end);
    right = Math.max(Math.min(right, end), start);
    while (left < end && cumulative[left] < low) left++;
    while (right > start && cumulative[right] > high) right--;
    let nextStart = start;
    let nextEnd = end;
    if (left - start > end - right) {
      nextStart = left;
      alpha = nextAlpha;
    } else {
      nextEnd = right;
      beta = nextBeta;
    }
    if (nextStart === start && nextEnd === end) continue;
    const next = error(nextStart, nextEnd);
    if (next > best) break;
    best = next;
    start = nextStart;
    end = nextEnd;
  }
  return [start, end];
}

/** Prefix sums in float64, each rounded to float32, as `torch.cumsum`. */
function cumulativeSum(counts: Float32Array): Float32Array {
  let sum = 0;
  return counts.map((count) => (sum += count));
}

/**
 * Expected squared error when bins start..end are laid on `levels` codes, bins outside going to the end codes.
 * With w = source bin width, D = code width, a bin from b to e (relative to `start`), p and q the codes of b and e,
 * and N(u, v) = density·(v³ - u³)/3, the squared error of values spread evenly from u to v around a code's middle:
 *   error = Σ N(b - (p + ½)D, D/2) + (q - p - 1)·N(-D/2, D/2) + N(-D/2, e - (q·D + D/2))
 * Vectors are float32, scalars float64 rounded at use, the sum is torch's.
 */
function errorFunction(
  counts: Float32Array,
  range: number,
  levels: number,
): (start: number, end: number) => number {
  const bins = counts.length;
  const binWidth = range / bins;
  const w = f32(binWidth);
  const density = counts.map((count) => count / w);
  const terms = new Float32Array(bins);
  const last = f32(levels - 1);
  return (start, end) => {
    const codeWidth = (binWidth * (end - start + 1)) / levels;
    if (codeWidth === 0) return 0;
    const D = f32(codeWidth);
    const half = f32(codeWidth / 2);
    const halfCubed = f32(f32(half * half) * half);
    const whole = f32(f32(halfCubed + halfCubed) / 3);
    for (let i = 0; i < bins; i++) {
      const b = f32((i - start) * w);
      const e = f32(b + w);
      const p = Math.min(Math.max(floorDivide(b, D), 0), last);
      const q = Math.min(Math.max(floorDivide(e, D), 0), last);
      const u = f32(b - f32(f32(p + 0.5) * D));
      const v = f32(e - f32(f32(q * D) + half));
      const first = f32(density[i] * f32(f32(halfCubed - f32(f32(u * u) * u)) / 3));
      const middle = f32(f32(f32(q - p) - 1) * f32(density[i] * whole));
      const rest = f32(density[i] * f32(f32(f32(f32(v * v) * v) + halfCubed) / 3));
      terms[i] = f32(f32(first + middle) + rest);
    }
    return torchSum(terms);
  };
}

/**
 * C's floor division of float32 as torch does it (fmod, divide, round) comes out as the exact floor for quotients
 * below 2^23, and so does the floor of a float64 quotient of two float32 values. Several times faster than `%`.
 */
function floorDivide(a: number, b: number): number {
  return f32(Math.floor(a / b));
}
