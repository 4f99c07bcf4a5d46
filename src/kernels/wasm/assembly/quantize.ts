/**
 * x → codes. Per element: t = steps(x), at least `low`; integer = bits of (t + MAGIC); code = integer - shift.
 *
 * No upper clamp is needed before rounding: as t grows to +Inf the bits of t + MAGIC grow too, so that narrowing and
 * the final `min` saturate; downwards they would wrap, hence `low`. Signed codes are made unsigned by a bias that is
 * part of `shift` and taken off by an xor of whole vectors, so that one loop serves both.
 *
 * NaN passes through as such, is found by a maximum (8 bits) or an OR over the run, and put right in a second pass:
 * half an instruction a vector. Comparing and masking costs two; a sum of all t, one on the busy adders.
 */
import {
  addsFirst,
  DivideRoundAdd,
  factorOf,
  factorsOf,
  FusedAddRound,
  hold,
  MAGIC,
  MAGIC_BITS,
  MultiplyAddRound,
  MultiplyRoundAdd,
  nanCode,
  nanCodes,
  splatFor,
  step,
  steps,
  stepsByColumn,
} from './common';
import { FACTORS, LOWS, NANS, SCALES, SHIFTS, ZERO_POINTS } from './memory';

/** t, at least `low`, plus MAGIC; NaN stays NaN. */
@inline
function raise(t: v128, low: v128, magic: v128): v128 {
  return f32x4.add(f32x4.pmax(t, low), magic);
}

/**
 * Takes the shifts from u0 ... u3 ({@link raise}), clamps from above, stores sixteen codes of sizeof<T>() bytes, and
 * returns what {@link mayHaveNan} wants to see. 32-bit codes are not biased, the others are unsigned before `flip`.
 */
@inline
function emit16<T>(
  dst: usize, u0: v128, u1: v128, u2: v128, u3: v128, s0: v128, s1: v128, s2: v128, s3: v128, high: v128, flip: v128,
): v128 {
  const a = i32x4.sub(u0, s0);
  const b = i32x4.sub(u1, s1);
  const c = i32x4.sub(u2, s2);
  const d = i32x4.sub(u3, s3);
  if (sizeof<T>() == 1) {
    const first = i16x8.narrow_i32x4_s(a, b);
    const second = i16x8.narrow_i32x4_s(c, d);
    v128.store(dst, v128.xor(i8x16.min_u(i8x16.narrow_i16x8_u(first, second), high), flip));
    return i16x8.max_u(first, second);
  }
  if (sizeof<T>() == 2) {
    v128.store(dst, v128.xor(i16x8.min_u(i16x8.narrow_i32x4_u(a, b), high), flip));
    v128.store(dst, v128.xor(i16x8.min_u(i16x8.narrow_i32x4_u(c, d), high), flip), 16);
  } else {
    v128.store(dst, i32x4.min_s(a, high));
    v128.store(dst, i32x4.min_s(b, high), 16);
    v128.store(dst, i32x4.min_s(c, high), 32);
    v128.store(dst, i32x4.min_s(d, high), 48);
  }
  return v128.or(v128.or(u0, u1), v128.or(u2, u3));
}

/** The same for four codes. */
@inline
function emit4<T>(dst: usize, u: v128, shift: v128, high: v128, flip: v128): v128 {
  const a = i32x4.sub(u, shift);
  if (sizeof<T>() == 1) {
    const words = i16x8.narrow_i32x4_s(a, a);
    v128.store32_lane(dst, v128.xor(i8x16.min_u(i8x16.narrow_i16x8_u(words, words), high), flip), 0);
    return words;
  }
  if (sizeof<T>() == 2) {
    v128.store64_lane(dst, v128.xor(i16x8.min_u(i16x8.narrow_i32x4_u(a, a), high), flip), 0);
  } else {
    v128.store(dst, i32x4.min_s(a, high));
  }
  return u;
}

/** Adds what {@link emit16} or {@link emit4} returned to what was seen before. */
@inline
function merge<T>(seen: v128, more: v128): v128 {
  return sizeof<T>() == 1 ? i16x8.max_u(seen, more) : v128.or(seen, more);
}

