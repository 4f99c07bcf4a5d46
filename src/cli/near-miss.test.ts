import { expect, it } from 'vitest';
import { didYouMean } from './near-miss.ts';

it.each([
  ['Cnov', ['Gemm', 'Conv'], 'Conv'],
  ['activaton', ['activation', 'weight'], 'activation'],
  ['/layer1/conv', ['/layer2/relu', '/layer1/Conv'], '/layer1/Conv'],
])('%s among %j: %s', (name, known, meant) => {
  expect(didYouMean(name, known)).toBe(`, did you mean '${meant}'?`);
});

it('says nothing if nothing is near', () => {
  expect(didYouMean('Conv', ['Gemm', 'Softmax', ''])).toBe('');
  expect(didYouMean('Conv', [])).toBe('');
});
