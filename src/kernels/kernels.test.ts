/**
 * Every kernel of the wasm backend against the reference, bit for bit. Deliberately equal: NaN and NaN, whatever the
 * payload (engines may change it when JavaScript reads a number), and in minimum and maximum 0 and -0.
 */
import { describe, expect, test } from 'vitest';
import { referenceWeightKernels } from './reference-weights.ts';
import { referenceKernels } from './reference.ts';
import type {
  BlockOutput,
  BlockScheme,
  CodeArray,
  CodeRule,
  CodeTable,
  Grid,
  Layout,
  MagnitudeRange,
  Rounding,
  WeightKernels,
} from './types.ts';
import { createArena } from './wasm/arena.ts';
import { wasmKernels } from './wasm/kernels.ts';
import { wasmWeightKernels } from './wasm/weight-kernels.ts';

const LENGTHS = [0, 1, 3, 15, 16, 17, 31, 33, 1023];
const MANY = 1_000_000;

const ROUNDINGS: readonly Rounding[] = [
  'multiply-round-add',
  'divide-round-add',
  'multiply-add-round',
  'fused-add-round',
];
const NAN_CODES = ['zero-point', 'quant-min', 'quant-max', 'zero'] as const;

/** mulberry32 */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const FINITE = [0, -0, 0.5, 1.5, 2.5, -0.5, -1.5, 1e-45, -1e-45, 1.1e-38, 3.4e38, -3.4e38, 65504, 1e6, -1e6];
const SPECIAL = [...FINITE, NaN, Infinity, -Infinity];

interface ValueOptions {
  readonly seed?: number;
  /** Leaves out NaN, ±Inf and random bit patterns. */
  readonly finite?: boolean;
  /** Grid whose ties are mixed in. */
  readonly scale?: number;
}

/** A quarter each: around 0 with width 8, ties of the grid, special values, random bit patterns. */
function values(length: number, { seed = 1, finite = false, scale = 0.05 }: ValueOptions = {}): Float32Array {
  const random = generator(seed);
  const out = new Float32Array(length);
  const bits = new Uint32Array(out.buffer);
  const special = finite ? FINITE : SPECIAL;
  for (let i = 0; i < length; i++) {
    const kind = Math.floor(random() * 4);
    if (kind === 1) out[i] = (Math.floor(random() * 600 - 300) + 0.5) * scale;
    else if (kind === 2) out[i] = special[Math.floor(random() * special.length)];
    else if (kind === 3 && !finite) bits[i] = Math.floor(random() * 2 ** 32);
    else out[i] = (random() - 0.5) * 16;
  }
  return out;
}

type AnyArray = Float32Array | Float64Array | CodeArray;

/** 'equal', or where the first difference is. */
function difference(got: AnyArray, want: AnyArray): string {
  if (got.length !== want.length) return `length ${got.length}, not ${want.length}`;
  for (let i = 0; i < want.length; i++) {
    if (!Object.is(got[i], want[i])) return `element ${i}: ${got[i]}, not ${want[i]}`;
  }
  return 'equal';
}

const equal = (got: AnyArray, want: AnyArray, what: string): void =>
  expect(`${what}: ${difference(got, want)}`).toBe(`${what}: equal`);

const arena = createArena({ bytes: 48 * 2 ** 20 });
const ARENA_DTYPES = new Map<unknown, 'float32' | 'int8' | 'uint8' | 'int16' | 'uint16' | 'int32'>([
  [Float32Array, 'float32'],
  [Int8Array, 'int8'],
  [Uint8Array, 'uint8'],
  [Int16Array, 'int16'],
  [Uint16Array, 'uint16'],
  [Int32Array, 'int32'],
]);

type Copy = <T extends AnyArray>(array: T) => T;
type Maker<T> = new (buffer: ArrayBuffer, byteOffset: number, length: number) => T;

/** Where arrays lie; each copies an array to such a place. */
const PLACES: Readonly<Record<string, Copy>> = {
  'ordinary arrays': (array) => array.slice() as typeof array,
  'arena arrays': (array) => {
    const dtype = ARENA_DTYPES.get(array.constructor);
    if (dtype === undefined) return array.slice() as typeof array;
    const { data } = arena.tensor(dtype, [array.length]);
    (data as AnyArray).set(array);
    return data as unknown as typeof array;
  },
  'subarrays at an odd element': (array) => {
    const Type = array.constructor as Maker<typeof array>;
    const { BYTES_PER_ELEMENT: size, length } = array;
    const part = new Type(new ArrayBuffer((length + 3) * size), size, length);
    part.set(array);
    return part;
  },
};

/** x in an arena and results outside, and the other way round. */
function mixed(first: boolean): Copy {
  let calls = 0;
  return (array) => PLACES[(calls++ === 0) === first ? 'arena arrays' : 'ordinary arrays'](array);
}

