/** Loads a file that was written and compares its outputs with the original's. */
import { Tensor, tensor, type TensorLike } from 'zeropoint';
import { compareOutputs, type Comparison, type Feeds, type Model, type ModelRunner } from 'zeropoint/onnx';
import { openRunner } from '../runtime.ts';
import { workingFeeds } from './made-up-feeds.ts';

export interface Verification extends Comparison {
  /** What ran both models. */
  readonly runtime: string;
  /** What they were run on; 'nothing' if there was no data and the original does not run on made-up inputs either. */
  readonly inputs: 'data' | 'made-up inputs' | 'nothing';
}

/** What an application gets if it asks for nothing: the runtime's fusions are part of what is checked. */
const RUN_OPTIONS = { optimization: 'all' } as const;

/** Throws what the runtime says if it cannot load or run the file at `path`. */
export async function verify(
  original: Model,
  path: string,
  batches: AsyncIterable<Feeds> | undefined,
  signal: AbortSignal,
): Promise<Verification> {
  // Our own file, which has more nodes than the original: no limit.
  const written = await openRunner(path, { ...RUN_OPTIONS, maxStructureBytes: Number.MAX_SAFE_INTEGER });
  try {
    const reference = await openRunner(original, RUN_OPTIONS);
    try {
      return { runtime: written.name, ...(await compare(reference, narrowing(written), batches, signal)) };
    } finally {
      await reference.dispose();
    }
  } finally {
    await written.dispose();
  }
}

/** Where what was written takes float16, it is fed what the original is fed, rounded. */
function narrowing(runner: ModelRunner): ModelRunner {
  const { name, inputs, outputs } = runner;
  const narrow = new Set(inputs.filter(({ dtype }) => dtype === 'float16').map((input) => input.name));
  const narrowed = (x: TensorLike): TensorLike =>
    x instanceof Tensor && x.dtype === 'float32' ? tensor(Array.from(x.data, Number), x.shape, 'float16') : x;
  return {
    name,
    inputs,
    outputs,
    run: (feeds, options) =>
      runner.run(
        Object.fromEntries(
          Object.entries(feeds).map(([input, x]) => [input, narrow.has(input) ? narrowed(x) : x]),
        ),
        options,
      ),
    dispose: () => runner.dispose(),
  };
}

async function compare(
  reference: ModelRunner,
  written: ModelRunner,
  batches: AsyncIterable<Feeds> | undefined,
  signal: AbortSignal,
): Promise<Omit<Verification, 'runtime'>> {
  if (batches !== undefined) {
    return { inputs: 'data', ...(await compareOutputs(reference, written, batches, { signal })) };
  }
  const feeds = await workingFeeds(reference, signal);
  if (feeds === undefined) return { inputs: 'nothing', samples: 0, outputs: [] };
  return { inputs: 'made-up inputs', ...(await compareOutputs(reference, written, [feeds], { signal })) };
}
