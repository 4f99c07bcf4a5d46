/**
 * AttributeProto to Attribute and back. What an Attribute does not hold (doc_string, a NaN's bits, an absent type, ...)
 * is remembered beside it: attributes are immutable, so what was read can be written as it came.
 */
import { FormatError } from '../../errors.ts';
import type { Attribute, AttributeKind, SparseTensor } from '../../graph/attribute.ts';
import type { Graph } from '../../graph/graph.ts';
import type { TensorSource } from '../../graph/tensor-source.ts';
import type { ValueType } from '../../graph/value-type.ts';
import type { AttributeRecord, GraphRecord, SparseTensorRecord, TensorRecord } from './schema.ts';
import { decodeType, encodeType } from './type-proto.ts';

/** How the parts of attributes are read; the graph reader knows names and files. */
export interface AttributeReader {
  readonly where: string;
  tensor(record: TensorRecord): TensorSource;
  sparseTensor(record: SparseTensorRecord): SparseTensor;
  graph(record: GraphRecord): Graph;
}

/** How the parts of attributes are written. */
export interface AttributeWriter {
  tensor(source: TensorSource): TensorRecord;
  sparseTensor(tensor: SparseTensor): SparseTensorRecord;
  graph(graph: Graph): GraphRecord;
}

type ValueKind = Exclude<AttributeKind, 'reference' | 'unknown'>;
type ValueOf<K extends AttributeKind> = Extract<Attribute, { kind: K }>['value'];
type ValueKey = Exclude<
  keyof AttributeRecord,
  'name' | 'type' | 'ref_attr_name' | 'rest' | 'order' | 'packed'
>;

interface KindRow<K extends ValueKind> {
  /** AttributeProto.AttributeType. */
  readonly type: number;
  readonly key: ValueKey;
  /** undefined where the field is needed and absent. */
  read(record: AttributeRecord, reader: AttributeReader): ValueOf<K> | undefined;
  write(value: ValueOf<K>, writer: AttributeWriter): AttributeRecord;
}

/** Absent numbers and lists are proto2's defaults: 0, '' and []. */
const KINDS: { readonly [K in ValueKind]: KindRow<K> } = {
  float: { type: 1, key: 'f', read: (r) => floatOf(r.f ?? 0), write: (v) => ({ f: bitsOf(v) }) },
  int: { type: 2, key: 'i', read: (r) => r.i ?? 0n, write: (v) => ({ i: v }) },
  string: { type: 3, key: 's', read: (r) => r.s ?? new Uint8Array(0), write: (v) => ({ s: v }) },
  tensor: {
    type: 4,
    key: 't',
    read: (r, io) => r.t && io.tensor(r.t),
    write: (v, io) => ({ t: io.tensor(v) }),
  },
  graph: { type: 5, key: 'g', read: (r, io) => r.g && io.graph(r.g), write: (v, io) => ({ g: io.graph(v) }) },
  floats: {
    type: 6,
    key: 'floats',
    read: (r) => new Float32Array(Uint32Array.from(r.floats ?? []).buffer),
    write: (v) => ({ floats: [...new Uint32Array(v.slice().buffer)] }),
  },
  ints: { type: 7, key: 'ints', read: (r) => r.ints ?? [], write: (v) => ({ ints: [...v] }) },
  strings: { type: 8, key: 'strings', read: (r) => r.strings ?? [], write: (v) => ({ strings: [...v] }) },
  tensors: {
    type: 9,
    key: 'tensors',
    read: (r, io) => (r.tensors ?? []).map((t) => io.tensor(t)),
    write: (v, io) => ({ tensors: v.map((t) => io.tensor(t)) }),
  },
  graphs: {
    type: 10,
    key: 'graphs',
    read: (r, io) => (r.graphs ?? []).map((g) => io.graph(g)),
    write: (v, io) => ({ graphs: v.map((g) => io.graph(g)) }),
  },
  sparse_tensor: {
    type: 11,
    key: 'sparse_tensor',
    read: (r, io) => r.sparse_tensor && io.sparseTensor(r.sparse_tensor),
    write: (v, io) => ({ sparse_tensor: io.sparseTensor(v) }),
  },
  sparse_tensors: {
    type: 12,
    key: 'sparse_tensors',
    read: (r, io) => (r.sparse_tensors ?? []).map((t) => io.sparseTensor(t)),
    write: (v, io) => ({ sparse_tensors: v.map((t) => io.sparseTensor(t)) }),
  },
  type_proto: {
    type: 13,
    key: 'tp',
    read: (r, io) => r.tp && decodeType(r.tp, io.where),
    write: (v) => ({ tp: encodeType(v) }),
  },
  type_protos: {
    type: 14,
    key: 'type_protos',
    read: (r, io) => (r.type_protos ?? []).map((bytes): ValueType => decodeType(bytes, io.where)),
    write: (v) => ({ type_protos: v.map(encodeType) }),
  },
};

