import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { QuantDType } from '../tensor/dtype.ts';
import {
  calculateQParams,
  chooseQParams,
  type QParamsOptions,
  type QParamsRule,
  type SymmetricRule,
} from './qparams.ts';
import { onnxQuantRange, quantRange } from './quant-range.ts';
import type { QScheme } from './types.ts';

const RULES: readonly QParamsRule[] = ['torch', 'aten', 'fbgemm', 'onnx', 'per-token'];
const DTYPES: readonly QuantDType[] = [
  'quint8', 'qint8', 'qint32', 'quint4x2', 'quint2x4', 'int2', 'uint2', 'int4', 'uint4', 'int8', 'uint8', 'int16', 'uint16', 'int32',
]; // prettier-ignore
const finite = fc.float({ noNaN: true, noDefaultInfinity: true });
const range: fc.Arbitrary<readonly [number, number]> = fc
  .tuple(finite, finite)
  .map(([a, b]) => [Math.min(a, b), Math.max(a, b)]);
const scheme = fc.constantFrom<QScheme>('per_tensor_affine', 'per_tensor_symmetric');

describe('every rule', () => {
  test.each(RULES)('%s: zero is on the grid, the scale is finite and above 0', (rule) => {
    const check = (
      [min, max]: readonly [number, number],
      qscheme: QScheme,
      dtype: QuantDType,
      reduceRange: boolean,
    ): void => {
      const { scale, zeroPoint } = chooseQParams(min, max, { rule, qscheme, dtype, reduceRange });
      const { quantMin, quantMax } =
        rule === 'onnx'
          ? onnxQuantRange(dtype, { reduceRange }, qscheme.endsWith('symmetric'))
          : quantRange(dtype, { reduceRange });
      expect(Number.isInteger(zeroPoint) && zeroPoint >= quantMin && zeroPoint <= quantMax).toBe(true);
      expect(scale > 0 && Number.isFinite(scale)).toBe(true);
    };
    fc.assert(fc.property(range, scheme, fc.constantFrom(...DTYPES), fc.boolean(), check), {
      seed: 1,
      numRuns: 2000,
    });
  });

  test('affine rules of torch: every value of the range is at most scale/2 from a code, but for half a step at the ends', () => {
    fc.assert(
      fc.property(range, ([min, max]) => {
        const { scale, zeroPoint } = chooseQParams(min, max, { dtype: 'qint8' });
        const low = (-128 - zeroPoint) * scale;
        const high = (127 - zeroPoint) * scale;
        const slack = scale * 0.5001;
        expect(low - slack <= Math.min(min, 0) && high + slack >= Math.max(max, 0)).toBe(true);
      }),
      { seed: 2, numRuns: 2000 },
    );
  });
});

describe('symmetric rules, qint8 and a range of [-1, 2]', () => {
  const scaleOf = (symmetric: SymmetricRule, options: QParamsOptions = {}): number =>
    chooseQParams(-1, 2, { dtype: 'qint8', qscheme: 'per_tensor_symmetric', symmetric, ...options }).scale;

  test('full-range divides by 127.5', () => expect(scaleOf('full-range')).toBe(Math.fround(2 / 127.5)));
  test('restricted divides by 127', () => expect(scaleOf('restricted')).toBe(Math.fround(2 / 127)));
  test('no-clip takes the larger of 1/128 and 2/127', () =>
    expect(scaleOf('no-clip')).toBe(Math.fround(2 / 127)));
  test('no-clip uses the code -128 where the negative side is the larger one', () => {
    const { scale } = chooseQParams(-2, 1, {
      dtype: 'qint8',
      qscheme: 'per_tensor_symmetric',
      symmetric: 'no-clip',
    });
    expect(scale).toBe(2 / 128);
  });
  test('a range of ±127 is restricted by itself', () => {
    expect(scaleOf('full-range', { quantMin: -127, quantMax: 127 })).toBe(Math.fround(2 / 127));
  });
  test.each(['restricted', 'no-clip'] as const)('%s: ±max have codes inside the range', (symmetric) => {
    fc.assert(
      fc.property(range, fc.constantFrom<QuantDType>('qint8', 'quint8', 'int4'), ([min, max], dtype) => {
        const { scale, zeroPoint } = chooseQParams(min, max, {
          dtype,
          qscheme: 'per_tensor_symmetric',
          symmetric,
        });
        const { quantMin, quantMax } = quantRange(dtype);
        expect(Math.round(min / scale) + zeroPoint).toBeGreaterThanOrEqual(quantMin);
        expect(Math.round(max / scale) + zeroPoint).toBeLessThanOrEqual(quantMax);
      }),
      { seed: 3 },
    );
  });
});

