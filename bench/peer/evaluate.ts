/** What two quantized models are worth: error against the float model, and time of a run, in turn. */
import { sqnr, tensor, type Tensor } from 'zeropoint';
import {
  inputValues,
  measureLatency,
  openCalibrationData,
  ortNode,
  readModel,
  type ModelRunner,
} from 'zeropoint/onnx';

interface Pair<T> {
  readonly ours: T;
  readonly theirs: T;
}

export interface Evaluation {
  /** Signal to noise of the first output over the held-out samples, dB. */
  readonly decibels: Pair<number>;
  /** One sample, milliseconds. */
  readonly milliseconds: Pair<number>;
  readonly bytes: Pair<number>;
}

const ROUNDS = 31;

export async function evaluate(
  original: string,
  files: Pair<string>,
  data: string,
): Promise<Omit<Evaluation, 'bytes'>> {
  const float = await readModel(original);
  const { batches } = await openCalibrationData(data, inputValues(float), { batchSize: 1 });
  const feeds: Record<string, Tensor>[] = [];
  for await (const feed of batches()) feeds.push(feed);
  const open = (file: string): Promise<ModelRunner> => ortNode(file, { optimization: 'all' });
  const reference = await open(original);
  const expected = await outputsOf(reference, feeds);
  await reference.dispose();
  const [ours, theirs] = [await open(files.ours), await open(files.theirs)];
  const error = async (runner: ModelRunner): Promise<number> =>
    sqnr(expected, await outputsOf(runner, feeds));
  const decibels = { ours: await error(ours), theirs: await error(theirs) };
  const [ourTime, theirTime] = await measureLatency([ours, theirs], feeds[0], { rounds: ROUNDS });
  await ours.dispose();
  await theirs.dispose();
  return { decibels, milliseconds: { ours: ourTime.median, theirs: theirTime.median } };
}

/** The first output over all samples, end to end. */
async function outputsOf(runner: ModelRunner, feeds: readonly Record<string, Tensor>[]): Promise<Tensor> {
  const values: number[] = [];
  for (const feed of feeds) {
    const results = await runner.run(feed);
    for (const value of results[runner.outputs[0].name].data as Float32Array) values.push(value);
  }
  return tensor(Float32Array.from(values));
}
