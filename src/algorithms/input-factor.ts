/**
 * What GPTQ needs to know of a layer's inputs X [samples, K] (Frantar et al. 2022, "GPTQ: Accurate Post-Training
 * Quantization for Generative Pre-trained Transformers", arXiv 2210.17323, section 3, steps 2 and 3):
 *
 *   H = XᵀX + λ·I,  λ = 1 % of the mean of XᵀX's diagonal,  H⁻¹ = UᵀU, U upper triangular
 *
 * The paper's factor 2 of H falls out of every formula. H is not inverted: with H = RRᵀ, R upper triangular (Cholesky's
 * method begun at the last corner), U is R⁻¹. Both steps work in place, K³/3 multiplications together.
 */
import { CalibrationError } from '../errors.ts';

/** The factor U of a layer's inputs. */
export interface InputFactor {
  /** K. */
  readonly size: number;
  /** Which column of the weight step k quantizes; undefined: column k. */
  readonly order: Int32Array | undefined;
  /** [K, K] in the order of steps, row-major; below the diagonal is nothing of use. */
  readonly upper: Float64Array;
  /** Mean square of each input, damped, in the order of the weight's columns; 1 on the average. */
  readonly importance: Float32Array;
}

export interface FactorOptions {
  /** λ as a fraction of the mean of the diagonal. Default 0.01. */
  readonly damping?: number;
  /** True: columns with the loudest inputs come first (section 5 of the authors' code, `act-order`). Default false. */
  readonly loudFirst?: boolean;
}

/**
 * Factors XᵀX, a symmetric [K, K] matrix, of which only the diagonal and what is above it are read; it is overwritten.
 * Inputs that are 0 everywhere count as quiet ones; if all are, every input counts alike.
 */
export function factorInputs(gram: Float64Array, size: number, options: FactorOptions = {}): InputFactor {
  const { damping = 0.01, loudFirst = false } = options;
  const diagonal = Float64Array.from({ length: size }, (_, k) => gram[k * size + k]);
  const mean = diagonal.reduce((sum, x) => sum + x, 0) / size || 1;
  const importance = Float32Array.from(diagonal, (x) => x / mean + damping);
  const order = loudFirst ? descending(diagonal) : undefined;
  const upper = order === undefined ? gram : permuted(gram, size, order);
  for (let k = 0; k < size; k++) upper[k * size + k] += damping * mean;
  cholesky(upper, size);
  invert(upper, size);
  return { size, order, upper, importance };
}

function descending(values: Float64Array): Int32Array {
  return Int32Array.from(values.keys()).sort((a, b) => values[b] - values[a] || a - b);
}

function permuted(gram: Float64Array, size: number, order: Int32Array): Float64Array {
  const result = new Float64Array(size * size);
  for (let i = 0; i < size; i++) {
    for (let j = i; j < size; j++) {
      const [a, b] = [order[i], order[j]];
      result[i * size + j] = a < b ? gram[a * size + b] : gram[b * size + a];
    }
  }
  return result;
}

/** R of H = RRᵀ in the place of H: R_ij = (H_ij - Σ_{k>j} R_ik·R_jk) / R_jj for i ≤ j, from the last column to the first. */
function cholesky(h: Float64Array, size: number): void {
  for (let j = size - 1; j >= 0; j--) {
    const rest = size - 1 - j;
    const square = h[j * size + j] - dot(h, j * size + j + 1, j * size + j + 1, rest);
    if (!(square > 0)) throw notPositive(j, square);
    const pivot = Math.sqrt(square);
    h[j * size + j] = pivot;
    for (let i = 0; i < j; i++) {
      const at = i * size + j;
      h[at] = (h[at] - dot(h, at + 1, j * size + j + 1, rest)) / pivot;
    }
  }
}

function notPositive(step: number, square: number): CalibrationError {
  return new CalibrationError(`factorInputs: expected positive pivots, got ${square} at step ${step}`, {
    code: 'CALIBRATION_NAN',
    hint: 'The inputs are too large or too small to be squared in float32: look at the calibration data.',
  });
}

/** Four sums side by side: one alone waits for each addition. */
function dot(h: Float64Array, a: number, b: number, count: number): number {
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
  let i = 0;
  for (; i + 3 < count; i += 4) {
    s0 += h[a + i] * h[b + i];
    s1 += h[a + i + 1] * h[b + i + 1];
    s2 += h[a + i + 2] * h[b + i + 2];
    s3 += h[a + i + 3] * h[b + i + 3];
  }
  for (; i < count; i++) s0 += h[a + i] * h[b + i];
  return s0 + s1 + (s2 + s3);
}

/** U = R⁻¹ in the place of R: row i is (e_i - Σ_{k>i} R_ik · row k of U) / R_ii, from the last row to the first. */
function invert(r: Float64Array, size: number): void {
  const factors = new Float64Array(size);
  for (let i = size - 1; i >= 0; i--) {
    const row = i * size;
    const pivot = 1 / r[row + i];
    for (let k = i + 1; k < size; k++) {
      factors[k] = -r[row + k] * pivot;
      r[row + k] = 0;
    }
    r[row + i] = pivot;
    addRows(r, row, factors, i + 1, size);
  }
}

/** Adds factor · row k of U to a row for all k from `first` on, four at a time: a quarter of the stores. */
function addRows(r: Float64Array, row: number, factors: Float64Array, first: number, size: number): void {
  for (let k = first; k < size; k += 4) {
    const end = Math.min(k + 4, size);
    // The corner, where some of the four rows have not begun.
    for (let other = k; other < end; other++) {
      for (let j = other; j < end; j++) r[row + j] += factors[other] * r[other * size + j];
    }
    // No column is left where fewer than four rows are.
    const [f0, f1, f2, f3] = [factors[k], factors[k + 1], factors[k + 2], factors[k + 3]];
    const line = k * size;
    for (let j = end; j < size; j++) {
      const at = line + j;
      r[row + j] += f0 * r[at] + f1 * r[at + size] + f2 * r[at + 2 * size] + f3 * r[at + 3 * size];
    }
  }
}
