/** What is measured: each kernel on its usual input, over whatever arrays it is given. */
import type { BlockScheme, CodeRule, Grid, Kernels, Layout, WeightKernels } from '../src/kernels/types.ts';

/** Allocates arrays: ordinary ones, or in an arena. */
export interface Place {
  float32(length: number): Float32Array;
  int8(length: number): Int8Array;
  uint8(length: number): Uint8Array;
  uint16(length: number): Uint16Array;
}

export type AllKernels = Kernels & WeightKernels;

export interface Case {
  readonly name: string;
  /** The name of the operation in torch_server.py. */
  readonly torch: string;
  /** Goals at 1e6 values: how many times as fast as torch with one thread. */
  readonly goals: { readonly arena?: number; readonly arrays?: number };
  /** Puts what `x` needs into `place`; gives one call of the kernel. */
  prepare(kernels: AllKernels, x: Float32Array, shape: Shape, place: Place): () => void;
}

export interface Shape {
  readonly rows: number;
  readonly cols: number;
}

/** Shapes by number of values. */
export const SHAPES: Readonly<Record<number, Shape>> = {
  1e4: { rows: 10, cols: 1000 },
  1e6: { rows: 250, cols: 4000 },
  1e7: { rows: 2500, cols: 4000 },
};

const RULE: CodeRule = { rounding: 'multiply-round-add', nan: 'zero-point', wrapAt: Infinity };
const BLOCKS: BlockScheme = { bits: 4, blockSize: 32, scale: 'absmax', rounding: 'half-even' };
const MAT_MUL_N_BITS: BlockScheme = { ...BLOCKS, scale: 'signed-extreme', rounding: 'half-away' };
const MAT_MUL_N_BITS_MIN_MAX: BlockScheme = { ...MAT_MUL_N_BITS, scale: 'min-max' };

function gridOf(params: number): Grid {
  const scales = new Float32Array(params).fill(0.05);
  return { scales, zeroPoints: new Int32Array(params).fill(3), quantMin: -128, quantMax: 127 };
}

const whole = ({ rows, cols }: Shape): Layout => ({
  rows: 1,
  cols: rows * cols,
  params: 1,
  pattern: 'by-row',
  period: 1,
});
const byRow = ({ rows, cols }: Shape): Layout => ({ rows, cols, params: rows, pattern: 'by-row', period: 1 });
const byColumn = ({ rows, cols }: Shape): Layout => ({
  rows,
  cols,
  params: cols,
  pattern: 'by-column',
  period: 1,
});

const quantize =
  (layoutOf: (shape: Shape) => Layout, rule: CodeRule = RULE): Case['prepare'] =>
  (kernels, x, shape, place) => {
    const out = place.int8(x.length);
    const layout = layoutOf(shape);
    const grid = gridOf(layout.params);
    return () => kernels.quantize(x, out, grid, layout, rule);
  };

const fakeQuantize =
  (layoutOf: (shape: Shape) => Layout): Case['prepare'] =>
  (kernels, x, shape, place) => {
    const out = place.float32(x.length);
    const layout = layoutOf(shape);
    const grid = gridOf(layout.params);
    return () => kernels.fakeQuantize(x, out, grid, layout, RULE);
  };

const minMaxBy =
  (layoutOf: (shape: Shape) => Layout): Case['prepare'] =>
  (kernels, x, shape) => {
    const layout = layoutOf(shape);
    const min = new Float32Array(layout.params);
    const max = new Float32Array(layout.params);
    return () => kernels.minMaxByParam(x, layout, min, max);
  };

const pack =
  (scheme: BlockScheme): Case['prepare'] =>
  (kernels, x, _shape, place) => {
    const blocks = Math.ceil(x.length / scheme.blockSize);
    const codes = place.uint8((blocks * scheme.blockSize * scheme.bits) / 8);
    const zeroPoints = scheme.scale === 'min-max' ? place.uint8(blocks) : undefined;
    const out = { codes, scales: place.float32(blocks), ...(zeroPoints && { zeroPoints }) };
    return () => kernels.quantizeBlocks(x, 1, x.length, scheme, out);
  };

