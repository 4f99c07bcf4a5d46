import { describe, expect, it } from 'vitest';
import type { TensorSource } from '../../graph/tensor-source.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { DerivedConstants, type Parts } from './derived-constants.ts';

const LARGE = 40_000;

/** Parts of two sizes, and how often they were computed. */
function counted(value: number): { readonly compute: () => Promise<Parts>; readonly calls: () => number } {
  let calls = 0;
  return {
    calls: () => calls,
    compute() {
      calls++;
      return Promise.resolve({
        codes: new Tensor('uint8', [LARGE], new Uint8Array(LARGE).fill(value)),
        scales: new Tensor('float32', [2], Float32Array.of(value, calls)),
      });
    },
  };
}

const byte = async (source: TensorSource, at = 7): Promise<number> => (await source.read(at, 1))[0];

describe('DerivedConstants', () => {
  it('keeps results within the budget, and drops the large parts of what goes beyond', async () => {
    const store = new DerivedConstants(LARGE + 8);
    const [a, b] = [counted(1), counted(2)];
    const kept = await store.add(a.compute);
    const dropped = await store.add(b.compute);
    expect(kept.codes.tensor).toBeDefined();
    expect(dropped.codes.tensor).toBeUndefined();
    expect(dropped.scales.tensor?.data).toEqual(Float32Array.of(2, 1));
    expect(dropped.codes).toMatchObject({ elementType: 'uint8', shape: [LARGE], byteLength: LARGE });
    expect([a.calls(), b.calls()]).toEqual([1, 1]);
  });

  it('computes again once for a run of reads, and again after another constant was read', async () => {
    const store = new DerivedConstants(0);
    const [a, b] = [counted(1), counted(2)];
    const [first, second] = [await store.add(a.compute), await store.add(b.compute)];
    for (let i = 0; i < 3; i++) expect(await byte(first.codes, i)).toBe(1);
    expect((await first.codes.load()).data[LARGE - 1]).toBe(1);
    expect(a.calls()).toBe(2);
    expect(await byte(second.codes)).toBe(2);
    expect(await byte(first.codes)).toBe(1);
    expect([a.calls(), b.calls()]).toEqual([3, 2]);
  });

  it('passes on an error of a later computation, and tries again when asked again', async () => {
    const store = new DerivedConstants(0);
    const { compute } = counted(3);
    let fail = false;
    const source = await store.add(() => (fail ? Promise.reject(new Error('gone')) : compute()));
    fail = true;
    await expect(source.codes.load()).rejects.toThrow('gone');
    fail = false;
    expect(await byte(source.codes)).toBe(3);
  });
});
