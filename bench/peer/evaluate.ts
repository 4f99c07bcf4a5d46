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

/** Errors and times, in onnxruntime-node with all optimizations. */
export function evaluate(
  original: string,
  files: Pair<string>,
  data: string,
): Promise<Omit<Evaluation, 'bytes'>> {
  return withRunners(original, files, data, async ({ ours, theirs }, feeds, error) => {
    const decibels = { ours: await error(ours), theirs: await error(theirs) };
    const [ourTime, theirTime] = await measureLatency([ours, theirs], feeds[0], { rounds: ROUNDS });
    return { decibels, milliseconds: { ours: ourTime.median, theirs: theirTime.median } };
  });
}

/** Errors alone, as {@link evaluate}: the same however busy the machine is. */
export function evaluateErrors(original: string, files: Pair<string>, data: string): Promise<Pair<number>> {
  return withRunners(original, files, data, async ({ ours, theirs }, _feeds, error) => ({
    ours: await error(ours),
    theirs: await error(theirs),
  }));
}

type Feed = Readonly<Record<string, Tensor>>;

async function withRunners<T>(
  original: string,
  files: Pair<string>,
  data: string,
  use: (
    runners: Pair<ModelRunner>,
    feeds: readonly Feed[],
    error: (runner: ModelRunner) => Promise<number>,
  ) => Promise<T>,
): Promise<T> {
  const float = await readModel(original);
  const { batches } = await openCalibrationData(data, inputValues(float), { batchSize: 1 });
  const feeds: Record<string, Tensor>[] = [];
  for await (const feed of batches()) feeds.push(feed);
  const open = (file: string): Promise<ModelRunner> => ortNode(file, { optimization: 'all' });
  const reference = await open(original);
  const expected = await outputsOf(reference, feeds);
  await reference.dispose();
  const runners = { ours: await open(files.ours), theirs: await open(files.theirs) };
  const result = await use(runners, feeds, async (runner) => sqnr(expected, await outputsOf(runner, feeds)));
  await runners.ours.dispose();
  await runners.theirs.dispose();
  return result;
}

/** The first output over all samples, end to end. */
async function outputsOf(runner: ModelRunner, feeds: readonly Feed[]): Promise<Tensor> {
  const values: number[] = [];
  for (const feed of feeds) {
    const results = await runner.run(feed);
    for (const value of results[runner.outputs[0].name].data as Float32Array) values.push(value);
  }
  return tensor(Float32Array.from(values));
}
