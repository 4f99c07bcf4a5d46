/** What the tests of the algorithms for weights in blocks share. */
import { code } from './weight-blocks.ts';

interface Grid {
  readonly bits: 2 | 4 | 8;
  readonly blockSize: number;
}

export interface Output {
  readonly codes: Uint8Array;
  readonly scales: Float32Array;
  readonly zeroPoints: Uint8Array;
}

export function emptyOutput(rows: number, cols: number, { blockSize, bits }: Grid): Output {
  const blocks = rows * Math.ceil(cols / blockSize);
  return {
    codes: new Uint8Array((blocks * blockSize * bits) / 8),
    scales: new Float32Array(blocks),
    zeroPoints: new Uint8Array(blocks),
  };
}

/** (code - zeroPoint) · scale of each weight. */
export function weightsOf(out: Output, rows: number, cols: number, { blockSize, bits }: Grid): Float32Array {
  const blocks = Math.ceil(cols / blockSize);
  return Float32Array.from({ length: rows * cols }, (_, i) => {
    const [row, col] = [Math.floor(i / cols), i % cols];
    const block = row * blocks + Math.floor(col / blockSize);
    const c = code(out.codes, block * blockSize + (col % blockSize), bits);
    return (c - out.zeroPoints[block]) * out.scales[block];
  });
}

function uniform(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
}

/** Normal values, the same in every run (Box and Muller). */
export function normal(count: number, seed: number): Float32Array {
  const next = uniform(seed);
  return Float32Array.from(
    { length: count },
    () => Math.sqrt(-2 * Math.log(next())) * Math.cos(2 * Math.PI * next()),
  );
}

/** Normal values, one of 16 on average eight times as large. */
export function bumps(count: number, seed: number): Float32Array {
  const next = uniform(seed + 100);
  return normal(count, seed).map((x) => (next() < 1 / 16 ? 8 * x : x));
}

/** Σ (a - b)². */
export function outputError(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, x, i) => sum + (x - b[i]) ** 2, 0);
}
