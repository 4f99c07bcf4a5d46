/**
 * What the SIMD kernels take; the rest goes to the reference, which gives the same bits, slowly:
 *
 * | kernel                    | goes to the reference                                                            |
 * |---------------------------|----------------------------------------------------------------------------------|
 * | quantize, fakeQuantize    | quantMin, quantMax or a zero point not within ±2^20; quantMin > quantMax; a      |
 * |                           | range that the code array cannot hold; a finite wrapAt; zero points that are no  |
 * |                           | integers with a rule that adds them after rounding                               |
 * | dequantize, fakeQuantize  | float64 scales that float32 cannot hold                                          |
 * | dequantize                | zero points not within ±2^20                                                     |
 * | all of these, minMaxByParam | by-column layouts where neither of `cols` and `params` divides the other       |
 * | histogram                 | more than 16384 bins; hi - lo beyond float32                                     |
 * | quantizeBlocks, dequantizeBlocks, quantizeByThresholds | block sizes that are no multiple of 16, or above 4096                     |
 * | quantizeBlocksByColumn    | block sizes that are no multiple of 32, or above 256                             |
 */
import type { CodeArray, CodeRule, Grid, Layout } from '../types.ts';
import { canTraverse } from './traverse.ts';

/** float32 holds codes and zero points up to here exactly, with room for their differences below MAGIC's 2^22. */
const LIMIT = 2 ** 20;

interface CodeType {
  readonly bytes: 1 | 2 | 4;
  /** What makes signed codes unsigned; 32-bit codes stay as they are. */
  readonly bias: number;
  readonly range: readonly [min: number, max: number];
}

const INT8: CodeType = { bytes: 1, bias: 128, range: [-128, 127] };
const UINT8: CodeType = { bytes: 1, bias: 0, range: [0, 255] };
const INT16: CodeType = { bytes: 2, bias: 32768, range: [-32768, 32767] };
const UINT16: CodeType = { bytes: 2, bias: 0, range: [0, 65535] };
const INT32: CodeType = { bytes: 4, bias: 0, range: [-LIMIT, LIMIT] };

export function codeTypeOf(codes: CodeArray): CodeType {
  if (codes instanceof Int8Array) return INT8;
  if (codes instanceof Uint8Array) return UINT8;
  if (codes instanceof Int16Array) return INT16;
  return codes instanceof Uint16Array ? UINT16 : INT32;
}

export function coversQuantize(out: CodeArray, grid: Grid, layout: Layout, rule: CodeRule): boolean {
  const [min, max] = codeTypeOf(out).range;
  return grid.quantMin >= min && grid.quantMax <= max && coversCodes(grid, layout, rule);
}

export function coversFakeQuantize(grid: Grid, layout: Layout, rule: CodeRule): boolean {
  return coversCodes(grid, layout, rule) && hasFloat32Scales(grid);
}

export function coversDequantize(codes: CodeArray, grid: Grid, layout: Layout): boolean {
  // Differences of 32-bit codes may need more than float32 has, so that their float64 product is another one.
  const exact = !(codes instanceof Int32Array && grid.scales instanceof Float64Array);
  return exact && canTraverse(layout) && hasZeroPoints(grid, false) && hasFloat32Scales(grid);
}

function coversCodes(grid: Grid, layout: Layout, rule: CodeRule): boolean {
  const { quantMin, quantMax } = grid;
  const addsLast = rule.rounding === 'multiply-round-add' || rule.rounding === 'divide-round-add';
  return (
    Number.isInteger(quantMin) &&
    Number.isInteger(quantMax) &&
    quantMin >= -LIMIT &&
    quantMin <= quantMax &&
    quantMax <= LIMIT &&
    rule.wrapAt === Infinity &&
    canTraverse(layout) &&
    hasZeroPoints(grid, addsLast)
  );
}

function hasZeroPoints({ zeroPoints }: Grid, integers: boolean): boolean {
  const fractions = integers && zeroPoints instanceof Float32Array;
  for (let i = 0; i < zeroPoints.length; i++) {
    const zeroPoint = zeroPoints[i];
    if (!(zeroPoint >= -LIMIT && zeroPoint <= LIMIT)) return false;
    if (fractions && zeroPoint !== Math.trunc(zeroPoint)) return false;
  }
  return true;
}

function hasFloat32Scales({ scales }: Grid): boolean {
  if (scales instanceof Float32Array) return true;
  for (let i = 0; i < scales.length; i++) {
    if (!Object.is(Math.fround(scales[i]), scales[i])) return false;
  }
  return true;
}
