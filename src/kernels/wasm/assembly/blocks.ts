/**
 * Block quantization of weights, 4 and 8 bits, packed (the formulas are in ../../reference-blocks.ts).
 * Half away from zero is trunc(t + 0.49999997): t ≥ 0 after the clamp, and the largest float32 below 0.5 rounds ties up
 * and nothing else. Nibbles are packed by i16x8 dot with (1, 16), one instruction for four bytes (8.4 → 14.7 GB/s).
 */
import { hold } from './common';
import { PADDED } from './memory';

/** Types that stand for facts, as in common.ts. Rounding and width of a code: */
type HalfEven = i8;
type HalfAway = i16;
type FourBits = i8;
type EightBits = i16;

const SIGNED_EXTREME: i32 = 0;
const ABSMAX: i32 = 1;

const ALMOST_HALF: f32 = 0.49999997;
/** 2^23: t + TWO_23 rounds t ≥ 0 half to even, the integer lies in the low bits. */
const TWO_23: f32 = 8388608.0;
const TWO_23_BITS: i32 = 0x4b000000;

@inline
function round1<R>(t: f32): i32 {
  return <i32>(sizeof<R>() == sizeof<HalfAway>() ? trunc(t + ALMOST_HALF) : nearest(t));
}

@inline
function clampCode(code: i32, top: i32): i32 {
  return max(0, min(top, code));
}

/** Code of the vector's weights plus TWO_23_BITS; at most `top`, at least 0. */
@inline
function code4<R>(src: usize, inv: v128, zeroPoint: v128, top: v128, magic: v128, almostHalf: v128, bits: v128): v128 {
  let t = f32x4.add(f32x4.mul(v128.load(src), inv), zeroPoint);
  t = f32x4.pmin(f32x4.pmax(t, f32x4.splat(0)), top);
  if (sizeof<R>() == sizeof<HalfAway>()) t = f32x4.floor(f32x4.add(t, almostHalf));
  return i32x4.sub(f32x4.add(t, magic), bits);
}

let low: f32 = 0;
let high: f32 = 0;

@inline
function horizontalMin(v: v128): f32 {
  const pairs = f32x4.pmin(v, i32x4.shuffle(v, v, 2, 3, 0, 1));
  return f32x4.extract_lane(f32x4.pmin(pairs, i32x4.shuffle(pairs, pairs, 1, 0, 3, 2)), 0);
}

@inline
function horizontalMax(v: v128): f32 {
  const pairs = f32x4.pmax(v, i32x4.shuffle(v, v, 2, 3, 0, 1));
  return f32x4.extract_lane(f32x4.pmax(pairs, i32x4.shuffle(pairs, pairs, 1, 0, 3, 2)), 0);
}

/** Sets `low` and `high` to the extremes of the block and 0. */
@inline
function findExtremes(src: usize, blockSize: i32): void {
  let min0 = f32x4.splat(0);
  let max0 = f32x4.splat(0);
  let min1 = min0;
  let max1 = max0;
  const end = src + (<usize>blockSize << 2);
  for (; src < end; src += 64) {
    const a = v128.load(src);
    const b = v128.load(src, 16);
    const c = v128.load(src, 32);
    const d = v128.load(src, 48);
    min0 = f32x4.pmin(f32x4.pmin(min0, a), b);
    max0 = f32x4.pmax(f32x4.pmax(max0, a), b);
    min1 = f32x4.pmin(f32x4.pmin(min1, c), d);
    max1 = f32x4.pmax(f32x4.pmax(max1, c), d);
  }
  low = horizontalMin(f32x4.pmin(min0, min1));
  high = horizontalMax(f32x4.pmax(max0, max1));
}

@inline
function scaleOf(rule: i32, middle: i32, top: i32): f32 {
  if (rule == SIGNED_EXTREME) {
    const extreme: f32 = high > -low ? high : low;
    return extreme == 0 ? 0 : extreme / <f32>-middle;
  }
  if (rule == ABSMAX) return max(high, -low) / <f32>(top >> 1);
  return (high - low) / <f32>top;
}