const CODE_ARRAYS = [Int8Array, Uint8Array, Int16Array, Uint16Array, Int32Array] as const;
const RANGES = {
  Int8Array: [-128, 127],
  Uint8Array: [0, 255],
  Int16Array: [-32768, 32767],
  Uint16Array: [0, 65535],
  Int32Array: [-70000, 70000],
} as const;

const rule = (rounding: Rounding, nan: CodeRule['nan'] = 'zero-point', wrapAt = Infinity): CodeRule => ({
  rounding,
  nan,
  wrapAt,
});

const tensorLayout = (length: number): Layout => ({
  rows: 1,
  cols: length,
  params: 1,
  pattern: 'by-row',
  period: 1,
});

function gridOf(scale: number, zeroPoint: number, range: readonly [number, number]): Grid {
  return {
    scales: Float32Array.of(scale),
    zeroPoints: Int32Array.of(zeroPoint),
    quantMin: range[0],
    quantMax: range[1],
  };
}

/** Grids with one parameter each: odd and even zero points, narrow ranges, and what no sane caller gives. */
const GRIDS: readonly Grid[] = [
  gridOf(0.05, 0, [-128, 127]),
  gridOf(0.05, 3, [0, 255]),
  gridOf(1 / 3, -5, [-127, 127]),
  gridOf(0.0625, 127, [0, 127]),
  gridOf(0.02, 128, [-64, 63]),
  gridOf(0.7, 1000, [5, 20]),
  gridOf(-0.05, -3, [-128, 127]),
  gridOf(0, 7, [0, 255]),
  gridOf(1e-45, 7, [0, 255]),
  gridOf(1e38, 1, [0, 255]),
  gridOf(Infinity, 1, [0, 255]),
  gridOf(NaN, 1, [0, 255]),
  gridOf(1e-4, 2 ** 20, [-(2 ** 20), 2 ** 20]),
  gridOf(1e-4, 2 ** 31 - 1, [-(2 ** 31), 2 ** 31 - 1]),
  gridOf(0.05, -(2 ** 31), [0, 255]),
  gridOf(0.05, 0, [20, 5]),
  gridOf(0.05, 0, [-1000, 1000]),
  { ...gridOf(0, 0, [-128, 127]), zeroPoints: Float32Array.of(2.5), scales: Float32Array.of(0.05) },
  { ...gridOf(0, 0, [-128, 127]), zeroPoints: Float32Array.of(-3), scales: Float64Array.of(0.05) },
  { ...gridOf(0, 9, [0, 255]), scales: Float64Array.of(0.0625) },
];

/** Parameters for a layout: scales over four magnitudes, zero points in and around the range. */
function gridFor(layout: Layout, [quantMin, quantMax]: readonly [number, number], seed = 5): Grid {
  const random = generator(seed);
  return {
    scales: Float32Array.from({ length: layout.params }, () => 10 ** (random() * 4 - 3)),
    zeroPoints: Int32Array.from({ length: layout.params }, () => Math.floor(random() * 256) - 64),
    quantMin,
    quantMax,
  };
}

const by = (pattern: Layout['pattern'], rows: number, cols: number, params: number, period = 1): Layout => ({
  rows,
  cols,
  params,
  pattern,
  period,
});

/** Channels first, in the middle and last, blocks along and across; sizes around every limit of staging and tables. */
const LAYOUTS: readonly Layout[] = [
  by('by-row', 0, 5, 3),
  by('by-row', 6, 0, 3),
  by('by-row', 6, 5, 3),
  by('by-row', 2, 5, 3),
  by('by-row', 12, 9, 4),
  by('by-row', 3, 1, 3),
  by('by-row', 40, 17, 1),
  by('by-row', 5, 33, 5),
  by('by-row', 64, 32, 64),
  by('by-row', 2, 20000, 2),
  by('by-row', 700, 48, 7),
  by('by-row', 5000, 3, 5000),
  by('by-row', 9100, 2, 4500),
  by('by-column', 10, 3, 3),
  by('by-column', 1, 3, 3),
  by('by-column', 5, 16, 16),
  by('by-column', 6000, 6, 2),
  by('by-column', 7, 1000, 1000),
  by('by-column', 3, 4100, 4100),
  by('by-column', 2, 17000, 17000, 2),
  by('by-column', 12, 5, 20, 3),
  by('by-column', 12, 5, 10, 3),
  by('by-column', 10, 7, 21, 4),
  by('by-column', 64, 100, 200, 32),
  by('by-column', 6, 5000, 15000, 2),
  by('by-column', 4, 6, 4, 1),
];

const nameOf = ({ pattern, rows, cols, params, period }: Layout): string =>
  `${pattern} ${rows}·${cols}, ${params} parameters, period ${period}`;

