/**
 * Times variants of the same work in one run. Every round gives each variant one short window, in turn, so that a
 * disturbance of the machine hits all of them; a window counts as the median of its calls. Disturbances only slow down:
 * the figure is the median of the faster half of a variant's windows, the spread what that half covers of it.
 */
export interface Figure {
  /** Seconds a call. */
  readonly seconds: number;
  /** (slowest - fastest window of the faster half) / figure. */
  readonly spread: number;
}

/** One call of the work, or a server that answers with the seconds of its own calls. */
export type Variant = (() => void) | { readonly ask: (seconds: number) => Promise<number[]> };

export interface MeasureOptions {
  readonly rounds: number;
  readonly windowSeconds: number;
}

export async function measure<Name extends string>(
  variants: Partial<Readonly<Record<Name, Variant>>>,
  { rounds, windowSeconds }: MeasureOptions,
): Promise<Partial<Record<Name, Figure>>> {
  const entries = Object.entries(variants) as [Name, Variant][];
  const windows = new Map<Name, number[]>(entries.map(([name]) => [name, []]));
  // The first round warms up: V8 compiles, caches and pages are touched.
  for (let round = 0; round <= rounds; round++) {
    for (const [name, variant] of entries) {
      const times =
        typeof variant === 'function' ? callTimes(variant, windowSeconds) : await variant.ask(windowSeconds);
      if (round > 0) windows.get(name)?.push(median(times));
    }
    entries.push(...entries.splice(0, 1));
  }
  const figures: Partial<Record<Name, Figure>> = {};
  for (const [name, times] of windows) figures[name] = figureOf(times);
  return figures;
}

const now = (): number => performance.now() / 1000;

/** Short calls are timed in batches of at least 50 µs, far above the clock's resolution. */
const MIN_BATCH = 50e-6;

function callTimes(call: () => void, seconds: number): number[] {
  const end = now() + seconds;
  const times: number[] = [];
  let batch = 1;
  while (now() < end || times.length < 2) {
    const start = now();
    for (let i = 0; i < batch; i++) call();
    const elapsed = now() - start;
    if (elapsed < MIN_BATCH) batch *= 2;
    else times.push(elapsed / batch);
  }
  return times;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1];
}

function figureOf(windows: readonly number[]): Figure {
  const sorted = windows.toSorted((a, b) => a - b);
  const faster = sorted.slice(0, Math.ceil(sorted.length / 2));
  const seconds = median(faster);
  return { seconds, spread: (faster[faster.length - 1] - faster[0]) / seconds };
}