const KIND_NAMES = Object.keys(KINDS) as ValueKind[];

function floatOf(bits: number): number {
  return new Float32Array(Uint32Array.of(bits).buffer)[0];
}

function bitsOf(value: number): number {
  return new Uint32Array(Float32Array.of(value).buffer)[0];
}

/** What attributes were read from, where writing them anew would lose something. */
const irregular = new WeakMap<Attribute, AttributeRecord>();

/** Throws FormatError if the record lacks the value that its type says. */
export function readAttribute(record: AttributeRecord, reader: AttributeReader): Attribute {
  const attribute = attributeOf(record, reader);
  if (!isRegular(record, attribute)) irregular.set(attribute, withoutParts(record));
  return attribute;
}

function attributeOf(record: AttributeRecord, reader: AttributeReader): Attribute {
  if (record.ref_attr_name !== undefined && record.ref_attr_name !== '') {
    return { kind: 'reference', value: record.ref_attr_name };
  }
  const kind = kindOf(record);
  if (kind === undefined) return { kind: 'unknown', value: undefined };
  const value = KINDS[kind].read(record, reader);
  if (value === undefined) {
    throw new FormatError(`${reader.where}: expected attribute ${record.name} to have a ${kind}, got none`, {
      code: 'FORMAT_INVALID',
      details: { attribute: record.name, field: KINDS[kind].key },
    });
  }
  // The row of `kind` has read a value of that kind; TypeScript does not pair the two over the union.
  return { kind, value } as Attribute;
}

/** By type; files older than IR 2 have none, there the field that is present tells. */
function kindOf(record: AttributeRecord): ValueKind | undefined {
  if (record.type !== undefined && record.type !== 0) {
    return KIND_NAMES.find((kind) => KINDS[kind].type === record.type);
  }
  return KIND_NAMES.find((kind) => record[KINDS[kind].key] !== undefined);
}

/** True if name, type and value are all there is, so that writing the attribute anew gives the same bytes. */
function isRegular(record: AttributeRecord, attribute: Attribute): boolean {
  if (attribute.kind === 'reference' || attribute.kind === 'unknown') return false;
  if (attribute.kind === 'float' && Number.isNaN(attribute.value)) return false;
  const { key } = KINDS[attribute.kind];
  const isList = Array.isArray(record[key]) || attribute.kind.endsWith('s');
  const extra = Object.keys(record).some((name) => name !== 'name' && name !== 'type' && name !== key);
  return (
    !extra && record.name !== undefined && record.type !== undefined && (isList || record[key] !== undefined)
  );
}

/** Tensors and graphs are written from the attribute; keeping their records would keep them alive twice. */
function withoutParts(record: AttributeRecord): AttributeRecord {
  const {
    t: _t,
    g: _g,
    tensors: _tensors,
    graphs: _graphs,
    sparse_tensor: _s,
    sparse_tensors: _ss,
    ...rest
  } = record;
  return rest;
}

export function writeAttribute(name: string, attribute: Attribute, writer: AttributeWriter): AttributeRecord {
  const original = irregular.get(attribute);
  if (original !== undefined) return { ...original, ...partsOf(attribute, writer), name };
  if (attribute.kind === 'reference') return { name, ref_attr_name: attribute.value };
  if (attribute.kind === 'unknown') return { name };
  return { name, type: KINDS[attribute.kind].type, ...valueRecord(attribute, writer) };
}

function valueRecord(
  attribute: Extract<Attribute, { kind: ValueKind }>,
  writer: AttributeWriter,
): AttributeRecord {
  // As in attributeOf: row and value have the same kind.
  const row = KINDS[attribute.kind] as KindRow<ValueKind>;
  return row.write(attribute.value as never, writer);
}

const PARTS: ReadonlySet<AttributeKind> = new Set([
  'tensor',
  'tensors',
  'graph',
  'graphs',
  'sparse_tensor',
  'sparse_tensors',
]);

function partsOf(attribute: Attribute, writer: AttributeWriter): AttributeRecord {
  if (attribute.kind === 'reference' || attribute.kind === 'unknown' || !PARTS.has(attribute.kind)) return {};
  return valueRecord(attribute, writer);
}
