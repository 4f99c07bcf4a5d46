/**
 * Block quantization of weights, 4 and 8 bits, packed (the formulas are in ../../reference-weights.ts).
 * Half away from zero is floor(t + 0.49999997), clamped: the largest float32 below 0.5 rounds ties up and nothing else.
 * Finite weights give -1 < t < 2^bits + 1, so that clamping can wait until eight codes are in a vector (8 bits: until
 * narrowing, which saturates). Nibbles are packed by i16x8 dot with (1, 16).
 * Blocks go through the three steps in batches: block by block each waited for its own divisions (8.3 GB/s), and branches
 * on which extreme is larger were mispredicted every other time (6.1 GB/s).
 */
import { hold, MAGIC, MAGIC_BITS } from './common';
import {
  CODE_OF,
  COUNTS,
  FACTORS,
  HIGHS,
  LOWS,
  PADDED,
  SCALES,
  SHIFTS,
  THRESHOLDS,
  ZERO_POINTS,
} from './memory';

/** Types that stand for facts, as in common.ts. Rounding and width of a code: */
type HalfEven = i8;
type HalfAway = i16;
type FourBits = i8;
type EightBits = i16;

const SIGNED_EXTREME: i32 = 0;
const ABSMAX: i32 = 1;

const ALMOST_HALF: f32 = 0.49999997;

@inline
function isFour<B>(): bool {
  return sizeof<B>() == sizeof<FourBits>();
}

@inline
function isHalfAway<R>(): bool {
  return sizeof<R>() == sizeof<HalfAway>();
}

/** What adding MAGIC rounds as R says. */
@inline
function beforeMagic<R>(t: v128, almostHalf: v128): v128 {
  return isHalfAway<R>() ? f32x4.floor(f32x4.add(t, almostHalf)) : t;
}

/** Codes of four weights, not clamped. `z`: zero points in float32; half to even: MAGIC_BITS less the zero points. */
@inline
function code4<R>(src: usize, inv: v128, z: v128, magic: v128, almostHalf: v128, bits: v128): v128 {
  const t = f32x4.mul(v128.load(src), inv);
  if (!isHalfAway<R>()) return i32x4.sub(f32x4.add(t, magic), z);
  return i32x4.sub(f32x4.add(beforeMagic<R>(f32x4.add(t, z), almostHalf), magic), bits);
}

/** Codes of eight weights, clamped to [0, 15] where they have 4 bits. */
@inline
function code8<B, R>(
  src: usize, inv: v128, z: v128, magic: v128, almostHalf: v128, bits: v128, top: v128,
): v128 {
  const a = code4<R>(src, inv, z, magic, almostHalf, bits);
  const b = code4<R>(src + 16, inv, z, magic, almostHalf, bits);
  // Narrowing to unsigned numbers clamps from below.
  return isFour<B>() ? i16x8.min_u(i16x8.narrow_i32x4_u(a, b), top) : i16x8.narrow_i32x4_s(a, b);
}

/** Scales of four blocks; `high` ≥ 0 and `negLow` ≥ 0: their extremes, and 0. */
@inline
function scalesOf<B>(rule: i32, high: v128, negLow: v128): v128 {
  if (rule == SIGNED_EXTREME) {
    const extreme = v128.bitselect(f32x4.neg(high), negLow, f32x4.gt(high, negLow));
    // Adding 0 makes 0 of -0.
    return f32x4.add(f32x4.div(extreme, f32x4.splat(isFour<B>() ? 8 : 128)), f32x4.splat(0));
  }
  if (rule == ABSMAX) return f32x4.div(f32x4.pmax(high, negLow), f32x4.splat(isFour<B>() ? 7 : 127));
  return f32x4.div(f32x4.add(high, negLow), f32x4.splat(isFour<B>() ? 15 : 255));
}

@inline
function zeroPointsOf<B, R>(rule: i32, scale: v128, negLow: v128): v128 {
  if (rule <= ABSMAX) return f32x4.splat(isFour<B>() ? 8 : 128);
  const t = beforeMagic<R>(f32x4.div(negLow, scale), f32x4.splat(ALMOST_HALF));
  const bounded = f32x4.pmin(f32x4.splat(isFour<B>() ? 15 : 255), f32x4.pmax(f32x4.splat(0), t));
  const rounded = f32x4.sub(f32x4.add(bounded, f32x4.splat(MAGIC)), f32x4.splat(MAGIC));
  return v128.and(rounded, f32x4.ne(scale, f32x4.splat(0)));
}

