/**
 * The contract in readable form: one loop a kernel, one formula a step, float32 after every operation.
 *
 *   code(x)  = clamp(round(x, scale, zp), quantMin, quantMax)         (types.ts: Rounding)
 *   value(q) = f32(f32(q - zp) · scale)
 *
 * Slow on purpose: anything clever belongs in another backend, which the tests compare with this one.
 */
import { clamp, roundHalfEven } from './round.ts';
import type { CodeArray, CodeRule, Extremes, Grid, Kernels, Layout, Rounding } from './types.ts';

const f32 = Math.fround;

/** The rounding formulas; `inv` is f32(1 / scale). Every double product of two float32 is exact, so f32() rounds once. */
const ROUND: Record<Rounding, (x: number, scale: number, inv: number, zeroPoint: number) => number> = {
  'multiply-round-add': (x, _scale, inv, zp) => f32(roundHalfEven(f32(x * inv)) + zp),
  'divide-round-add': (x, scale, _inv, zp) => f32(roundHalfEven(f32(x / scale)) + zp),
  'multiply-add-round': (x, _scale, inv, zp) => roundHalfEven(f32(f32(x * inv) + zp)),
  'fused-add-round': (x, _scale, inv, zp) => roundHalfEven(f32(x * inv + zp)),
};

function nanCode(rule: CodeRule, zeroPoint: number, grid: Grid): number {
  switch (rule.nan) {
    case 'zero-point':
      return clamp(roundHalfEven(zeroPoint), grid.quantMin, grid.quantMax);
    case 'quant-min':
      return grid.quantMin;
    case 'quant-max':
      return grid.quantMax;
    case 'zero':
      return clamp(0, grid.quantMin, grid.quantMax);
    default:
      return rule.nan satisfies never;
  }
}

/** The code before clamping, or NaN. */
function rawCode(x: number, grid: Grid, param: number, rule: CodeRule): number {
  const scale = f32(grid.scales[param]);
  const raw = ROUND[rule.rounding](x, scale, f32(1 / scale), grid.zeroPoints[param]);
  return raw >= rule.wrapAt && rule.wrapAt < Infinity ? -Infinity : raw;
}

function clampCode(raw: number, grid: Grid, param: number, rule: CodeRule): number {
  if (Number.isNaN(raw)) return nanCode(rule, grid.zeroPoints[param], grid);
  return clamp(raw, grid.quantMin, grid.quantMax);
}

function valueOf(code: number, grid: Grid, param: number): number {
  const scale = grid.scales[param];
  const zeroPoint = grid.zeroPoints[param];
  return grid.scales instanceof Float64Array
    ? f32((code - zeroPoint) * scale)
    : f32(f32(code - zeroPoint) * scale);
}

/** Calls `visit(index, parameter)` for every element, in order. */
function walk(layout: Layout, visit: (index: number, param: number) => void): void {
  const { rows, cols, params, period } = layout;
  for (let row = 0; row < rows; row++) {
    const first = row * cols;
    if (layout.pattern === 'by-row') {
      for (let j = 0; j < cols; j++) visit(first + j, row % params);
    } else {
      const base = Math.floor(row / period) * cols;
      for (let j = 0; j < cols; j++) visit(first + j, (base + j) % params);
    }
  }
}

function quantize(x: Float32Array, out: CodeArray, grid: Grid, layout: Layout, rule: CodeRule): void {
  walk(layout, (i, param) => {
    out[i] = clampCode(rawCode(x[i], grid, param, rule), grid, param, rule);
  });
}

function dequantize(codes: CodeArray, out: Float32Array, grid: Grid, layout: Layout): void {
  walk(layout, (i, param) => {
    out[i] = valueOf(codes[i], grid, param);
  });
}

function fakeQuantize(
  x: Float32Array,
  out: Float32Array,
  grid: Grid,
  layout: Layout,
  rule: CodeRule,
  mask?: Uint8Array,
): void {
  walk(layout, (i, param) => {
    const raw = rawCode(x[i], grid, param, rule);
    if (mask !== undefined) mask[i] = raw >= grid.quantMin && raw <= grid.quantMax ? 1 : 0;
    out[i] = valueOf(clampCode(raw, grid, param, rule), grid, param);
  });
}

function minMax(x: Float32Array): Extremes {
  let min = Infinity;
  let max = -Infinity;
  for (const value of x) {
    if (Number.isNaN(value)) return { min: NaN, max: NaN };
    if (value < min) min = value;
    if (value > max) max = value;
  }
  return { min, max };
}

function minMaxByParam(x: Float32Array, layout: Layout, min: Float32Array, max: Float32Array): void {
  min.fill(Infinity);
  max.fill(-Infinity);
  walk(layout, (i, param) => {
    const value = x[i];
    if (Number.isNaN(value)) min[param] = max[param] = NaN;
    if (value < min[param]) min[param] = value;
    if (value > max[param]) max[param] = value;
  });
}

function histogram(x: Float32Array, lo: number, hi: number, counts: Float64Array): void {
  const bins = counts.length;
  const width = f32(hi - lo);
  for (const value of x) {
    if (!(value >= lo && value <= hi)) continue;
    const position = Math.trunc(f32(f32(f32(value - lo) * bins) / width));
    counts[Math.min(position, bins - 1)] += 1;
  }
}

/** The normative backend. */
export const referenceKernels: Kernels = {
  name: 'reference',
  quantize,
  dequantize,
  fakeQuantize,
  minMax,
  minMaxByParam,
  histogram,
};
