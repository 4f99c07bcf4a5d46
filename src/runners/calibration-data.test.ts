import { zipSync } from 'fflate';
import { describe, expect, it } from 'vitest';
import { encodeNpy } from '../formats/npy/npy.ts';
import { tensor, type Tensor } from '../tensor/tensor.ts';
import { openCalibrationData } from './calibration-data.ts';
import { pickSamples } from './pick-samples.ts';
import type { CalibrationDataOptions } from './sample-set.ts';
import type { RunnerValue } from './types.ts';

const X: RunnerValue = { name: 'x', dtype: 'float32', shape: ['N', 2] };

/** Sample i is [i, i + 0.5]. */
const rows = (count: number): Tensor =>
  tensor(
    Float32Array.from({ length: 2 * count }, (_, i) => i / 2),
    [count, 2],
  );

function npz(arrays: Readonly<Record<string, Tensor>>): Uint8Array {
  const files = Object.entries(arrays).map(([name, array]) => [`${name}.npy`, encodeNpy(array)]);
  return zipSync(Object.fromEntries(files));
}

async function batchesOf(
  source: Uint8Array,
  inputs: readonly RunnerValue[],
  options?: CalibrationDataOptions,
): Promise<{ shapes: string[]; first: number[] }> {
  const shapes: string[] = [];
  const first: number[] = [];
  for await (const feeds of (await openCalibrationData(source, inputs, options)).batches()) {
    shapes.push(inputs.map(({ name }) => `${name} [${feeds[name].shape.join(', ')}]`).join(' '));
    const { data, shape } = feeds[inputs[0].name];
    for (let i = 0; i < data.length; i += data.length / (shape[0] ?? 1)) first.push(Number(data[i]));
  }
  return { shapes, first };
}

describe('batches', () => {
  it('hold the samples in order, 32 at a time, the last one what is left', async () => {
    const { shapes, first } = await batchesOf(npz({ x: rows(70) }), [X]);
    expect(shapes).toEqual(['x [32, 2]', 'x [32, 2]', 'x [6, 2]']);
    expect(first).toEqual(Array.from({ length: 70 }, (_, i) => i));
  });

  it('come from a .npy file if the model has one input', async () => {
    const { first } = await batchesOf(encodeNpy(rows(3)), [X], { batchSize: 2 });
    expect(first).toEqual([0, 1, 2]);
    const two = [X, { ...X, name: 'y' }];
    await expect(openCalibrationData(encodeNpy(rows(3)), two)).rejects.toThrow(
      "expected inputs 'x', 'y', got",
    );
  });

  it('are of the first samples, or with a seed of some of them, in order', async () => {
    const data = npz({ x: rows(50) });
    expect((await batchesOf(data, [X], { samples: 3 })).first).toEqual([0, 1, 2]);
    const { first } = await batchesOf(data, [X], { samples: 10, seed: 7, batchSize: 4 });
    expect(first).toHaveLength(10);
    expect(first).toEqual([...new Set(first)].toSorted((a, b) => a - b));
    expect(first).not.toEqual(Array.from({ length: 10 }, (_, i) => i));
  });

  it('have the size that the model fixes; what does not fill one is left out', async () => {
    const fixed: RunnerValue = { ...X, shape: [4, 2] };
    const data = await openCalibrationData(npz({ x: rows(11) }), [fixed]);
    expect([data.samples, data.batchSize]).toEqual([8, 4]);
    await expect(openCalibrationData(npz({ x: rows(3) }), [fixed])).rejects.toMatchObject({
      code: 'CALIBRATION_EMPTY',
    });
  });

  it('are single samples where an input has no axis for them', async () => {
    const inputs: RunnerValue[] = [
      { name: 'image', dtype: 'float32', shape: [1, 2] },
      { name: 'rate', dtype: 'int64', shape: [] },
    ];
    const rate = tensor(BigInt64Array.of(8000n, 16000n, 8000n));
    const { shapes } = await batchesOf(npz({ image: rows(3), rate }), inputs);
    expect(shapes).toEqual(['image [1, 2] rate []', 'image [1, 2] rate []', 'image [1, 2] rate []']);
  });

  it('can be asked for twice at a time', async () => {
    const data = await openCalibrationData(npz({ x: rows(40) }), [X], { batchSize: 10 });
    const [a, b] = [data.batches(), data.batches({ samples: 20 })];
    const sums = [0, 0];
    for (let i = 0; i < 4; i++) {
      for (const [k, pass] of [a, b].entries()) {
        const { value } = await pass.next();
        if (value !== undefined) sums[k] += (value.x.data as Float32Array).reduce((x, y) => x + y, 0);
      }
    }
    const sum = (count: number): number => (2 * count * (2 * count - 1)) / 4;
    expect(sums).toEqual([sum(40), sum(20)]);
  });

  it('name the sample that holds NaN, counted in the file', async () => {
    const array = rows(40);
    array.data[2 * 35 + 1] = Number.NaN;
    const half = tensor(Uint16Array.of(0, 0x7e00), [2, 1], 'float16');
    await expect(batchesOf(npz({ x: array }), [X])).rejects.toMatchObject({
      code: 'CALIBRATION_NAN',
      details: { array: 'x', sample: 35 },
    });
    const input: RunnerValue = { name: 'h', dtype: 'float16', shape: ['N', 1] };
    await expect(batchesOf(npz({ h: half }), [input])).rejects.toThrow('NaN in sample 1');
    await expect(batchesOf(npz({ x: array }), [X], { samples: 35 })).resolves.toBeDefined();
  });
});

describe('pickSamples', () => {
  it('gives as many as asked for, each as often as any other (5 of 20, 4,000 seeds, ±15 %)', () => {
    const counts = Array<number>(20).fill(0);
    for (let seed = 0; seed < 4000; seed++) {
      const picked = [...pickSamples(20, 5, seed)];
      expect(picked).toHaveLength(5);
      for (const index of picked) counts[index]++;
    }
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(150);
  });

  it('gives all there are if more are asked for', () => {
    expect([...pickSamples(3, 10)]).toEqual([0, 1, 2]);
    expect([...pickSamples(3, 10, 1)]).toEqual([0, 1, 2]);
    expect([...pickSamples(0, 10, 1)]).toEqual([]);
  });
});