/** 1 / scale; 0 where that is not finite: scale 0, or so small that every code is that of 0. */
@inline
function inverse(scale: v128): v128 {
  const inv = f32x4.div(f32x4.splat(1), scale);
  return v128.and(inv, f32x4.lt(f32x4.abs(inv), f32x4.splat(Infinity)));
}

/** Writes the extremes of each block (maximum and minus the minimum, at least 0) to HIGHS and LOWS. */
function findExtremes(src: usize, blocks: i32, blockSize: i32): void {
  for (let entry: usize = 0; entry < <usize>blocks << 2; entry += 4) {
    let min0 = f32x4.splat(0);
    let max0 = min0;
    let min1 = min0;
    let max1 = min0;
    const end = src + (<usize>blockSize << 2);
    for (; src + 128 <= end; src += 128) {
      const a = v128.load(src);
      const b = v128.load(src, 16);
      const c = v128.load(src, 32);
      const d = v128.load(src, 48);
      min0 = f32x4.pmin(min0, f32x4.pmin(a, b));
      max0 = f32x4.pmax(max0, f32x4.pmax(a, b));
      min1 = f32x4.pmin(min1, f32x4.pmin(c, d));
      max1 = f32x4.pmax(max1, f32x4.pmax(c, d));
      const e = v128.load(src, 64);
      const f = v128.load(src, 80);
      const g = v128.load(src, 96);
      const h = v128.load(src, 112);
      min0 = f32x4.pmin(min0, f32x4.pmin(e, f));
      max0 = f32x4.pmax(max0, f32x4.pmax(e, f));
      min1 = f32x4.pmin(min1, f32x4.pmin(g, h));
      max1 = f32x4.pmax(max1, f32x4.pmax(g, h));
    }
    for (; src < end; src += 16) {
      const a = v128.load(src);
      min0 = f32x4.pmin(min0, a);
      max0 = f32x4.pmax(max0, a);
    }
    // Both in one reduction: lanes 0 and 1 for the maximum, 2 and 3 for minus the minimum.
    const maxs = f32x4.pmax(max0, max1);
    const negMins = f32x4.neg(f32x4.pmin(min0, min1));
    const pairs = f32x4.pmax(i32x4.shuffle(maxs, negMins, 0, 1, 4, 5), i32x4.shuffle(maxs, negMins, 2, 3, 6, 7));
    const both = f32x4.pmax(pairs, i32x4.shuffle(pairs, pairs, 1, 0, 3, 2));
    v128.store32_lane(HIGHS + entry, both, 0);
    v128.store32_lane(LOWS + entry, both, 2);
  }
}

/** The same for absmax: writes the greatest magnitudes to both. Magnitudes compare as integers (15.7 → 17.3 GB/s). */
function findMagnitudes(src: usize, blocks: i32, blockSize: i32): void {
  const magnitude = hold(i32x4.splat(0x7fffffff), 0);
  for (let entry: usize = 0; entry < <usize>blocks << 2; entry += 4) {
    let max0 = i32x4.splat(0);
    let max1 = max0;
    const end = src + (<usize>blockSize << 2);
    for (; src < end; src += 64) {
      const a = v128.and(v128.load(src), magnitude);
      const b = v128.and(v128.load(src, 16), magnitude);
      const c = v128.and(v128.load(src, 32), magnitude);
      const d = v128.and(v128.load(src, 48), magnitude);
      max0 = i32x4.max_s(max0, i32x4.max_s(a, b));
      max1 = i32x4.max_s(max1, i32x4.max_s(c, d));
    }
    const max = i32x4.max_s(max0, max1);
    const pairs = i32x4.max_s(max, i32x4.shuffle(max, max, 2, 3, 0, 1));
    const all = i32x4.max_s(pairs, i32x4.shuffle(pairs, pairs, 1, 0, 3, 2));
    v128.store32_lane(HIGHS + entry, all, 0);
    v128.store32_lane(LOWS + entry, all, 0);
  }
}

