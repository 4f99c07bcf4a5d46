/** How many samples to run at once. */
import type { Model } from '../graph/model.ts';
import { dtypeInfo } from '../tensor/dtype.ts';
import { inputValues } from './runner-values.ts';
import { DEFAULT_BATCH } from './sample-set.ts';
import type { RunnerValue } from './types.ts';

/** Above this much of {@link workOf}, the overhead of one run (0.1 ms) is small beside it: bytes. */
const ENOUGH = 2 ** 24;
/** What convolutions make of an input, roughly: its bytes count so many times. */
const ACTIVATIONS = 64;
/** Stands for the length of an axis that the model leaves open. */
const OPEN_AXIS = 128;

/**
 * Samples to run at once when this model is calibrated: 32 for small models, where one run at a time is mostly overhead,
 * down to 1 for large ones, where more only take more memory (MiniLM: 5.7 GB for whole values of 32 texts of 128 tokens,
 * 0.6 GB one by one, which took half the time). Judged by the bytes of weights and of a sample, so that the same model
 * always gets the same.
 *
 * @throws UnsupportedError UNSUPPORTED_DTYPE for inputs that are no tensors of numbers
 * @example openCalibrationData('data.npz', inputValues(model), { defaultBatchSize: batchSizeFor(model) })
 */
export function batchSizeFor(model: Model): number {
  return Math.max(1, Math.min(DEFAULT_BATCH, Math.floor(ENOUGH / workOf(model))));
}

function workOf(model: Model): number {
  let weights = 0;
  for (const value of model.graph.values) weights += value.constant?.byteLength ?? 0;
  const sample = inputValues(model).reduce((sum, input) => sum + sampleBytes(input), 0);
  return Math.max(1, weights + ACTIVATIONS * sample);
}

function sampleBytes({ dtype, shape = [] }: RunnerValue): number {
  const elements = shape
    .slice(1)
    .reduce<number>((product, size) => product * (typeof size === 'number' ? size : OPEN_AXIS), 1);
  return (elements * dtypeInfo(dtype).bits) / 8;
}