describe('quantize equals the reference', () => {
  function check(
    x: Float32Array,
    Codes: (typeof CODE_ARRAYS)[number],
    grid: Grid,
    layout: Layout,
    r: CodeRule,
    copy: Copy,
  ): void {
    const want = new Codes(x.length);
    referenceKernels.quantize(x, want, grid, layout, r);
    const got = copy(new Codes(x.length).fill(77) as CodeArray);
    wasmKernels.quantize(copy(x), got, grid, layout, r);
    equal(
      got,
      want,
      `${Codes.name} ${r.rounding} ${r.nan} ${nameOf(layout)} ${grid.scales[0]} ${grid.zeroPoints[0]}`,
    );
  }

  for (const [place, copy] of Object.entries(PLACES)) {
    test(`at every length, code type and NaN rule, ${place}`, () => {
      arena.reset();
      for (const length of LENGTHS) {
        const x = values(length, { seed: length });
        for (const Codes of CODE_ARRAYS) {
          const grid = gridOf(0.05, 3, RANGES[Codes.name as keyof typeof RANGES]);
          for (const rounding of ROUNDINGS) {
            for (const nan of NAN_CODES)
              check(x, Codes, grid, tensorLayout(length), rule(rounding, nan), copy);
          }
        }
      }
    });

    test(`in every layout, ${place}`, () => {
      for (const layout of LAYOUTS) {
        arena.reset();
        const x = values(layout.rows * layout.cols, { seed: layout.cols });
        for (const rounding of ROUNDINGS) {
          check(x, Int8Array, gridFor(layout, [-128, 127]), layout, rule(rounding), copy);
          check(x, Uint8Array, gridFor(layout, [0, 200]), layout, rule(rounding, 'zero'), copy);
        }
        check(x, Uint16Array, gridFor(layout, [0, 65535]), layout, rule('multiply-round-add'), copy);
      }
    });
  }

  test('on grids with odd, narrow, huge and senseless parameters', () => {
    for (const grid of GRIDS) {
      const x = values(1023, { scale: Math.fround(grid.scales[0]) });
      for (const rounding of ROUNDINGS) {
        for (const Codes of CODE_ARRAYS) {
          for (const nan of NAN_CODES)
            check(x, Codes, grid, tensorLayout(1023), rule(rounding, nan), (a) => a);
        }
        check(x, Int8Array, grid, tensorLayout(1023), rule(rounding, 'zero', 100), (a) => a);
      }
    }
  });

  test('with x or the codes in an arena and the other outside', () => {
    arena.reset();
    const layout = tensorLayout(50_000);
    const x = values(50_000);
    for (const first of [true, false]) {
      check(x, Int8Array, gridOf(0.05, 3, [-128, 127]), layout, rule('multiply-round-add'), mixed(first));
    }
  });

  for (const rounding of ROUNDINGS) {
    test(`${MANY} random values: ${rounding}`, () => {
      const x = values(MANY, { seed: 11 });
      check(x, Int8Array, gridOf(0.05, 3, [-128, 127]), tensorLayout(MANY), rule(rounding), (a) => a);
      check(
        x,
        Uint8Array,
        gridOf(1 / 3, 127, [0, 255]),
        tensorLayout(MANY),
        rule(rounding, 'quant-max'),
        (a) => a,
      );
    });
  }
});

describe('dequantize equals the reference', () => {
  function codes(Codes: (typeof CODE_ARRAYS)[number], length: number, seed = 3): CodeArray {
    const random = generator(seed);
    return new Codes(length).map(() => Math.floor(random() * 2 ** 32)) as CodeArray;
  }

  function check(q: CodeArray, grid: Grid, layout: Layout, copy: Copy): void {
    const want = new Float32Array(q.length);
    referenceKernels.dequantize(q, want, grid, layout);
    const got = copy(new Float32Array(q.length).fill(7));
    wasmKernels.dequantize(copy(q), got, grid, layout);
    equal(got, want, `${q.constructor.name} ${nameOf(layout)} ${grid.scales[0]} ${grid.zeroPoints[0]}`);
  }

  for (const [place, copy] of Object.entries(PLACES)) {
    test(`at every length, code type and layout, ${place}`, () => {
      for (const Codes of CODE_ARRAYS) {
        arena.reset();
        for (const length of LENGTHS)
          check(codes(Codes, length), gridOf(0.05, 3, [0, 1]), tensorLayout(length), copy);
        for (const layout of LAYOUTS) {
          arena.reset();
          check(codes(Codes, layout.rows * layout.cols), gridFor(layout, [0, 255]), layout, copy);
        }
      }
    });
  }

  test('on grids with odd, huge and senseless parameters', () => {
    for (const grid of GRIDS) {
      for (const Codes of CODE_ARRAYS) check(codes(Codes, 1023), grid, tensorLayout(1023), (a) => a);
    }
  });

  test(`${MANY} random codes of every type`, () => {
    for (const Codes of CODE_ARRAYS) {
      check(codes(Codes, MANY), gridOf(0.037, -5, [0, 1]), tensorLayout(MANY), (a) => a);
    }
  });
});

