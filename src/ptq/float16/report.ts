/** What a conversion to 16 bits did, as data. */
import type { SkippedNode } from '../../passes/pass.ts';
import type { HalfDType } from './signatures.ts';

/** A constant whose values the narrow type cannot all hold. */
export interface NarrowedConstant {
  readonly name: string;
  readonly elements: number;
  /** Values beyond the rule's greatest magnitude, which they became. */
  readonly clamped: number;
  /** Values other than 0 that are too small: 0 now, or the rule's least magnitude. */
  readonly underflowed: number;
  /** Largest finite magnitude of the float32 values. */
  readonly largest: number;
}

/** What became of a model: how much is narrow now, what stayed in float32 and why, and where values did not fit. */
export interface Float16Report {
  readonly mode: 'float16';
  readonly dtype: HalfDType;
  /** Nodes that compute in the narrow type. */
  readonly converted: number;
  /** Nodes with float32 values that stay in float32, each with the reason. */
  readonly skipped: readonly SkippedNode[];
  /** Cast nodes that were put in, and those of the model that had nothing to do any more. */
  readonly casts: { readonly inserted: number; readonly removed: number };
  /** Constants that became narrow, and their bytes before. */
  readonly constants: { readonly count: number; readonly bytesBefore: number; readonly bytesAfter: number };
  /** Constants whose values did not all fit. */
  readonly outOfRange: readonly NarrowedConstant[];
  /** MatMulNBits whose accuracy level 4 was taken, see `keepIntegerProducts`. */
  readonly integerProductsUnset: number;
  /** What to look at next, in sentences. */
  readonly hints: readonly string[];
  /** Kernel backend that made the bits: 'wasm' or 'reference'. */
  readonly backend: string;
}
