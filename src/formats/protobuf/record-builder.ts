/** Collects the fields of one message into a record, and remembers what a writer needs to give the same bytes. */
import type { Source } from '../source.ts';
import { Cursor, WireError } from './cursor.ts';
import {
  FIXED32,
  LENGTH,
  VARINT,
  type FieldSpec,
  type FieldType,
  type RawField,
  type Schema,
  type Span,
  type WireRecord,
} from './schema.ts';

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

type Scalar = 'string' | 'bytes' | 'int' | 'int64' | 'fixed32';

/** How a value of each type is read at `at`; the numeric ones leave the cursor's `body` behind it. */
const READ = {
  string: (cursor: Cursor) => readString(cursor),
  bytes: (cursor: Cursor) => cursor.bytes.slice(cursor.body, cursor.end),
  int: (cursor: Cursor, at: number) => cursor.int(at),
  int64: (cursor: Cursor, at: number) => cursor.int64(at),
  fixed32: (cursor: Cursor, at: number) => {
    const bits = cursor.fixed32(at);
    cursor.body = at + 4;
    return bits;
  },
} as const satisfies Record<Scalar, (cursor: Cursor, at: number) => unknown>;

/** Wire type of each field type; repeated numbers may also come packed, with {@link LENGTH}. */
export const WIRE = {
  string: LENGTH,
  bytes: LENGTH,
  int: VARINT,
  int64: VARINT,
  fixed32: FIXED32,
  message: LENGTH,
  span: LENGTH,
  spans: LENGTH,
} as const satisfies Record<FieldType, number>;

export class RecordBuilder {
  readonly schema: Schema;
  readonly #source: Source;
  readonly #values: Record<string, unknown> = {};
  readonly #rest: RawField[] = [];
  readonly #numbers: number[] = [];
  readonly #packed: number[] = [];
  #ascends = true;

  constructor(schema: Schema, source: Source) {
    this.schema = schema;
    this.#source = source;
  }

  finish(): WireRecord {
    const record: WireRecord = this.#values;
    if (this.#rest.length > 0) record.rest = this.#rest;
    if (!this.#ascends) record.order = this.#numbers;
    if (this.#packed.length > 0) record.packed = this.#packed;
    return record;
  }

  /** `node[12]` for the element that comes next, `name` for a field that is not repeated. */
  label(spec: FieldSpec): string {
    return spec.repeated === true ? `${spec.key}[${this.#list(spec).length}]` : spec.key;
  }

  addRest(number: number, data: Uint8Array | Span): void {
    this.#note(number);
    this.#rest.push({ number, data });
  }

  addMessage(cursor: Cursor, record: WireRecord, spec: FieldSpec): void {
    this.#note(cursor.number);
    this.#store(spec, record, cursor);
  }

  addScalar(cursor: Cursor, spec: FieldSpec): void {
    const { type } = spec;
    if (type === 'message' || type === 'span' || type === 'spans')
      throw new TypeError(`addScalar: expected a number, text or bytes, got ${type}`);
    const wire = WIRE[type];
    if (cursor.wire === wire) {
      this.#note(cursor.number);
      this.#store(spec, READ[type](cursor, cursor.body), cursor);
    } else if (cursor.wire === LENGTH && spec.repeated === true) {
      this.#addPacked(cursor, spec, READ[type]);
    } else {
      throw this.wireError(cursor);
    }
  }

  #addPacked(cursor: Cursor, spec: FieldSpec, read: (cursor: Cursor, at: number) => unknown): void {
    this.#note(cursor.number);
    if (!this.#packed.includes(cursor.number)) this.#packed.push(cursor.number);
    const list = this.#list(spec);
    const body = new Cursor(cursor.bytes.subarray(0, cursor.end), cursor.base);
    for (let at = cursor.body; at < cursor.end; at = body.body) list.push(read(body, at));
  }

  /**
   * A tensor's elements: located, not read. Unpacked elements in a row become one span with their tags. False if the last span
   * only became longer.
   */
  addSpan(cursor: Cursor, spec: FieldSpec): boolean {
    const list = spec.repeated === true ? this.#list(spec) : undefined;
    const verbatim = spec.type === 'spans' || cursor.wire !== LENGTH;
    if (verbatim && list === undefined) throw this.wireError(cursor);
    const offset = cursor.base + (verbatim ? cursor.start : cursor.body);
    const length = cursor.base + cursor.end - offset;
    // This list holds spans, and those that it makes are nobody else's yet.
    const last = list?.at(-1) as { -readonly [K in keyof Span]: Span[K] } | undefined;
    if (list !== undefined && verbatim && last?.verbatim === true && last.offset + last.length === offset) {
      last.length += length;
      return false;
    }
    this.#note(cursor.number);
    const span: Span = { source: this.#source, offset, length };
    this.#store(spec, verbatim ? { ...span, verbatim } : span, cursor);
    return true;
  }

  #note(number: number): void {
    const last = this.#numbers.at(-1);
    if (last !== undefined && number < last) this.#ascends = false;
    this.#numbers.push(number);
  }

  #store(spec: FieldSpec, value: unknown, cursor: Cursor): void {
    if (spec.repeated === true) {
      this.#list(spec).push(value);
      return;
    }
    if (Object.hasOwn(this.#values, spec.key)) {
      throw new WireError(`expected ${spec.key} once, got it twice`, cursor.base + cursor.start);
    }
    this.#values[spec.key] = value;
  }

  /** The list of a repeated field; it appears in the record with its first element. */
  #list(spec: FieldSpec): unknown[] {
    const known = this.#values[spec.key];
    if (Array.isArray(known)) return known;
    const list: unknown[] = [];
    this.#values[spec.key] = list;
    return list;
  }

  wireError(cursor: Cursor): WireError {
    const spec = this.schema.fields[cursor.number];
    return new WireError(
      `expected wire type ${WIRE[spec.type]} for ${this.schema.name}.${spec.key}, got ${cursor.wire}`,
      cursor.base + cursor.start,
    );
  }
}

function readString(cursor: Cursor): string {
  const { bytes, body, end, base } = cursor;
  try {
    return decoder.decode(bytes.subarray(body, end));
  } catch {
    throw new WireError('expected a string in UTF-8, got other bytes', base + body);
  }
}
