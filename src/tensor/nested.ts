/** Nested arrays of numbers, as people write tensors, to flat typed arrays and back. */
import { codeRange, dtypeInfo, type DType, type TensorData } from './dtype.ts';
import { bfloat16Bits, float16Bits } from './float16.ts';
import { packBits, type PackedBits } from './pack.ts';

/** Nested arrays of numbers (or bigints), as deep as the tensor has axes. A bare number is a scalar. */
export type NestedNumbers = number | bigint | readonly NestedNumbers[];

export interface Flattened {
  readonly shape: readonly number[];
  readonly values: readonly (number | bigint)[];
}

/** Elements in row-major order and the shape of the nesting. Throws TypeError on ragged nesting or other values. */
export function flattenNested(nested: NestedNumbers): Flattened {
  const shape: number[] = [];
  const values: (number | bigint)[] = [];
  flatten(nested, 0, shape, values);
  return { shape, values };
}

function flatten(nested: NestedNumbers, depth: number, shape: number[], out: (number | bigint)[]): void {
  if (typeof nested === 'number' || typeof nested === 'bigint') {
    if (depth !== shape.length) throw raggedError(depth);
    out.push(nested);
    return;
  }
  if (!Array.isArray(nested)) throw new TypeError(`tensor: expected numbers, got ${typeof nested}`);
  if (out.length === 0 && depth === shape.length) shape.push(nested.length);
  if (shape[depth] !== nested.length) throw raggedError(depth);
  for (const item of nested) flatten(item, depth + 1, shape, out);
}

function raggedError(depth: number): TypeError {
  return new TypeError(
    `tensor: expected arrays of equal length and depth, got ragged nesting at depth ${depth}`,
  );
}

/** The inverse of {@link flattenNested}; a scalar gives the bare number. */
export function nest(values: ArrayLike<number | bigint>, shape: readonly number[]): NestedNumbers {
  let position = 0;
  const build = (depth: number): NestedNumbers =>
    depth === shape.length
      ? values[position++]
      : Array.from({ length: shape[depth] }, () => build(depth + 1));
  return build(0);
}

/**
 * Values in a dtype's storage: rounded to nearest for floats, 1 for true, packed below 8 bits.
 *
 * @throws RangeError where an integer dtype cannot hold a value exactly: torch wraps or truncates some of these.
 */
export function storeValues(values: readonly (number | bigint)[], dtype: DType): TensorData {
  if (dtype === 'float16') return Uint16Array.from(values, (value) => float16Bits(Number(value)));
  if (dtype === 'bfloat16') return Uint16Array.from(values, (value) => bfloat16Bits(Number(value)));
  const { bits, kind, storage } = dtypeInfo(dtype);
  if (kind === 'bool') return Uint8Array.from(values, (value) => Number(Number(value) !== 0));
  if (bits < 8) return packBits(checkedCodes(values, dtype), bits as PackedBits);
  const data = new storage(values.length);
  const wide = data instanceof BigInt64Array || data instanceof BigUint64Array;
  for (let i = 0; i < values.length; i++) {
    const value = wide ? toBigInt(values[i], dtype, i) : Number(values[i]);
    // `wide` keeps number and bigint storage apart; the cast states that the element type fits.
    const slots = data as Record<number, number | bigint>;
    slots[i] = value;
    if (kind === 'int' && slots[i] !== value) throw unfitError(values[i], dtype, i);
  }
  return data;
}

function checkedCodes(values: readonly (number | bigint)[], dtype: DType): number[] {
  const [low, high] = codeRange(dtype);
  return values.map((value, i) => {
    const code = Number(value);
    if (!Number.isInteger(code) || code < low || code > high) throw unfitError(value, dtype, i);
    return code;
  });
}

function toBigInt(value: number | bigint, dtype: DType, index: number): bigint {
  if (typeof value === 'number' && !Number.isInteger(value)) throw unfitError(value, dtype, index);
  return BigInt(value);
}

function unfitError(value: number | bigint, dtype: DType, index: number): RangeError {
  return new RangeError(`tensor: expected values that ${dtype} can hold, got ${value} at element ${index}`);
}
