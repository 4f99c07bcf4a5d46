/**
 * x → codes. Per element: t = steps(x), at least `low`; integer = bits of (t + MAGIC); code = integer - shift.
 *
 * No upper clamp is needed before rounding: as t grows to +Inf the bits of t + MAGIC grow too, so that narrowing and
 * the final `min` saturate; downwards they would wrap, hence `low`. Unsigned codes are made signed by a bias that is
 * part of `shift` and taken off by an xor of whole vectors, so that one loop serves both.
 *
 * NaN is found by a sum over the run (a NaN, or +Inf and -Inf together, give NaN) and put right in a second
 * pass: one addition a vector; comparing and masking each vector costs two.
 */
import {
  addsFirst,
  DivideRoundAdd,
  factorOf,
  FusedAddRound,
  hold,
  MAGIC,
  MAGIC_BITS,
  MultiplyAddRound,
  MultiplyRoundAdd,
  nanCode,
  splatFor,
  step,
  steps,
  stepsByColumn,
} from './common';
import { FACTORS, LOWS, NANS, SCALES, SHIFTS, ZERO_POINTS } from './memory';

@inline
function codesOf(t: v128, low: v128, magic: v128, shift: v128): v128 {
  return i32x4.sub(f32x4.add(f32x4.pmax(low, t), magic), shift);
}

/** Clamps from above and stores sixteen codes of sizeof<T>() bytes. */
@inline
function store16<T>(dst: usize, a: v128, b: v128, c: v128, d: v128, high: v128, flip: v128): void {
  if (sizeof<T>() == 1) {
    const codes = i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d));
    v128.store(dst, v128.xor(i8x16.min_s(codes, high), flip));
  } else if (sizeof<T>() == 2) {
    v128.store(dst, v128.xor(i16x8.min_s(i16x8.narrow_i32x4_s(a, b), high), flip));
    v128.store(dst, v128.xor(i16x8.min_s(i16x8.narrow_i32x4_s(c, d), high), flip), 16);
  } else {
    v128.store(dst, i32x4.min_s(a, high));
    v128.store(dst, i32x4.min_s(b, high), 16);
    v128.store(dst, i32x4.min_s(c, high), 32);
    v128.store(dst, i32x4.min_s(d, high), 48);
  }
}

/** The same for four codes. */
@inline
function store4<T>(dst: usize, a: v128, high: v128, flip: v128): void {
  if (sizeof<T>() == 1) {
    const words = i16x8.narrow_i32x4_s(a, a);
    v128.store32_lane(dst, v128.xor(i8x16.min_s(i8x16.narrow_i16x8_s(words, words), high), flip), 0);
  } else if (sizeof<T>() == 2) {
    v128.store64_lane(dst, v128.xor(i16x8.min_s(i16x8.narrow_i32x4_s(a, a), high), flip), 0);
  } else {
    v128.store(dst, i32x4.min_s(a, high));
  }
}

@inline
function splatCode<T>(code: i32): v128 {
  if (sizeof<T>() == 1) return i8x16.splat(<i8>code);
  if (sizeof<T>() == 2) return i16x8.splat(<i16>code);
  return i32x4.splat(code);
}

/** What is subtracted from the bits of t + MAGIC to give the biased code. */
@inline
function shiftOf<R>(zeroPoint: f32, codeBias: i32): i32 {
  return MAGIC_BITS + codeBias - (addsFirst<R>() ? 0 : <i32>zeroPoint);
}

@inline
function lowOf<R>(zeroPoint: f32, quantMin: i32): f32 {
  return <f32>quantMin - (addsFirst<R>() ? 0 : zeroPoint);
}

/** One code; NaN gives the code of `low`, to be put right by the caller. */
@inline
function code1(t: f32, low: f32, shift: i32, high: i32, codeBias: i32): i32 {
  const raised: f32 = t > low ? t : low;
  return min(reinterpret<i32>(raised + MAGIC) - shift, high) + codeBias;
}

/** Sixteen codes of steps a, b, c, d. */
@inline
function quantize16<T>(
  dst: usize, a: v128, b: v128, c: v128, d: v128, low: v128, shift: v128, magic: v128, high: v128, flip: v128,
): void {
  store16<T>(
    dst,
    codesOf(a, low, magic, shift), codesOf(b, low, magic, shift),
    codesOf(c, low, magic, shift), codesOf(d, low, magic, shift),
    high, flip,
  );
}

