import { expect, test } from 'vitest';
import { packBits, unpackBits } from './pack.ts';

// Layouts as torch's int_repr() of quint4x2 and quint2x4 has them; inverse laws are in test/quant-properties.test.ts.
test('4 bits: the first code lies in the low nibble, rows are not padded', () => {
  expect([...packBits([6, 0, 12, 10, 6], 4)]).toEqual([6, 172, 6]);
});

test('2 bits: four codes a byte, the first in the lowest bits', () => {
  expect([...packBits([3, 0, 3, 3, 3, 0], 2)]).toEqual([243, 3]);
});

test('negative codes are two’s complement of their bits', () => {
  expect([...packBits([-1, -8, 7], 4)]).toEqual([0x8f, 0x07]);
  expect([...unpackBits(Uint8Array.of(0x8f, 0x07), 4, 3, true)]).toEqual([-1, -8, 7]);
  expect([...unpackBits(Uint8Array.of(0x8f, 0x07), 4, 3, false)]).toEqual([15, 8, 7]);
});

test('no codes: no bytes', () => {
  expect(packBits([], 4)).toHaveLength(0);
  expect(unpackBits(new Uint8Array(0), 2, 0, true)).toHaveLength(0);
});

test('a buffer of the wrong length throws RangeError', () => {
  expect(() => packBits([1, 2, 3], 4, new Uint8Array(1))).toThrow(/expected out of 2 bytes, got 1/);
  expect(() => unpackBits(new Uint8Array(1), 4, 3, false)).toThrow(/expected 2 bytes, got 1/);
});
