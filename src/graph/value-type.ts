/**
 * Types of values, as ONNX's TypeProto has them. Immutable: to change the type of a value, give it another one.
 */
import type { ElementType } from './element-type.ts';

/** Size of one axis: known, named (`'batch'`), or unknown. Files can hold -1 or 0 where they mean unknown. */
export type Dim = number | string | undefined;

/** Type of a tensor. */
export interface TensorType {
  readonly kind: 'tensor' | 'sparse_tensor';
  readonly elementType: ElementType;
  /** undefined: not even the rank is known. */
  readonly dims: readonly Dim[] | undefined;
}

/** Type of a value. */
export type ValueType =
  | TensorType
  | { readonly kind: 'sequence' | 'optional'; readonly element: ValueType | undefined }
  | { readonly kind: 'map'; readonly key: ElementType; readonly value: ValueType | undefined }
  | { readonly kind: 'opaque'; readonly domain: string; readonly name: string }
  /** A TypeProto without a value: ONNX allows it, it says nothing. */
  | { readonly kind: 'unknown' };

/** Type of a dense tensor; without `dims` the rank is unknown. */
export function tensorType(elementType: ElementType, dims?: readonly Dim[]): TensorType {
  return { kind: 'tensor', elementType, dims };
}

/** `float32[N, 3, ?]`, `float32` for unknown rank, `sequence(int64[2])`. */
export function formatType(type: ValueType | undefined): string {
  if (type === undefined) return '?';
  switch (type.kind) {
    case 'tensor':
      return formatTensorType(type);
    case 'sparse_tensor':
      return `sparse ${formatTensorType(type)}`;
    case 'sequence':
    case 'optional':
      return `${type.kind}(${formatType(type.element)})`;
    case 'map':
      return `map(${type.key}, ${formatType(type.value)})`;
    case 'opaque':
      return `opaque(${type.domain}, ${type.name})`;
    case 'unknown':
      return '?';
    default:
      return type satisfies never;
  }
}

function formatTensorType(type: TensorType): string {
  if (type.dims === undefined) return type.elementType;
  return `${type.elementType}[${type.dims.map((dim) => dim ?? '?').join(', ')}]`;
}
