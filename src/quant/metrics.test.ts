import { expect, test } from 'vitest';
import { tensor } from '../tensor/tensor.ts';
import { cosineSimilarity, normalizedL2Error, sqnr } from './metrics.ts';
import { quantizePerTensor } from './quantize.ts';

const X = tensor([1, 2, 3]);
const Y = tensor([1.1, 2, 2.9]);

test('[1, 2, 3] against [1.1, 2, 2.9]: 28.4510 dB, 0.0378, 0.9994, as torch prints them', () => {
  expect(sqnr(X, Y).toFixed(4)).toBe('28.4510');
  expect(normalizedL2Error(X, Y).toFixed(4)).toBe('0.0378');
  expect(cosineSimilarity(X, Y).toFixed(4)).toBe('0.9994');
});

test('equal inputs: Infinity dB, error 0, cosine 1', () => {
  expect([sqnr(X, X), normalizedL2Error(X, X), cosineSimilarity(X, X)]).toEqual([Infinity, 0, 1]);
});

test('all-zero inputs: no signal is NaN, cosine 0', () => {
  const zeros = tensor([0, 0, 0]);
  expect([sqnr(zeros, zeros), normalizedL2Error(zeros, zeros), cosineSimilarity(zeros, X)]).toEqual([
    NaN,
    NaN,
    0,
  ]);
  expect([sqnr(zeros, X), normalizedL2Error(zeros, X)]).toEqual([-Infinity, Infinity]);
});

test('NaN anywhere gives NaN', () => {
  const bad = tensor([1, NaN, 3]);
  expect([sqnr(X, bad), normalizedL2Error(X, bad), cosineSimilarity(X, bad)]).toEqual([NaN, NaN, NaN]);
});

test('a quantized tensor is compared by its values', () => {
  const q = quantizePerTensor(X, 0.03, 0, 'qint8');
  expect(sqnr(X, q)).toBe(sqnr(X, q.dequantize()));
});

test('an extra bit is worth 6 dB', () => {
  const ramp = tensor(Float32Array.from({ length: 4096 }, (_, i) => i / 4096 - 0.5));
  const eight = sqnr(ramp, quantizePerTensor(ramp, 1 / 256, 0, 'int8'));
  const four = sqnr(ramp, quantizePerTensor(ramp, 1 / 16, 0, 'int4'));
  expect((eight - four) / 4).toBeCloseTo(6.02, 0);
});

test('different shapes are refused', () => {
  expect(() => sqnr(X, tensor([1, 2]))).toThrow(/sqnr: expected equal shapes, got \[3\] and \[2\]/);
});
