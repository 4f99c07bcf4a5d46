import { expect, it } from 'vitest';
import type { QuantizeJob, QuantizeResult } from './quantize.ts';
import { summary } from './quantize-summary.ts';

/** What is said after one output came out like this. */
function saidOf(output: { readonly sqnr: number; readonly agreement: number }): string {
  // Only what the summary looks at.
  const job = {
    input: 'm.onnx',
    output: 'm.int8.onnx',
    options: { calibrate: 'data.npz', verify: true },
    choice: { mode: 'static', reason: '' },
  } as QuantizeJob;
  const errors = { name: 'y', cosine: 1, maxAbsError: 0, ...output };
  const result = {
    input: { file: 'm.onnx', size: 4 },
    output: { file: 'm.int8.onnx', size: 1 },
    report: { mode: 'static', samples: 1, quantized: [], skipped: [] },
    verification: { runtime: 'ort', inputs: 'data', samples: 1, outputs: [errors] },
    seconds: 0,
  } as unknown as QuantizeResult;
  return summary(job, result);
}

it.each([
  { sqnr: 16, agreement: 1 },
  { sqnr: 40, agreement: 0.97 },
  { sqnr: NaN, agreement: 1 },
])('a large error is said, and what to try against it: $sqnr dB, agreement $agreement', (output) => {
  expect(saidOf(output)).toMatch(/the error is large; try: .* --observer mse/);
});

it('a small error is not', () => {
  expect(saidOf({ sqnr: 17, agreement: 0.98 })).toMatch(/^next: /m);
  expect(saidOf({ sqnr: Infinity, agreement: 1 })).toMatch(/^next: /m);
});
