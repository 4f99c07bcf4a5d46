import { describe, expect, it } from 'vitest';
import { factorInputs } from '../../algorithms/input-factor.ts';
import { buildModel } from '../../graph/build.ts';
import type { Model } from '../../graph/model.ts';
import type { ModelRunner } from '../../runners/types.ts';
import { tensor, type Tensor } from '../../tensor/tensor.ts';
import { InputFactors, type WeightInputs } from './input-factors.ts';

const WANTED: readonly WeightInputs[] = [
  { values: ['a'], size: 3 },
  { values: ['b', 'c'], size: 2 },
  { values: ['a'], size: 3 },
];
/** Bytes of one matrix of 3 · 3 numbers. */
const ONE = 72;

const model = buildModel((b) => {
  for (const [name, size] of [
    ['a', 3],
    ['b', 2],
    ['c', 2],
  ] as const)
    b.input(name, 'float32', ['M', size]);
  b.output(b.op('Relu', [b.graph.inputs[0]]), 'y', 'float32');
});

/** Rows of 3 and of 2 numbers; both batches together. */
const A = Float32Array.of(1, 2, 3, 4, 5, 7, -1, 0, 2, 8, 1, 1);
const B = Float32Array.of(1, 2, 3, 5, -1, 2, 0, 1);
const batches = [0, 1].map((i) => ({
  a: tensor(A.subarray(6 * i, 6 * i + 6), [2, 3]),
  b: tensor(B.subarray(4 * i, 4 * i + 4), [2, 2]),
  c: tensor(Float32Array.of(3, 3), [1, 2]),
}));

function squares(
  data: Float32Array,
  size: number,
  sums: Float64Array = new Float64Array(size * size),
): Float64Array {
  for (let at = 0; at < data.length; at += size) {
    for (let i = 0; i < size * size; i++) sums[i] += data[at + Math.floor(i / size)] * data[at + (i % size)];
  }
  return sums;
}

/** Computes the products that the model was given as outputs, and counts what was asked of it. */
function fakeRunner(log: string[][], bad?: string): (model: Model) => Promise<ModelRunner> {
  return (copy) =>
    Promise.resolve({
      name: 'fake',
      inputs: [],
      outputs: [],
      run(feeds, { fetch = [] } = {}) {
        const results = fetch.map((name): [string, Tensor] => {
          const flat = copy.graph.value(name)?.producer?.inputs[0]?.producer;
          const source = flat?.inputs[0]?.name ?? '';
          const { data } = feeds[source];
          const size = source === 'a' ? 3 : 2;
          const product = Float32Array.from(squares(data as Float32Array, size));
          return [
            name,
            tensor(
              product.map((x) => (source === bad ? x * Number.NaN : x)),
              [size, size],
            ),
          ];
        });
        log.push(
          fetch.map((name) => copy.graph.value(name)?.producer?.inputs[0]?.producer?.inputs[0]?.name ?? ''),
        );
        return Promise.resolve(Object.fromEntries(results));
      },
      dispose: () => Promise.resolve(log.push(['disposed'])).then(() => undefined),
    });
}

describe('InputFactors', () => {
  it('sums what is multiplied with a weight over batches, and over several inputs of one weight', async () => {
    const log: string[][] = [];
    const seen: unknown[] = [];
    const job = { onProgress: (progress: unknown) => void seen.push(progress) };
    const factors = new InputFactors(model, WANTED, { batches, runner: fakeRunner(log) }, job);
    const [first, second, again] = [
      await factors.factor(WANTED[0]),
      await factors.factor(WANTED[1]),
      await factors.factor(WANTED[2]),
    ];
    expect(first).toEqual(factorInputs(squares(A, 3), 3, { loudFirst: true }));
    const threes = Float32Array.of(3, 3, 3, 3);
    expect(second).toEqual(factorInputs(squares(threes, 2, squares(B, 2)), 2, { loudFirst: true }));
    expect(again).toBe(first);
    expect(log).toEqual([['a', 'b', 'c'], ['a', 'b', 'c'], ['disposed']]);
    expect(factors.samples).toBe(4);
    expect(seen).toEqual([
      { stage: 'calibrate', done: 1, unit: 'batches', samples: 2 },
      { stage: 'calibrate', done: 2, unit: 'batches', samples: 4 },
    ]);
    expect(model.graph.outputs.map(({ name }) => name)).toEqual(['y']);
  });

  it('goes through the data again for what the budget does not hold', async () => {
    const log: string[][] = [];
    const source = { batches: () => batches.values(), runner: fakeRunner(log), budget: ONE };
    const factors = new InputFactors(model, WANTED, source);
    const first = await factors.factor(WANTED[0]);
    await factors.factor(WANTED[1]);
    expect(log).toEqual([['a'], ['a'], ['disposed'], ['b', 'c'], ['b', 'c'], ['disposed']]);
    expect(first.importance).toHaveLength(3);
  });

  it('refuses data that has nothing, or nothing left for a further pass, and says which', async () => {
    const none = new InputFactors(model, WANTED, { batches: [], runner: fakeRunner([]) });
    await expect(none.factor(WANTED[0])).rejects.toMatchObject({ code: 'CALIBRATION_EMPTY' });
    const once = new InputFactors(model, WANTED, {
      batches: batches.values(),
      runner: fakeRunner([]),
      budget: ONE,
    });
    await once.factor(WANTED[0]);
    await expect(once.factor(WANTED[1])).rejects.toThrow(/got none in a further pass/);
  });

  it('refuses values that are not finite, by name', async () => {
    const factors = new InputFactors(model, WANTED, { batches, runner: fakeRunner([], 'b') });
    await factors.factor(WANTED[0]);
    await expect(factors.factor(WANTED[1])).rejects.toThrow(/b: expected finite values for gptq/);
  });
});