/** 0 where 1 / scale is not finite: scale 0, or so small that every code is that of 0. */
@inline
function inverse(scale: f32): f32 {
  const inv: f32 = 1 / scale;
  return abs(inv) == Infinity ? 0 : inv;
}

/** One whole block of `blockSize` weights (a multiple of 16). */
@inline
function quantizeBlock<B, R>(
  src: usize, codes: usize, scaleAt: usize, zeroPointAt: usize, blockSize: i32, rule: i32,
  magic: v128, almostHalf: v128, bits: v128, top: v128, weights: v128,
): void {
  const middle = sizeof<B>() == sizeof<FourBits>() ? 8 : 128;
  findExtremes(src, blockSize);
  const highest = sizeof<B>() == sizeof<FourBits>() ? 15 : 255;
  const scale = scaleOf(rule, middle, highest);
  let zeroPoint = middle;
  if (rule > ABSMAX) zeroPoint = scale == 0 ? 0 : clampCode(round1<R>(-low / scale), highest);
  store<f32>(scaleAt, scale);
  if (zeroPointAt != 0) store<u8>(zeroPointAt, <u8>zeroPoint);
  const inv = f32x4.splat(inverse(scale));
  const z = f32x4.splat(<f32>zeroPoint);
  const end = src + (<usize>blockSize << 2);
  for (; src < end; src += 64) {
    const a = i16x8.narrow_i32x4_s(
      code4<R>(src, inv, z, top, magic, almostHalf, bits), code4<R>(src + 16, inv, z, top, magic, almostHalf, bits),
    );
    const b = i16x8.narrow_i32x4_s(
      code4<R>(src + 32, inv, z, top, magic, almostHalf, bits), code4<R>(src + 48, inv, z, top, magic, almostHalf, bits),
    );
    if (sizeof<B>() == sizeof<FourBits>()) {
      const pairs = i16x8.narrow_i32x4_s(i32x4.dot_i16x8_s(a, weights), i32x4.dot_i16x8_s(b, weights));
      v128.store64_lane(codes, i8x16.narrow_i16x8_u(pairs, pairs), 0);
      codes += 8;
    } else {
      v128.store(codes, i8x16.narrow_i16x8_u(a, b));
      codes += 16;
    }
  }
}

function quantizeRows<B, R>(
  src: usize, rows: i32, cols: i32, blockSize: i32, rule: i32, codes: usize, scales: usize, zeroPoints: usize,
): void {
  const magic = hold(f32x4.splat(TWO_23), 0);
  const almostHalf = hold(f32x4.splat(ALMOST_HALF), 1);
  const bits = hold(i32x4.splat(TWO_23_BITS), 2);
  const top = hold(f32x4.splat(sizeof<B>() == sizeof<FourBits>() ? 15 : 255), 3);
  const weights = hold(i32x4.splat(0x00100001), 4);
  const codeBytes = <usize>blockSize >> (sizeof<B>() == sizeof<FourBits>() ? 1 : 0);
  const whole = cols / blockSize;
  const rest = cols % blockSize;
  for (let row = 0; row < rows; row++) {
    for (let block = 0; block <= whole; block++) {
      let from = src;
      let length = blockSize;
      if (block == whole) {
        if (rest == 0) break;
        // Zeros change neither the extremes nor, being the zero point, the codes.
        memory.fill(PADDED, 0, <usize>blockSize << 2);
        memory.copy(PADDED, src, <usize>rest << 2);
        from = PADDED;
        length = rest;
      }
      quantizeBlock<B, R>(
        from, codes, scales, zeroPoints, blockSize, rule, magic, almostHalf, bits, top, weights,
      );
      src += <usize>length << 2;
      codes += codeBytes;
      scales += 4;
      if (zeroPoints != 0) zeroPoints++;
    }
  }
}

/**
 * Quantizes `rows` rows of `cols` weights in blocks along the row. blockSize: a multiple of 16, at most MAX_PARAMS.
 * `rule`: signed-extreme, absmax, min-max. `zeroPoints` 0: not wanted. Weights must be finite.
 */
