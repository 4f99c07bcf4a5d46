/** The reference defines the other backends; its own values are stated here by hand, from the formulas in types.ts. */
import { describe, expect, test } from 'vitest';
import { referenceWeightKernels } from './reference-weights.ts';
import { referenceKernels } from './reference.ts';
import { clamp, roundHalfAway, roundHalfEven } from './round.ts';
import type { BlockScheme, CodeRule, Grid, Layout, Rounding } from './types.ts';

const RULE: CodeRule = { rounding: 'multiply-round-add', nan: 'zero-point', wrapAt: Infinity };
const whole = (cols: number): Layout => ({ rows: 1, cols, params: 1, pattern: 'by-row', period: 1 });

function grid(scale: number, zeroPoint: number, quantMin = -128, quantMax = 127): Grid {
  return { scales: Float32Array.of(scale), zeroPoints: Int32Array.of(zeroPoint), quantMin, quantMax };
}

function quantize(x: readonly number[], g: Grid, rule: CodeRule = RULE, layout = whole(x.length)): number[] {
  const out = new Int8Array(x.length);
  referenceKernels.quantize(Float32Array.from(x), out, g, layout, rule);
  return [...out];
}

describe('rounding', () => {
  test('roundHalfEven takes ties to even, never gives -0, and leaves NaN, infinities and large integers', () => {
    expect([0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.49999999999999994].map(roundHalfEven)).toEqual([
      0, 2, 2, 0, -2, -2, 0,
    ]);
    expect(Object.is(roundHalfEven(-0.3), 0)).toBe(true);
    expect([2 ** 52 + 1, Infinity, -Infinity, NaN].map(roundHalfEven)).toEqual([
      2 ** 52 + 1,
      Infinity,
      -Infinity,
      NaN,
    ]);
  });

  test('roundHalfAway takes ties away from zero', () => {
    expect([0.5, 1.5, 2.5, 0.49999999999999994, 3].map(roundHalfAway)).toEqual([1, 2, 3, 0, 3]);
    expect([-0.5, -1.5, -2.5].map(roundHalfAway)).toEqual([-1, -2, -3]);
  });

  test('clamp keeps NaN', () => {
    expect([clamp(5, 0, 3), clamp(-5, 0, 3), clamp(2, 0, 3), clamp(NaN, 0, 3)]).toEqual([3, 0, 2, NaN]);
  });
});

describe('quantize', () => {
  test.each<[Rounding, number[]]>([
    ['multiply-round-add', [1, 3, 3]],
    ['divide-round-add', [1, 3, 3]],
    ['multiply-add-round', [2, 2, 4]],
    ['fused-add-round', [2, 2, 4]],
  ])('%s: ties of 0.5, 1.5, 2.5 with zero point 1', (rounding, codes) => {
    expect(quantize([0.5, 1.5, 2.5], grid(1, 1), { ...RULE, rounding })).toEqual(codes);
  });

  test('multiplying with 1 / scale and dividing differ: 0.273939937 / 0.00214854861', () => {
    const g = grid(0.00214854861, 0, -1000, 1000);
    const codes = (rounding: Rounding): number => {
      const out = new Int16Array(1);
      referenceKernels.quantize(Float32Array.of(0.273939937), out, g, whole(1), { ...RULE, rounding });
      return out[0];
    };
    expect([codes('multiply-round-add'), codes('divide-round-add')]).toEqual([128, 127]);
  });

  test('the fused rule rounds once: 0.24999997 · 10 + 3 is below the tie that the separate rule makes of it', () => {
    const of = (rounding: Rounding): number[] =>
      quantize([0.2499999701976776], grid(0.1, 3), { ...RULE, rounding });
    expect([of('fused-add-round'), of('multiply-add-round')]).toEqual([[5], [6]]);
  });

  test('infinities and huge values saturate, -0 gives the zero point', () => {
    expect(quantize([Infinity, -Infinity, 3e38, -3e38, -0], grid(0.1, 5))).toEqual([127, -128, 127, -128, 5]);
  });

  test('NaN gives the code that the rule names, inside the range', () => {
    const code = (nan: CodeRule['nan'], zeroPoint: number): number =>
      quantize([NaN], grid(1, zeroPoint, 10, 20), { ...RULE, nan })[0];
    expect([code('zero-point', 12), code('zero-point', 99), code('zero-point', -99)]).toEqual([12, 20, 10]);
    expect([code('quant-min', 12), code('quant-max', 12), code('zero', 12)]).toEqual([10, 20, 10]);
  });

  test('values at or above wrapAt become quantMin', () => {
    expect(quantize([5, 99, 100, Infinity], grid(1, 0), { ...RULE, wrapAt: 100 })).toEqual([
      5, 99, -128, -128,
    ]);
  });

  test('by-row: element of row r has parameter r mod params', () => {
    const g = { ...grid(1, 0), scales: Float32Array.of(1, 2, 4), zeroPoints: Int32Array.of(0, 0, 1) };
    const layout: Layout = { rows: 4, cols: 2, params: 3, pattern: 'by-row', period: 1 };
    expect(quantize(Array(8).fill(8), g, RULE, layout)).toEqual([8, 8, 4, 4, 3, 3, 8, 8]);
  });

  test('by-column: rows of a period share a run of parameters', () => {
    const g = { ...grid(1, 0), scales: Float32Array.of(1, 2, 4, 8), zeroPoints: new Int32Array(4) };
    const layout: Layout = { rows: 4, cols: 2, params: 4, pattern: 'by-column', period: 2 };
    expect(quantize(Array(8).fill(8), g, RULE, layout)).toEqual([8, 4, 8, 4, 2, 1, 2, 1]);
  });
});

