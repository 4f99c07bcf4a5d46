import { describe, expect, it } from 'vitest';
import { tensor, type Tensor } from '../tensor/tensor.ts';
import { compareOutputs } from './compare-outputs.ts';
import { measureLatency } from './latency.ts';
import type { ModelRunner } from './types.ts';

/** A runner that gives the next of these tensors at each run. */
function giving(...tensors: readonly Tensor[]): ModelRunner {
  let runs = 0;
  return {
    name: 'fixed',
    inputs: [],
    outputs: [{ name: 'y', dtype: 'float32', shape: undefined }],
    run: () => Promise.resolve({ y: tensors[runs++ % tensors.length] }),
    dispose: () => Promise.resolve(),
  };
}

const ONE = { x: tensor([[1]]) };

async function error(r: Tensor, o: Tensor): Promise<unknown> {
  return (await compareOutputs(giving(r), giving(o), [ONE])).outputs[0];
}

describe('compareOutputs', () => {
  it('gives SQNR, cosine and the largest error over all batches, not the mean of batches', async () => {
    const r = [tensor([3, 4]), tensor([0, 12])];
    const o = [tensor([3, 5]), tensor([0, 12])];
    const { samples, outputs } = await compareOutputs(giving(...r), giving(...o), [ONE, ONE]);
    expect(samples).toBe(2);
    expect(outputs[0].sqnr).toBeCloseTo(10 * Math.log10(169 / 1), 12);
    expect(outputs[0].cosine).toBeCloseTo((9 + 20 + 144) / Math.sqrt(169 * (9 + 25 + 144)), 12);
    expect(outputs[0].maxAbsError).toBe(1);
    expect(outputs[0].agreement).toBeUndefined();
  });

  it('equal outputs: Infinity dB and cosine 1, all zero too', async () => {
    const expected = { sqnr: Infinity, cosine: 1, maxAbsError: 0 };
    expect(await error(tensor([1, -2]), tensor([1, -2]))).toMatchObject(expected);
    expect(await error(tensor([0, 0]), tensor([0, -0]))).toMatchObject(expected);
  });

  it('equal infinities and NaN count in nothing; other ones show', async () => {
    const r = tensor([1, Infinity, Number.NaN]);
    expect(await error(r, r)).toMatchObject({ sqnr: Infinity, maxAbsError: 0 });
    expect(await error(tensor([1, 2]), tensor([1, Number.NaN]))).toMatchObject({ maxAbsError: Number.NaN });
    expect(await error(tensor([1, 2]), tensor([1, Infinity]))).toMatchObject({ maxAbsError: Infinity });
  });

  it('rows with the same greatest element agree, the first of equals counts', async () => {
    const r = tensor([
      [1, 2, 3],
      [5, 5, 1],
      [0, 1, 0],
    ]);
    const o = tensor([
      [1, 2, 9],
      [5, 4, 1],
      [2, 1, 0],
    ]);
    expect(await error(r, o)).toMatchObject({ agreement: 2 / 3 });
  });

  it('outputs that are not floats: the share of equal elements', async () => {
    const r = tensor(BigInt64Array.of(1n, 2n, 3n, 4n));
    const o = tensor(BigInt64Array.of(1n, 2n, 3n, 5n));
    expect(await error(r, o)).toMatchObject({
      sqnr: undefined,
      cosine: undefined,
      agreement: 0.75,
      maxAbsError: 1,
    });
  });

  it('another shape throws', async () => {
    await expect(error(tensor([1, 2]), tensor([1]))).rejects.toThrow("output 'y' of shape [2], got [1]");
  });
});

describe('measureLatency', () => {
  it('runs each runner as often as asked, in turns, warm-up apart', async () => {
    const order: string[] = [];
    const named = (name: string): ModelRunner => ({
      ...giving(tensor([1])),
      run: () => {
        order.push(name);
        return Promise.resolve({});
      },
    });
    const result = await measureLatency([named('a'), named('b')], ONE, { rounds: 3, warmup: 1 });
    expect(order.join('')).toBe('abababab');
    expect(result).toHaveLength(2);
    for (const { median, min } of result) expect(median).toBeGreaterThanOrEqual(min);
  });
});
