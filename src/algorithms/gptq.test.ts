/** GPTQ against the paper said plainly: the whole inverse, one column eliminated at a time. */
import { describe, expect, it } from 'vitest';
import { codeOf, inverseOf, topCode, type BlockGrid } from './block-grid.ts';
import { emptyOutput, normal, weightsOf, type Output } from '../../test/support/block-data.ts';
import { quantizeGptq } from './gptq.ts';
import { factorInputs } from './input-factor.ts';
import { searchScale } from './scale-search.ts';

const SAMPLES = 256;
const ROWS = 40;
const K = 72;
const DAMPING = 0.01;
/** More than one group of rows that are worked on together, and a short last block. */
const GRID: BlockGrid = { bits: 4, blockSize: 32, symmetric: false };

/** Inputs that go together: each is half its neighbour. */
function correlated(seed: number): Float32Array {
  const x = normal(SAMPLES * K, seed);
  for (let i = 0; i < x.length; i++) if (i % K > 0) x[i] += 0.9 * x[i - 1];
  return x;
}

function gramOf(x: Float32Array, size = K): Float64Array {
  const gram = new Float64Array(size * size);
  for (let s = 0; s < x.length; s += size) {
    for (let i = 0; i < size; i++) {
      for (let j = 0; j < size; j++) gram[i * size + j] += x[s + i] * x[s + j];
    }
  }
  return gram;
}

/** H = XᵀX + 1 % of the mean of its diagonal. */
function damped(gram: Float64Array): Float64Array {
  const h = Float64Array.from(gram);
  let mean = 0;
  for (let k = 0; k < K; k++) mean += gram[k * K + k] / K;
  for (let k = 0; k < K; k++) h[k * K + k] += DAMPING * mean;
  return h;
}

/** By Gauss and Jordan. */
function inverted(matrix: Float64Array): Float64Array {
  const [a, inverse] = [Float64Array.from(matrix), new Float64Array(K * K)];
  for (let k = 0; k < K; k++) inverse[k * K + k] = 1;
  for (let k = 0; k < K; k++) {
    const pivot = a[k * K + k];
    for (let j = 0; j < K; j++) {
      a[k * K + j] /= pivot;
      inverse[k * K + j] /= pivot;
    }
    for (let i = 0; i < K; i++) {
      const factor = a[i * K + k];
      if (i === k) continue;
      for (let j = 0; j < K; j++) {
        a[i * K + j] -= factor * a[k * K + j];
        inverse[i * K + j] -= factor * inverse[k * K + j];
      }
    }
  }
  return inverse;
}

const output = (grid: BlockGrid): Output => emptyOutput(ROWS, K, grid);

/** Σ over samples and rows of (x · (w - q))². */
function productError(x: Float32Array, w: Float32Array, q: Float32Array): number {
  let error = 0;
  for (let s = 0; s < x.length; s += K) {
    for (let row = 0; row < ROWS; row++) {
      let sum = 0;
      for (let k = 0; k < K; k++) sum += x[s + k] * (w[row * K + k] - q[row * K + k]);
      error += sum ** 2;
    }
  }
  return error;
}

function byRounding(w: Float32Array, grid: BlockGrid): Float32Array {
  return w.map((value, i) => {
    const [row, col] = [Math.floor(i / K), i % K];
    const start = row * K + col - (col % grid.blockSize);
    const block = { w, from: start, end: Math.min(start + grid.blockSize, (row + 1) * K) };
    const { scale, zeroPoint } = searchScale(block, grid);
    return (codeOf(value, inverseOf(scale), zeroPoint, topCode(grid.bits)) - zeroPoint) * scale;
  });
}