describe('fakeQuantize equals the reference', () => {
  interface Case {
    readonly grid: Grid;
    readonly layout: Layout;
    readonly rule: CodeRule;
    readonly copy?: Copy;
    readonly inPlace?: boolean;
  }

  function check(x: Float32Array, { grid, layout, rule, copy = (a) => a, inPlace = false }: Case): void {
    const what = `${rule.rounding} ${rule.nan} ${nameOf(layout)} ${grid.scales[0]} ${grid.zeroPoints[0]}`;
    for (const masked of [false, true]) {
      const want = new Float32Array(x.length);
      const wantMask = masked ? new Uint8Array(x.length) : undefined;
      referenceKernels.fakeQuantize(x, want, grid, layout, rule, wantMask);
      const input = copy(x.slice());
      const got = inPlace ? input : copy(new Float32Array(x.length).fill(7));
      const mask = masked ? copy(new Uint8Array(x.length).fill(7)) : undefined;
      wasmKernels.fakeQuantize(input, got, grid, layout, rule, mask);
      equal(got, want, what);
      if (mask !== undefined && wantMask !== undefined) equal(mask, wantMask, `mask ${what}`);
    }
  }

  for (const [place, copy] of Object.entries(PLACES)) {
    for (const inPlace of [false, true]) {
      test(`at every length and in every layout, ${place}${inPlace ? ', in place' : ''}`, () => {
        for (const rounding of ROUNDINGS) {
          arena.reset();
          for (const length of LENGTHS) {
            const grid = gridOf(0.05, 3, [0, 255]);
            check(values(length), {
              grid,
              layout: tensorLayout(length),
              rule: rule(rounding),
              copy,
              inPlace,
            });
          }
          for (const layout of LAYOUTS) {
            arena.reset();
            const x = values(layout.rows * layout.cols, { seed: layout.cols });
            check(x, {
              grid: gridFor(layout, [-128, 127]),
              layout,
              rule: rule(rounding, 'zero'),
              copy,
              inPlace,
            });
          }
        }
      });
    }
  }

  test('on grids with odd, narrow, huge and senseless parameters', () => {
    for (const grid of GRIDS) {
      const x = values(1023, { scale: Math.fround(grid.scales[0]) });
      for (const rounding of ROUNDINGS) {
        for (const nan of NAN_CODES)
          check(x, { grid, layout: tensorLayout(1023), rule: rule(rounding, nan) });
        check(x, { grid, layout: tensorLayout(1023), rule: rule(rounding, 'zero', 2 ** 63) });
      }
    }
  });

  for (const rounding of ROUNDINGS) {
    test(`${MANY} random values: ${rounding}`, () => {
      const x = values(MANY, { seed: 12 });
      check(x, { grid: gridOf(0.05, 3, [0, 255]), layout: tensorLayout(MANY), rule: rule(rounding) });
    });
  }
});

describe('minMax and minMaxByParam equal the reference', () => {
  const plain = (array: Float32Array): Float32Array => array.map((value) => value + 0);

  function check(x: Float32Array, layout: Layout, copy: Copy): void {
    const [wantMin, wantMax] = [new Float32Array(layout.params), new Float32Array(layout.params)];
    referenceKernels.minMaxByParam(x, layout, wantMin, wantMax);
    const [min, max] = [new Float32Array(layout.params).fill(7), new Float32Array(layout.params).fill(7)];
    wasmKernels.minMaxByParam(copy(x), layout, min, max);
    equal(plain(min), plain(wantMin), `min ${nameOf(layout)}`);
    equal(plain(max), plain(wantMax), `max ${nameOf(layout)}`);
  }

  for (const [place, copy] of Object.entries(PLACES)) {
    test(`at every length, with and without NaN, ${place}`, () => {
      arena.reset();
      for (const length of [...LENGTHS, 40_000]) {
        for (const finite of [true, false]) {
          const x = copy(values(length, { seed: length, finite }));
          const want = referenceKernels.minMax(x);
          const got = wasmKernels.minMax(x);
          equal(
            plain(Float32Array.of(got.min, got.max)),
            plain(Float32Array.of(want.min, want.max)),
            `${length}`,
          );
        }
      }
    });

    test(`in every layout, with and without NaN, ${place}`, () => {
      for (const layout of LAYOUTS) {
        arena.reset();
        const length = layout.rows * layout.cols;
        check(values(length, { finite: true }), layout, copy);
        check(values(length), layout, copy);
        const one = values(length, { finite: true });
        if (length > 0) one[length >> 1] = NaN;
        check(one, layout, copy);
      }
    });
  }

  test('9 million values, which go through in smaller pieces', () => {
    const x = new Float32Array(9_000_000).map((_, i) => i);
    expect(wasmKernels.minMax(x)).toEqual({ min: 0, max: 8_999_999 });
    x[4_444_444] = NaN;
    expect(wasmKernels.minMax(x)).toEqual({ min: NaN, max: NaN });
  });

  test('a single NaN is found at every position of a run of 100', () => {
    for (let i = 0; i < 100; i++) {
      const x = new Float32Array(100).fill(1);
      x[i] = NaN;
      expect(wasmKernels.minMax(x)).toEqual({ min: NaN, max: NaN });
      check(x, by('by-column', 4, 25, 25), (a) => a);
    }
  });

  test(`${MANY} random values`, () => {
    const finite = values(MANY, { finite: true });
    const got = wasmKernels.minMax(finite);
    const want = referenceKernels.minMax(finite);
    expect(got).toEqual(want);
    check(finite, by('by-row', 1000, 1000, 1000), (a) => a);
    check(finite, by('by-column', 1000, 1000, 1000), (a) => a);
  });
});

