/** How many samples a batch has: what the data that made it says, else the size of its first input's first axis. */
import type { Feeds } from './types.ts';

/** Known only to whoever made the batch: the first axis need not count samples (inputs without an axis for them). */
const COUNTS = new WeakMap<Feeds, number>();

/** The same batch, known to be made of so many samples. */
export function withSampleCount<T extends Feeds>(feeds: T, samples: number): T {
  COUNTS.set(feeds, samples);
  return feeds;
}

/** Samples of a batch; for one that {@link withSampleCount} does not know, 1 without inputs or for a scalar. */
export function sampleCount(feeds: Feeds): number {
  const [first] = Object.values(feeds);
  const shape = first === undefined ? [] : 'shape' in first ? first.shape : first.dims;
  return COUNTS.get(feeds) ?? shape[0] ?? 1;
}
