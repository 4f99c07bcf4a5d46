/**
 * How one-op models are written down, a row a model:
 *
 *   ['Gemm', 'T[3,4] T[4,5]! T[5]!', { attributes: { alpha: 0.5 } }]
 *
 * An input is `type[shape]`: `T` stands for each of `types` in turn. `!` makes it a constant, `+` makes its values positive,
 * `=1,2` makes it a constant of these values, `_` leaves it out.
 */
import type { AttributeInput, ElementType, GraphBuilder, Value } from 'zeropoint/onnx';

export interface RowOptions {
  readonly attributes?: Readonly<Record<string, AttributeInput>>;
  /** What `T` stands for; default {@link FLOATS}. */
  readonly types?: readonly ElementType[];
  /** First version of the operator that is written so. */
  readonly from?: number;
  /** First version that is not. */
  readonly below?: number;
  /** Type of each output, where it is not T; `T` stands for T, '' for no output. */
  readonly outputs?: readonly (ElementType | 'T' | '')[];
  /** Values are not to be compared: they are drawn at random, or left open by the operator. */
  readonly random?: boolean;
  /** Adds attributes that are graphs. */
  readonly bodies?: (
    builder: GraphBuilder,
    inputs: readonly Value[],
  ) => Readonly<Record<string, AttributeInput>>;
}

export type Row = readonly [op: string, inputs: string, options?: RowOptions];

export const FLOATS: readonly ElementType[] = ['float32', 'float16'];
/** For the operators that most of a net is made of: bfloat16, and float64, which exporters leave behind. */
export const ALL_FLOATS: readonly ElementType[] = [...FLOATS, 'bfloat16', 'float64'];
export const NUMBERS: readonly ElementType[] = [...FLOATS, 'int64', 'int32'];
/** For what moves data. */
export const ALL: readonly ElementType[] = [...NUMBERS, 'bool', 'int8', 'uint8'];
export const CODES: readonly ElementType[] = ['uint8', 'int8'];

/** The same inputs and options for several operators. */
export function each(ops: string, inputs: string, options?: RowOptions): readonly Row[] {
  return ops.split(' ').map((op) => [op, inputs, options] as const);
}
