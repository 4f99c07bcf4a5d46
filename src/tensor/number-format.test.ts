import { describe, expect, test } from 'vitest';
import { fixed, pythonRepr, scientific } from './number-format.ts';

// Expected texts are Python's: '%.4f' % x, '%.2e' % x, repr(x).
describe('fixed', () => {
  test.each([
    [0.03125, 4, '0.0312'],
    [0.09375, 4, '0.0938'],
    [0.15625, 4, '0.1562'],
    [-0.03125, 4, '-0.0312'],
    [0.5, 0, '0'],
    [1.5, 0, '2'],
    [2.5, 0, '2'],
    [-2.5, 0, '-2'],
    [1.005, 2, '1.00'],
    [1e21, 2, '1000000000000000000000.00'],
    [2 ** 70, 0, '1180591620717411303424'],
    [0, 4, '0.0000'],
    [-0, 4, '-0.0000'],
    [-1e-9, 4, '-0.0000'],
    [NaN, 4, 'nan'],
    [-Infinity, 4, '-inf'],
  ])('%s with %i digits: %s', (value, digits, text) => {
    expect(fixed(value, digits)).toBe(text);
  });
});

describe('scientific', () => {
  test.each([
    [100005, 4, '1.0000e+05'],
    [100015, 4, '1.0002e+05'],
    [2.5, 0, '2e+00'],
    [3.5, 0, '4e+00'],
    [9.99995e-6, 4, '1.0000e-05'],
    [0, 4, '0.0000e+00'],
    [-0, 2, '-0.00e+00'],
    [1e-300, 1, '1.0e-300'],
    [5e-324, 2, '4.94e-324'],
    [Infinity, 2, 'inf'],
  ])('%s with %i digits: %s', (value, digits, text) => {
    expect(scientific(value, digits)).toBe(text);
  });
});

describe('pythonRepr', () => {
  test.each([
    [0, '0.0'],
    [-0, '-0.0'],
    [1, '1.0'],
    [0.1, '0.1'],
    [1e-4, '0.0001'],
    [1e-5, '1e-05'],
    [1.25e-7, '1.25e-07'],
    [1e15, '1000000000000000.0'],
    [1e16, '1e+16'],
    [9999999999999998, '9999999999999998.0'],
    [123456789012345680, '1.2345678901234568e+17'],
    [1.5e300, '1.5e+300'],
    [Math.fround(0.1), '0.10000000149011612'],
    [NaN, 'nan'],
    [-Infinity, '-inf'],
  ])('%s: %s', (value, text) => {
    expect(pythonRepr(value)).toBe(text);
  });
});