/** Turns the extremes into scales, their inverses (FACTORS), zero points (ZERO_POINTS) and `z` (SHIFTS) of {@link code4}. */
function chooseParams<B, R>(blocks: i32, rule: i32, scales: usize, zeroPoints: usize): void {
  const end = <usize>blocks << 2;
  for (let entry: usize = 0; entry < end; entry += 16) {
    const negLow = v128.load(LOWS + entry);
    const scale = scalesOf<B>(rule, v128.load(HIGHS + entry), negLow);
    v128.store(FACTORS + entry, inverse(scale));
    const z = zeroPointsOf<B, R>(rule, scale, negLow);
    const integers = i32x4.trunc_sat_f32x4_s(z);
    v128.store(SHIFTS + entry, isHalfAway<R>() ? z : i32x4.sub(i32x4.splat(MAGIC_BITS), integers));
    v128.store(ZERO_POINTS + entry, integers);
    if (entry + 16 <= end) {
      v128.store(scales + entry, scale);
    } else {
      v128.store32_lane(scales + entry, scale, 0);
      if (entry + 4 < end) v128.store32_lane(scales + entry, scale, 1, 4);
      if (entry + 8 < end) v128.store32_lane(scales + entry, scale, 2, 8);
    }
  }
  if (zeroPoints == 0) return;
  for (let i: usize = 0; i < <usize>blocks; i++) store<u8>(zeroPoints + i, load<u8>(ZERO_POINTS + (i << 2)));
}

/** Quantizes blocks with the parameters that {@link chooseParams} left. */
function quantizeWith<B, R>(src: usize, blocks: i32, blockSize: i32, codes: usize): void {
  const magic = hold(f32x4.splat(MAGIC), 0);
  const almostHalf = hold(f32x4.splat(ALMOST_HALF), 1);
  const bits = hold(i32x4.splat(MAGIC_BITS), 2);
  const top = hold(i16x8.splat(15), 3);
  const weights = hold(i32x4.splat(0x00100001), 4);
  for (let entry: usize = 0; entry < <usize>blocks << 2; entry += 4) {
    const inv = v128.load32_splat(FACTORS + entry);
    const z = v128.load32_splat(SHIFTS + entry);
    const end = src + (<usize>blockSize << 2);
    for (; src + 128 <= end; src += 128) {
      const a = code8<B, R>(src, inv, z, magic, almostHalf, bits, top);
      const b = code8<B, R>(src + 32, inv, z, magic, almostHalf, bits, top);
      const c = code8<B, R>(src + 64, inv, z, magic, almostHalf, bits, top);
      const d = code8<B, R>(src + 96, inv, z, magic, almostHalf, bits, top);
      if (isFour<B>()) {
        const low = i16x8.narrow_i32x4_s(i32x4.dot_i16x8_s(a, weights), i32x4.dot_i16x8_s(b, weights));
        const high = i16x8.narrow_i32x4_s(i32x4.dot_i16x8_s(c, weights), i32x4.dot_i16x8_s(d, weights));
        v128.store(codes, i8x16.narrow_i16x8_u(low, high));
        codes += 16;
      } else {
        v128.store(codes, i8x16.narrow_i16x8_u(a, b));
        v128.store(codes, i8x16.narrow_i16x8_u(c, d), 16);
        codes += 32;
      }
    }
    if (src < end) {
      const a = code8<B, R>(src, inv, z, magic, almostHalf, bits, top);
      const b = code8<B, R>(src + 32, inv, z, magic, almostHalf, bits, top);
      if (isFour<B>()) {
        const pairs = i16x8.narrow_i32x4_s(i32x4.dot_i16x8_s(a, weights), i32x4.dot_i16x8_s(b, weights));
        v128.store64_lane(codes, i8x16.narrow_i16x8_u(pairs, pairs), 0);
        codes += 8;
      } else {
        v128.store(codes, i8x16.narrow_i16x8_u(a, b));
        codes += 16;
      }
      src += 64;
    }
  }
}

/** Blocks that pass through the steps together: their weights stay in the first-level cache for the second pass. */
const BATCH: i32 = 32;

/** `blocks` whole blocks that lie one after the other. */
function quantizeRun<B, R>(
  src: usize, blocks: i32, blockSize: i32, rule: i32, codes: usize, scales: usize, zeroPoints: usize,
): void {
  const batch = max(1, min(BATCH, 4096 / blockSize));
  for (; blocks > 0; blocks -= batch) {
    const count = min(batch, blocks);
    if (rule == ABSMAX) findMagnitudes(src, count, blockSize);
    else findExtremes(src, count, blockSize);
    chooseParams<B, R>(count, rule, scales, zeroPoints);
    quantizeWith<B, R>(src, count, blockSize, codes);
    src += <usize>(count * blockSize) << 2;
    codes += blockBytes<B>(count * blockSize);
    scales += <usize>count << 2;
    if (zeroPoints != 0) zeroPoints += <usize>count;
  }
}

