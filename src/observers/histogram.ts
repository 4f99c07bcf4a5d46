/**
 * A histogram whose range grows with the data, after torch's HistogramObserver: bins of equal width over [min, max],
 * counts kept when the range grows by spreading each old bin over 16 sub-bins.
 *
 * Counts are float64, whole or multiples of 16^-k, so they do not stop at 2^24 as torch's float32 counts do.
 */
import { kernels } from '../kernels/backend.ts';
import { distance } from '../quant/qparams-rules.ts';

const f32 = Math.fround;

/** Sub-bins of an old bin when the range grows. */
const UPSAMPLE_RATE = 16;
const MAX_FLOAT32 = (2 - 2 ** -23) * 2 ** 127;

export interface Histogram {
  /** Float32 values; equal if all values are. */
  readonly min: number;
  readonly max: number;
  /** counts[k] is about [min + k·w, min + (k+1)·w), w = (max - min) / bins; all in the middle bin if min = max. */
  readonly counts: Float64Array;
}

/** A histogram of [min, max] without counts. */
export function emptyHistogram(min: number, max: number, bins: number): Histogram {
  return { min, max, counts: new Float64Array(bins) };
}

/** Adds the values in [h.min, h.max] to the counts; others (infinities) are skipped. `torch.histc`. */
export function countValues(h: Histogram, x: Float32Array): void {
  const { counts } = h;
  const lo = h.min === h.max ? f32(h.min - 1) : h.min;
  const hi = h.min === h.max ? f32(h.max + 1) : h.max;
  if (lo === hi) {
    // Above 2^24 a float32 has no neighbour at distance 1; every value is the same one.
    counts[counts.length >> 1] += x.reduce((count, value) => count + (value === lo ? 1 : 0), 0);
  } else if (distance(lo, hi) * counts.length > MAX_FLOAT32) {
    // The kernel's (x - lo)·bins would overflow; a power of two less changes no position.
    kernels().histogram(scaled(x, 2 ** -64), lo * 2 ** -64, hi * 2 ** -64, counts);
  } else {
    kernels().histogram(x, lo, hi, counts);
  }
}

function scaled(x: Float32Array, factor: number): Float32Array {
  return x.map((value) => value * factor);
}

/** The same counts over the range widened to [min, max]; `h` itself if that is its range. */
export function widened(h: Histogram, min: number, max: number): Histogram {
  if (min === h.min && max === h.max) return h;
  const wide = emptyHistogram(min, max, h.counts.length);
  if (h.min === h.max) {
    const single = emptyHistogram(min, max, h.counts.length);
    countValues(single, Float32Array.of(h.min));
    const bin = single.counts.indexOf(1);
    if (bin >= 0) wide.counts[bin] = total(h);
    return wide;
  }
  spread(h, wide);
  return wide;
}

/** Number of values counted. */
export function total(h: Histogram): number {
  return h.counts.reduce((sum, count) => sum + count, 0);
}

/**
 * Each old bin becomes 16 sub-bins of a sixteenth of its count; a sub-bin goes to the new bin that holds its middle:
 *   middle(j) = linspace(old range, 16·bins + 1)[j] + width / 2, bin = (number of new boundaries ≤ middle) - 1
 */
function spread(from: Histogram, to: Histogram): void {
  const bins = from.counts.length;
  const subBins = bins * UPSAMPLE_RATE;
  const half = f32(0.5 * f32(distance(from.min, from.max) / subBins));
  const edges = linspace(from.min, from.max, subBins + 1);
  const boundaries = linspace(to.min, to.max, bins + 1);
  let above = 0;
  for (let j = 0; j < subBins; j++) {
    const middle = f32(edges[j] + half);
    while (above <= bins && boundaries[above] <= middle) above++;
    while (above > 0 && boundaries[above - 1] > middle) above--;
    const bin = Math.min(Math.max(above - 1, 0), bins - 1);
    to.counts[bin] += from.counts[Math.trunc(j / UPSAMPLE_RATE)] / UPSAMPLE_RATE;
  }
}

/**
 * `torch.linspace` in float32: start + step·i in the first half, end - step·(n-1-i) in the second, one rounding each
 * (the fused multiply-add of its SIMD kernels; float64 and one rounding gives the same).
 */
function linspace(start: number, end: number, n: number): Float32Array {
  const step = f32(distance(start, end) / (n - 1));
  const halfway = Math.trunc(n / 2);
  const points = new Float32Array(n);
  for (let i = 0; i < n; i++) points[i] = i < halfway ? start + step * i : end - step * (n - 1 - i);
  return points;
}

/**
 * The number of values below `value`, taking a bin's values as spread evenly over it; 0 below min, the total above max.
 * `cumulative` is {@link cumulativeCounts}.
 */
export function countBelow(h: Histogram, cumulative: Float64Array, value: number): number {
  const bins = h.counts.length;
  const position = ((value - h.min) / (h.max - h.min)) * bins;
  if (!(position > 0)) return 0;
  if (position >= bins) return cumulative[bins];
  const bin = Math.floor(position);
  return cumulative[bin] + (position - bin) * h.counts[bin];
}

/** cumulative[k] = counts[0] + … + counts[k-1]; bins + 1 values. */
export function cumulativeCounts(h: Histogram): Float64Array {
  const cumulative = new Float64Array(h.counts.length + 1);
  for (let k = 0; k < h.counts.length; k++) cumulative[k + 1] = cumulative[k] + h.counts[k];
  return cumulative;
}