describe('factorInputs', () => {
  it.each([false, true])('loudFirst %s: (UᵀU)·H is 1 within 1e-9, H in the order of steps', (loudFirst) => {
    const gram = gramOf(correlated(1));
    const h = damped(gram);
    const { upper, order } = factorInputs(gram, K, { loudFirst });
    const step = (k: number): number => order?.[k] ?? k;
    for (let i = 0; i < K; i++) {
      for (let j = 0; j < K; j++) {
        let sum = 0;
        for (let k = 0; k < K; k++) {
          let inverse = 0;
          for (let l = 0; l <= Math.min(i, k); l++) inverse += upper[l * K + i] * upper[l * K + k];
          sum += inverse * h[step(k) * K + step(j)];
        }
        expect(Math.abs(sum - (i === j ? 1 : 0))).toBeLessThan(1e-9);
      }
    }
  });

  it('loudFirst: the order falls by the size of inputs; silent inputs do no harm', () => {
    const x = correlated(2).map((value, i) => (i % K === 7 ? 0 : value * (1 + (((i % K) * 5) % 11))));
    const { order, importance } = factorInputs(gramOf(x), K, { loudFirst: true });
    expect(order?.[K - 1]).toBe(7);
    expect(Math.fround(importance[7])).toBe(Math.fround(DAMPING));
    expect([...(order ?? [])].toSorted((a, b) => a - b)).toEqual([...Array(K).keys()]);
    const silent = factorInputs(new Float64Array(K * K), K);
    expect(silent.upper.every(Number.isFinite)).toBe(true);
  });

  it('refuses a matrix that is no XᵀX', () => {
    expect(() => factorInputs(Float64Array.of(1, 9, 9, 1), 2)).toThrow(/expected positive pivots, got -/);
  });
});

describe('quantizeGptq', () => {
  it.each([false, true])(
    'loudFirst %s: the codes of eliminating columns from the whole inverse',
    (loudFirst) => {
      const [x, w] = [correlated(3), normal(ROWS * K, 4)];
      const inverse = inverted(damped(gramOf(x)));
      const factor = factorInputs(gramOf(x), K, { loudFirst });
      const out = output(GRID);
      quantizeGptq(w, factor, GRID, out);
      const ours = weightsOf(out, ROWS, K, GRID);
      const rest = Float64Array.from(w);
      for (let k = 0; k < K; k++) {
        const column = factor.order?.[k] ?? k;
        const pivot = inverse[column * K + column];
        for (let row = 0; row < ROWS; row++) {
          const block = row * 3 + Math.floor(column / 32);
          const [scale, zeroPoint] = [out.scales[block], out.zeroPoints[block]];
          const code = codeOf(rest[row * K + column], inverseOf(scale), zeroPoint, topCode(4));
          expect(Math.fround((code - zeroPoint) * scale)).toBe(ours[row * K + column]);
          const error = (rest[row * K + column] - (code - zeroPoint) * scale) / pivot;
          for (let j = 0; j < K; j++) rest[row * K + j] -= error * inverse[column * K + j];
        }
        const line = inverse.slice(column * K, (column + 1) * K);
        for (let i = 0; i < K; i++) {
          const factorOfRow = line[i] / pivot;
          for (let j = 0; j < K; j++) inverse[i * K + j] -= factorOfRow * line[j];
        }
      }
    },
  );

  it.each([2, 4, 8] as const)(
    '%i bits: ≥ 3 dB less error of products than best scales on inputs that go together',
    (bits) => {
      const w = normal(ROWS * K, 5);
      const grid = { ...GRID, bits };
      const out = output(grid);
      quantizeGptq(w, factorInputs(gramOf(correlated(6)), K, { loudFirst: true }), grid, out);
      const q = weightsOf(out, ROWS, K, grid);
      // Other inputs of the same kind than those that were seen.
      const fresh = correlated(7);
      const gain = 10 * Math.log10(productError(fresh, w, byRounding(w, grid)) / productError(fresh, w, q));
      expect(gain).toBeGreaterThan(3);
    },
  );

  it.each([true, false])(
    'symmetric %s: inputs that have nothing to do with each other give the codes of mse',
    (symmetric) => {
      const gram = new Float64Array(K * K);
      for (let k = 0; k < K; k++) gram[k * K + k] = 3;
      const [w, grid] = [normal(ROWS * K, 8), { ...GRID, symmetric }];
      const out = output(grid);
      quantizeGptq(w, factorInputs(gram, K), grid, out);
      expect(weightsOf(out, ROWS, K, grid)).toEqual(byRounding(w, grid));
    },
  );

  it('fills short last blocks with the code of 0', () => {
    const out = output(GRID);
    quantizeGptq(normal(ROWS * K, 9), factorInputs(gramOf(correlated(1)), K), GRID, out);
    for (let row = 0; row < ROWS; row++) {
      const block = row * 3 + 2;
      for (const byte of out.codes.subarray(block * 16 + 4, block * 16 + 16)) {
        expect(byte).toBe(out.zeroPoints[block] * 17);
      }
    }
  });
});
