/** Rounding and clamping that every formula here shares. `Math.round` rounds ties up, so it is not used. */

/** 1.5·2^52: adding it to a double leaves no room for a fraction, and the addition itself rounds half to even. */
const TO_INTEGER = 6755399441055744;
const ALREADY_INTEGER = 2 ** 51;

/** Nearest integer, ties to even. ±Inf and NaN stay; -0 and values that round to it give 0. */
export function roundHalfEven(x: number): number {
  return Math.abs(x) < ALREADY_INTEGER ? x + TO_INTEGER - TO_INTEGER : x;
}

/** Nearest integer, ties away from zero (C `round`). */
export function roundHalfAway(x: number): number {
  const whole = Math.trunc(x);
  return Math.abs(x - whole) >= 0.5 ? whole + Math.sign(x) : whole;
}

/** `x` held inside [low, high]; NaN stays NaN. */
export function clamp(x: number, low: number, high: number): number {
  return x < low ? low : x > high ? high : x;
}
