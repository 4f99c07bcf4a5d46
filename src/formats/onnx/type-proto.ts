/** TypeProto to ValueType and back. */
import { tensorType, type Dim, type TensorType, type ValueType } from '../../graph/value-type.ts';
import { decodeMessage } from '../protobuf/reader.ts';
import { encodeMessage } from '../protobuf/writer.ts';
import { dataTypeNumber, elementTypeOf } from './data-type.ts';
import { TYPE, type DimRecord, type TensorTypeRecord, type TypeRecord } from './schema.ts';

/** Throws FormatError naming `where` for bytes that are no TypeProto. */
export function decodeType(bytes: Uint8Array, where: string): ValueType {
  return typeOf(decodeMessage(TYPE, bytes, where));
}

function typeOf(record: TypeRecord): ValueType {
  const { tensor_type: dense, sparse_tensor_type: sparse, map_type: map, opaque_type: opaque } = record;
  if (dense !== undefined) return tensorTypeOf(dense, 'tensor');
  if (sparse !== undefined) return tensorTypeOf(sparse, 'sparse_tensor');
  if (record.sequence_type !== undefined) return wrapped('sequence', record.sequence_type.elem_type);
  if (record.optional_type !== undefined) return wrapped('optional', record.optional_type.elem_type);
  if (map !== undefined) {
    const value = map.value_type && typeOf(map.value_type);
    return { kind: 'map', key: elementTypeOf(map.key_type ?? 0), value };
  }
  if (opaque === undefined) return { kind: 'unknown' };
  return { kind: 'opaque', domain: opaque.domain ?? '', name: opaque.name ?? '' };
}

function wrapped(kind: 'sequence' | 'optional', element: TypeRecord | undefined): ValueType {
  return { kind, element: element && typeOf(element) };
}

function tensorTypeOf(record: TensorTypeRecord, kind: TensorType['kind']): TensorType {
  const dims = record.shape && (record.shape.dim ?? []).map(dimOf);
  return { ...tensorType(elementTypeOf(record.elem_type ?? 0), dims), kind };
}

/** An empty dim_param means the same as none. */
function dimOf(record: DimRecord): Dim {
  return record.dim_value ?? (record.dim_param === '' ? undefined : record.dim_param);
}

export function encodeType(type: ValueType): Uint8Array {
  const { pieces, length } = encodeMessage(TYPE, typeRecord(type));
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    if (!(piece instanceof Uint8Array)) throw new TypeError('encodeType: expected no spans in a type');
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

function typeRecord(type: ValueType): TypeRecord {
  switch (type.kind) {
    case 'tensor':
      return { tensor_type: tensorTypeRecord(type) };
    case 'sparse_tensor':
      return { sparse_tensor_type: tensorTypeRecord(type) };
    case 'sequence':
      return { sequence_type: { elem_type: type.element && typeRecord(type.element) } };
    case 'optional':
      return { optional_type: { elem_type: type.element && typeRecord(type.element) } };
    case 'map':
      return {
        map_type: { key_type: dataTypeNumber(type.key), value_type: type.value && typeRecord(type.value) },
      };
    case 'opaque':
      return { opaque_type: { domain: type.domain, name: type.name } };
    case 'unknown':
      return {};
    default:
      return type satisfies never;
  }
}

function tensorTypeRecord(type: TensorType): TensorTypeRecord {
  const shape = type.dims && { dim: type.dims.map(dimRecord) };
  return { elem_type: dataTypeNumber(type.elementType), shape };
}

function dimRecord(dim: Dim): DimRecord {
  if (dim === undefined) return {};
  return typeof dim === 'number' ? { dim_value: dim } : { dim_param: dim };
}
