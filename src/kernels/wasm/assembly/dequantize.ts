/** (code - zp)·scale, float32 at each step. Codes of 8 and 16 bits are exact in float32; 32-bit ones go through float64. */
import { hold } from './common';
import { SCALES, ZERO_POINTS } from './memory';

/** Eight codes widened to 16 bits (unsigned ones stay below 2^16). */
@inline
function load8<T>(src: usize): v128 {
  if (sizeof<T>() == 2) return v128.load(src);
  return isSigned<T>() ? v128.load8x8_s(src) : v128.load8x8_u(src);
}

/** The first four as float32. 8-bit codes, signed or not, are signed 16-bit numbers. */
@inline
function lowFloats<T>(words: v128): v128 {
  const wide = isSigned<T>() || sizeof<T>() == 1 ? i32x4.extend_low_i16x8_s(words) : i32x4.extend_low_i16x8_u(words);
  return f32x4.convert_i32x4_s(wide);
}

@inline
function highFloats<T>(words: v128): v128 {
  const wide = isSigned<T>() || sizeof<T>() == 1 ? i32x4.extend_high_i16x8_s(words) : i32x4.extend_high_i16x8_u(words);
  return f32x4.convert_i32x4_s(wide);
}

/** Eight values. */
@inline
function values8<T>(src: usize, dst: usize, z: v128, s: v128): void {
  const words = load8<T>(src);
  v128.store(dst, f32x4.mul(f32x4.sub(lowFloats<T>(words), z), s));
  v128.store(dst, f32x4.mul(f32x4.sub(highFloats<T>(words), z), s), 16);
}

/** The same with an integer zero point, taken off in 16 bits: one subtraction for eight values (28 → 33 GB/s). */
@inline
function integerValues8<T>(src: usize, dst: usize, z: v128, s: v128): void {
  const words = i16x8.sub(load8<T>(src), z);
  v128.store(dst, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(words)), s));
  v128.store(dst, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(words)), s), 16);
}

/** True if differences of 8-bit codes and the zero point are 16-bit integers. */
@inline
function isSmallInteger(zeroPoint: f32): bool {
  return abs(zeroPoint) <= 16384 && zeroPoint == trunc(zeroPoint);
}

@inline
function value1<T>(src: usize, zeroPoint: f32, scale: f32): f32 {
  return <f32>(<f64>load<T>(src) - <f64>zeroPoint) * scale;
}

function dequantizeRow<T>(src: usize, dst: usize, count: i32, scale: f32, zeroPoint: f32): void {
  const s = hold(f32x4.splat(scale), 0);
  const z = hold(f32x4.splat(zeroPoint), 1);
  const end = dst + (<usize>count << 2);
  const end16 = dst + (<usize>(count & ~15) << 2);
  if (sizeof<T>() == 1 && isSmallInteger(zeroPoint)) {
    const words = hold(i16x8.splat(<i16>zeroPoint), 2);
    for (; dst < end16; dst += 64, src += 16) {
      integerValues8<T>(src, dst, words, s);
      integerValues8<T>(src + 8, dst + 32, words, s);
    }
  } else if (sizeof<T>() < 4) {
    for (; dst < end16; dst += 64, src += 16 * sizeof<T>()) {
      values8<T>(src, dst, z, s);
      values8<T>(src + 8 * sizeof<T>(), dst + 32, z, s);
    }
  }
  for (; dst < end; dst += 4, src += sizeof<T>()) store<f32>(dst, value1<T>(src, zeroPoint, scale));
}

function rowsOf<T>(src: usize, dst: usize, rows: i32, cols: i32, first: i32, params: i32): void {
  let param = first;
  for (let row = 0; row < rows; row++) {
    const entry = <usize>param << 2;
    dequantizeRow<T>(src, dst, cols, load<f32>(SCALES + entry), load<f32>(ZERO_POINTS + entry));
    src += <usize>cols * sizeof<T>();
    dst += <usize>cols << 2;
    if (++param == params) param = 0;
  }
}

function columnsOf<T>(src: usize, dst: usize, rows: i32, cols: i32): void {
  const end = <usize>cols << 2;
  for (let row = 0; row < rows; row++) {
    let j: usize = 0;
    if (sizeof<T>() < 4) {
      for (; j + 32 <= end; j += 32, src += 8 * sizeof<T>()) {
        const a = load8<T>(src);
        const low = f32x4.sub(lowFloats<T>(a), v128.load(ZERO_POINTS + j));
        const high = f32x4.sub(highFloats<T>(a), v128.load(ZERO_POINTS + j, 16));
        v128.store(dst + j, f32x4.mul(low, v128.load(SCALES + j)));
        v128.store(dst + j, f32x4.mul(high, v128.load(SCALES + j, 16)), 16);
      }
    }
    for (; j < end; j += 4, src += sizeof<T>()) {
      store<f32>(dst + j, value1<T>(src, load<f32>(ZERO_POINTS + j), load<f32>(SCALES + j)));
    }
    dst += end;
  }
}

/**
 * Dequantizes `rows` runs of `cols` codes with the parameters first, first + 1, ... of `params` (wrapping around).
 * `type`: bytes of a code, negative for unsigned ones.
 */
export function dequantizeByRow(
  type: i32, src: usize, dst: usize, rows: i32, cols: i32, first: i32, params: i32,
): void {
  if (type == 1) rowsOf<i8>(src, dst, rows, cols, first, params);
  else if (type == -1) rowsOf<u8>(src, dst, rows, cols, first, params);
  else if (type == 2) rowsOf<i16>(src, dst, rows, cols, first, params);
  else if (type == -2) rowsOf<u16>(src, dst, rows, cols, first, params);
  else rowsOf<i32>(src, dst, rows, cols, first, params);
}

/** The same with one parameter a column, the first `cols` ≤ MAX_PARAMS of the tables. */
export function dequantizeByColumn(type: i32, src: usize, dst: usize, rows: i32, cols: i32): void {
  if (type == 1) columnsOf<i8>(src, dst, rows, cols);
  else if (type == -1) columnsOf<u8>(src, dst, rows, cols);
  else if (type == 2) columnsOf<i16>(src, dst, rows, cols);
  else if (type == -2) columnsOf<u16>(src, dst, rows, cols);
  else columnsOf<i32>(src, dst, rows, cols);
}
