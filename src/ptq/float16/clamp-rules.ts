/**
 * float32 values to 16 bits. Rounding is to nearest, ties to even; a clamp rule says what becomes of values that the type
 * cannot hold:
 *
 *   y = x                                    if x is 0, ±Inf or NaN
 *   y = sign(x) · max(|x|, least)  rounded   if |x| ≤ greatest
 *   y = sign(x) · greatest                   else
 */
import { clampMagnitude } from '../../kernels/reference-weights.ts';
import { weightKernels } from '../../kernels/weight-kernels.ts';
import type { MagnitudeRange } from '../../kernels/types.ts';
import { bfloat16Bits } from '../../tensor/float16.ts';
import type { HalfDType } from './signatures.ts';

/**
 * Magnitudes that finite values other than 0 are clamped to. `least` 0: small values round to 0 or a subnormal as they are;
 * `greatest` Infinity: large values become ±Inf, as plain rounding makes them.
 */
export type ClampRange = MagnitudeRange;

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

/** The smallest float32 that does not round to 0: above half the smallest subnormal. */
const LEAST_NONZERO = {
  float16: 2 ** -25 + 2 ** -48,
  bfloat16: 2 ** -134 + 2 ** -149,
} as const satisfies Record<HalfDType, number>;

/** Counts what does not fit into `dtype` by `range`; `scan` counts on. */
export function scanValues(
  x: Float32Array,
  dtype: HalfDType,
  { greatest }: ClampRange,
  scan: RangeScan,
): void {
  const found = weightKernels().countMagnitudes(x, { least: LEAST_NONZERO[dtype], greatest });
  scan.underflowed += found.below;
  scan.clamped += found.above;
  scan.largest = Math.max(scan.largest, found.largest);
}

/** Writes the 16-bit patterns of `x`. */
export function narrowValues(x: Float32Array, bits: Uint16Array, dtype: HalfDType, range: ClampRange): void {
  if (dtype === 'float16') weightKernels().float32ToFloat16(x, bits, range);
  else for (let i = 0; i < x.length; i++) bits[i] = bfloat16Bits(clampMagnitude(x[i], range));
}
