/**
 * Encodes records by schema into a list of pieces: small ones in memory, tensors as spans that are copied from where
 * they lie when the message is written. Fields ascend by number, as the official library writes them, unless the
 * record remembers another order.
 */
import { Output } from './output.ts';
import {
  FIXED32,
  LENGTH,
  VARINT,
  type FieldSpec,
  type Schema,
  type Span,
  type WireRecord,
} from './schema.ts';

/** Pieces of an encoded message, in order, and their length together. */
export interface Encoded {
  readonly pieces: readonly (Uint8Array | Span)[];
  readonly length: number;
}

/** Encodes a record; what is not in the schema comes from `rest`. */
export function encodeMessage<T extends WireRecord>(schema: Schema<T>, record: T): Encoded {
  const out = new Output();
  writeRecord(out, schema, record);
  return { pieces: out.pieces(), length: out.length };
}

/** One occurrence of a field, written when it is its turn. */
interface Occurrence {
  readonly number: number;
  write(): void;
}

function writeRecord(out: Output, schema: Schema, record: WireRecord): void {
  if (record.order === undefined && record.rest === undefined) {
    for (const [number, spec] of schema.entries) writeField(out, number, spec, record);
    return;
  }
  for (const { write } of inOrder(occurrences(out, schema, record), record.order)) write();
}

/** The record is of the schema's type, so its property is what the spec says; see FieldType. */
function valueOf(record: WireRecord, spec: FieldSpec): unknown {
  return (record as Record<string, unknown>)[spec.key];
}

function writeField(out: Output, number: number, spec: FieldSpec, record: WireRecord): void {
  const value = valueOf(record, spec);
  if (value === undefined) return;
  if (spec.repeated !== true) writeValue(out, number, spec, value);
  else if (record.packed?.includes(number) === true)
    writePacked(out, number, spec, value as readonly unknown[]);
  else for (const item of value as readonly unknown[]) writeValue(out, number, spec, item);
}

/** Fields by number, those of `rest` among them. */
function occurrences(out: Output, schema: Schema, record: WireRecord): Occurrence[] {
  const list: Occurrence[] = [];
  for (const [number, spec] of schema.entries) {
    const value = valueOf(record, spec);
    if (value === undefined) continue;
    if (spec.repeated !== true || record.packed?.includes(number) === true) {
      list.push({ number, write: () => writeField(out, number, spec, record) });
      continue;
    }
    for (const item of value as readonly unknown[]) {
      list.push({ number, write: () => writeValue(out, number, spec, item) });
    }
  }
  for (const { number, data } of record.rest ?? []) {
    list.push({ number, write: () => (data instanceof Uint8Array ? out.raw(data) : out.span(data)) });
  }
  return list.sort((a, b) => a.number - b.number);
}

/**
 * Without `order`, by number. With it, as the message was read: each number where it stood, elements that have come
 * since after the last of their number, and numbers that are new at the end.
 */
function inOrder(list: readonly Occurrence[], order: readonly number[] | undefined): readonly Occurrence[] {
  if (order === undefined) return list;
  const byNumber = new Map<number, Occurrence[]>();
  for (const item of list) {
    const same = byNumber.get(item.number);
    if (same === undefined) byNumber.set(item.number, [item]);
    else same.push(item);
  }
  const lastAt = new Map(order.map((number, index) => [number, index]));
  const taken = new Map<number, number>();
  const ordered = order.flatMap((number, index) => {
    const from = taken.get(number) ?? 0;
    taken.set(number, from + 1);
    return (byNumber.get(number) ?? []).slice(from, lastAt.get(number) === index ? undefined : from + 1);
  });
  return [...ordered, ...list.filter((item) => !lastAt.has(item.number))];
}

function writeValue(out: Output, number: number, spec: FieldSpec, value: unknown): void {
  switch (spec.type) {
    case 'int':
    case 'int64':
      out.tag(number, VARINT);
      NUMBERS[spec.type](out, value);
      return;
    case 'fixed32':
      out.tag(number, FIXED32);
      NUMBERS.fixed32(out, value);
      return;
    case 'string':
      out.text(number, value as string);
      return;
    case 'bytes':
      out.bytes(number, value as Uint8Array);
      return;
    case 'message':
      out.message(number, () => writeRecord(out, nested(spec), value as WireRecord));
      return;
    case 'span':
    case 'spans':
      writeSpan(out, number, value as Span);
      return;
    default:
      spec.type satisfies never;
  }
}

/** Encoders of numbers, without tag. */
const NUMBERS = {
  int: (out: Output, value: unknown) => out.varint(value as number),
  int64: (out: Output, value: unknown) => out.varint64(value as bigint),
  fixed32: (out: Output, value: unknown) => out.fixed32(value as number),
} as const satisfies Record<string, (out: Output, value: unknown) => void>;

function writePacked(out: Output, number: number, spec: FieldSpec, values: readonly unknown[]): void {
  if (!Object.hasOwn(NUMBERS, spec.type))
    throw new TypeError(`encode: expected numbers for packed field ${spec.key}`);
  const write = NUMBERS[spec.type as keyof typeof NUMBERS];
  out.message(number, () => {
    for (const value of values) write(out, value);
  });
}

function writeSpan(out: Output, number: number, span: Span): void {
  if (span.verbatim !== true) {
    out.tag(number, LENGTH);
    out.varint(span.length);
  }
  out.span(span);
}

function nested(spec: FieldSpec): Schema {
  if (spec.of === undefined) throw new TypeError(`schema: expected a schema for message field ${spec.key}`);
  return spec.of();
}
