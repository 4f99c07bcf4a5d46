/** Loads a file that was written and compares its outputs with the original's. */
import { Tensor, tensor, type TensorLike } from 'zeropoint';
import {
  compareOutputs,
  type Comparison,
  type Feeds,
  type Model,
  type ModelRunner,
  type RunnerValue,
} from 'zeropoint/onnx';
import { openRunner } from '../runtime.ts';

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
  const written = await openRunner(path, RUN_OPTIONS);
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

/** Sizes that are tried for axes of any size but the first: texts and signals like small ones, images larger ones. */
const SIZES = [16, 64, 224] as const;

/**
 * Inputs on which the original runs; undefined if none was found. A decoder's mask is as long as its cache and its tokens
 * together: with an empty cache, as in its first step, one size fits both.
 */
async function workingFeeds(reference: ModelRunner, signal: AbortSignal): Promise<Feeds | undefined> {
  const hasCache = reference.inputs.some(isCache);
  const tries = SIZES.flatMap((size) => (hasCache ? [{ size, cache: 0 }] : []).concat({ size, cache: size }));
  for (const sizes of tries) {
    const feeds = madeUpFeeds(reference.inputs, sizes);
    try {
      await reference.run(feeds, { signal });
      return feeds;
    } catch {
      signal.throwIfAborted();
    }
  }
  return undefined;
}

/** As exporters name keys and values of earlier tokens. */
function isCache({ name }: RunnerValue): boolean {
  return name.startsWith('past_key_values.');
}

function madeUpFeeds(
  inputs: readonly RunnerValue[],
  { size, cache }: { size: number; cache: number },
): Feeds {
  const random = noise();
  const sizeOf = (input: RunnerValue): number => (isCache(input) ? cache : size);
  return Object.fromEntries(inputs.map((input) => [input.name, madeUp(input, sizeOf(input), random)]));
}

/** Noise for floats; ones for integers, which are valid as ids, masks and lengths. */
function madeUp({ dtype, shape = [] }: RunnerValue, size: number, random: () => number): Tensor {
  const dims = shape.map((dim, axis) => (typeof dim === 'number' ? dim : axis === 0 ? 1 : size));
  const count = dims.reduce((product, dim) => product * dim, 1);
  if (dtype === 'float32') return tensor(Float32Array.from({ length: count }, random), dims);
  // 0.5 and -0.5 as bits.
  const half = (): number => (random() < 0 ? 0xb800 : 0x3800);
  if (dtype === 'float16') return tensor(Uint16Array.from({ length: count }, half), dims, dtype);
  return tensor(Array<number>(count).fill(1), dims, dtype);
}

/** Seeded, uniform in [-1, 1): a linear congruential generator (Numerical Recipes, ranqd1). */
function noise(): () => number {
  let state = 1;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
}
