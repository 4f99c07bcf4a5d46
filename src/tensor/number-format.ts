/**
 * Numbers as Python writes them. JavaScript's `toFixed` and `toExponential` round the exact binary value as Python
 * does, except that exact ties go up instead of to even; exponents have no leading zero; -0 loses its sign.
 */

/** Python's `'%.{digits}f' % value`. */
export function fixed(value: number, digits: number): string {
  if (!Number.isFinite(value)) return nonFinite(value);
  return signOf(value) + fixedMagnitude(Math.abs(value), digits);
}

function fixedMagnitude(magnitude: number, digits: number): string {
  if (magnitude >= 1e21) return withZeros(BigInt(magnitude).toString(), digits);
  // A tie at this digit is an odd multiple of 2^-(digits+1), j; its even neighbour is the lower one where j mod 4 is 1.
  if ((magnitude * 2 ** (digits + 1)) % 4 !== 1) return magnitude.toFixed(digits);
  const exact = magnitude.toFixed(digits + 1);
  return exact.slice(0, digits === 0 ? -2 : -1);
}

function withZeros(integer: string, digits: number): string {
  return digits === 0 ? integer : `${integer}.${'0'.repeat(digits)}`;
}

/** Digits that show a tie: no double comes so near to one without being one. */
const TIE_DIGITS = 40;
const TIE = `5${'0'.repeat(TIE_DIGITS - 1)}`;

/** Python's `'%.{digits}e' % value`, for up to 60 digits. */
export function scientific(value: number, digits: number): string {
  if (!Number.isFinite(value)) return nonFinite(value);
  const magnitude = Math.abs(value);
  const [mantissa, exponent] = tieToEven(magnitude, digits).split('e');
  return `${signOf(value)}${mantissa}e${exponent[0]}${exponent.slice(1).padStart(2, '0')}`;
}

function tieToEven(magnitude: number, digits: number): string {
  const [mantissa, exponent] = magnitude.toExponential(digits + TIE_DIGITS).split('e');
  const kept = mantissa.slice(0, -TIE_DIGITS).replace(/\.$/, '');
  const even = Number(kept.at(-1)) % 2 === 0;
  return even && mantissa.endsWith(TIE) ? `${kept}e${exponent}` : magnitude.toExponential(digits);
}

/** Python's `repr(float)`: the shortest digits that read back, exponent form below 1e-4 and from 1e16. */
export function pythonRepr(value: number): string {
  if (!Number.isFinite(value)) return nonFinite(value);
  const [mantissa, power] = Math.abs(value).toExponential().split('e');
  const exponent = Number(power);
  if (value !== 0 && (exponent < -4 || exponent >= 16)) {
    const sign = exponent < 0 ? '-' : '+';
    return `${signOf(value)}${mantissa}e${sign}${String(Math.abs(exponent)).padStart(2, '0')}`;
  }
  const digits = mantissa.replace('.', '');
  const decimals = Math.max(digits.length - 1 - exponent, 1);
  return signOf(value) + Math.abs(value).toFixed(decimals);
}

function signOf(value: number): string {
  return value < 0 || Object.is(value, -0) ? '-' : '';
}

function nonFinite(value: number): string {
  return Number.isNaN(value) ? 'nan' : value > 0 ? 'inf' : '-inf';
}
