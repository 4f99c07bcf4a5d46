/**
 * Attributes of nodes: a closed union on `kind`, as ONNX's AttributeProto.type. Immutable, except that the graphs
 * inside can be edited. Integers are bigint, since ONNX's are 64 bits wide (Slice uses 2^63 - 1); strings are bytes.
 */
import type { Graph } from './graph.ts';
import { memorySource, type TensorSource } from './tensor-source.ts';
import type { ValueType } from './value-type.ts';
import { Tensor } from '../tensor/tensor.ts';

/** Coordinate format of ONNX's SparseTensorProto. */
export interface SparseTensor {
  readonly values: TensorSource;
  readonly indices: TensorSource;
  readonly shape: readonly number[];
}

/** An attribute: its kind, and a value of that kind. */
export type Attribute =
  | { readonly kind: 'float'; readonly value: number }
  | { readonly kind: 'int'; readonly value: bigint }
  | { readonly kind: 'string'; readonly value: Uint8Array }
  | { readonly kind: 'tensor'; readonly value: TensorSource }
  | { readonly kind: 'graph'; readonly value: Graph }
  | { readonly kind: 'sparse_tensor'; readonly value: SparseTensor }
  | { readonly kind: 'type_proto'; readonly value: ValueType }
  | { readonly kind: 'floats'; readonly value: Float32Array }
  | { readonly kind: 'ints'; readonly value: readonly bigint[] }
  | { readonly kind: 'strings'; readonly value: readonly Uint8Array[] }
  | { readonly kind: 'tensors'; readonly value: readonly TensorSource[] }
  | { readonly kind: 'graphs'; readonly value: readonly Graph[] }
  | { readonly kind: 'sparse_tensors'; readonly value: readonly SparseTensor[] }
  | { readonly kind: 'type_protos'; readonly value: readonly ValueType[] }
  /** In a local function: the value is the caller's attribute of this name. */
  | { readonly kind: 'reference'; readonly value: string }
  /** No type, or one that is newer than we know; written back as it was read. */
  | { readonly kind: 'unknown'; readonly value: undefined };

/** Kinds of attributes; ONNX's spelling in small letters. */
export type AttributeKind = Attribute['kind'];

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Makers of attributes. `float` keeps the value in float32, as the file will. */
export const attr = {
  float: (value: number): Attribute => ({ kind: 'float', value: Math.fround(value) }),
  int: (value: number | bigint): Attribute => ({ kind: 'int', value: BigInt(value) }),
  string: (value: string | Uint8Array): Attribute => ({ kind: 'string', value: toBytes(value) }),
  tensor: (value: Tensor | TensorSource): Attribute => ({
    kind: 'tensor',
    value: value instanceof Tensor ? memorySource(value) : value,
  }),
  graph: (value: Graph): Attribute => ({ kind: 'graph', value }),
  floats: (value: ArrayLike<number>): Attribute => ({ kind: 'floats', value: Float32Array.from(value) }),
  ints: (value: readonly (number | bigint)[]): Attribute => ({ kind: 'ints', value: value.map(BigInt) }),
  strings: (value: readonly (string | Uint8Array)[]): Attribute => ({
    kind: 'strings',
    value: value.map(toBytes),
  }),
} as const;

/** Short forms where the kind is clear: integers, strings, tensors, arrays of integers, graphs. */
export type AttributeInput = Attribute | number | bigint | string | Tensor | readonly (number | bigint)[];

/**
 * The attribute that a short form means. A whole number is an int and any other number a float: write
 * `attr.float(1)` for a float that is whole. An array of whole numbers is `ints`, of other numbers `floats`.
 */
export function toAttribute(input: AttributeInput): Attribute {
  if (typeof input === 'number') return Number.isInteger(input) ? attr.int(input) : attr.float(input);
  if (typeof input === 'bigint') return attr.int(input);
  if (typeof input === 'string') return attr.string(input);
  if (input instanceof Tensor) return attr.tensor(input);
  if (!isList(input)) return input;
  const whole = input.every((item) => typeof item === 'bigint' || Number.isInteger(item));
  return whole ? attr.ints(input) : attr.floats(input.map(Number));
}

function isList(input: Attribute | readonly (number | bigint)[]): input is readonly (number | bigint)[] {
  return Array.isArray(input);
}

/** The graphs inside an attribute: bodies of If, Loop and Scan. */
export function attributeGraphs(attribute: Attribute): readonly Graph[] {
  if (attribute.kind === 'graph') return [attribute.value];
  return attribute.kind === 'graphs' ? attribute.value : [];
}

/** Text of a string attribute, decoded as UTF-8 (bytes that are not UTF-8 become U+FFFD). */
export function attributeText(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

function toBytes(value: string | Uint8Array): Uint8Array {
  return typeof value === 'string' ? encoder.encode(value) : value;
}
