/** Weight of the newest batch in a moving average, torch's default. */
export const DEFAULT_AVERAGING_CONSTANT = 0.01;

/** Throws RangeError unless 0 < c ≤ 1. */
export function checkAveragingConstant(c: number): void {
  if (!(c > 0 && c <= 1)) throw new RangeError(`averagingConstant: expected a number in (0, 1], got ${c}`);
}
