import { describe, expect, test } from 'vitest';
import { firstNonFinite } from './non-finite.ts';

describe('firstNonFinite', () => {
  test('finds none among finite values, the largest included', () => {
    const values = new Float32Array(10_001).fill(3.4028234663852886e38);
    values[5] = -3.4028234663852886e38;
    values[6] = -0;
    expect(firstNonFinite(values)).toBeUndefined();
    expect(firstNonFinite(new Float32Array(0))).toBeUndefined();
  });

  test.each([0, 1, 4095, 4096, 9999, 10_000])('finds the one at %i of 10,001', (index) => {
    for (const bad of [Number.NaN, Infinity, -Infinity]) {
      const values = new Float32Array(10_001).fill(1);
      values[index] = bad;
      expect(firstNonFinite(values)).toBe(bad);
    }
  });

  test('takes the first of several', () => {
    expect(firstNonFinite(Float32Array.of(1, -Infinity, Number.NaN))).toBe(-Infinity);
  });
});
