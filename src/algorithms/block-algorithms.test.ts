/** What the algorithms for weights in blocks promise: the grid, and the error that is left. */
import { describe, expect, it } from 'vitest';
import { weightKernels } from '../kernels/weight-kernels.ts';
import { bumps, emptyOutput, normal, outputError, weightsOf } from '../../test/support/block-data.ts';
import { quantizeByBlocks, type BlockGrid, type ChooseBlock } from './block-grid.ts';
import { fitHalfQuadratic } from './half-quadratic.ts';
import { spanBlock } from './round-to-nearest.ts';
import { searchScale } from './scale-search.ts';

const ROWS = 16;
const COLS = 136;
const GRIDS: readonly BlockGrid[] = ([2, 4, 8] as const).flatMap((bits) =>
  [true, false].map((symmetric) => ({ bits, blockSize: 32, symmetric })),
);

function quantized(choose: ChooseBlock, w: Float32Array, grid: BlockGrid): ReturnType<typeof emptyOutput> {
  const out = emptyOutput(ROWS, COLS, grid);
  quantizeByBlocks(choose, { w, cols: COLS }, grid, out);
  return out;
}

const squared = (w: Float32Array, choose: ChooseBlock, grid: BlockGrid): number =>
  outputError(w, weightsOf(quantized(choose, w, grid), ROWS, COLS, grid));

describe('spanBlock', () => {
  it.each(GRIDS.filter(({ bits }) => bits !== 2))('%j: what the kernels compute, in bits', (grid) => {
    const { bits, blockSize, symmetric } = grid;
    for (const w of [normal(ROWS * COLS, 1), bumps(ROWS * COLS, 2), new Float32Array(ROWS * COLS)]) {
      const kernel = emptyOutput(ROWS, COLS, grid);
      const scheme = {
        blockSize,
        scale: symmetric ? 'signed-extreme' : 'min-max',
        rounding: 'half-away',
      } as const;
      // 2 bits were filtered out.
      weightKernels().quantizeBlocks(w, ROWS, COLS, { ...scheme, bits: bits as 4 | 8 }, kernel);
      expect(quantized(spanBlock, w, grid)).toEqual(kernel);
    }
  });
});

describe('searchScale', () => {
  it.each(GRIDS)('%j: no block has more squared error than by round to nearest', (grid) => {
    for (const w of [normal(ROWS * COLS, 1), bumps(ROWS * COLS, 2)]) {
      const [ours, span] = [searchScale, spanBlock].map((choose) =>
        weightsOf(
          quantized((block, g) => choose(block, g), w, grid),
          ROWS,
          COLS,
          grid,
        ),
      );
      for (let from = 0; from < w.length; from += 8) {
        // Blocks never cross a row: 136 = 4·32 + 8.
        const row = Math.floor(from / COLS);
        if ((from - row * COLS) % 32 !== 0) continue;
        const end = Math.min(from + 32, (row + 1) * COLS);
        const error = (q: Float32Array): number => outputError(w.subarray(from, end), q.subarray(from, end));
        expect(error(ours)).toBeLessThanOrEqual(error(span) * (1 + 1e-5));
      }
    }
  });

  it('gains ≥ 0.4 dB in 4 bits and ≥ 1.5 dB in 2 bits on normal weights', () => {
    const w = normal(ROWS * COLS, 3);
    for (const [bits, least] of [
      [4, 0.4],
      [2, 1.5],
    ] as const) {
      const grid = { bits, blockSize: 32, symmetric: false };
      const gain =
        10 * Math.log10(squared(w, spanBlock, grid) / squared(w, (b, g) => searchScale(b, g), grid));
      expect(gain).toBeGreaterThan(least);
    }
  });

  it('weighs errors by importance: what matters alone is met exactly', () => {
    const w = normal(32, 4);
    const importance = new Float32Array(32).fill(1e-6);
    importance[5] = 1;
    const grid = { bits: 4, blockSize: 32, symmetric: true } as const;
    const { scale } = searchScale({ w, from: 0, end: 32 }, grid, importance);
    const steps = w[5] / scale;
    expect(Math.abs(steps - Math.round(steps))).toBeLessThan(1e-3);
  });
});

describe('fitHalfQuadratic', () => {
  it('less absolute error than round to nearest on normal weights and on some with bumps, in 2 and 4 bits', () => {
    for (const w of [normal(ROWS * COLS, 1), bumps(ROWS * COLS, 2)]) {
      for (const grid of GRIDS.filter(({ bits }) => bits !== 8)) {
        const [ours, span] = [fitHalfQuadratic, spanBlock].map((choose) => {
          const q = weightsOf(quantized(choose, w, grid), ROWS, COLS, grid);
          return w.reduce((sum, x, i) => sum + Math.abs(x - q[i]), 0);
        });
        expect(ours).toBeLessThan(span);
      }
    }
  });

  it('zero points are integers among the codes; symmetric ones the middle code', () => {
    for (const grid of GRIDS) {
      for (const w of [normal(32, 5), normal(32, 6).map((x) => x + 4), normal(32, 7).map((x) => x - 4)]) {
        const { zeroPoint } = fitHalfQuadratic({ w, from: 0, end: 32 }, grid);
        expect(Number.isInteger(zeroPoint) && zeroPoint >= 0 && zeroPoint < 2 ** grid.bits).toBe(true);
        if (grid.symmetric) expect(zeroPoint).toBe(2 ** (grid.bits - 1));
      }
    }
  });
});

describe.each(Object.entries({ spanBlock, searchScale, fitHalfQuadratic }))('%s', (_, choose) => {
  it.each(GRIDS)('%j: zeros, tiny and huge weights give finite scales, and zeros stay zeros', (grid) => {
    const rows = [0, 1e-42, 1e-30, 1e37].map((size) => normal(COLS, 8).map((x) => x * size));
    const w = Float32Array.from(
      { length: ROWS * COLS },
      (_value, i) => rows[Math.floor(i / COLS)]?.[i % COLS] ?? 0,
    );
    const out = quantized((block, g) => choose(block, g), w, grid);
    expect(out.scales.every(Number.isFinite)).toBe(true);
    const q = weightsOf(out, ROWS, COLS, grid);
    expect(q.subarray(0, COLS).every((x) => x === 0)).toBe(true);
    expect(q.subarray(4 * COLS).every((x) => x === 0)).toBe(true);
  });
});
