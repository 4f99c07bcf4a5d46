/**
 * Encodes records by schema into a list of pieces: small ones in memory, tensors as spans that are copied from where
 * they lie when the message is written. Fields ascend by number, as the official library writes them, unless the
 * record remembers another order.
 */
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
  const fields = new FieldList();
  for (const [key, spec] of Object.entries(schema.fields)) {
    // The record is of the schema's type, so its property is what the spec says; see FieldType.
    const value = (record as Record<string, unknown>)[spec.key];
    if (value !== undefined) encodeField(fields, Number(key), spec, value, record);
  }
  for (const raw of record.rest ?? []) fields.add(raw.number, [raw.data]);
  return fields.ordered(record.order);
}

function encodeField(
  fields: FieldList,
  number: number,
  spec: FieldSpec,
  value: unknown,
  record: WireRecord,
): void {
  if (spec.repeated !== true) {
    fields.add(number, encodeValue(number, spec, value));
  } else if (record.packed?.includes(number) === true) {
    fields.add(number, encodePacked(number, spec, value as readonly unknown[]));
  } else {
    for (const item of value as readonly unknown[]) fields.add(number, encodeValue(number, spec, item));
  }
}

type Pieces = readonly (Uint8Array | Span)[];

/** Encoders of one value, without tag; `span` and `message` are handled where their pieces are put together. */
const VALUES = {
  int: (value: unknown) => varint(BigInt(value as number)),
  int64: (value: unknown) => varint(value as bigint),
  fixed32: (value: unknown) => fixed32(value as number),
} as const satisfies Record<string, (value: unknown) => Uint8Array>;

const encoder = new TextEncoder();

function encodeValue(number: number, spec: FieldSpec, value: unknown): Pieces {
  switch (spec.type) {
    case 'int':
    case 'int64':
      return [tagged(number, VARINT, VALUES[spec.type](value))];
    case 'fixed32':
      return [tagged(number, FIXED32, VALUES.fixed32(value))];
    case 'string':
      return [delimited(number, encoder.encode(value as string))];
    case 'bytes':
      return [delimited(number, value as Uint8Array)];
    case 'message':
      return wrap(number, encodeMessage(nested(spec), value as WireRecord));
    case 'span':
    case 'spans':
      return encodeSpan(number, value as Span);
    default:
      return spec.type satisfies never;
  }
}

function encodeSpan(number: number, span: Span): Pieces {
  return span.verbatim === true ? [span] : [head(number, span.length), span];
}

function encodePacked(number: number, spec: FieldSpec, values: readonly unknown[]): Pieces {
  if (!Object.hasOwn(VALUES, spec.type))
    throw new TypeError(`encode: expected numbers for packed field ${spec.key}`);
  const encode = VALUES[spec.type as keyof typeof VALUES];
  return [delimited(number, concat(values.map(encode)))];
}

function nested(spec: FieldSpec): Schema {
  if (spec.of === undefined) throw new TypeError(`schema: expected a schema for message field ${spec.key}`);
  return spec.of();
}

/** A field with a message in it. Messages without spans become one piece, so that lists of pieces stay short. */
function wrap(number: number, message: Encoded): Pieces {
  const start = head(number, message.length);
  if (message.pieces.every((piece) => piece instanceof Uint8Array)) {
    return [concat([start, ...message.pieces])];
  }
  return [start, ...message.pieces];
}

function head(number: number, length: number): Uint8Array {
  return tagged(number, LENGTH, varint(BigInt(length)));
}

function delimited(number: number, body: Uint8Array): Uint8Array {
  return concat([head(number, body.length), body]);
}

function tagged(number: number, wire: number, body: Uint8Array): Uint8Array {
  return concat([varint(BigInt(number * 8 + wire)), body]);
}

/** Signed 64-bit integers; negative ones take ten bytes, as protobuf's int32 and int64 do. */
function varint(value: bigint): Uint8Array {
  const bytes: number[] = [];
  if (value >= 0n && value <= 0x7fffffffn) {
    let small = Number(value);
    for (; small >= 128; small >>>= 7) bytes.push((small & 0x7f) | 0x80);
    bytes.push(small);
    return Uint8Array.from(bytes);
  }
  let rest = BigInt.asUintN(64, value);
  for (; rest >= 128n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  bytes.push(Number(rest));
  return Uint8Array.from(bytes);
}

function fixed32(bits: number): Uint8Array {
  return Uint8Array.of(bits & 0xff, (bits >>> 8) & 0xff, (bits >>> 16) & 0xff, bits >>> 24);
}

function concat(pieces: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const piece of pieces) length += piece.length;
  const whole = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/** Occurrences of fields with their numbers, put in order at the end. */
class FieldList {
  readonly #byNumber = new Map<number, Pieces[]>();

  add(number: number, pieces: Pieces): void {
    const list = this.#byNumber.get(number);
    if (list === undefined) this.#byNumber.set(number, [pieces]);
    else list.push(pieces);
  }

  /**
   * Without `order`, by number. With it, as the message was read: each number where it stood, elements that have
   * come since after the last of their number, and numbers that are new at the end.
   */
  ordered(order: readonly number[] | undefined): Encoded {
    const ascending = [...this.#byNumber.keys()].sort((a, b) => a - b);
    const pieces: (Uint8Array | Span)[] = [];
    const taken = new Map<number, number>();
    const lastAt = new Map(order?.map((number, index) => [number, index]));
    order?.forEach((number, index) => {
      const list = this.#byNumber.get(number) ?? [];
      const from = taken.get(number) ?? 0;
      const to = lastAt.get(number) === index ? list.length : from + 1;
      for (const item of list.slice(from, to)) push(pieces, item);
      taken.set(number, to);
    });
    for (const number of ascending) {
      if (lastAt.has(number)) continue;
      for (const item of this.#byNumber.get(number) ?? []) push(pieces, item);
    }
    return { pieces, length: pieces.reduce((sum, piece) => sum + piece.length, 0) };
  }
}

function push(pieces: (Uint8Array | Span)[], more: Pieces): void {
  for (const piece of more) pieces.push(piece);
}
