/**
 * float16 (IEEE binary16) and bfloat16 as bit patterns. Rounding is to nearest, ties to even; overflow gives ±Inf;
 * subnormals are exact; a NaN keeps its sign and the high bits of its payload and becomes quiet, as F16C
 * hardware and `tensor.to(torch.float16)` do.
 */
const scratch = new DataView(new ArrayBuffer(4));

function bitsOf(value: number): number {
  scratch.setFloat32(0, value);
  return scratch.getUint32(0);
}

function floatOf(bits: number): number {
  scratch.setUint32(0, bits);
  return scratch.getFloat32(0);
}

/** Half of the last kept bit, minus one where the kept part is even: adding it rounds half to even. */
function roundShift(value: number, shift: number): number {
  const even = (value >>> shift) & 1;
  return (value + ((1 << (shift - 1)) - 1) + even) >>> shift;
}

/** float16 bits of `float32(value)`. */
export function float16Bits(value: number): number {
  const bits = bitsOf(value);
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00 | ((magnitude >>> 13) & 0x3ff);
  if (magnitude >= 0x47800000) return sign | 0x7c00;
  if (magnitude >= 0x38800000) return sign | roundShift(magnitude - 0x38000000, 13);
  // Subnormal halves: the implicit bit is shifted into place; below 2^-25 everything rounds to zero.
  const shift = 126 - (magnitude >>> 23);
  if (shift > 24) return sign;
  return sign | roundShift((magnitude & 0x7fffff) | 0x800000, shift);
}

/** The value of float16 bits (exact). */
export function float16Value(bits: number): number {
  const sign = (bits & 0x8000) << 16;
  const exponent = (bits >>> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) {
    const value = fraction * 2 ** -24;
    return sign === 0 ? value : -value;
  }
  if (exponent === 0x1f) return floatOf((sign | 0x7f800000 | (fraction << 13)) >>> 0);
  return floatOf((sign | ((exponent + 112) << 23) | (fraction << 13)) >>> 0);
}

/** bfloat16 bits of `float32(value)`. */
export function bfloat16Bits(value: number): number {
  const bits = bitsOf(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40;
  return roundShift(bits, 16);
}

/** The value of bfloat16 bits (exact). */
export function bfloat16Value(bits: number): number {
  return floatOf((bits << 16) >>> 0);
}
