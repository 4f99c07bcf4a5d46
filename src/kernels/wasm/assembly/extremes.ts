/**
 * Minimum and maximum; NaN anywhere gives NaN for both. pmin and pmax are one instruction each, min and max seven
 * (11.5 → 39 GB/s); they pass over NaN, which a separate comparison finds.
 */
import { EXTREMES, MAXS, MINS } from './memory';

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

/** Writes the minimum and the maximum of `count` values to EXTREMES; Infinity and -Infinity for none. */
export function extremes(src: usize, count: i32): void {
  const end = src + (<usize>count << 2);
  const end16 = src + (<usize>(count & ~15) << 2);
  let min0 = f32x4.splat(Infinity);
  let max0 = f32x4.splat(-Infinity);
  let min1 = min0;
  let max1 = max0;
  let min2 = min0;
  let max2 = max0;
  let min3 = min0;
  let max3 = max0;
  let nan = f32x4.splat(0);
  for (; src < end16; src += 64) {
    const a = v128.load(src);
    const b = v128.load(src, 16);
    const c = v128.load(src, 32);
    const d = v128.load(src, 48);
    min0 = f32x4.pmin(min0, a);
    max0 = f32x4.pmax(max0, a);
    min1 = f32x4.pmin(min1, b);
    max1 = f32x4.pmax(max1, b);
    min2 = f32x4.pmin(min2, c);
    max2 = f32x4.pmax(max2, c);
    min3 = f32x4.pmin(min3, d);
    max3 = f32x4.pmax(max3, d);
    nan = v128.or(
      nan,
      v128.or(v128.or(f32x4.ne(a, a), f32x4.ne(b, b)), v128.or(f32x4.ne(c, c), f32x4.ne(d, d))),
    );
  }
  for (; src < end; src += 4) {
    const a = v128.load32_splat(src);
    min0 = f32x4.pmin(min0, a);
    max0 = f32x4.pmax(max0, a);
    nan = v128.or(nan, f32x4.ne(a, a));
  }
  const found = v128.any_true(nan);
  const low = horizontalMin(f32x4.pmin(f32x4.pmin(min0, min1), f32x4.pmin(min2, min3)));
  const high = horizontalMax(f32x4.pmax(f32x4.pmax(max0, max1), f32x4.pmax(max2, max3)));
  store<f32>(EXTREMES, found ? NaN : low);
  store<f32>(EXTREMES, found ? NaN : high, 4);
}

/** Takes one more value into an entry that may be NaN already. */
@inline
function include(entry: usize, low: f32, high: f32): void {
  const min = load<f32>(MINS + entry);
  const max = load<f32>(MAXS + entry);
  if (low != low || low < min) store<f32>(MINS + entry, low);
  if (high != high || high > max) store<f32>(MAXS + entry, high);
}

/** Takes `rows` runs of `cols` values into the entries first, first + 1, ... of `params` (wrapping around). */
export function extremesByRow(src: usize, rows: i32, cols: i32, first: i32, params: i32): void {
  let param = first;
  for (let row = 0; row < rows; row++) {
    extremes(src, cols);
    include(<usize>param << 2, load<f32>(EXTREMES), load<f32>(EXTREMES, 4));
    src += <usize>cols << 2;
    if (++param == params) param = 0;
  }
}

/** Takes `rows` runs into one entry a column, the first `cols` ≤ MAX_PARAMS of the tables. */
export function extremesByColumn(src: usize, rows: i32, cols: i32): void {
  const end = <usize>cols << 2;
  for (let row = 0; row < rows; row++, src += end) {
    let nan = f32x4.splat(0);
    let j: usize = 0;
    for (; j + 16 <= end; j += 16) {
      const v = v128.load(src + j);
      // The entry stands first, so that a NaN entry stays and a NaN value is passed over.
      v128.store(MINS + j, f32x4.pmin(v128.load(MINS + j), v));
      v128.store(MAXS + j, f32x4.pmax(v128.load(MAXS + j), v));
      nan = v128.or(nan, f32x4.ne(v, v));
    }
    for (; j < end; j += 4) include(j, load<f32>(src + j), load<f32>(src + j));
    if (v128.any_true(nan)) {
      for (j = 0; j < end; j += 4) include(j, load<f32>(src + j), load<f32>(src + j));
    }
  }
}