describe('edges', () => {
  test('[0, 0] gives each rule its smallest scale', () => {
    const scales = RULES.map((rule) => chooseQParams(0, 0, { rule }).scale);
    expect(scales).toEqual([2 ** -23, 0.1, Math.fround(0.1), 1, 2 ** -23]);
  });

  test('a range wider than float32 has a finite scale', () => {
    expect(chooseQParams(-3e38, 3e38).scale).toBe(Math.fround(6e38 / 255));
  });

  test('float zero points do not widen the range to hold 0, and are not rounded', () => {
    const { scale, zeroPoint } = calculateQParams([1, 5], [2, 5], {
      qscheme: 'per_channel_affine_float_qparams',
    });
    expect(scale).toEqual(Float32Array.of(1 / 255, 1));
    expect(zeroPoint).toEqual(Float32Array.of(-1 / scale[0], -5));
  });

  test.each([
    [NaN, 1],
    [0, NaN],
    [-Infinity, 1],
    [0, Infinity],
    [2, 1],
    [0, 1e300],
  ])('min %d, max %d: RangeError', (min, max) => {
    expect(() => chooseQParams(min, max)).toThrow(RangeError);
  });

  test('the message names the channel', () => {
    expect(() => calculateQParams([0, 3], [1, 2])).toThrow(
      'expected finite float32 min ≤ max, got 3 and 2 at channel 1',
    );
  });

  test('lengths that differ, rules without float zero points, unknown names: TypeError', () => {
    expect(() => calculateQParams([0], [1, 2])).toThrow(TypeError);
    expect(() => chooseQParams(0, 1, { qscheme: 'per_channel_affine_float_qparams', rule: 'onnx' })).toThrow(
      TypeError,
    );
    expect(() => chooseQParams(0, 1, { rule: 'gcc' as QParamsRule })).toThrow(TypeError);
    expect(() => chooseQParams(0, 1, { qscheme: 'per_row' as QScheme })).toThrow(TypeError);
    expect(() => chooseQParams(0, 1, { symmetric: 'half' as SymmetricRule })).toThrow(TypeError);
    expect(() => chooseQParams(0, 1, { eps: 0 })).toThrow(RangeError);
  });
});

describe('ranges of codes', () => {
  test.each([
    [{}, [0, 255, 128]],
    [{ reduceRange: true }, [0, 127, 63]],
    [{ quantMin: 0, quantMax: 255 }, [0, 255, 127]],
    [{ quantMin: 0, quantMax: 15, reduceRange: true }, [0, 7, 3]],
  ])('quint8 %j', (options, expected) => {
    const { quantMin, quantMax, symmetricZeroPoint } = quantRange('quint8', options);
    expect([quantMin, quantMax, symmetricZeroPoint]).toEqual(expected);
  });

  test('qint8 halved downward; wider dtypes only if the range is given', () => {
    expect(quantRange('qint8', { quantMin: -127, quantMax: 127, reduceRange: true })).toMatchObject({
      quantMin: -64,
      quantMax: 63,
    });
    expect(quantRange('int16', { reduceRange: true })).toMatchObject({ quantMin: -32768, quantMax: 32767 });
  });

  test.each([
    [{ quantMin: 0 }, TypeError],
    [{ quantMax: 3 }, TypeError],
    [{ quantMin: 1, quantMax: 3 }, RangeError],
    [{ quantMin: -3, quantMax: -1 }, RangeError],
    [{ quantMin: 0, quantMax: 0 }, RangeError],
    [{ quantMin: -0.5, quantMax: 3 }, RangeError],
    [{ quantMin: 0, quantMax: 256 }, RangeError],
    [{ quantMin: -1, quantMax: 255 }, RangeError],
  ])('quint8 %j is refused', (options, error) => {
    expect(() => quantRange('quint8', options)).toThrow(error);
  });

  test('onnxruntime: -127..127 if symmetric, -64..64 if reduced, the dtype otherwise', () => {
    expect(onnxQuantRange('int8', {}, true)).toMatchObject({ quantMin: -127, quantMax: 127 });
    expect(onnxQuantRange('int8', { reduceRange: true }, true)).toMatchObject({
      quantMin: -64,
      quantMax: 64,
    });
    expect(onnxQuantRange('int8', {}, false)).toMatchObject({ quantMin: -128, quantMax: 127 });
    expect(onnxQuantRange('uint8', {}, true)).toMatchObject({ quantMin: 0, quantMax: 255 });
    expect(onnxQuantRange('int8', { quantMin: -7, quantMax: 7 }, true)).toMatchObject({
      quantMin: -7,
      quantMax: 7,
    });
  });
});
