/**
 * float32 values to 16 bits. Rounding is to nearest, ties to even; a clamp rule says what becomes of values that the type
 * cannot hold:
 *
 *   y = x                                    if x is 0, ±Inf or NaN
 *   y = sign(x) · max(|x|, least)  rounded   if |x| ≤ greatest
 *   y = sign(x) · greatest                   else
 */
import { kernels } from '../../kernels/backend.ts';
import { bfloat16Bits } from '../../tensor/float16.ts';
import type { HalfDType } from './signatures.ts';

/** Magnitudes that finite values other than 0 are clamped to. */
export interface ClampRange {
  /** 0: small values round to 0 or a subnormal as they are. */
  readonly least: number;
  /** Infinity: large values become ±Inf, as plain rounding makes them. */
  readonly greatest: number;
}

/**
 * Rules by name, a row a target type.
 * - `saturate`: the default. A mask of -3.4e38 becomes the most negative finite value, as no row of a softmax may be all -Inf.
 * - `round`: IEEE 754 rounding and nothing else.
 * - `onnxruntime`: as its Python converter; no value other than 0 becomes 0.
 * - `transformersjs-3`: as the converter of transformers.js 3; -10000 for masks leaves room for what is added to them.
 */
export const CLAMP_RULES = {
  saturate: { float16: { least: 0, greatest: 65504 }, bfloat16: { least: 0, greatest: 2 ** 128 - 2 ** 120 } },
  round: { float16: { least: 0, greatest: Infinity }, bfloat16: { least: 0, greatest: Infinity } },
  onnxruntime: { float16: { least: 5.96e-8, greatest: 65504 }, bfloat16: undefined },
  'transformersjs-3': { float16: { least: 1e-7, greatest: 1e4 }, bfloat16: undefined },
} as const satisfies Record<string, Readonly<Record<HalfDType, ClampRange | undefined>>>;

/** Name of a rule. */
export type ClampRule = keyof typeof CLAMP_RULES;

/** What narrowing did to the values of one constant. */
export interface RangeScan {
  /** Finite values beyond the rule's greatest magnitude. */
  clamped: number;
  /** Values other than 0 that the type's nearest value is 0 for, before the rule raised them. */
  underflowed: number;
  /** Largest finite magnitude. */
  largest: number;
}

export function emptyScan(): RangeScan {
  return { clamped: 0, underflowed: 0, largest: 0 };
}

/** Half the smallest subnormal: this and what is smaller rounds to 0. */
const ZERO_BELOW = { float16: 2 ** -25, bfloat16: 2 ** -134 } as const satisfies Record<HalfDType, number>;

/** Counts what does not fit into `dtype` by `range`; `scan` counts on. `x` stays as it is. */
export function scanValues(
  x: Float32Array,
  dtype: HalfDType,
  { greatest }: ClampRange,
  scan: RangeScan,
): void {
  const zeroBelow = ZERO_BELOW[dtype];
  let { clamped, underflowed, largest } = scan;
  for (let i = 0; i < x.length; i++) {
    const magnitude = Math.abs(x[i]);
    // Most values; NaN fails this and what follows.
    if (magnitude > zeroBelow && magnitude <= largest) continue;
    if (magnitude <= zeroBelow) underflowed += magnitude === 0 ? 0 : 1;
    else if (magnitude < Infinity) largest = magnitude;
  }
  scan.largest = largest;
  scan.underflowed = underflowed;
  if (largest > greatest) clamped += countBeyond(x, greatest);
  scan.clamped = clamped;
}

function countBeyond(x: Float32Array, greatest: number): number {
  let count = 0;
  for (const value of x) {
    const magnitude = Math.abs(value);
    if (magnitude > greatest && magnitude < Infinity) count++;
  }
  return count;
}

/** The 16-bit patterns of `x`, which is clamped in place. */
export function narrowValues(x: Float32Array, dtype: HalfDType, range: ClampRange): Uint16Array {
  if (range.least > 0 || range.greatest < Infinity) clampInPlace(x, range);
  const bits = new Uint16Array(x.length);
  if (dtype === 'float16') kernels().float32ToFloat16(x, bits);
  else for (let i = 0; i < x.length; i++) bits[i] = bfloat16Bits(x[i]);
  return bits;
}

function clampInPlace(x: Float32Array, { least, greatest }: ClampRange): void {
  for (let i = 0; i < x.length; i++) {
    const value = x[i];
    const magnitude = Math.abs(value);
    if (magnitude >= least && magnitude <= greatest) continue;
    // Left: too small or too large, 0, NaN, infinite.
    if (magnitude > greatest && magnitude < Infinity) x[i] = value < 0 ? -greatest : greatest;
    else if (magnitude > 0 && magnitude < least) x[i] = value < 0 ? -least : least;
  }
}
