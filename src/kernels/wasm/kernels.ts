/** The SIMD backend: checks what the kernels cover (coverage.ts), stages arrays, cuts layouts into calls. */
import { referenceKernels } from '../reference.ts';
import type { CodeArray, CodeRule, Extremes, Grid, Kernels, Layout, Rounding } from '../types.ts';
import { codeTypeOf, coversDequantize, coversFakeQuantize, coversQuantize } from './coverage.ts';
import { machineFor } from './machine.ts';
import type { Machine } from './machine.ts';
import { operand, pieceLength } from './operand.ts';
import { canTraverse, traverse } from './traverse.ts';

/** Numbers of assembly/common.ts. */
const RULES: Readonly<Record<Rounding, number>> = {
  'multiply-round-add': 0,
  'divide-round-add': 1,
  'multiply-add-round': 2,
  'fused-add-round': 3,
};

const NAN_CODES: Readonly<Record<CodeRule['nan'], number>> = {
  'zero-point': 0,
  'quant-min': 1,
  'quant-max': 2,
  zero: 3,
};

/** Copies parameters [from, from + count) into the tables `times` times; float64 scales are rounded to float32. */
function openParams(machine: Machine, grid: Grid, from: number, count: number, times: number): void {
  const { float32, at } = machine;
  if (count === 1) {
    float32.fill(grid.scales[from], at.SCALES / 4, at.SCALES / 4 + times);
    float32.fill(grid.zeroPoints[from], at.ZERO_POINTS / 4, at.ZERO_POINTS / 4 + times);
    return;
  }
  const scales = grid.scales.subarray(from, from + count);
  const zeroPoints = grid.zeroPoints.subarray(from, from + count);
  for (let i = 0; i < times; i++) {
    float32.set(scales, at.SCALES / 4 + i * count);
    float32.set(zeroPoints, at.ZERO_POINTS / 4 + i * count);
  }
}

function quantize(x: Float32Array, out: CodeArray, grid: Grid, layout: Layout, rule: CodeRule): void {
  if (!coversQuantize(out, grid, layout, rule)) {
    referenceKernels.quantize(x, out, grid, layout, rule);
    return;
  }
  const machine = machineFor(x, out);
  const { run, at } = machine;
  const { quantMin: low, quantMax: high } = grid;
  const { bytes, bias } = codeTypeOf(out);
  const rounding = RULES[rule.rounding];
  const nan = NAN_CODES[rule.nan];
  const source = operand(machine, x, at.INPUT);
  const codes = operand(machine, out, at.OUTPUT);
  traverse(layout, {
    piece: pieceLength(machine, x.length, [source, codes]),
    maxParams: at.MAX_PARAMS,
    open(from, count, times) {
      openParams(machine, grid, from, count, times);
      if (layout.pattern === 'by-column') {
        run.prepareQuantize(rounding, count * times, low, high, nan, bias);
      }
    },
    rows(start, rows, cols, first, params) {
      const src = source.load(start, rows * cols);
      const dst = codes.target(start);
      run.quantizeByRow(bytes, rounding, src, dst, rows, cols, first, params, low, high, nan, bias);
      codes.store(start, rows * cols);
    },
    columns(start, rows, cols) {
      const src = source.load(start, rows * cols);
      run.quantizeByColumn(bytes, rounding, src, codes.target(start), rows, cols, high, bias);
      codes.store(start, rows * cols);
    },
    close() {},
  });
}

