/**
 * x → (code - zp)·scale, and the mask of what was in range. Per element: t = steps(x); r = t clamped to [low, high] and
 * rounded; value = (r - offset)·scale, where low, high and offset are in the units of t: codes for the rules that add
 * the zero point first, codes - zp (offset 0) for the others.
 *
 * NaN passes through to `dst`, is found by an OR of all r + MAGIC of the run (only NaN has all bits of an exponent), and
 * put right there in a second pass: comparing and selecting each vector costs four instructions more (16 → 23 GB/s).
 * Scales that are not finite give NaN for other values, too, so these runs go value by value.
 */
import {
  addsFirst,
  DivideRoundAdd,
  factorOf,
  factorsOf,
  FusedAddRound,
  hold,
  MAGIC,
  MultiplyAddRound,
  MultiplyRoundAdd,
  nanCode,
  nanCodes,
  splatFor,
  step,
  steps,
  stepsByColumn,
} from './common';
import { FACTORS, HIGHS, LOWS, NANS, SCALES, ZERO_POINTS } from './memory';

/** Types that stand for `mask given?`, as in common.ts. */
type NoMask = i8;
type WithMask = i16;

/** t held in [low, high], plus MAGIC; NaN stays NaN. */
@inline
function raise(t: v128, low: v128, high: v128, magic: v128): v128 {
  return f32x4.add(f32x4.pmin(f32x4.pmax(t, low), high), magic);
}

/** The value of t + MAGIC. The rounded t is never -0. */
@inline
function valueOf<R>(u: v128, magic: v128, zeroPoint: v128, scale: v128): v128 {
  const r = f32x4.sub(u, magic);
  return f32x4.mul(addsFirst<R>() ? f32x4.sub(r, zeroPoint) : r, scale);
}

/** True if one of the vectors that were ORed held NaN; t + MAGIC of bounded t never sets all bits of the exponent. */
@inline
function hasNan(seen: v128): bool {
  const exponents = i32x4.splat(0x7f800000);
  return v128.any_true(i32x4.eq(v128.and(seen, exponents), exponents));
}

@inline
function isFinite(x: f32): bool {
  return abs(x) < Infinity;
}

/** True where the rounded t lies in [low, high]; false for NaN. Rounding needs t bounded, one step beyond the range will do. */
@inline
function inside(t: v128, low: v128, high: v128, magic: v128, one: v128): v128 {
  const bounded = f32x4.pmin(f32x4.add(high, one), f32x4.pmax(f32x4.sub(low, one), t));
  const r = f32x4.sub(f32x4.add(bounded, magic), magic);
  return v128.and(f32x4.ge(r, low), f32x4.le(r, high));
}

/** Four mask bytes. */
@inline
function storeMask(mask: usize, inside: v128, ones: v128): void {
  const words = i16x8.narrow_i32x4_s(inside, inside);
  v128.store32_lane(mask, v128.and(i8x16.narrow_i16x8_s(words, words), ones), 0);
}

/** One value, and its mask byte where M asks for it. */
@inline
function fake1<R, M>(
  dst: usize, mask: usize, t: f32, low: f32, high: f32, nan: f32, zeroPoint: f32, scale: f32,
): void {
  if (sizeof<M>() == sizeof<WithMask>()) {
    const bounded = min(max(t, low - 1), high + 1);
    const near: f32 = bounded + MAGIC - MAGIC;
    store<u8>(mask, near >= low && near <= high ? 1 : 0);
  }
  const r: f32 = (t != t ? nan : min(max(t, low), high)) + MAGIC - MAGIC;
  store<f32>(dst, (addsFirst<R>() ? r - zeroPoint : r) * scale);
}

/** A code in the units of t. */
@inline
function stepOf<R>(code: f32, zeroPoint: f32): f32 {
  return code - (addsFirst<R>() ? 0 : zeroPoint);
}

