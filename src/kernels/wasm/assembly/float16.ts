/** float32 ↔ float16 bits, ties to even; NaN keeps sign and payload and becomes quiet (../../../tensor/float16.ts). */
import { hold } from './common';
import { EXTREMES } from './memory';

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

/** Types that stand for facts, as in common.ts. What becomes of magnitudes: */
type AsTheyAre = i8;
type Clamped = i16;

/** Magnitudes but 0 and Infinity, clamped. */
@inline
function clamped<C>(magnitude: v128, least: v128, greatest: v128): v128 {
  if (sizeof<C>() == sizeof<AsTheyAre>()) return magnitude;
  const isFinite = i32x4.lt_s(magnitude, i32x4.splat(INFINITY_BITS));
  const inside = i32x4.max_s(i32x4.min_s(magnitude, greatest), least);
  return v128.bitselect(inside, magnitude, v128.and(i32x4.gt_s(magnitude, i32x4.splat(0)), isFinite));
}

@inline
function half1<C>(bits: u32, least: u32, greatest: u32): u32 {
  const sign = (bits >> 16) & 0x8000;
  let magnitude = bits & 0x7fffffff;
  if (magnitude > <u32>INFINITY_BITS) return sign | 0x7e00 | ((magnitude >> 13) & 0x3ff);
  if (sizeof<C>() == sizeof<Clamped>() && magnitude > 0 && magnitude < <u32>INFINITY_BITS) {
    magnitude = max<u32>(least, min<u32>(greatest, magnitude));
  }
  const normal = max<u32>(magnitude, MIN_NORMAL);
  const rounded = (normal - 0x37fff001 + ((normal >> 13) & 1)) >> 13;
  const subnormal = reinterpret<u32>(reinterpret<f32>(min<u32>(magnitude, MIN_NORMAL)) + 0.5);
  return sign | (min<u32>(rounded, 0x7c00) + subnormal - 0x3f000400);
}

/** Magnitudes below `least` and above `greatest` become these, but 0 and Infinity. */
export function float32ToFloat16(src: usize, dst: usize, n: i32, least: f32, greatest: f32): void {
  const low = reinterpret<u32>(least);
  const high = reinterpret<u32>(greatest);
  if (low == 0 && high == INFINITY_BITS) narrow<AsTheyAre>(src, dst, n, low, high);
  else narrow<Clamped>(src, dst, n, low, high);
}

function narrow<C>(src: usize, dst: usize, n: i32, least: u32, greatest: u32): void {
  const magnitudes = hold(i32x4.splat(0x7fffffff), 0);
  const bound = hold(i32x4.splat(MIN_NORMAL), 1);
  const half = hold(f32x4.splat(0.5), 2);
  const adjust = hold(i32x4.splat(-0x37fff001), 3);
  const one = hold(i32x4.splat(1), 4);
  const infinity = hold(i32x4.splat(0x7c00), 5);
  const both = hold(i32x4.splat(0x3f000400), 6);
  const signs = hold(i16x8.splat(<i16>0x8000), 7);
  const leasts = hold(i32x4.splat(least), 8);
  const greatests = hold(i32x4.splat(greatest), 9);
  const end = src + (<usize>n << 2);
  const end8 = src + (<usize>(n & ~7) << 2);
  for (; src < end8; src += 32, dst += 16) {
    const a = v128.load(src);
    const b = v128.load(src, 16);
    if (v128.any_true(v128.or(f32x4.ne(a, a), f32x4.ne(b, b)))) {
      for (let i: usize = 0; i < 8; i++) {
        store<u16>(dst + i * 2, <u16>half1<C>(load<u32>(src + i * 4), least, greatest));
      }
    } else {
      const c = clamped<C>(v128.and(a, magnitudes), leasts, greatests);
      const d = clamped<C>(v128.and(b, magnitudes), leasts, greatests);
      const low = halves(c, bound, half, adjust, one, infinity, both);
      const high = halves(d, bound, half, adjust, one, infinity, both);
      const sign = v128.and(i16x8.narrow_i32x4_s(i32x4.shr_s(a, 16), i32x4.shr_s(b, 16)), signs);
      v128.store(dst, v128.or(i16x8.narrow_i32x4_s(low, high), sign));
    }
  }
  for (; src < end; src += 4, dst += 2) store<u16>(dst, <u16>half1<C>(load<u32>(src), least, greatest));
}

/** Writes to EXTREMES the largest finite magnitude, how many but 0 are below `least`, and how many finite ones above `greatest`. */
export function countMagnitudes(src: usize, n: i32, least: f32, greatest: f32): void {
  const magnitudes = hold(i32x4.splat(0x7fffffff), 0);
  const low = hold(i32x4.splat(reinterpret<i32>(least)), 1);
  const high = hold(i32x4.splat(reinterpret<i32>(greatest)), 2);
  const infinity = hold(i32x4.splat(INFINITY_BITS), 3);
  const zero = i32x4.splat(0);
  let below = zero;
  let above = zero;
  let largest = zero;
  const end = src + (<usize>n << 2);
  const end4 = src + (<usize>(n & ~3) << 2);
  while (src < end) {
    const isWhole = src < end4;
    const magnitude = v128.and(isWhole ? v128.load(src) : v128.load32_zero(src), magnitudes);
    src += isWhole ? 16 : 4;
    const isFinite = i32x4.lt_s(magnitude, infinity);
    largest = i32x4.max_s(largest, v128.and(magnitude, isFinite));
    // A mask is -1.
    below = i32x4.sub(below, v128.and(i32x4.lt_s(magnitude, low), i32x4.gt_s(magnitude, zero)));
    above = i32x4.sub(above, v128.and(i32x4.gt_s(magnitude, high), isFinite));
  }
  const pairs = i32x4.max_s(largest, i32x4.shuffle(largest, largest, 2, 3, 0, 1));
  store<i32>(EXTREMES, i32x4.extract_lane(i32x4.max_s(pairs, i32x4.shuffle(pairs, pairs, 1, 0, 3, 2)), 0));
  store<i32>(EXTREMES, sumOf(below), 4);
  store<i32>(EXTREMES, sumOf(above), 8);
}

@inline
function sumOf(v: v128): i32 {
  return i32x4.extract_lane(v, 0) + i32x4.extract_lane(v, 1) + i32x4.extract_lane(v, 2) + i32x4.extract_lane(v, 3);
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