function dequantize(codes: CodeArray, out: Float32Array, grid: Grid, layout: Layout): void {
  if (!coversDequantize(codes, grid, layout)) {
    referenceKernels.dequantize(codes, out, grid, layout);
    return;
  }
  const machine = machineFor(codes, out);
  const { run, at } = machine;
  const { bytes, range } = codeTypeOf(codes);
  const type = range[0] < 0 ? bytes : -bytes;
  const source = operand(machine, codes, at.INPUT);
  const values = operand(machine, out, at.OUTPUT);
  traverse(layout, {
    piece: pieceLength(machine, out.length, [source, values]),
    maxParams: at.MAX_PARAMS,
    open: (from, count, times) => openParams(machine, grid, from, count, times),
    rows(start, rows, cols, first, params) {
      const src = source.load(start, rows * cols);
      run.dequantizeByRow(type, src, values.target(start), rows, cols, first, params);
      values.store(start, rows * cols);
    },
    columns(start, rows, cols) {
      const src = source.load(start, rows * cols);
      run.dequantizeByColumn(type, src, values.target(start), rows, cols);
      values.store(start, rows * cols);
    },
    close() {},
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
  if (!coversFakeQuantize(grid, layout, rule)) {
    referenceKernels.fakeQuantize(x, out, grid, layout, rule, mask);
    return;
  }
  const machine = machineFor(x, out);
  const { run, at } = machine;
  const { quantMin: low, quantMax: high } = grid;
  const rounding = RULES[rule.rounding];
  const nan = NAN_CODES[rule.nan];
  const source = operand(machine, x, at.INPUT);
  const values = operand(machine, out, at.OUTPUT);
  const flags = mask === undefined ? undefined : operand(machine, mask, at.OUTPUT_2);
  const operands = flags === undefined ? [source, values] : [source, values, flags];
  traverse(layout, {
    piece: pieceLength(machine, x.length, operands),
    maxParams: at.MAX_PARAMS,
    open(from, count, times) {
      openParams(machine, grid, from, count, times);
      if (layout.pattern === 'by-column') run.prepareFakeQuantize(rounding, count * times, low, high, nan);
    },
    rows(start, rows, cols, first, params) {
      const src = source.load(start, rows * cols);
      const dst = values.target(start);
      const to = flags?.target(start) ?? 0;
      run.fakeQuantizeByRow(rounding, src, dst, to, rows, cols, first, params, low, high, nan);
      values.store(start, rows * cols);
      flags?.store(start, rows * cols);
    },
    columns(start, rows, cols) {
      const src = source.load(start, rows * cols);
      const to = flags?.target(start) ?? 0;
      run.fakeQuantizeByColumn(rounding, src, values.target(start), to, rows, cols);
      values.store(start, rows * cols);
      flags?.store(start, rows * cols);
    },
    close() {},
  });
}

function minMax(x: Float32Array): Extremes {
  const machine = machineFor(x);
  const { run, at, float32 } = machine;
  const source = operand(machine, x, at.INPUT);
  const piece = pieceLength(machine, x.length, [source], { readsOnly: true });
  let min = Infinity;
  let max = -Infinity;
  for (let start = 0; start < x.length; start += piece) {
    const count = Math.min(piece, x.length - start);
    run.extremes(source.load(start, count), count);
    const low = float32[at.EXTREMES / 4];
    if (Number.isNaN(low)) return { min: NaN, max: NaN };
    min = Math.min(min, low);
    max = Math.max(max, float32[at.EXTREMES / 4 + 1]);
  }
  return { min, max };
}

function minMaxByParam(x: Float32Array, layout: Layout, min: Float32Array, max: Float32Array): void {
  if (!canTraverse(layout)) {
    referenceKernels.minMaxByParam(x, layout, min, max);
    return;
  }
  min.fill(Infinity);
  max.fill(-Infinity);
  const machine = machineFor(x);
  const { run, at, float32 } = machine;
  const mins = at.MINS / 4;
  const maxs = at.MAXS / 4;
  const source = operand(machine, x, at.INPUT);
  traverse(layout, {
    piece: pieceLength(machine, x.length, [source], { readsOnly: true }),
    maxParams: at.MAX_PARAMS,
    open(from, count, times) {
      for (let i = 0; i < times; i++) {
        float32.set(min.subarray(from, from + count), mins + i * count);
        float32.set(max.subarray(from, from + count), maxs + i * count);
      }
    },
    rows(start, rows, cols, first, params) {
      run.extremesByRow(source.load(start, rows * cols), rows, cols, first, params);
    },
    columns(start, rows, cols) {
      run.extremesByColumn(source.load(start, rows * cols), rows, cols);
    },
    close(from, count, times) {
      // The tables began with what min and max held, so that only repetitions are left to be joined.
      min.set(float32.subarray(mins, mins + count), from);
      max.set(float32.subarray(maxs, maxs + count), from);
      for (let i = count; i < count * times; i++) {
        // Math.min and Math.max give NaN where either is.
        const param = from + (i % count);
        min[param] = Math.min(min[param], float32[mins + i]);
        max[param] = Math.max(max[param], float32[maxs + i]);
      }
    },
  });
}

function histogram(x: Float32Array, lo: number, hi: number, counts: Float64Array): void {
  const bins = counts.length;
  const machine = machineFor(x);
  const { run, at, uint32 } = machine;
  if (bins > at.MAX_BINS || !Number.isFinite(Math.fround(hi - lo))) {
    referenceKernels.histogram(x, lo, hi, counts);
    return;
  }
  const counters = uint32.subarray(at.COUNTS / 4, at.COUNTS / 4 + bins + 1);
  counters.fill(0);
  const source = operand(machine, x, at.INPUT);
  const piece = pieceLength(machine, x.length, [source], { readsOnly: true });
  for (let start = 0; start < x.length; start += piece) {
    const count = Math.min(piece, x.length - start);
    run.histogram(source.load(start, count), count, lo, hi, bins);
  }
  for (let k = 0; k < bins; k++) counts[k] += counters[k];
}

/** The SIMD backend. */
export const wasmKernels: Kernels = {
  name: 'wasm',
  quantize,
  dequantize,
  fakeQuantize,
  minMax,
  minMaxByParam,
  histogram,
};
