import { qschemeInfo } from '../quant/qscheme.ts';
import { countBelow, cumulativeCounts, type Histogram } from './histogram.ts';
import { HISTOGRAM_DEFAULTS, HistogramBase, type HistogramOptions } from './histogram-base.ts';
import type { ValueRange } from './histogram-search.ts';

/** Options of {@link EntropyObserver}. */
export interface EntropyObserverOptions extends HistogramOptions {}

/** Share of an even distribution mixed into both sides, so that an empty bin does not make the divergence infinite. */
const SMOOTHING = 1e-4;
/** The two ends take turns until neither moves. */
const MAX_TURNS = 6;
/** An end is tried at every 256th of the bins, then at each bin around the best of those: a tenth of the time. */
const COARSE_POSITIONS = 256;

/**
 * The range whose codes keep most of the distribution's information: least Kullback-Leibler divergence (Migacz 2017,
 * "8-bit Inference with TensorRT", GTC; Wu et al. 2020, arXiv 2004.09602).
 *
 *   P = the bins of the candidate range, all that lies outside added to its end bins
 *   Q = the same bins without what lies outside, averaged over the bins of each code (only those that P has)
 *   choose the range with the least Σ P·log(P / Q), both sides smoothed; of equals the widest
 *
 * Symmetric schemes use the bins of |x| on half of the codes and move one end; affine ones use x over a range that holds
 * 0 and move both ends in turn. A range has at least as many bins as there are codes: with 2048 bins an end has 1921
 * positions for int8, 1793 for uint8. (onnxruntime's default of 128 bins for 128 codes leaves one, so it never clips.)
 * The bin that holds 0 counts no more than its neighbours: exact zeros (ReLU) cost nothing on any grid, and would hide
 * the rest.
 *
 * @throws RangeError from the constructor if there are not at least twice as many bins as codes to choose from
 */
export class EntropyObserver extends HistogramBase {
  static override readonly type: string = 'EntropyObserver';
  static override readonly defaults: object = HISTOGRAM_DEFAULTS;
  readonly #codes: number;

  constructor(options: EntropyObserverOptions = {}) {
    super(options);
    const codes = this.quantMax - this.quantMin + 1;
    this.#codes = this.#isSymmetric ? Math.floor(codes / 2) : codes;
    if (this.bins < 2 * this.#codes) {
      throw new RangeError(
        `${this.type}: expected at least ${2 * this.#codes} bins for ${this.#codes} codes, got ${this.bins}`,
      );
    }
  }

  get #isSymmetric(): boolean {
    return qschemeInfo(this.qscheme).mapping === 'symmetric';
  }

  protected override rangeOf(histogram: Histogram): ValueRange {
    const { min, max } = histogram;
    if (min === max) return { min, max };
    const chosen = this.#isSymmetric ? this.#symmetricRange(histogram) : this.#affineRange(histogram);
    return { min: Math.fround(Math.max(min, chosen.min)), max: Math.fround(Math.min(max, chosen.max)) };
  }

  #symmetricRange(h: Histogram): ValueRange {
    const cumulative = cumulativeCounts(h);
    const largest = Math.max(-h.min, h.max);
    const width = largest / this.bins;
    const within = (t: number): number => countBelow(h, cumulative, t) - countBelow(h, cumulative, -t);
    const counts = Float64Array.from(
      { length: this.bins },
      (_, k) => within((k + 1) * width) - within(k * width),
    );
    counts[0] = Math.min(counts[0], counts[1]);
    const { end } = leastDivergence(counts, 0, this.#codes);
    return { min: -end * width, max: end * width };
  }

  #affineRange(h: Histogram): ValueRange {
    const cumulative = cumulativeCounts(h);
    const low = Math.min(h.min, 0);
    const width = (Math.max(h.max, 0) - low) / this.bins;
    const below = (k: number): number => countBelow(h, cumulative, low + k * width);
    const counts = Float64Array.from({ length: this.bins }, (_, k) => below(k + 1) - below(k));
    const zero = Math.min(Math.floor(-low / width), this.bins - 1);
    counts[zero] = Math.min(counts[zero], Math.max(counts[zero - 1] ?? 0, counts[zero + 1] ?? 0));
    const { start, end } = leastDivergence(counts, zero, this.#codes);
    return { min: low + start * width, max: low + end * width };
  }
}

/** Moves each end over its positions in turn, the other held, until both stay. Zero's bin stays inside. */
function leastDivergence(counts: Float64Array, zero: number, codes: number): { start: number; end: number } {
  const bins = counts.length;
  let best = { start: 0, end: bins, divergence: divergence(counts, 0, bins, codes) };
  const attempt = (start: number, end: number): void => {
    const next = divergence(counts, start, end, codes);
    if (next < best.divergence) best = { start, end, divergence: next };
  };
  const stride = Math.max(1, Math.floor(bins / COARSE_POSITIONS));
  for (let turn = 0; turn < MAX_TURNS; turn++) {
    const { start, end } = best;
    const lowest = Math.max(zero + 1, start + codes);
    for (const e of steps(bins, lowest, stride)) attempt(start, e);
    for (const e of around(best.end, stride, lowest, bins)) attempt(start, e);
    const chosen = best.end;
    const highest = Math.min(zero, chosen - codes);
    for (const s of steps(0, highest, stride)) attempt(s, chosen);
    for (const s of around(best.start, stride, 0, highest)) attempt(s, chosen);
    if (best.start === start && best.end === end) break;
  }
  return best;
}

/** Positions from the widest range inward, so that of equal divergences the widest is kept. */
function* steps(from: number, to: number, stride: number): Generator<number> {
  const inward = to < from ? -stride : stride;
  for (let i = 0; i <= Math.abs(to - from); i += stride) yield from + (i / stride) * inward;
}

/** Every position less than a stride away. */
function* around(position: number, stride: number, low: number, high: number): Generator<number> {
  for (let i = Math.max(low, position - stride + 1); i <= Math.min(high, position + stride - 1); i++) yield i;
}

/** Σ P·log(P / Q) of the bins [start, end) on `codes` codes. */
function divergence(counts: Float64Array, start: number, end: number, codes: number): number {
  const bins = end - start;
  const P = counts.slice(start, end);
  let inside = 0;
  for (const count of P) inside += count;
  if (inside === 0) return Infinity;
  let all = inside;
  for (let k = 0; k < start; k++) {
    P[0] += counts[k];
    all += counts[k];
  }
  for (let k = end; k < counts.length; k++) {
    P[bins - 1] += counts[k];
    all += counts[k];
  }
  let sum = 0;
  for (let code = 0; code < codes; code++) {
    const first = Math.floor((code * bins) / codes);
    const next = Math.floor(((code + 1) * bins) / codes);
    let mass = 0;
    let filled = 0;
    for (let k = first; k < next; k++) {
      mass += counts[start + k];
      if (P[k] > 0) filled++;
    }
    for (let k = first; k < next; k++) {
      const p = smooth(P[k] / all, bins);
      const q = smooth(P[k] > 0 ? mass / filled / inside : 0, bins);
      sum += p * Math.log(p / q);
    }
  }
  return sum;
}

function smooth(share: number, bins: number): number {
  return (1 - SMOOTHING) * share + SMOOTHING / bins;
}
