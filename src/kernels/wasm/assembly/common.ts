/** What every kernel shares: loop constants, rounding, the rules' formulas. */
import { HELD } from './memory';

/** 1.5·2^23: t + MAGIC rounds t half to even for |t| < 2^22 and leaves the integer in the low mantissa bits. */
export const MAGIC: f32 = 12582912.0;
export const MAGIC_BITS: i32 = 0x4b400000;

/**
 * The rules of `Rounding` (../../types.ts), in the order of the numbers that the host passes. A rule is a type, told
 * by its size, because asc makes an instance a type: constant arguments leave the rule's branches in the loop.
 */
export type MultiplyRoundAdd = i8;
export type DivideRoundAdd = i16;
export type MultiplyAddRound = i32;
export type FusedAddRound = i64;

/**
 * A loop constant, through memory: V8's TurboFan sinks splats and v128.const into the loop, where they cost an
 * instruction an iteration, but never moves a load (measured with 2x unrolling: quantize 22.6 → 31.4 GB/s).
 */
@inline
export function hold(v: v128, slot: usize): v128 {
  v128.store(HELD + slot * 16, v);
  return v128.load(HELD + slot * 16);
}

/** True for the rules that add the zero point before rounding. */
@inline
export function addsFirst<R>(): bool {
  return sizeof<R>() >= sizeof<MultiplyAddRound>();
}

/** What x is multiplied with, or divided by. 1 / scale in float32 equals the double quotient rounded to float32. */
@inline
export function factorOf<R>(scale: f32): f32 {
  return sizeof<R>() == sizeof<DivideRoundAdd>() ? scale : 1 / scale;
}

/** The same for four scales. */
@inline
export function factorsOf<R>(scale: v128): v128 {
  return sizeof<R>() == sizeof<DivideRoundAdd>() ? scale : f32x4.div(f32x4.splat(1), scale);
}

/** A factor or zero point as {@link steps} wants it. */
@inline
export function splatFor<R>(value: f32): v128 {
  return sizeof<R>() == sizeof<FusedAddRound>() ? f64x2.splat(<f64>value) : f32x4.splat(value);
}

/** x in steps of the grid, ready to be rounded: x·m, x/m or x·m + z, with m and z from {@link splatFor}. */
@inline
export function steps<R>(x: v128, m: v128, z: v128): v128 {
  return sizeof<R>() == sizeof<FusedAddRound>() ? fused(x, m, m, z, z) : unfused<R>(x, m, z);
}

/** The same with four float32 factors and zero points. */
@inline
export function stepsByColumn<R>(x: v128, m: v128, z: v128): v128 {
  return sizeof<R>() == sizeof<FusedAddRound>()
    ? fused(x, widen(m), widen(upper(m)), widen(z), widen(upper(z)))
    : unfused<R>(x, m, z);
}

/** The same for one value. */
@inline
export function step<R>(x: f32, m: f32, z: f32): f32 {
  if (sizeof<R>() == sizeof<DivideRoundAdd>()) return x / m;
  if (sizeof<R>() == sizeof<MultiplyAddRound>()) return x * m + z;
  if (sizeof<R>() == sizeof<FusedAddRound>()) return <f32>(<f64>x * <f64>m + <f64>z);
  return x * m;
}

@inline
function unfused<R>(x: v128, m: v128, z: v128): v128 {
  if (sizeof<R>() == sizeof<DivideRoundAdd>()) return f32x4.div(x, m);
  if (sizeof<R>() == sizeof<MultiplyAddRound>()) return f32x4.add(f32x4.mul(x, m), z);
  return f32x4.mul(x, m);
}

/**
 * f32(x·m + z) with one rounding, as the reference has it: the product is exact in float64. (A float32 path that goes
 * this way only near ties gained 18 %, not worth its code.)
 */
@inline
function fused(x: v128, mLow: v128, mHigh: v128, zLow: v128, zHigh: v128): v128 {
  const low = f64x2.add(f64x2.mul(widen(x), mLow), zLow);
  const high = f64x2.add(f64x2.mul(widen(upper(x)), mHigh), zHigh);
  return i64x2.shuffle(f32x4.demote_f64x2_zero(low), f32x4.demote_f64x2_zero(high), 0, 2);
}

@inline
function widen(v: v128): v128 {
  return f64x2.promote_low_f32x4(v);
}

@inline
function upper(v: v128): v128 {
  return i64x2.shuffle(v, v, 1, 1);
}

/** The values of `CodeRule.nan`. */
const NAN_ZERO_POINT: i32 = 0;
const NAN_QUANT_MIN: i32 = 1;
const NAN_QUANT_MAX: i32 = 2;

/** The code of NaN, as an integer in float32, for four parameters. */
@inline
export function nanCodes(kind: i32, zeroPoint: v128, quantMin: i32, quantMax: i32): v128 {
  const low = f32x4.splat(<f32>quantMin);
  const high = f32x4.splat(<f32>quantMax);
  if (kind == NAN_QUANT_MIN) return low;
  if (kind == NAN_QUANT_MAX) return high;
  const code = kind == NAN_ZERO_POINT ? f32x4.nearest(zeroPoint) : f32x4.splat(0);
  return f32x4.pmax(low, f32x4.pmin(high, code));
}

/** The same for one. */
export function nanCode(kind: i32, zeroPoint: f32, quantMin: i32, quantMax: i32): f32 {
  return f32x4.extract_lane(nanCodes(kind, f32x4.splat(zeroPoint), quantMin, quantMax), 0);
}
