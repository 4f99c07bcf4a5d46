/** Seeded random numbers, so that every run of the tutorial prints the same. */

/** Uniform numbers in [0, 1): the generator mulberry32. */
export function uniform(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Normally distributed numbers (Box and Muller, 1958). */
export function normal(count: number, mean: number, deviation: number, seed: number): Float32Array {
  const next = uniform(seed);
  return Float32Array.from({ length: count }, () => {
    const radius = Math.sqrt(-2 * Math.log(1 - next()));
    return mean + deviation * radius * Math.cos(2 * Math.PI * next());
  });
}

/** What a ReLU lets through: nothing below zero, a long tail above. */
export function rectified(count: number, mean: number, deviation: number, seed: number): Float32Array {
  return normal(count, mean, deviation, seed).map((x) => Math.max(0, x));
}
