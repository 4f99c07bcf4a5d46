/** float32 ↔ float16 bits, ties to even; NaN keeps sign and payload and becomes quiet (../../../tensor/float16.ts). */
import { hold } from './common';

/** The smallest normal float16, 2^-14, as float32 bits. */
const MIN_NORMAL: i32 = 0x38800000;
const INFINITY_BITS: i32 = 0x7f800000;

/**
 * Magnitudes to float16, for anything but NaN. The normal part (at least 2^-14) is rounded in integers, the subnormal
 * part (at most 2^-14) by adding 0.5, whose last bit is worth 2^-24, the smallest subnormal. One of the two is always
 * the bound itself, so their sum minus the bound's halves (0x400, and 0.5's bits) is the result.
 */
@inline
function halves(magnitude: v128, bound: v128, half: v128, adjust: v128, one: v128, infinity: v128, both: v128): v128 {
  const normal = i32x4.max_s(magnitude, bound);
  const even = v128.and(i32x4.shr_u(normal, 13), one);
  const rounded = i32x4.shr_u(i32x4.add(i32x4.add(normal, adjust), even), 13);
  const subnormal = f32x4.add(i32x4.min_s(magnitude, bound), half);
  return i32x4.sub(i32x4.add(i32x4.min_s(rounded, infinity), subnormal), both);
}

@inline
function half1(bits: u32): u32 {
  const sign = (bits >> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > <u32>INFINITY_BITS) return sign | 0x7e00 | ((magnitude >> 13) & 0x3ff);
  const normal = max<u32>(magnitude, MIN_NORMAL);
  const rounded = (normal - 0x37fff001 + ((normal >> 13) & 1)) >> 13;
  const subnormal = reinterpret<u32>(reinterpret<f32>(min<u32>(magnitude, MIN_NORMAL)) + 0.5);
  return sign | (min<u32>(rounded, 0x7c00) + subnormal - 0x3f000400);
}

export function float32ToFloat16(src: usize, dst: usize, n: i32): void {
  const magnitudes = hold(i32x4.splat(0x7fffffff), 0);
  const bound = hold(i32x4.splat(MIN_NORMAL), 1);
  const half = hold(f32x4.splat(0.5), 2);
  const adjust = hold(i32x4.splat(-0x37fff001), 3);
  const one = hold(i32x4.splat(1), 4);
  const infinity = hold(i32x4.splat(0x7c00), 5);
  const both = hold(i32x4.splat(0x3f000400), 6);
  const signs = hold(i16x8.splat(<i16>0x8000), 7);
  const end = src + (<usize>n << 2);
  const end8 = src + (<usize>(n & ~7) << 2);
  for (; src < end8; src += 32, dst += 16) {
    const a = v128.load(src);
    const b = v128.load(src, 16);
    if (v128.any_true(v128.or(f32x4.ne(a, a), f32x4.ne(b, b)))) {
      for (let i: usize = 0; i < 8; i++) store<u16>(dst + i * 2, <u16>half1(load<u32>(src + i * 4)));
    } else {
      const low = halves(v128.and(a, magnitudes), bound, half, adjust, one, infinity, both);
      const high = halves(v128.and(b, magnitudes), bound, half, adjust, one, infinity, both);
      const sign = v128.and(i16x8.narrow_i32x4_s(i32x4.shr_s(a, 16), i32x4.shr_s(b, 16)), signs);
      v128.store(dst, v128.or(i16x8.narrow_i32x4_s(low, high), sign));
    }
  }
  for (; src < end; src += 4, dst += 2) store<u16>(dst, <u16>half1(load<u32>(src)));
}

/**
 * Four halves in the low bits of 32: exponent and fraction are moved to their places and multiplied with 2^112, the
 * difference of the exponents' biases, which makes subnormals right too; Inf and NaN then get the full exponent.
 */
@inline
function floats(h: v128, magnitudes: v128, scale: v128, finite: v128, infinity: v128, signs: v128): v128 {
  const moved = i32x4.shl(v128.and(h, magnitudes), 13);
  const special = v128.and(i32x4.gt_s(moved, finite), infinity);
  return v128.or(v128.or(f32x4.mul(moved, scale), special), v128.and(i32x4.shl(h, 16), signs));
}

export function float16ToFloat32(src: usize, dst: usize, n: i32): void {
  const magnitudes = hold(i32x4.splat(0x7fff), 0);
  const scale = hold(i32x4.splat(0x77800000), 1);
  const finite = hold(i32x4.splat(0x7bff << 13), 2);
  const infinity = hold(i32x4.splat(INFINITY_BITS), 3);
  const signs = hold(i32x4.splat(0x80000000), 4);
  const end = src + (<usize>n << 1);
  const end8 = src + (<usize>(n & ~7) << 1);
  for (; src < end8; src += 16, dst += 32) {
    const h = v128.load(src);
    v128.store(dst, floats(i32x4.extend_low_i16x8_u(h), magnitudes, scale, finite, infinity, signs));
    v128.store(dst, floats(i32x4.extend_high_i16x8_u(h), magnitudes, scale, finite, infinity, signs), 16);
  }
  for (; src < end; src += 2, dst += 4) {
    const value = floats(i32x4.splat(load<u16>(src)), magnitudes, scale, finite, infinity, signs);
    v128.store32_lane(dst, value, 0);
  }
}