@inline
function blockBytes<B>(elements: i32): usize {
  return <usize>elements >> (isFour<B>() ? 1 : 0);
}

function quantizeRows<B, R>(
  src: usize, rows: i32, cols: i32, blockSize: i32, rule: i32, codes: usize, scales: usize, zeroPoints: usize,
): void {
  const whole = cols / blockSize;
  const rest = cols % blockSize;
  if (rest == 0) {
    quantizeRun<B, R>(src, rows * whole, blockSize, rule, codes, scales, zeroPoints);
    return;
  }
  for (let row = 0; row < rows; row++) {
    quantizeRun<B, R>(src, whole, blockSize, rule, codes, scales, zeroPoints);
    // Zeros change neither the extremes nor, being the zero point, the codes.
    memory.fill(PADDED, 0, <usize>blockSize << 2);
    memory.copy(PADDED, src + (<usize>(whole * blockSize) << 2), <usize>rest << 2);
    const lastCodes = codes + blockBytes<B>(whole * blockSize);
    const lastZeroPoint: usize = zeroPoints == 0 ? 0 : zeroPoints + <usize>whole;
    quantizeRun<B, R>(PADDED, 1, blockSize, rule, lastCodes, scales + (<usize>whole << 2), lastZeroPoint);
    src += <usize>cols << 2;
    codes = lastCodes + blockBytes<B>(blockSize);
    scales += <usize>(whole + 1) << 2;
    if (zeroPoints != 0) zeroPoints += <usize>(whole + 1);
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

/**
 * Columns: weights stored [cols, stride], of which each column is a row of blocks. Sixteen columns at a time, a cache line of
 * each stored row; their codes come out across and are turned as bytes, an eighth of the work of turning the weights
 * (BERT-base in 4 bits, reading and writing included: 1.19 → 0.95 s against weights turned first).
 */
const STRIP: i32 = 16;
const STRIP_BYTES: usize = 64;
/** Sixteen vectors of codes, and room to turn them in. */
const TURNED: usize = COUNTS;
const TURNING: usize = COUNTS + 256;

/** The extremes of sixteen columns, as {@link findExtremes} writes them. */
function findColumnExtremes(src: usize, pitch: usize, blockSize: i32): void {
  let min0 = f32x4.splat(0);
  let min1 = min0;
  let min2 = min0;
  let min3 = min0;
  let max0 = min0;
  let max1 = min0;
  let max2 = min0;
  let max3 = min0;
  for (let k = 0; k < blockSize; k++, src += pitch) {
    const a = v128.load(src);
    const b = v128.load(src, 16);
    const c = v128.load(src, 32);
    const d = v128.load(src, 48);
    min0 = f32x4.pmin(min0, a);
    min1 = f32x4.pmin(min1, b);
    min2 = f32x4.pmin(min2, c);
    min3 = f32x4.pmin(min3, d);
    max0 = f32x4.pmax(max0, a);
    max1 = f32x4.pmax(max1, b);
    max2 = f32x4.pmax(max2, c);
    max3 = f32x4.pmax(max3, d);
  }
  v128.store(HIGHS, max0);
  v128.store(HIGHS, max1, 16);
  v128.store(HIGHS, max2, 32);
  v128.store(HIGHS, max3, 48);
  v128.store(LOWS, f32x4.neg(min0));
  v128.store(LOWS, f32x4.neg(min1), 16);
  v128.store(LOWS, f32x4.neg(min2), 32);
  v128.store(LOWS, f32x4.neg(min3), 48);
}

/** Codes of eight columns, from byte `at` of a stored row on, as {@link code8} has them. */
@inline
function columnCode8<B, R>(
  src: usize, at: usize, magic: v128, almostHalf: v128, bits: v128, top: v128,
): v128 {
  const a = code4<R>(src + at, v128.load(FACTORS + at), v128.load(SHIFTS + at), magic, almostHalf, bits);
  const next = at + 16;
  const b = code4<R>(src + next, v128.load(FACTORS + next), v128.load(SHIFTS + next), magic, almostHalf, bits);
  return isFour<B>() ? i16x8.min_u(i16x8.narrow_i32x4_u(a, b), top) : i16x8.narrow_i32x4_s(a, b);
}

/** Turns the 16 by 16 bytes at TURNED: interleaving the halves swaps one bit of row and column, four times all of them. */
function turn(): void {
  let from = TURNED;
  let to = TURNING;
  for (let round = 0; round < 4; round++) {
    for (let i: usize = 0; i < 128; i += 16) {
      const a = v128.load(from + i);
      const b = v128.load(from + i, 128);
      v128.store(to + 2 * i, i8x16.shuffle(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23));
      const high = i8x16.shuffle(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      v128.store(to + 2 * i, high, 16);
    }
    const swap = from;
    from = to;
    to = swap;
  }
}

/** Quantizes a block of each of `width` columns; the next column's codes lie `codePitch` bytes further. */
function quantizeStrip<B, R>(
  src: usize, pitch: usize, blockSize: i32, width: i32, codes: usize, codePitch: usize,
): void {
  const magic = hold(f32x4.splat(MAGIC), 0);
  const almostHalf = hold(f32x4.splat(ALMOST_HALF), 1);
  const bits = hold(i32x4.splat(MAGIC_BITS), 2);
  const top = hold(i16x8.splat(15), 3);
  const end = codes + blockBytes<B>(blockSize);
  for (; codes < end; codes += 16) {
    for (let line: usize = 0; line < 256; line += 16) {
      let low = columnCode8<B, R>(src, 0, magic, almostHalf, bits, top);
      let high = columnCode8<B, R>(src, 32, magic, almostHalf, bits, top);
      src += pitch;
      if (isFour<B>()) {
        low = v128.or(low, i16x8.shl(columnCode8<B, R>(src, 0, magic, almostHalf, bits, top), 4));
        high = v128.or(high, i16x8.shl(columnCode8<B, R>(src, 32, magic, almostHalf, bits, top), 4));
        src += pitch;
      }
      v128.store(TURNED + line, i8x16.narrow_i16x8_u(low, high));
    }
    turn();
    let to = codes;
    const lines = TURNED + (<usize>width << 4);
    for (let line = TURNED; line < lines; line += 16, to += codePitch) v128.store(to, v128.load(line));
  }
}

/** Copies what there is of a strip to PADDED, with zeros around it, which change neither the extremes nor the codes. */
function padStrip(src: usize, pitch: usize, height: i32, width: i32, blockSize: i32): void {
  memory.fill(PADDED, 0, <usize>blockSize * STRIP_BYTES);
  for (let k = 0; k < height; k++, src += pitch) {
    memory.copy(PADDED + <usize>k * STRIP_BYTES, src, <usize>width << 2);
  }
}

function quantizeColumns<B, R>(
  src: usize, stride: i32, rows: i32, cols: i32, blockSize: i32, rule: i32,
  codes: usize, scales: usize, zeroPoints: usize,
): void {
  const blocks = (cols + blockSize - 1) / blockSize;
  const blob = blockBytes<B>(blockSize);
  const pitch = <usize>stride << 2;
  for (let b = 0; b < blocks; b++, src += <usize>blockSize * pitch) {
    const height = min(blockSize, cols - b * blockSize);
    for (let row = 0; row < rows; row += STRIP) {
      const width = min(STRIP, rows - row);
      const at = src + (<usize>row << 2);
      const whole = height == blockSize && width == STRIP;
      if (!whole) padStrip(at, pitch, height, width, blockSize);
      const strip = whole ? at : PADDED;
      const stripPitch = whole ? pitch : STRIP_BYTES;
      findColumnExtremes(strip, stripPitch, blockSize);
      chooseParams<B, R>(STRIP, rule, SCALES, 0);
      const block = <usize>(row * blocks + b);
      quantizeStrip<B, R>(strip, stripPitch, blockSize, width, codes + block * blob, <usize>blocks * blob);
      for (let i: usize = 0; i < <usize>width; i++) {
        const to = block + i * <usize>blocks;
        store<f32>(scales + (to << 2), load<f32>(SCALES + (i << 2)));
        if (zeroPoints != 0) store<u8>(zeroPoints + to, load<u8>(ZERO_POINTS + (i << 2)));
      }
    }
  }
}

/**
 * The same as {@link quantizeBlocks} for `rows` columns of weights stored [cols, stride]. blockSize: a multiple of 32, at
 * most 256.
 */
export function quantizeBlocksByColumn(
  bits: i32, halfAway: bool, src: usize, stride: i32, rows: i32, cols: i32, blockSize: i32, rule: i32,
  codes: usize, scales: usize, zeroPoints: usize,
): void {
  if (bits == 4) {
    if (halfAway) quantizeColumns<FourBits, HalfAway>(src, stride, rows, cols, blockSize, rule, codes, scales, zeroPoints);
    else quantizeColumns<FourBits, HalfEven>(src, stride, rows, cols, blockSize, rule, codes, scales, zeroPoints);
  } else if (halfAway) {
    quantizeColumns<EightBits, HalfAway>(src, stride, rows, cols, blockSize, rule, codes, scales, zeroPoints);
  } else {
    quantizeColumns<EightBits, HalfEven>(src, stride, rows, cols, blockSize, rule, codes, scales, zeroPoints);
  }
}

/** Sixteen codes of one byte each. */
@inline
function load16<B>(codes: usize): v128 {
  if (!isFour<B>()) return v128.load(codes);
  const pairs = v128.load64_zero(codes);
  const nibbles = i8x16.splat(15);
  const even = v128.and(pairs, nibbles);
  const odd = v128.and(i16x8.shr_u(pairs, 4), nibbles);
  return i8x16.shuffle(even, odd, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}

@inline
function load1<B>(codes: usize, i: usize): i32 {
  if (!isFour<B>()) return load<u8>(codes + i);
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
  const codeBytes = <usize>blockSize >> (isFour<B>() ? 1 : 0);
  for (let row = 0; row < rows; row++) {
    for (let first = 0; first < cols; first += blockSize) {
      const count = min(blockSize, cols - first);
      const scale = load<f32>(scales);
      let zeroPoint = isFour<B>() ? 8 : 128;
      if (zeroPoints != 0) zeroPoint = load<u8>(zeroPoints++);
      const s = f32x4.splat(scale);
      const z = i16x8.splat(<i16>zeroPoint);
      let i: usize = 0;
      for (; i + 16 <= <usize>count; i += 16, dst += 64) {
        const sixteen = load16<B>(codes + (isFour<B>() ? i >> 1 : i));
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

/**
 * Whole blocks: absmax of each, and codes by the table at THRESHOLDS and CODE_OF, two a byte, the first in the high nibble.
 * All thresholds are compared with, and the masks added up: 15 pairs of instructions for four weights.
 */
export function quantizeByThresholds(src: usize, blocks: i32, blockSize: i32, codes: usize, absmax: usize): void {
  const codeOf = hold(v128.load(CODE_OF), 0);
  const low = hold(i16x8.splat(0xff), 1);
  const batch = max(1, min(BATCH, 4096 / blockSize));
  for (; blocks > 0; blocks -= batch) {
    const count = min(batch, blocks);
    findMagnitudes(src, count, blockSize);
    for (let entry: usize = 0; entry < <usize>count << 2; entry += 4) {
      const most = load<f32>(HIGHS + entry);
      store<f32>(absmax + entry, most);
      const inv: f32 = 1 / most;
      const factor = f32x4.splat(inv < Infinity ? inv : 0);
      const end = src + (<usize>blockSize << 2);
      for (; src < end; src += 64, codes += 8) {
        const a = f32x4.mul(v128.load(src), factor);
        const b = f32x4.mul(v128.load(src, 16), factor);
        const c = f32x4.mul(v128.load(src, 32), factor);
        const d = f32x4.mul(v128.load(src, 48), factor);
        let rankA = i32x4.splat(0);
        let rankB = rankA;
        let rankC = rankA;
        let rankD = rankA;
        for (let at = THRESHOLDS; at < THRESHOLDS + 60; at += 4) {
          const threshold = v128.load32_splat(at);
          rankA = i32x4.sub(rankA, f32x4.gt(a, threshold));
          rankB = i32x4.sub(rankB, f32x4.gt(b, threshold));
          rankC = i32x4.sub(rankC, f32x4.gt(c, threshold));
          rankD = i32x4.sub(rankD, f32x4.gt(d, threshold));
        }
        const ranks = i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_s(rankA, rankB), i16x8.narrow_i32x4_s(rankC, rankD));
        const code = i8x16.swizzle(codeOf, ranks);
        const pairs = v128.and(v128.or(i16x8.shl(code, 4), i16x8.shr_u(code, 8)), low);
        v128.store64_lane(codes, i8x16.narrow_i16x8_u(pairs, pairs), 0);
      }
    }
    absmax += <usize>count << 2;
  }
}
