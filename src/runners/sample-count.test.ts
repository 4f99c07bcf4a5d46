import { zipSync } from 'fflate';
import { describe, expect, it } from 'vitest';
import { encodeNpy } from '../formats/npy/npy.ts';
import { tensor } from '../tensor/tensor.ts';
import { openCalibrationData } from './calibration-data.ts';
import { compareOutputs } from './compare-outputs.ts';
import { sampleCount } from './sample-count.ts';
import type { ModelRunner, RunnerValue } from './types.ts';

const VECTOR: RunnerValue = { name: 'x', dtype: 'float32', shape: [4] };
const BATCHED: RunnerValue = { name: 'x', dtype: 'float32', shape: ['N', 4] };

const echo: ModelRunner = {
  name: 'echo',
  inputs: [VECTOR],
  outputs: [{ ...VECTOR, name: 'y' }],
  run: () => Promise.resolve({ y: tensor([1, 2, 3, 4]) }),
  dispose: () => Promise.resolve(),
};

const npz = (rows: number): Uint8Array =>
  zipSync({ 'x.npy': encodeNpy(tensor(new Float32Array(rows * 4), [rows, 4])) });
const lines = (rows: number): Uint8Array => new TextEncoder().encode('{"x": [1, 2, 3, 4]}\n'.repeat(rows));

async function counts(source: Uint8Array, input: RunnerValue): Promise<number[]> {
  const found: number[] = [];
  for await (const feeds of (await openCalibrationData(source, [input])).batches()) {
    found.push(sampleCount(feeds));
  }
  return found;
}

describe('sampleCount', () => {
  it.each([
    ['.npz', npz],
    ['.jsonl', lines],
  ])('%s: a sample of an input without an axis for samples counts as 1', async (_, make) => {
    expect(await counts(make(3), VECTOR)).toEqual([1, 1, 1]);
    expect(await counts(make(40), BATCHED)).toEqual([32, 8]);
  });

  it('batches of another origin: the first axis of the first input, 1 for scalars and without inputs', () => {
    expect(sampleCount({ x: tensor(new Float32Array(6), [3, 2]), y: tensor([1]) })).toBe(3);
    expect(sampleCount({ x: tensor(new Float32Array(1), []) })).toBe(1);
    expect(sampleCount({ x: { dims: [5], data: new Float32Array(5), type: 'float32' } })).toBe(5);
    expect(sampleCount({})).toBe(1);
  });

  it('is what compareOutputs adds up', async () => {
    const { batches } = await openCalibrationData(npz(50), [VECTOR]);
    expect((await compareOutputs(echo, echo, batches())).samples).toBe(50);
  });
});