describe('dequantize and fakeQuantize', () => {
  test('value = f32(f32(code - zp)·scale); with float64 scales the product is rounded once', () => {
    const [narrow, wide] = [new Float32Array(1), new Float32Array(1)];
    const g = grid(0, 0);
    referenceKernels.dequantize(Int8Array.of(9), narrow, { ...g, scales: Float32Array.of(0.1) }, whole(1));
    referenceKernels.dequantize(Int8Array.of(9), wide, { ...g, scales: Float64Array.of(0.1) }, whole(1));
    expect([narrow[0], wide[0]]).toEqual([Math.fround(Math.fround(0.1) * 9), Math.fround(0.1 * 9)]);
    expect(narrow[0]).not.toBe(wide[0]);
  });

  test('gives the values on the grid, and a mask of what was in range: ties at the ends, NaN outside', () => {
    const x = Float32Array.of(0.26, -128.5, -128.6, 127.49, 127.5, NaN, Infinity);
    const mask = new Uint8Array(x.length);
    referenceKernels.fakeQuantize(x, x, grid(1, 0), whole(x.length), RULE, mask);
    expect([...x]).toEqual([0, -128, -128, 127, 127, 0, 127]);
    expect([...mask]).toEqual([1, 1, 0, 1, 0, 0, 0]);
  });
});

describe('minMax, minMaxByParam and histogram', () => {
  test('an empty array gives Infinity and -Infinity, NaN anywhere NaN and NaN', () => {
    expect(referenceKernels.minMax(new Float32Array(0))).toEqual({ min: Infinity, max: -Infinity });
    expect(referenceKernels.minMax(Float32Array.of(1, NaN, 3))).toEqual({ min: NaN, max: NaN });
    expect(referenceKernels.minMax(Float32Array.of(1, -Infinity, 3))).toEqual({ min: -Infinity, max: 3 });
  });

  test('a parameter with NaN does not touch its neighbours, one without elements is empty', () => {
    const layout: Layout = { rows: 2, cols: 2, params: 3, pattern: 'by-row', period: 1 };
    const [min, max] = [new Float32Array(3), new Float32Array(3)];
    referenceKernels.minMaxByParam(Float32Array.of(NaN, 1, 4, 2), layout, min, max);
    expect([...min]).toEqual([NaN, 2, Infinity]);
    expect([...max]).toEqual([NaN, 4, -Infinity]);
  });

  test('histogram: x = hi in the last bin, NaN and what is outside in none, counts added', () => {
    const counts = Float64Array.of(10, 0, 0, 0);
    referenceKernels.histogram(Float32Array.of(0, 0.25, 0.999, 1, -0.001, 1.001, NaN), 0, 1, counts);
    expect([...counts]).toEqual([11, 1, 0, 2]);
  });
});

describe('blocks', () => {
  const scheme: BlockScheme = { bits: 4, blockSize: 4, scale: 'signed-extreme', rounding: 'half-away' };

  function quantizeBlock(
    w: readonly number[],
    s: BlockScheme,
  ): { codes: number[]; scale: number; zp: number } {
    const codes = new Uint8Array((s.blockSize * s.bits) / 8);
    const [scales, zeroPoints] = [new Float32Array(1), new Uint8Array(1)];
    referenceWeightKernels.quantizeBlocks(Float32Array.from(w), 1, w.length, s, {
      codes,
      scales,
      zeroPoints,
    });
    return { codes: [...codes], scale: scales[0], zp: zeroPoints[0] };
  }

  test('signed-extreme: the extreme gets code 0, low nibble first', () => {
    expect(quantizeBlock([8, -4, 0, 1], scheme)).toEqual({ codes: [0xc0, 0x78], scale: -1, zp: 8 });
    expect(quantizeBlock([-8, 8, 0, 1], scheme)).toEqual({ codes: [0xf0, 0x98], scale: 1, zp: 8 });
  });

  test('absmax: codes -7 to 7 about 8; ties as the scheme says', () => {
    const of = (rounding: BlockScheme['rounding']): number[] =>
      quantizeBlock([7, -7, 0.5, -0.5], { ...scheme, scale: 'absmax', rounding }).codes;
    expect(of('half-even')).toEqual([0x1f, 0x88]);
    expect(of('half-away')).toEqual([0x1f, 0x89]);
  });

  test('min-max: 0 is on the grid even where all weights are positive', () => {
    expect(quantizeBlock([15, 7, 1, 3], { ...scheme, scale: 'min-max' })).toEqual({
      codes: [0x7f, 0x31],
      scale: 1,
      zp: 0,
    });
    expect(quantizeBlock([-15, 0, 0, 0], { ...scheme, scale: 'min-max' }).zp).toBe(15);
  });

  test('zero blocks, and so small scales that 1 / scale overflows, get the code of 0; a short block is padded with it', () => {
    expect(quantizeBlock([0, -0, 0, 0], scheme)).toEqual({ codes: [0x88, 0x88], scale: 0, zp: 8 });
    expect(quantizeBlock([1e-44, 0, 0, 0], scheme).codes).toEqual([0x88, 0x88]);
    expect(quantizeBlock([-8], scheme).codes).toEqual([0x80, 0x88]);
    expect(quantizeBlock([0, 0, 0, 0], { ...scheme, scale: 'min-max' })).toEqual({
      codes: [0, 0],
      scale: 0,
      zp: 0,
    });
  });
});
