import { expect, test } from 'vitest';
import { bfloat16Bits, bfloat16Value, float16Bits, float16Value } from './float16.ts';

const PATTERNS = Array.from({ length: 65536 }, (_, bits) => bits);

/** The value by the definition of the format: (-1)^s · 2^(e - bias) · 1.f, subnormal and special exponents apart. */
function valueByDefinition(bits: number, exponentBits: number, fractionBits: number): number {
  const sign = bits >> 15 === 0 ? 1 : -1;
  const top = 2 ** exponentBits - 1;
  const exponent = (bits >> fractionBits) & top;
  const fraction = (bits & (2 ** fractionBits - 1)) / 2 ** fractionBits;
  const bias = 2 ** (exponentBits - 1) - 1;
  if (exponent === top) return fraction === 0 ? sign * Infinity : NaN;
  return exponent === 0 ? sign * fraction * 2 ** (1 - bias) : sign * (1 + fraction) * 2 ** (exponent - bias);
}

test('float16: all 65536 patterns have the value of the definition and come back', () => {
  const wrong = PATTERNS.filter((bits) => {
    const value = float16Value(bits);
    const comesBack = Number.isNaN(value) || float16Bits(value) === bits;
    return !comesBack || !Object.is(value, valueByDefinition(bits, 5, 10));
  });
  expect(wrong).toEqual([]);
});

test('bfloat16: all 65536 patterns have the value of the definition and come back', () => {
  const wrong = PATTERNS.filter((bits) => {
    const value = bfloat16Value(bits);
    const comesBack = Number.isNaN(value) || bfloat16Bits(value) === bits;
    return !comesBack || !Object.is(value, valueByDefinition(bits, 8, 7));
  });
  expect(wrong).toEqual([]);
});

test('float16: the middle of two neighbours goes to the even one, a little more or less to the nearer', () => {
  const wrong = PATTERNS.slice(0, 0x7bff).filter((bits) => {
    const low = float16Value(bits);
    const high = float16Value(bits + 1);
    const middle = (low + high) / 2;
    const little = (high - low) / 64;
    const even = bits % 2 === 0 ? bits : bits + 1;
    const got = [middle, middle - little, middle + little].map(float16Bits);
    return got[0] !== even || got[1] !== bits || got[2] !== bits + 1;
  });
  expect(wrong).toEqual([]);
});

test('float16: 65519 is the largest that stays finite, 65520 is Infinity', () => {
  expect(float16Bits(65519)).toBe(0x7bff);
  expect(float16Bits(65520)).toBe(0x7c00);
  expect(float16Bits(-1e10)).toBe(0xfc00);
});

test('bfloat16: ties go to even, overflow to Infinity', () => {
  expect(bfloat16Bits(1 + 2 ** -8)).toBe(0x3f80);
  expect(bfloat16Bits(1 + 3 * 2 ** -8)).toBe(0x3f82);
  expect(bfloat16Bits(3.4e38)).toBe(0x7f80);
});

test('NaN stays NaN with its sign', () => {
  expect(float16Bits(NaN) & 0x7fff).toBeGreaterThan(0x7c00);
  expect(bfloat16Bits(NaN) & 0x7fff).toBeGreaterThan(0x7f80);
});
