import { describe, expect, it } from 'vitest';
import type { TensorSource } from '../graph/tensor-source.ts';
import { DerivedConstants, type Compute } from './derived-constants.ts';

const LARGE = 40_000;

const LAYOUTS = {
  codes: { dtype: 'int8', shape: [LARGE] },
  scales: { dtype: 'float32', shape: [2] },
} as const;

/** Parts of two sizes, one that nobody declared, and how often they were computed. */
function counted(value: number): { readonly compute: Compute; readonly calls: () => number } {
  let calls = 0;
  return {
    calls: () => calls,
    compute() {
      calls++;
      const scales = Float32Array.of(value, calls);
      return Promise.resolve({ codes: new Int8Array(LARGE).fill(value), scales, zeroPoints: scales });
    },
  };
}

const byte = async (source: TensorSource, at = 7): Promise<number> => (await source.read(at, 1))[0];

describe('DerivedConstants', () => {
  it('computes at once within the budget, and not at all beyond it', async () => {
    const store = new DerivedConstants(LARGE + 8);
    const [a, b] = [counted(1), counted(2)];
    const kept = await store.add(LAYOUTS, a.compute);
    const later = await store.add(LAYOUTS, b.compute);
    expect(kept.codes.tensor?.data).toEqual(new Int8Array(LARGE).fill(1));
    expect(Object.keys(kept)).toEqual(['codes', 'scales']);
    expect(later.codes.tensor).toBeUndefined();
    expect(later.codes).toMatchObject({ elementType: 'int8', shape: [LARGE], byteLength: LARGE });
    expect([a.calls(), b.calls()]).toEqual([1, 0]);
  });

  it('computes once for a run of reads, again after another constant was read, and keeps small parts', async () => {
    const store = new DerivedConstants(0);
    const [a, b] = [counted(1), counted(2)];
    const [first, second] = [await store.add(LAYOUTS, a.compute), await store.add(LAYOUTS, b.compute)];
    for (let i = 0; i < 3; i++) expect(await byte(first.codes, i)).toBe(1);
    expect((await first.codes.load()).data[LARGE - 1]).toBe(1);
    expect(a.calls()).toBe(1);
    expect(await byte(second.codes)).toBe(2);
    expect((await first.scales.load()).data).toEqual(Float32Array.of(1, 1));
    expect([a.calls(), b.calls()]).toEqual([1, 1]);
    expect(await byte(first.codes)).toBe(1);
    expect([a.calls(), b.calls()]).toEqual([2, 1]);
  });

  it('passes on an error of a computation, and tries again when asked again', async () => {
    const store = new DerivedConstants(0);
    const { compute } = counted(3);
    let fail = true;
    const source = await store.add(LAYOUTS, () => (fail ? Promise.reject(new Error('gone')) : compute()));
    await expect(source.codes.load()).rejects.toThrow('gone');
    fail = false;
    expect(await byte(source.codes)).toBe(3);
  });

  it('passes on an error at once within the budget', async () => {
    const job = new DerivedConstants().add(LAYOUTS, () => Promise.reject(new Error('gone')));
    await expect(job).rejects.toThrow('gone');
  });
});
