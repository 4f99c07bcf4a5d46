import { describe, expect, test } from 'vitest';
import { DEVIATIONS } from './deviations.ts';
import { loadStore } from './support/array-store.ts';

const STORES = ['torch/quant', 'torch/quant-print', 'torch/observers', 'ort/quant'] as const;

const stores = await Promise.all(STORES.map((name) => loadStore<{ readonly id: string }>(name)));
const ids = stores.flatMap(({ cases }) => cases.map(({ id }) => id));
const NUMERICS = ['default', 'torch-2.13', 'onnx'] as const;

test(`${ids.length} fixture cases of PyTorch and onnxruntime are replayed, at least 1500`, () => {
  expect(ids.length).toBeGreaterThanOrEqual(1500);
  expect(new Set(ids).size).toBe(ids.length);
});

describe('a deviation', () => {
  test.each(DEVIATIONS)('$id covers at least one case and says why', ({ pattern, reason }) => {
    expect(ids.some((id) => NUMERICS.some((numerics) => pattern.test(`${numerics}:${id}`)))).toBe(true);
    expect(reason.length).toBeGreaterThan(40);
  });

  test('covers what no other covers', () => {
    const names = ids.flatMap((id) => NUMERICS.map((numerics) => `${numerics}:${id}`));
    const twice = names.filter((name) => DEVIATIONS.filter(({ pattern }) => pattern.test(name)).length > 1);
    expect(twice).toEqual([]);
  });
});