describe('histogram equals the reference', () => {
  function check(x: Float32Array, lo: number, hi: number, bins: number): void {
    const [from, to] = [Math.fround(lo), Math.fround(hi)];
    const [want, got] = [new Float64Array(bins).fill(0.5), new Float64Array(bins).fill(0.5)];
    referenceKernels.histogram(x, from, to, want);
    wasmKernels.histogram(x, from, to, got);
    equal(got, want, `${x.length} values in [${lo}, ${hi}], ${bins} bins`);
  }

  test('at every length, number of bins and range; counts are added', () => {
    for (const length of LENGTHS) {
      const x = values(length, { seed: length });
      for (const bins of [1, 2, 7, 2048, 16384, 16385]) {
        check(x, -8, 8, bins);
        check(x, 0, 1e-3, bins);
        check(x, -1e38, 2e38, bins);
        check(x, 1e-45, 3e-45, bins);
        check(x, -3.4e38, 3.4e38, bins);
      }
    }
  });

  test('x = hi falls into the last bin, and so does what rounding puts beyond it', () => {
    const counts = new Float64Array(4);
    wasmKernels.histogram(Float32Array.of(0, 1, 0.99999994, 0.25, -0, 1.1, NaN), 0, 1, counts);
    expect([...counts]).toEqual([2, 1, 0, 2]);
  });

  test(`${MANY} random values`, () => {
    check(values(MANY), -7.3, 6.1, 2048);
    arena.reset();
    check(PLACES['arena arrays'](values(MANY, { scale: 15 / 2048 })), -7.5, 7.5, 2048);
  });
});

