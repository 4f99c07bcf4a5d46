/** Which samples of a data set are used. */

/** PCG-XSH-RR 32 (O'Neill 2014): small, seeded, the same everywhere. Gives integers below 2^32. */
function pcg32(seed: number): () => number {
  const MULTIPLIER = 6364136223846793005n;
  const INCREMENT = 1442695040888963407n;
  const step = (state: bigint): bigint => BigInt.asUintN(64, state * MULTIPLIER + INCREMENT);
  let state = step(BigInt.asUintN(64, INCREMENT + BigInt(seed)));
  return () => {
    const old = state;
    state = step(old);
    const xorShifted = Number(BigInt.asUintN(32, ((old >> 18n) ^ old) >> 27n));
    const rotation = Number(old >> 59n);
    return ((xorShifted >>> rotation) | (xorShifted << (-rotation & 31))) >>> 0;
  };
}

/**
 * `count` of the numbers below `available`, ascending: the first ones, or with a seed each equally likely (selection
 * sampling, Knuth TAOCP 2, 3.4.2, algorithm S: one pass, no memory).
 */
export function* pickSamples(available: number, count: number, seed?: number): Generator<number> {
  if (seed === undefined) {
    for (let i = 0; i < Math.min(count, available); i++) yield i;
    return;
  }
  const random = pcg32(seed);
  let wanted = Math.min(count, available);
  for (let i = 0; i < available && wanted > 0; i++) {
    if ((random() / 2 ** 32) * (available - i) >= wanted) continue;
    wanted--;
    yield i;
  }
}