export function quantizeBlocks(
  bits: i32, halfAway: bool, src: usize, rows: i32, cols: i32, blockSize: i32, rule: i32,
  codes: usize, scales: usize, zeroPoints: usize,
): void {
  if (bits == 4) {
    if (halfAway) quantizeRows<FourBits, HalfAway>(src, rows, cols, blockSize, rule, codes, scales, zeroPoints);
    else quantizeRows<FourBits, HalfEven>(src, rows, cols, blockSize, rule, codes, scales, zeroPoints);
  } else if (halfAway) {
    quantizeRows<EightBits, HalfAway>(src, rows, cols, blockSize, rule, codes, scales, zeroPoints);
  } else {
    quantizeRows<EightBits, HalfEven>(src, rows, cols, blockSize, rule, codes, scales, zeroPoints);
  }
}

/** Sixteen codes of one byte each. */
@inline
function load16<B>(codes: usize): v128 {
  if (sizeof<B>() == sizeof<EightBits>()) return v128.load(codes);
  const pairs = v128.load64_zero(codes);
  const nibbles = i8x16.splat(15);
  const even = v128.and(pairs, nibbles);
  const odd = v128.and(i16x8.shr_u(pairs, 4), nibbles);
  return i8x16.shuffle(even, odd, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}

@inline
function load1<B>(codes: usize, i: usize): i32 {
  if (sizeof<B>() == sizeof<EightBits>()) return load<u8>(codes + i);
  const pair = <i32>load<u8>(codes + (i >> 1));
  return i & 1 ? pair >> 4 : pair & 15;
}

@inline
function value4(words: v128, zeroPoint: v128, scale: v128): v128 {
  return f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(i16x8.sub(words, zeroPoint))), scale);
}

@inline
function valueHigh4(words: v128, zeroPoint: v128, scale: v128): v128 {
  return f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(i16x8.sub(words, zeroPoint))), scale);
}

function dequantizeRows<B>(
  codes: usize, scales: usize, zeroPoints: usize, rows: i32, cols: i32, blockSize: i32, dst: usize,
): void {
  const codeBytes = <usize>blockSize >> (sizeof<B>() == sizeof<FourBits>() ? 1 : 0);
  for (let row = 0; row < rows; row++) {
    for (let first = 0; first < cols; first += blockSize) {
      const count = min(blockSize, cols - first);
      const scale = load<f32>(scales);
      let zeroPoint = sizeof<B>() == sizeof<FourBits>() ? 8 : 128;
      if (zeroPoints != 0) zeroPoint = load<u8>(zeroPoints++);
      const s = f32x4.splat(scale);
      const z = i16x8.splat(<i16>zeroPoint);
      let i: usize = 0;
      for (; i + 16 <= <usize>count; i += 16, dst += 64) {
        const sixteen = load16<B>(codes + (sizeof<B>() == sizeof<FourBits>() ? i >> 1 : i));
        const a = i16x8.extend_low_i8x16_u(sixteen);
        const b = i16x8.extend_high_i8x16_u(sixteen);
        v128.store(dst, value4(a, z, s));
        v128.store(dst, valueHigh4(a, z, s), 16);
        v128.store(dst, value4(b, z, s), 32);
        v128.store(dst, valueHigh4(b, z, s), 48);
      }
      for (; i < <usize>count; i++, dst += 4) store<f32>(dst, <f32>(load1<B>(codes, i) - zeroPoint) * scale);
      codes += codeBytes;
      scales += 4;
    }
  }
}

/** The inverse, blockSize a multiple of 16. `zeroPoints` 0: 2^(bits - 1) everywhere. */
export function dequantizeBlocks(
  bits: i32, codes: usize, scales: usize, zeroPoints: usize, rows: i32, cols: i32, blockSize: i32, dst: usize,
): void {
  if (bits == 4) dequantizeRows<FourBits>(codes, scales, zeroPoints, rows, cols, blockSize, dst);
  else dequantizeRows<EightBits>(codes, scales, zeroPoints, rows, cols, blockSize, dst);
}