describe('quantizeBlocks and dequantizeBlocks equal the reference', () => {
  const SCHEMES: readonly BlockScheme[] = ([4, 8] as const).flatMap((bits) =>
    (['signed-extreme', 'absmax', 'min-max'] as const).flatMap((scale) =>
      (['half-even', 'half-away'] as const).map((rounding) => ({ bits, scale, rounding, blockSize: 32 })),
    ),
  );

  function output(
    rows: number,
    cols: number,
    { bits, blockSize }: BlockScheme,
    zeroPoints: boolean,
  ): BlockOutput {
    const blocks = rows * Math.ceil(cols / blockSize);
    const codes = new Uint8Array((blocks * blockSize * bits) / 8).fill(0x55);
    const scales = new Float32Array(blocks).fill(7);
    return zeroPoints ? { codes, scales, zeroPoints: new Uint8Array(blocks).fill(7) } : { codes, scales };
  }

  function place(blocks: BlockOutput, copy: Copy): BlockOutput {
    const { codes, scales, zeroPoints } = blocks;
    const placed = { codes: copy(codes), scales: copy(scales) };
    return zeroPoints === undefined ? placed : { ...placed, zeroPoints: copy(zeroPoints) };
  }

  function check(
    w: Float32Array,
    rows: number,
    cols: number,
    scheme: BlockScheme,
    copy: Copy = (a) => a,
  ): void {
    for (const zeroPoints of scheme.scale === 'min-max' || rows * cols === MANY ? [true] : [true, false]) {
      const what = `${scheme.scale} ${scheme.bits} bits, ${scheme.rounding}, blocks of ${scheme.blockSize}, ${rows}·${cols}`;
      const want = output(rows, cols, scheme, zeroPoints);
      referenceWeightKernels.quantizeBlocks(w, rows, cols, scheme, want);
      const got = place(output(rows, cols, scheme, zeroPoints), copy);
      wasmWeightKernels.quantizeBlocks(copy(w), rows, cols, scheme, got);
      equalBlocks(got, want, what);
      checkColumns(w, rows, cols, scheme, copy, want);
      const wantValues = new Float32Array(w.length);
      referenceWeightKernels.dequantizeBlocks(want, rows, cols, scheme, wantValues);
      const gotValues = copy(new Float32Array(w.length).fill(7));
      wasmWeightKernels.dequantizeBlocks(got, rows, cols, scheme, gotValues);
      equal(gotValues, wantValues, `values ${what}`);
    }
  }

  /** The same weights stored by columns give the same, by both kernels, wherever the arrays lie. */
  function checkColumns(
    w: Float32Array,
    rows: number,
    cols: number,
    scheme: BlockScheme,
    copy: Copy,
    want: BlockOutput,
  ): void {
    const turned = new Float32Array(w.length);
    for (let i = 0; i < w.length; i++) turned[(i % cols) * rows + Math.floor(i / cols)] = w[i];
    const unaligned = (blocks: BlockOutput): BlockOutput => ({
      ...blocks,
      codes: new Uint8Array(blocks.codes.length + 1).subarray(1),
    });
    const empty = output(rows, cols, scheme, want.zeroPoints !== undefined);
    for (const [kernels, weightsIn, out] of [
      [referenceWeightKernels, turned, empty],
      [wasmWeightKernels, copy(turned), place(empty, copy)],
      [wasmWeightKernels, copy(turned), empty],
      [wasmWeightKernels, turned, unaligned(place(empty, copy))],
    ] as const) {
      kernels.quantizeBlocksByColumn(weightsIn, rows, cols, scheme, out);
      equalBlocks(out, want, `by column, ${kernels.name}, ${JSON.stringify(scheme)}, ${rows}·${cols}`);
    }
    checkBands(turned, rows, cols, scheme, copy, want);
  }

  /** Bands of columns, each put among the blocks of whole rows, of which none but its own change. */
  function checkBands(
    turned: Float32Array,
    rows: number,
    cols: number,
    scheme: BlockScheme,
    copy: Copy,
    want: BlockOutput,
  ): void {
    const pitch = Math.ceil(cols / scheme.blockSize);
    const width = Math.ceil(pitch / 3) * scheme.blockSize;
    for (const [kernels, placed] of [
      [referenceWeightKernels, (a) => a],
      [wasmWeightKernels, copy],
      [wasmWeightKernels, (a) => a],
    ] as const satisfies readonly (readonly [WeightKernels, Copy])[]) {
      const out = place(output(rows, cols, scheme, want.zeroPoints !== undefined), placed);
      for (let col = cols - (cols % (width || 1)); col >= 0; col -= width || 1) {
        const band = copy(turned.slice(col * rows, (col + width) * rows));
        const bandCols = Math.min(width, cols - col);
        const at = { first: col / scheme.blockSize, pitch };
        kernels.quantizeBlocksByColumn(band, rows, bandCols, scheme, out, at);
      }
      equalBlocks(out, want, `in bands, ${kernels.name}, ${JSON.stringify(scheme)}, ${rows}·${cols}`);
    }
  }

  function equalBlocks(got: BlockOutput, want: BlockOutput, what: string): void {
    equal(got.scales, want.scales, `scales ${what}`);
    if (got.zeroPoints && want.zeroPoints) equal(got.zeroPoints, want.zeroPoints, `zero points ${what}`);
    equal(got.codes, want.codes, `codes ${what}`);
  }

  /** Blocks of ties, zeros, tiny and huge weights beside usual ones. */
  function weights(length: number, seed: number): Float32Array {
    const random = generator(seed);
    const w = new Float32Array(length);
    for (let i = 0; i < length; i++) {
      const kind = Math.floor(i / 32) % 8;
      if (kind === 1) w[i] = Math.floor(random() * 33 - 16) / 2;
      else if (kind === 2) w[i] = random() < 0.5 ? 0 : -0;
      else if (kind === 3) w[i] = (random() - 0.5) * 1e-38;
      else if (kind === 4) w[i] = (random() - 0.5) * 6e38;
      else if (kind === 5) w[i] = random();
      else if (kind === 6) w[i] = Math.round((random() - 0.5) * 30) * 1.4e-45;
      else w[i] = random() - 0.5;
    }
    return w;
  }

  const SHAPES = [
    [0, 32],
    [3, 0],
    [1, 1],
    [2, 32],
    [3, 33],
    [7, 100],
    [5, 256],
    [2, 9000],
  ] as const;

  test('in every scheme, shape and block size', () => {
    for (const scheme of SCHEMES) {
      for (const blockSize of [2, 6, 16, 32, 48, 128, 4096, 8192]) {
        for (const [rows, cols] of SHAPES) {
          check(weights(rows * cols, cols), rows, cols, { ...scheme, blockSize });
        }
      }
    }
  });

  for (const [name, copy] of Object.entries(PLACES)) {
    test(`in every shape, and rows much shorter than a block, ${name}`, () => {
      for (const scheme of [SCHEMES[0], SCHEMES[SCHEMES.length - 1]]) {
        for (const [rows, cols] of [...SHAPES, [300, 3], [40, 1000]]) {
          arena.reset();
          check(weights(rows * cols, cols), rows, cols, { ...scheme, blockSize: 128 }, copy);
        }
      }
    });
  }

  test(`${MANY} random weights`, () => {
    for (const scheme of SCHEMES) check(weights(MANY, 9), 250, 4000, scheme);
  });

  test('every pair of 4-bit codes is packed and unpacked: 256 pairs', () => {
    const w = new Float32Array(256 * 16);
    for (let pair = 0; pair < 256; pair++) w.set([0, 15, pair & 15, pair >> 4], pair * 16);
    const scheme: BlockScheme = { bits: 4, blockSize: 16, scale: 'min-max', rounding: 'half-even' };
    const out = output(256, 16, scheme, true);
    wasmWeightKernels.quantizeBlocks(w, 256, 16, scheme, out);
    for (let pair = 0; pair < 256; pair++) expect(out.codes[pair * 8 + 1]).toBe(pair);
    const back = new Float32Array(w.length);
    wasmWeightKernels.dequantizeBlocks(out, 256, 16, scheme, back);
    equal(back, w, 'values');
  });

  test('every 4-bit code with every zero point is unpacked', () => {
    for (let zeroPoint = 0; zeroPoint < 16; zeroPoint++) {
      const codes = Uint8Array.from({ length: 256 }, (_, i) => i);
      const blocks = { codes, scales: Float32Array.of(0.3), zeroPoints: Uint8Array.of(zeroPoint) };
      const scheme: BlockScheme = { bits: 4, blockSize: 512, scale: 'min-max', rounding: 'half-even' };
      const [want, got] = [new Float32Array(512), new Float32Array(512)];
      referenceWeightKernels.dequantizeBlocks(blocks, 1, 512, scheme, want);
      wasmWeightKernels.dequantizeBlocks(blocks, 1, 512, scheme, got);
      equal(got, want, `zero point ${zeroPoint}`);
    }
  });
});

