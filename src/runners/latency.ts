/**
 * How long runners take. Rounds are interleaved (a, b, a, b, ...), so that a machine that slows down slows all of them,
 * and the median of the rounds is taken, so that a disturbed round does not count.
 */
import { checkOptions, type Rule } from '../errors/check-options.ts';
import { SIGNAL, wholeFrom } from '../errors/option-rules.ts';
import type { Feeds, ModelRunner } from './types.ts';

/** How often {@link measureLatency} runs a model. */
export interface LatencyOptions {
  /** Timed runs of each runner. */
  readonly rounds?: number;
  /** Runs of each before those: the first ones allocate. */
  readonly warmup?: number;
  readonly signal?: AbortSignal;
}

const RULES = {
  rounds: wholeFrom(1),
  warmup: wholeFrom(0),
  signal: SIGNAL,
} satisfies Record<keyof LatencyOptions, Rule>;

const DEFAULTS = { rounds: 15, warmup: 3 } as const;

/** How long one run takes. */
export interface Latency {
  /** Milliseconds. */
  readonly median: number;
  readonly min: number;
}

/** Latency of one run on `feeds`, for each runner in its order. */
export async function measureLatency(
  runners: readonly ModelRunner[],
  feeds: Feeds,
  options: LatencyOptions = {},
): Promise<Latency[]> {
  checkOptions('measureLatency', options, RULES);
  const { rounds, warmup, signal } = { ...DEFAULTS, ...options };
  const times = runners.map((): number[] => []);
  for (let round = -warmup; round < rounds; round++) {
    for (const [index, runner] of runners.entries()) {
      const start = performance.now();
      await runner.run(feeds, { signal });
      if (round >= 0) times[index].push(performance.now() - start);
    }
  }
  return times.map(summary);
}

function summary(times: readonly number[]): Latency {
  const sorted = times.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return { median, min: sorted[0] };
}