/**
 * True if a NaN was among what was seen, and rarely else. 8-bit codes: NaN narrows to 0x7fff or, with its sign bit set,
 * to 0x8000; else only t ≥ 32767 comes so far. Others: NaN sets all bits of the exponent, t + MAGIC for |t| < 2^22 never
 * does, nor does an OR of such.
 */
@inline
function mayHaveNan<T>(seen: v128): bool {
  if (sizeof<T>() == 1) return v128.any_true(i16x8.ge_u(seen, i16x8.splat(0x7fff)));
  const exponents = i32x4.splat(0x7f800000);
  return v128.any_true(i32x4.eq(v128.and(seen, exponents), exponents));
}

@inline
function splatCode<T>(code: i32): v128 {
  if (sizeof<T>() == 1) return i8x16.splat(<i8>code);
  if (sizeof<T>() == 2) return i16x8.splat(<i16>code);
  return i32x4.splat(code);
}

/** What is subtracted from the bits of t + MAGIC to give the code plus its bias. */
@inline
function shiftOf<R>(zeroPoint: f32, codeBias: i32): i32 {
  return MAGIC_BITS - codeBias - (addsFirst<R>() ? 0 : <i32>zeroPoint);
}

@inline
function lowOf<R>(zeroPoint: f32, quantMin: i32): f32 {
  return <f32>quantMin - (addsFirst<R>() ? 0 : zeroPoint);
}

/** One code; NaN gives the code of `low`, to be put right by the caller. */
@inline
function code1(t: f32, low: f32, shift: i32, high: i32, codeBias: i32): i32 {
  const raised: f32 = t > low ? t : low;
  return min(reinterpret<i32>(raised + MAGIC) - shift, high) - codeBias;
}