describe('quantizeByThresholds equals the reference', () => {
  const random = generator(5);
  const thresholds = Float32Array.from({ length: 15 }, () => random() * 2 - 1).toSorted();
  thresholds[6] = -(2 ** -149);
  thresholds[7] = 0;
  const table: CodeTable = {
    thresholds,
    codeOf: Uint8Array.from({ length: 16 }, (_, i) => (i * 7 + 3) % 16),
  };

  function check(w: Float32Array, blockSize: number, copy: Copy): void {
    const sizes = [Math.ceil(w.length / 2), Math.ceil(w.length / blockSize)] as const;
    const want = { codes: new Uint8Array(sizes[0]), absmax: new Float32Array(sizes[1]) };
    const got = {
      codes: copy(new Uint8Array(sizes[0]).fill(7)),
      absmax: copy(new Float32Array(sizes[1]).fill(7)),
    };
    referenceWeightKernels.quantizeByThresholds(w, blockSize, table, want);
    wasmWeightKernels.quantizeByThresholds(copy(w), blockSize, table, got);
    equal(got.absmax, want.absmax, `absmax of ${w.length} in blocks of ${blockSize}`);
    equal(got.codes, want.codes, `codes of ${w.length} in blocks of ${blockSize}`);
  }

  /** Blocks around 0, of zeros, of values that hit thresholds, and of any magnitude. */
  function weights(length: number): Float32Array {
    return Float32Array.from({ length }, (_, i) => {
      const kind = Math.floor(i / 16) % 4;
      if (kind === 0) return i % 3 === 0 ? -0 : 0;
      if (kind === 1) return i % 16 === 0 ? 1 : thresholds[Math.floor(random() * 15)];
      return (random() - 0.5) * (kind === 2 ? 1 : 10 ** (random() * 76 - 38));
    });
  }

  for (const [place, copy] of Object.entries(PLACES)) {
    test(`at every length and block size, ${place}`, () => {
      for (const blockSize of [2, 10, 16, 32, 64, 256, 4096, 8192]) {
        for (const length of [...LENGTHS, 64, 4096, 50_001]) {
          arena.reset();
          check(weights(length), blockSize, copy);
        }
      }
    });
  }

  test('weights so small that 1 / absmax overflows get the code of 0', () => {
    const codes = new Uint8Array(8);
    const absmax = new Float32Array(1);
    for (const kernels of [referenceWeightKernels, wasmWeightKernels]) {
      kernels.quantizeByThresholds(new Float32Array(16).fill(1e-45), 16, table, { codes, absmax });
      const zero = table.codeOf[7];
      expect([...codes], kernels.name).toEqual(Array.from({ length: 8 }, () => zero * 17));
      expect(absmax[0]).toBe(Math.fround(1e-45));
    }
  });
});

const MAGNITUDES: readonly MagnitudeRange[] = [
  { least: 0, greatest: Infinity },
  { least: 0, greatest: 65504 },
  { least: Math.fround(1e-7), greatest: 1e4 },
  { least: 0.5, greatest: 2 },
  { least: 2 ** -149, greatest: 2 ** -140 },
];