function fakeRow<R, M>(
  src: usize, dst: usize, mask: usize, count: i32, scale: f32, zeroPoint: f32, quantMin: i32, quantMax: i32, nan: i32,
): void {
  const factor = factorOf<R>(scale);
  const lowest = stepOf<R>(<f32>quantMin, zeroPoint);
  const highest = stepOf<R>(<f32>quantMax, zeroPoint);
  const nanAs = stepOf<R>(nanCode(nan, zeroPoint, quantMin, quantMax), zeroPoint);
  const m = hold(splatFor<R>(factor), 0);
  const z = hold(splatFor<R>(zeroPoint), 1);
  const low = hold(f32x4.splat(lowest), 2);
  const high = hold(f32x4.splat(highest), 3);
  const magic = hold(f32x4.splat(MAGIC), 4);
  const s = hold(f32x4.splat(scale), 5);
  const offset = hold(f32x4.splat(zeroPoint), 6);
  const one = hold(f32x4.splat(1), 7);
  const ones = hold(i8x16.splat(1), 8);
  let seen = i32x4.splat(0);
  const first = dst;
  const end = src + (<usize>count << 2);
  if (isFinite(scale)) {
    if (sizeof<M>() == sizeof<NoMask>()) {
      const end16 = src + (<usize>(count & ~15) << 2);
      for (; src < end16; src += 64, dst += 64) {
        const a = raise(steps<R>(v128.load(src), m, z), low, high, magic);
        const b = raise(steps<R>(v128.load(src, 16), m, z), low, high, magic);
        const c = raise(steps<R>(v128.load(src, 32), m, z), low, high, magic);
        const d = raise(steps<R>(v128.load(src, 48), m, z), low, high, magic);
        seen = v128.or(seen, v128.or(v128.or(a, b), v128.or(c, d)));
        v128.store(dst, valueOf<R>(a, magic, offset, s));
        v128.store(dst, valueOf<R>(b, magic, offset, s), 16);
        v128.store(dst, valueOf<R>(c, magic, offset, s), 32);
        v128.store(dst, valueOf<R>(d, magic, offset, s), 48);
      }
    }
    for (; src + 16 <= end; src += 16, dst += 16) {
      const t = steps<R>(v128.load(src), m, z);
      if (sizeof<M>() == sizeof<WithMask>()) {
        storeMask(mask, inside(t, low, high, magic, one), ones);
        mask += 4;
      }
      const u = raise(t, low, high, magic);
      seen = v128.or(seen, u);
      v128.store(dst, valueOf<R>(u, magic, offset, s));
    }
  }
  if (hasNan(seen)) replaceNan(first, dst, addsFirst<R>() ? (nanAs - zeroPoint) * scale : nanAs * scale);
  for (; src < end; src += 4, dst += 4, mask++) {
    const t = step<R>(load<f32>(src), factor, zeroPoint);
    fake1<R, M>(dst, mask, t, lowest, highest, nanAs, zeroPoint, scale);
  }
}

function replaceNan(from: usize, end: usize, value: f32): void {
  for (; from < end; from += 4) {
    const old = load<f32>(from);
    if (old != old) store<f32>(from, value);
  }
}

function fakeRows<R, M>(
  src: usize, dst: usize, mask: usize, rows: i32, cols: i32, first: i32, params: i32,
  quantMin: i32, quantMax: i32, nan: i32,
): void {
  let param = first;
  for (let row = 0; row < rows; row++) {
    const entry = <usize>param << 2;
    const scale = load<f32>(SCALES + entry);
    fakeRow<R, M>(src, dst, mask, cols, scale, load<f32>(ZERO_POINTS + entry), quantMin, quantMax, nan);
    src += <usize>cols << 2;
    dst += <usize>cols << 2;
    mask += <usize>cols;
    if (++param == params) param = 0;
  }
}

/** True if all scales of the prepared columns (and of up to three entries behind them) are finite. */
let allFinite: bool = true;

function prepareColumns<R>(cols: i32, quantMin: i32, quantMax: i32, nan: i32): void {
  let finite = i32x4.splat(-1);
  for (let j: usize = 0; j < <usize>cols << 2; j += 16) {
    const zeroPoint = v128.load(ZERO_POINTS + j);
    const scale = v128.load(SCALES + j);
    const added = addsFirst<R>() ? f32x4.splat(0) : zeroPoint;
    finite = v128.and(finite, f32x4.lt(f32x4.abs(scale), f32x4.splat(Infinity)));
    v128.store(FACTORS + j, factorsOf<R>(scale));
    v128.store(LOWS + j, f32x4.sub(f32x4.splat(<f32>quantMin), added));
    v128.store(HIGHS + j, f32x4.sub(f32x4.splat(<f32>quantMax), added));
    v128.store(NANS + j, f32x4.sub(nanCodes(nan, zeroPoint, quantMin, quantMax), added));
  }
  allFinite = i32x4.all_true(finite);
}