function quantizeRow<T, R>(
  src: usize, dst: usize, count: i32, scale: f32, zeroPoint: f32, quantMin: i32, quantMax: i32, nan: i32, codeBias: i32,
): void {
  const factor = factorOf<R>(scale);
  const lowest = lowOf<R>(zeroPoint, quantMin);
  const offset = shiftOf<R>(zeroPoint, codeBias);
  const highest = quantMax + codeBias;
  const m = hold(splatFor<R>(factor), 0);
  const z = hold(splatFor<R>(zeroPoint), 1);
  const low = hold(f32x4.splat(lowest), 2);
  const shift = hold(i32x4.splat(offset), 3);
  const magic = hold(f32x4.splat(MAGIC), 4);
  const high = hold(splatCode<T>(highest), 5);
  const flip = hold(splatCode<T>(codeBias), 6);
  let seen = i32x4.splat(0);
  let s = src;
  let d = dst;
  const end = src + (<usize>count << 2);
  const end32 = src + (<usize>(count & ~31) << 2);
  while (s < end32) {
    const u0 = raise(steps<R>(v128.load(s), m, z), low, magic);
    const u1 = raise(steps<R>(v128.load(s, 16), m, z), low, magic);
    const u2 = raise(steps<R>(v128.load(s, 32), m, z), low, magic);
    const u3 = raise(steps<R>(v128.load(s, 48), m, z), low, magic);
    seen = merge<T>(seen, emit16<T>(d, u0, u1, u2, u3, shift, shift, shift, shift, high, flip));
    const u4 = raise(steps<R>(v128.load(s, 64), m, z), low, magic);
    const u5 = raise(steps<R>(v128.load(s, 80), m, z), low, magic);
    const u6 = raise(steps<R>(v128.load(s, 96), m, z), low, magic);
    const u7 = raise(steps<R>(v128.load(s, 112), m, z), low, magic);
    seen = merge<T>(
      seen, emit16<T>(d + 16 * sizeof<T>(), u4, u5, u6, u7, shift, shift, shift, shift, high, flip),
    );
    s += 128;
    d += 32 * sizeof<T>();
  }
  for (; s + 16 <= end; s += 16) {
    const u = raise(steps<R>(v128.load(s), m, z), low, magic);
    seen = merge<T>(seen, emit4<T>(d, u, shift, high, flip));
    d += 4 * sizeof<T>();
  }
  const nanAs = <i32>nanCode(nan, zeroPoint, quantMin, quantMax);
  for (; s < end; s += 4) {
    const t = step<R>(load<f32>(s), factor, zeroPoint);
    store<T>(d, <T>(t != t ? nanAs : code1(t, lowest, offset, highest, codeBias)));
    d += sizeof<T>();
  }
  if (mayHaveNan<T>(seen)) {
    for (s = src, d = dst; s < end; s += 4, d += sizeof<T>()) {
      if (s + 16 <= end) {
        const four = steps<R>(v128.load(s), m, z);
        if (!v128.any_true(f32x4.ne(four, four))) {
          s += 12;
          d += 3 * sizeof<T>();
          continue;
        }
      }
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

/** Fills the tables of the columns from SCALES and ZERO_POINTS, up to three entries more. */
function prepareColumns<R>(cols: i32, quantMin: i32, quantMax: i32, nan: i32, codeBias: i32): void {
  const codesAreShifted = !addsFirst<R>();
  for (let j: usize = 0; j < <usize>cols << 2; j += 16) {
    const zeroPoint = v128.load(ZERO_POINTS + j);
    const added = codesAreShifted ? zeroPoint : f32x4.splat(0);
    v128.store(FACTORS + j, factorsOf<R>(v128.load(SCALES + j)));
    v128.store(LOWS + j, f32x4.sub(f32x4.splat(<f32>quantMin), added));
    v128.store(SHIFTS + j, i32x4.sub(i32x4.splat(MAGIC_BITS - codeBias), i32x4.trunc_sat_f32x4_s(added)));
    v128.store(NANS + j, i32x4.trunc_sat_f32x4_s(nanCodes(nan, zeroPoint, quantMin, quantMax)));
  }
}

@inline
function raiseColumns<R>(x: usize, j: usize, magic: v128): v128 {
  const t = stepsByColumn<R>(v128.load(x), v128.load(FACTORS + j), v128.load(ZERO_POINTS + j));
  return raise(t, v128.load(LOWS + j), magic);
}

function quantizeColumns<T, R>(src: usize, dst: usize, rows: i32, cols: i32, quantMax: i32, codeBias: i32): void {
  const magic = hold(f32x4.splat(MAGIC), 0);
  const high = hold(splatCode<T>(quantMax + codeBias), 1);
  const flip = hold(splatCode<T>(codeBias), 2);
  const end = <usize>cols << 2;
  const end16 = <usize>(cols & ~15) << 2;
  for (let row = 0; row < rows; row++) {
    let seen = i32x4.splat(0);
    let d = dst;
    let j: usize = 0;
    for (; j < end16; j += 64) {
      const u0 = raiseColumns<R>(src + j, j, magic);
      const u1 = raiseColumns<R>(src + j + 16, j + 16, magic);
      const u2 = raiseColumns<R>(src + j + 32, j + 32, magic);
      const u3 = raiseColumns<R>(src + j + 48, j + 48, magic);
      const h = SHIFTS + j;
      seen = merge<T>(seen, emit16<T>(
        d, u0, u1, u2, u3, v128.load(h), v128.load(h, 16), v128.load(h, 32), v128.load(h, 48), high, flip,
      ));
      d += 16 * sizeof<T>();
    }
    for (; j + 16 <= end; j += 16) {
      const u = raiseColumns<R>(src + j, j, magic);
      seen = merge<T>(seen, emit4<T>(d, u, v128.load(SHIFTS + j), high, flip));
      d += 4 * sizeof<T>();
    }
    for (; j < end; j += 4) {
      const t = step<R>(load<f32>(src + j), load<f32>(FACTORS + j), load<f32>(ZERO_POINTS + j));
      const code = code1(t, load<f32>(LOWS + j), load<i32>(SHIFTS + j), quantMax + codeBias, codeBias);
      store<T>(d, <T>(t != t ? load<i32>(NANS + j) : code));
      d += sizeof<T>();
    }
    if (mayHaveNan<T>(seen)) {
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
 * A code has `bytes` bytes; `codeBias` is 128 or 32768 for signed codes of 8 or 16 bits, else 0.
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