function quantizeRow<T, R>(
  src: usize, dst: usize, count: i32, scale: f32, zeroPoint: f32, quantMin: i32, quantMax: i32, nan: i32, codeBias: i32,
): void {
  const factor = factorOf<R>(scale);
  const lowest = lowOf<R>(zeroPoint, quantMin);
  const offset = shiftOf<R>(zeroPoint, codeBias);
  const highest = quantMax - codeBias;
  const m = hold(splatFor<R>(factor), 0);
  const z = hold(splatFor<R>(zeroPoint), 1);
  const low = hold(f32x4.splat(lowest), 2);
  const shift = hold(i32x4.splat(offset), 3);
  const magic = hold(f32x4.splat(MAGIC), 4);
  const high = hold(splatCode<T>(highest), 5);
  const flip = hold(splatCode<T>(codeBias), 6);
  let sum = f32x4.splat(0);
  let sum2 = f32x4.splat(0);
  let s = src;
  let d = dst;
  const end = src + (<usize>count << 2);
  const end32 = src + (<usize>(count & ~31) << 2);
  while (s < end32) {
    const t0 = steps<R>(v128.load(s), m, z);
    const t1 = steps<R>(v128.load(s, 16), m, z);
    const t2 = steps<R>(v128.load(s, 32), m, z);
    const t3 = steps<R>(v128.load(s, 48), m, z);
    sum = f32x4.add(sum, f32x4.add(f32x4.add(t0, t1), f32x4.add(t2, t3)));
    quantize16<T>(d, t0, t1, t2, t3, low, shift, magic, high, flip);
    const t4 = steps<R>(v128.load(s, 64), m, z);
    const t5 = steps<R>(v128.load(s, 80), m, z);
    const t6 = steps<R>(v128.load(s, 96), m, z);
    const t7 = steps<R>(v128.load(s, 112), m, z);
    sum2 = f32x4.add(sum2, f32x4.add(f32x4.add(t4, t5), f32x4.add(t6, t7)));
    quantize16<T>(d + 16 * sizeof<T>(), t4, t5, t6, t7, low, shift, magic, high, flip);
    s += 128;
    d += 32 * sizeof<T>();
  }
  for (; s + 16 <= end; s += 16) {
    const t = steps<R>(v128.load(s), m, z);
    store4<T>(d, codesOf(t, low, magic, shift), high, flip);
    sum = f32x4.add(sum, t);
    d += 4 * sizeof<T>();
  }
  const nanAs = nanCode(nan, zeroPoint, quantMin, quantMax);
  for (; s < end; s += 4) {
    const t = step<R>(load<f32>(s), factor, zeroPoint);
    store<T>(d, <T>(t != t ? nanAs : code1(t, lowest, offset, highest, codeBias)));
    d += sizeof<T>();
  }
  sum = f32x4.add(sum, sum2);
  if (v128.any_true(f32x4.ne(sum, sum))) {
    for (s = src, d = dst; s < end; s += 4, d += sizeof<T>()) {
      const t = step<R>(load<f32>(s), factor, zeroPoint);
      if (t != t) store<T>(d, <T>nanAs);
    }
  }
}

function quantizeRows<T, R>(
  src: usize, dst: usize, rows: i32, cols: i32, first: i32, params: i32,
  quantMin: i32, quantMax: i32, nan: i32, codeBias: i32,
): void {
  let param = first;
  for (let row = 0; row < rows; row++) {
    const entry = <usize>param << 2;
    const scale = load<f32>(SCALES + entry);
    quantizeRow<T, R>(src, dst, cols, scale, load<f32>(ZERO_POINTS + entry), quantMin, quantMax, nan, codeBias);
    src += <usize>cols << 2;
    dst += <usize>cols * sizeof<T>();
    if (++param == params) param = 0;
  }
}

/** Fills the tables of the columns from SCALES and ZERO_POINTS. */
function prepareColumns<R>(cols: i32, quantMin: i32, quantMax: i32, nan: i32, codeBias: i32): void {
  for (let j: usize = 0; j < <usize>cols << 2; j += 4) {
    const zeroPoint = load<f32>(ZERO_POINTS + j);
    store<f32>(FACTORS + j, factorOf<R>(load<f32>(SCALES + j)));
    store<f32>(LOWS + j, lowOf<R>(zeroPoint, quantMin));
    store<i32>(SHIFTS + j, shiftOf<R>(zeroPoint, codeBias));
    store<i32>(NANS + j, nanCode(nan, zeroPoint, quantMin, quantMax));
  }
}

@inline
function columnSteps<R>(x: usize, j: usize): v128 {
  return stepsByColumn<R>(v128.load(x), v128.load(FACTORS + j), v128.load(ZERO_POINTS + j));
}

@inline
function columnCodes(t: v128, j: usize, magic: v128): v128 {
  return codesOf(t, v128.load(LOWS + j), magic, v128.load(SHIFTS + j));
}

