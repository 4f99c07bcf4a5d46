/** Inputs for models that come without data: seeded noise, and ones for integers. */
import { tensor, type Tensor } from 'zeropoint';
import type { Feeds, ModelRunner, RunnerValue } from 'zeropoint/onnx';

/** Sizes that are tried for axes of any size but the first: texts and signals like small ones, images larger ones. */
const SIZES = [16, 64, 224] as const;

/**
 * Inputs on which the reference runs; undefined if none was found. A decoder's mask is as long as its cache and its tokens
 * together: with an empty cache, as in its first step, one size fits both.
 */
export async function workingFeeds(reference: ModelRunner, signal: AbortSignal): Promise<Feeds | undefined> {
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