/** Keeps results alive, so that no call can be optimized away. */
export const sink = { value: 0 };

export const CASES: readonly Case[] = [
  { name: 'quantize per tensor', torch: 'quantize', goals: { arena: 0.65 }, prepare: quantize(whole) },
  {
    name: "quantize per tensor, 'onnx' rule",
    torch: 'quantize',
    goals: {},
    prepare: quantize(whole, { ...RULE, rounding: 'divide-round-add' }),
  },
  {
    name: "quantize per tensor, 'torch-2.13' rule",
    torch: 'quantize',
    goals: {},
    prepare: quantize(whole, { ...RULE, rounding: 'fused-add-round', nan: 'quant-max' }),
  },
  {
    name: 'quantize per channel, first axis',
    torch: 'quantize rows',
    goals: { arena: 18, arrays: 8 },
    prepare: quantize(byRow),
  },
  {
    name: 'quantize per channel, last axis',
    torch: 'quantize columns',
    goals: {},
    prepare: quantize(byColumn),
  },
  {
    name: 'dequantize per tensor',
    torch: 'dequantize',
    goals: {},
    prepare(kernels, x, shape, place) {
      const codes = place.int8(x.length).map((_, i) => i);
      const placed = place.int8(x.length);
      placed.set(codes);
      const out = place.float32(x.length);
      return () => kernels.dequantize(placed, out, gridOf(1), whole(shape));
    },
  },
  {
    name: 'fake-quantize per tensor',
    torch: 'fake-quantize',
    goals: { arena: 24, arrays: 6.5 },
    prepare: fakeQuantize(whole),
  },
  {
    name: 'fake-quantize per channel, first axis',
    torch: 'fake-quantize rows',
    goals: {},
    prepare: fakeQuantize(byRow),
  },
  {
    name: 'min/max per tensor',
    torch: 'min/max',
    goals: { arena: 1 },
    prepare: (kernels, x) => () => {
      sink.value += kernels.minMax(x).min;
    },
  },
  {
    name: 'min/max per channel, first axis',
    torch: 'min/max rows',
    goals: { arrays: 7 },
    prepare: minMaxBy(byRow),
  },
  {
    name: 'min/max per channel, last axis',
    torch: 'min/max columns',
    goals: {},
    prepare: minMaxBy(byColumn),
  },
  {
    name: 'histogram, 2048 bins',
    torch: 'histogram',
    goals: { arena: 5, arrays: 4 },
    prepare(kernels, x) {
      const counts = new Float64Array(2048);
      return () => kernels.histogram(x, -9, 9, counts);
    },
  },
  { name: 'pack 4 bits, blocks of 32', torch: 'pack 4 bits', goals: { arrays: 6 }, prepare: pack(BLOCKS) },
  {
    name: 'pack 4 bits, MatMulNBits',
    torch: 'pack 4 bits',
    goals: {},
    prepare: pack(MAT_MUL_N_BITS),
  },
  {
    name: 'pack 4 bits, MatMulNBits with zero points',
    torch: 'pack 4 bits',
    goals: {},
    prepare: pack(MAT_MUL_N_BITS_MIN_MAX),
  },
  {
    name: 'float32 to float16',
    torch: 'float32 to float16',
    goals: {},
    prepare(kernels, x, _shape, place) {
      const out = place.uint16(x.length);
      return () => kernels.float32ToFloat16(x, out);
    },
  },
  {
    name: 'float16 to float32',
    torch: 'float16 to float32',
    goals: {},
    prepare(kernels, x, _shape, place) {
      const halves = place.uint16(x.length);
      kernels.float32ToFloat16(x, halves);
      const out = place.float32(x.length);
      return () => kernels.float16ToFloat32(halves, out);
    },
  },
];