function fakeColumns<R, M>(src: usize, dst: usize, mask: usize, rows: i32, cols: i32): void {
  const magic = hold(f32x4.splat(MAGIC), 0);
  const one = hold(f32x4.splat(1), 1);
  const ones = hold(i8x16.splat(1), 2);
  const end = <usize>cols << 2;
  for (let row = 0; row < rows; row++) {
    let seen = i32x4.splat(0);
    let j: usize = 0;
    for (; allFinite && j + 16 <= end; j += 16) {
      const zeroPoint = v128.load(ZERO_POINTS + j);
      const t = stepsByColumn<R>(v128.load(src + j), v128.load(FACTORS + j), zeroPoint);
      const low = v128.load(LOWS + j);
      const high = v128.load(HIGHS + j);
      if (sizeof<M>() == sizeof<WithMask>()) storeMask(mask + (j >> 2), inside(t, low, high, magic, one), ones);
      const u = raise(t, low, high, magic);
      seen = v128.or(seen, u);
      v128.store(dst + j, valueOf<R>(u, magic, zeroPoint, v128.load(SCALES + j)));
    }
    if (hasNan(seen)) {
      for (let k: usize = 0; k < j; k += 4) {
        const old = load<f32>(dst + k);
        const nan: f32 = load<f32>(NANS + k) - (addsFirst<R>() ? load<f32>(ZERO_POINTS + k) : 0);
        if (old != old) store<f32>(dst + k, nan * load<f32>(SCALES + k));
      }
    }
    for (; j < end; j += 4) {
      const zeroPoint = load<f32>(ZERO_POINTS + j);
      const t = step<R>(load<f32>(src + j), load<f32>(FACTORS + j), zeroPoint);
      fake1<R, M>(
        dst + j, mask + (j >> 2), t, load<f32>(LOWS + j), load<f32>(HIGHS + j), load<f32>(NANS + j), zeroPoint,
        load<f32>(SCALES + j),
      );
    }
    src += end;
    dst += end;
    mask += <usize>cols;
  }
}

function byRow<R>(
  src: usize, dst: usize, mask: usize, rows: i32, cols: i32, first: i32, params: i32, low: i32, high: i32, nan: i32,
): void {
  if (mask == 0) fakeRows<R, NoMask>(src, dst, mask, rows, cols, first, params, low, high, nan);
  else fakeRows<R, WithMask>(src, dst, mask, rows, cols, first, params, low, high, nan);
}

function byColumn<R>(src: usize, dst: usize, mask: usize, rows: i32, cols: i32): void {
  if (mask == 0) fakeColumns<R, NoMask>(src, dst, mask, rows, cols);
  else fakeColumns<R, WithMask>(src, dst, mask, rows, cols);
}

/**
 * Fake-quantizes `rows` runs of `cols` values with the parameters first, first + 1, ... of `params` (wrapping around).
 * `mask` 0: none. dst may be src. |low|, |high| and |zeroPoint| ≤ 2^20, low ≤ high.
 */
export function fakeQuantizeByRow(
  rule: i32, src: usize, dst: usize, mask: usize, rows: i32, cols: i32, first: i32, params: i32,
  low: i32, high: i32, nan: i32,
): void {
  if (rule == 0) byRow<MultiplyRoundAdd>(src, dst, mask, rows, cols, first, params, low, high, nan);
  else if (rule == 1) byRow<DivideRoundAdd>(src, dst, mask, rows, cols, first, params, low, high, nan);
  else if (rule == 2) byRow<MultiplyAddRound>(src, dst, mask, rows, cols, first, params, low, high, nan);
  else byRow<FusedAddRound>(src, dst, mask, rows, cols, first, params, low, high, nan);
}

/** Makes the tables of {@link fakeQuantizeByColumn} from the first `cols` ≤ MAX_PARAMS scales and zero points. */
export function prepareFakeQuantize(rule: i32, cols: i32, low: i32, high: i32, nan: i32): void {
  if (rule == 0) prepareColumns<MultiplyRoundAdd>(cols, low, high, nan);
  else if (rule == 1) prepareColumns<DivideRoundAdd>(cols, low, high, nan);
  else if (rule == 2) prepareColumns<MultiplyAddRound>(cols, low, high, nan);
  else prepareColumns<FusedAddRound>(cols, low, high, nan);
}

/** The same with one parameter a column. */
export function fakeQuantizeByColumn(rule: i32, src: usize, dst: usize, mask: usize, rows: i32, cols: i32): void {
  if (rule == 0) byColumn<MultiplyRoundAdd>(src, dst, mask, rows, cols);
  else if (rule == 1) byColumn<DivideRoundAdd>(src, dst, mask, rows, cols);
  else if (rule == 2) byColumn<MultiplyAddRound>(src, dst, mask, rows, cols);
  else byColumn<FusedAddRound>(src, dst, mask, rows, cols);
}