function quantizeColumns<T, R>(src: usize, dst: usize, rows: i32, cols: i32, quantMax: i32, codeBias: i32): void {
  const magic = hold(f32x4.splat(MAGIC), 0);
  const high = hold(splatCode<T>(quantMax - codeBias), 1);
  const flip = hold(splatCode<T>(codeBias), 2);
  const end = <usize>cols << 2;
  const end16 = <usize>(cols & ~15) << 2;
  for (let row = 0; row < rows; row++) {
    let sum = f32x4.splat(0);
    let d = dst;
    let j: usize = 0;
    for (; j < end16; j += 64) {
      const t0 = columnSteps<R>(src + j, j);
      const t1 = columnSteps<R>(src + j + 16, j + 16);
      const t2 = columnSteps<R>(src + j + 32, j + 32);
      const t3 = columnSteps<R>(src + j + 48, j + 48);
      sum = f32x4.add(sum, f32x4.add(f32x4.add(t0, t1), f32x4.add(t2, t3)));
      store16<T>(
        d,
        columnCodes(t0, j, magic), columnCodes(t1, j + 16, magic),
        columnCodes(t2, j + 32, magic), columnCodes(t3, j + 48, magic),
        high, flip,
      );
      d += 16 * sizeof<T>();
    }
    for (; j + 16 <= end; j += 16) {
      const t = columnSteps<R>(src + j, j);
      store4<T>(d, columnCodes(t, j, magic), high, flip);
      sum = f32x4.add(sum, t);
      d += 4 * sizeof<T>();
    }
    for (; j < end; j += 4) {
      const t = step<R>(load<f32>(src + j), load<f32>(FACTORS + j), load<f32>(ZERO_POINTS + j));
      const code = code1(t, load<f32>(LOWS + j), load<i32>(SHIFTS + j), quantMax - codeBias, codeBias);
      store<T>(d, <T>(t != t ? load<i32>(NANS + j) : code));
      d += sizeof<T>();
    }
    if (v128.any_true(f32x4.ne(sum, sum))) {
      for (j = 0, d = dst; j < end; j += 4, d += sizeof<T>()) {
        const t = step<R>(load<f32>(src + j), load<f32>(FACTORS + j), load<f32>(ZERO_POINTS + j));
        if (t != t) store<T>(d, <T>load<i32>(NANS + j));
      }
    }
    src += end;
    dst += <usize>cols * sizeof<T>();
  }
}

function byRow<R>(
  bytes: i32, src: usize, dst: usize, rows: i32, cols: i32, first: i32, params: i32,
  low: i32, high: i32, nan: i32, codeBias: i32,
): void {
  if (bytes == 1) quantizeRows<i8, R>(src, dst, rows, cols, first, params, low, high, nan, codeBias);
  else if (bytes == 2) quantizeRows<i16, R>(src, dst, rows, cols, first, params, low, high, nan, codeBias);
  else quantizeRows<i32, R>(src, dst, rows, cols, first, params, low, high, nan, 0);
}

function byColumn<R>(
  bytes: i32, src: usize, dst: usize, rows: i32, cols: i32, high: i32, codeBias: i32,
): void {
  if (bytes == 1) quantizeColumns<i8, R>(src, dst, rows, cols, high, codeBias);
  else if (bytes == 2) quantizeColumns<i16, R>(src, dst, rows, cols, high, codeBias);
  else quantizeColumns<i32, R>(src, dst, rows, cols, high, 0);
}

/**
 * Quantizes `rows` runs of `cols` values with the parameters first, first + 1, ... of `params` (wrapping around).
 * A code has `bytes` bytes; `codeBias` is 128 or 32768 for unsigned codes of 8 or 16 bits, else 0.
 * |low|, |high| and |zeroPoint| ≤ 2^20, low ≤ high, and the range fits the code type.
 */
export function quantizeByRow(
  bytes: i32, rule: i32, src: usize, dst: usize, rows: i32, cols: i32, first: i32, params: i32,
  low: i32, high: i32, nan: i32, codeBias: i32,
): void {
  if (rule == 0) byRow<MultiplyRoundAdd>(bytes, src, dst, rows, cols, first, params, low, high, nan, codeBias);
  else if (rule == 1) byRow<DivideRoundAdd>(bytes, src, dst, rows, cols, first, params, low, high, nan, codeBias);
  else if (rule == 2) byRow<MultiplyAddRound>(bytes, src, dst, rows, cols, first, params, low, high, nan, codeBias);
  else byRow<FusedAddRound>(bytes, src, dst, rows, cols, first, params, low, high, nan, codeBias);
}

/** Makes the tables of {@link quantizeByColumn} from the first `cols` ≤ MAX_PARAMS scales and zero points. */
export function prepareQuantize(rule: i32, cols: i32, low: i32, high: i32, nan: i32, codeBias: i32): void {
  if (rule == 0) prepareColumns<MultiplyRoundAdd>(cols, low, high, nan, codeBias);
  else if (rule == 1) prepareColumns<DivideRoundAdd>(cols, low, high, nan, codeBias);
  else if (rule == 2) prepareColumns<MultiplyAddRound>(cols, low, high, nan, codeBias);
  else prepareColumns<FusedAddRound>(cols, low, high, nan, codeBias);
}

/** The same with one parameter a column. */
export function quantizeByColumn(
  bytes: i32, rule: i32, src: usize, dst: usize, rows: i32, cols: i32, high: i32, codeBias: i32,
): void {
  if (rule == 0) byColumn<MultiplyRoundAdd>(bytes, src, dst, rows, cols, high, codeBias);
  else if (rule == 1) byColumn<DivideRoundAdd>(bytes, src, dst, rows, cols, high, codeBias);
  else if (rule == 2) byColumn<MultiplyAddRound>(bytes, src, dst, rows, cols, high, codeBias);
  else byColumn<FusedAddRound>(bytes, src, dst, rows, cols, high, codeBias);
}