describe('countMagnitudes equals the reference', () => {
  for (const [place, copy] of Object.entries(PLACES)) {
    test(`at every length, ${place}`, () => {
      for (const length of [...LENGTHS, 20_000]) {
        arena.reset();
        const x = copy(values(length));
        for (const range of MAGNITUDES) {
          const got = wasmWeightKernels.countMagnitudes(x, range);
          expect(got, `${length} values`).toEqual(referenceWeightKernels.countMagnitudes(x, range));
        }
      }
    });
  }

  test('0, NaN and infinities are neither; bounds are inside', () => {
    const x = Float32Array.of(0, -0, NaN, Infinity, -Infinity, 1, -1, 2, 0.5, -3, 0.25, 1e-45);
    for (const kernels of [referenceWeightKernels, wasmWeightKernels]) {
      const counts = kernels.countMagnitudes(x, { least: 0.5, greatest: 2 });
      expect(counts, kernels.name).toEqual({ below: 2, above: 1, largest: 3 });
    }
  });
});

describe('float16 conversions equal the reference', () => {
  const isNaN16 = (bits: number): boolean => (bits & 0x7fff) > 0x7c00;
  const withoutPayload = (halves: Uint16Array): Uint16Array => halves.map((h) => (isNaN16(h) ? 0x7e00 : h));

  function check(x: Float32Array, copy: Copy = (a) => a): void {
    for (const range of [undefined, ...MAGNITUDES]) {
      const [want, got] = [new Uint16Array(x.length), copy(new Uint16Array(x.length).fill(7))];
      referenceWeightKernels.float32ToFloat16(x, want, range);
      wasmWeightKernels.float32ToFloat16(copy(x), got, range);
      equal(withoutPayload(got), withoutPayload(want), `${x.length} values, ${JSON.stringify(range)}`);
    }
  }

  const ALL = Uint16Array.from({ length: 65536 }, (_, i) => i);

  test('all 65536 halves become float32 exactly, and come back', () => {
    const [want, got] = [new Float32Array(65536), new Float32Array(65536)];
    referenceWeightKernels.float16ToFloat32(ALL, want);
    wasmWeightKernels.float16ToFloat32(ALL, got);
    equal(got, want, 'values');
    const back = new Uint16Array(65536);
    wasmWeightKernels.float32ToFloat16(got, back);
    equal(withoutPayload(back), withoutPayload(ALL), 'halves');
  });

  test('every rounding boundary: halves, the middles between neighbours, and the float32 neighbours of these', () => {
    const floats = new Float32Array(65536);
    referenceWeightKernels.float16ToFloat32(ALL, floats);
    const x = new Float32Array(65536 * 4);
    const bits = new Uint32Array(x.buffer);
    for (let h = 0; h < 65536; h++) {
      const next = (h & 0x7fff) === 0x7bff ? Math.sign(floats[h]) * 65536 : floats[h + 1];
      x[h * 4] = floats[h];
      x[h * 4 + 1] = (floats[h] + next) / 2;
      bits[h * 4 + 2] = bits[h * 4 + 1] + 1;
      bits[h * 4 + 3] = bits[h * 4 + 1] - 1;
    }
    check(x);
  });

  for (const [place, copy] of Object.entries(PLACES)) {
    test(`at every length, ${place}`, () => {
      arena.reset();
      for (const length of LENGTHS) {
        arena.reset();
        check(values(length), copy);
        const halves = copy(ALL.slice(1000, 1000 + length));
        const [want, got] = [new Float32Array(length), copy(new Float32Array(length))];
        referenceWeightKernels.float16ToFloat32(halves, want);
        wasmWeightKernels.float16ToFloat32(halves, got);
        equal(got, want, `${length} halves`);
      }
    });
  }

  test(`${MANY} random values`, () => check(values(MANY)));

  test('NaN keeps its sign and the high bits of its payload, and becomes quiet, in vectors and in tails', () => {
    for (const length of [8, 5]) {
      const x = new Float32Array(length);
      new Uint32Array(x.buffer).set(
        [0x7f800001, 0xff802000, 0x7fffffff, 0xffc00000, 0x7fc06000].slice(0, length),
      );
      const out = new Uint16Array(length);
      wasmWeightKernels.float32ToFloat16(x, out);
      expect([...out.subarray(0, 5)]).toEqual([0x7e00, 0xfe01, 0x7fff, 0xfe00, 0x7e03]);
    }
  });
});

test('both backends have the same kernels', () => {
  const names = (kernels: object): string[] => Object.keys(kernels).sort();
  expect(names(wasmKernels)).toEqual(names(referenceKernels));
  expect(names(wasmWeightKernels)).toEqual(names(referenceWeightKernels));
});
