/**
 * Reads messages by schema from random access. Small messages are decoded from one read; of large ones only the heads
 * of the fields are read, so that a tensor's bytes are located and stay where they are. Everything that is not in the
 * schema is kept (small) or located (large), so that a writer can put it back.
 */
import { FormatError, type ErrorCode } from '../../errors.ts';
import type { Source } from '../source.ts';
import { Cursor, WireError } from './cursor.ts';
import { BYTE_COST, COSTS, MAX_DEPTH, MAX_STRUCTURE_BYTES, SMALL, UNKNOWN_COST } from './limits.ts';
import { RecordBuilder, WIRE } from './record-builder.ts';
import { LENGTH, type FieldSpec, type Schema, type WireRecord } from './schema.ts';

/**
 * Reads `source` as one message. Throws FormatError with offset and field path, FORMAT_LIMIT where its structure costs more
 * than `limit` bytes.
 */
export function readMessage<T extends WireRecord>(
  schema: Schema<T>,
  source: Source,
  limit: number = MAX_STRUCTURE_BYTES,
): Promise<T> {
  return new Reader(source, schema.name, limit).read(schema);
}

/** Decodes a message that is in memory; `base` is where its first byte lies in the file, for messages. */
export function decodeMessage<T extends WireRecord>(schema: Schema<T>, bytes: Uint8Array, where: string): T {
  const source: Source = {
    size: bytes.length,
    name: where,
    read: (offset, length) => Promise.resolve(bytes.subarray(offset, offset + length)),
  };
  return new Reader(source, schema.name, MAX_STRUCTURE_BYTES).decode(schema, bytes);
}

/** Bytes of the first read in a message, and after each field that is larger. */
const FIRST_STEP = 2048;

class Reader {
  readonly #source: Source;
  readonly #path: string[];
  readonly #limit: number;
  #cost = 0;

  constructor(source: Source, root: string, limit: number) {
    this.#source = source;
    this.#path = [root];
    this.#limit = limit;
  }

  async read<T extends WireRecord>(schema: Schema<T>): Promise<T> {
    try {
      // The builder fills in what the schema says, and the schema is tied to T.
      return (await this.#readRange(schema, 0, this.#source.size)) as T;
    } catch (error) {
      throw this.#located(error);
    }
  }

  decode<T extends WireRecord>(schema: Schema<T>, bytes: Uint8Array): T {
    try {
      return this.#message(schema, bytes, 0, bytes.length) as T;
    } catch (error) {
      throw this.#located(error);
    }
  }

  /** A message of any length: as many whole fields as one read holds, then the next read; large fields one by one. */
  async #readRange(schema: Schema, start: number, end: number): Promise<WireRecord> {
    const builder = this.#begin(schema, start);
    let step = FIRST_STEP;
    for (let at = start; at < end;) {
      const cursor = new Cursor(await this.#source.read(at, Math.min(step, end - at)), at);
      const done = this.#fieldsOf(cursor, builder, end);
      if (done === 0 || this.#skips(cursor, builder, done)) {
        // Behind a tensor comes a head and then the next tensor: read little there, and more in a row of small fields.
        step = FIRST_STEP;
        at = await this.#readLarge(cursor, builder, end);
      } else {
        step = Math.min(2 * step, SMALL);
        at += done;
      }
    }
    this.#path.pop();
    return builder.finish();
  }

  /** Whether the field at the cursor, whose end was not read, is one whose body nobody will look at. */
  #skips(cursor: Cursor, builder: RecordBuilder, done: number): boolean {
    if (cursor.start !== done || cursor.end <= cursor.bytes.length) return false;
    const type = builder.schema.fields[cursor.number]?.type;
    return type === 'span' || type === 'spans' || cursor.end - cursor.start > SMALL;
  }

  /** The message in `bytes[start..end)`. */
  #message(schema: Schema, bytes: Uint8Array, base: number, end: number): WireRecord {
    const builder = this.#begin(schema, base);
    const cursor = new Cursor(bytes, base);
    const done = this.#fieldsOf(cursor, builder, end);
    if (base + done !== end) throw this.#cutShort(cursor, end);
    this.#path.pop();
    return builder.finish();
  }

  #begin(schema: Schema, offset: number): RecordBuilder {
    if (this.#path.length > MAX_DEPTH) throw this.#tooMuch(`at most ${MAX_DEPTH} nested messages`, offset);
    this.#spend(schema.cost, offset);
    this.#path.push('');
    return new RecordBuilder(schema, this.#source);
  }

  /** Adds the fields that lie wholly in the cursor's bytes and gives the number of bytes that they take. */
  #fieldsOf(cursor: Cursor, builder: RecordBuilder, messageEnd: number): number {
    const available = cursor.bytes.length;
    for (;;) {
      const done = cursor.end;
      if (done >= available) return done;
      if (!cursor.next()) return this.#notWhole(cursor, messageEnd, done);
      if (cursor.base + cursor.end > messageEnd) throw this.#cutShort(cursor, messageEnd);
      if (cursor.end > available) return done;
      this.#add(cursor, builder);
    }
  }

  #notWhole(cursor: Cursor, messageEnd: number, done: number): number {
    const isLast = cursor.base + cursor.bytes.length >= messageEnd;
    if (isLast) throw this.#cutShort(cursor, messageEnd);
    // The first read is longer than any head; only a group can be longer.
    if (done === 0) throw this.#tooMuch(`a group of at most ${FIRST_STEP} bytes`, cursor.base);
    cursor.end = done;
    return done;
  }

  #add(cursor: Cursor, builder: RecordBuilder): void {
    const spec = builder.schema.fields[cursor.number];
    if (spec === undefined) {
      const offset = cursor.base + cursor.start;
      this.#spend(UNKNOWN_COST + BYTE_COST * (cursor.end - cursor.start), offset);
      builder.addRest(cursor.number, cursor.bytes.slice(cursor.start, cursor.end));
    } else {
      this.#addKnown(cursor, builder, spec);
    }
  }

  #addKnown(cursor: Cursor, builder: RecordBuilder, spec: FieldSpec): void {
    this.#path[this.#path.length - 1] = builder.label(spec);
    if (spec.type === 'message') {
      if (cursor.wire !== LENGTH) throw builder.wireError(cursor);
      const bytes = cursor.bytes.subarray(cursor.body, cursor.end);
      const offset = cursor.base + cursor.body;
      builder.addMessage(cursor, this.#message(nested(spec), bytes, offset, offset + bytes.length), spec);
    } else {
      this.#addScalar(cursor, builder, spec);
    }
    this.#path[this.#path.length - 1] = '';
  }

  /** Costs are counted first: a list may be all of the file. */
  #addScalar(cursor: Cursor, builder: RecordBuilder, spec: FieldSpec): void {
    const { type, cost = 0, byteCost = BYTE_COST } = spec;
    const offset = cursor.base + cursor.start;
    if (type === 'span' || type === 'spans') {
      // Elements that go on where the last ones end cost nothing.
      if (builder.addSpan(cursor, spec)) this.#spend(COSTS[type], offset);
      return;
    }
    const one = COSTS[type] + cost;
    const isPacked = spec.repeated === true && cursor.wire === LENGTH && WIRE[type] !== LENGTH;
    if (isPacked) this.#spend(one * cursor.countPacked(type === 'fixed32' ? 4 : 0), offset);
    else this.#spend(one + (WIRE[type] === LENGTH ? byteCost * (cursor.end - cursor.body) : 0), offset);
    builder.addScalar(cursor, spec);
  }

  /** The field at the cursor is longer than the read was. Gives where the next one begins. */
  async #readLarge(cursor: Cursor, builder: RecordBuilder, messageEnd: number): Promise<number> {
    const next = cursor.base + cursor.end;
    const start = cursor.base + cursor.start;
    const spec = builder.schema.fields[cursor.number];
    this.#path[this.#path.length - 1] = spec === undefined ? '' : builder.label(spec);
    if (spec === undefined && next - start > SMALL) {
      builder.addRest(cursor.number, {
        source: this.#source,
        offset: start,
        length: next - start,
        verbatim: true,
      });
    } else if (spec?.type === 'message' && cursor.wire === LENGTH) {
      const body = cursor.base + cursor.body;
      builder.addMessage(cursor, await this.#readRange(nested(spec), body, next), spec);
    } else if (spec?.type === 'span' || spec?.type === 'spans') {
      this.#addScalar(cursor, builder, spec);
    } else {
      await this.#readLong(cursor, builder, messageEnd);
    }
    this.#path[this.#path.length - 1] = '';
    return next;
  }

  /** A long string, packed list or unknown field: read as a whole, within the limit of what is held. */
  async #readLong(cursor: Cursor, builder: RecordBuilder, messageEnd: number): Promise<void> {
    const start = cursor.base + cursor.start;
    const length = cursor.end - cursor.start;
    // It must be read to be counted.
    if (this.#cost + length > this.#limit) this.#spend(length, start);
    const whole = new Cursor(await this.#source.read(start, length), start);
    this.#fieldsOf(whole, builder, messageEnd);
  }

  #spend(cost: number, offset: number): void {
    this.#cost += cost;
    if (this.#cost <= this.#limit) return;
    const mebibytes = Number((this.#limit / 2 ** 20).toPrecision(3));
    throw this.#tooMuch(
      `a structure that takes at most ${mebibytes} MiB besides tensors`,
      offset,
      'If you trust the file and have the memory, raise readModel(source, { maxStructureBytes }), or --max-structure on the command line.',
    );
  }

  #tooMuch(expected: string, offset: number, hint?: string): FormatError {
    return this.#error('FORMAT_LIMIT', `expected ${expected}, got more`, offset, hint);
  }

  /** A field goes past the end: of the file if we are at the top, of the message around it otherwise. */
  #cutShort(cursor: Cursor, end: number): FormatError {
    const offset = cursor.base + cursor.start;
    if (end === this.#source.size) {
      return this.#error(
        'FORMAT_TRUNCATED',
        `expected a whole field, got the end of the file at ${end}`,
        offset,
      );
    }
    return this.#error('FORMAT_INVALID', `expected a field that ends by ${end}, got a longer one`, offset);
  }

  #located(error: unknown): unknown {
    return error instanceof WireError ? this.#error('FORMAT_INVALID', error.message, error.offset) : error;
  }

  #error(code: ErrorCode, message: string, offset: number, advice?: string): FormatError {
    const field = this.#path.filter((part) => part !== '').join('.');
    const where = `${this.#source.name ?? 'source'}: ${field} at offset ${offset}`;
    const hint = code === 'FORMAT_TRUNCATED' ? 'The file is incomplete: copy or download it again.' : advice;
    return new FormatError(`${where}: ${message}`, { code, hint, details: { offset, field } });
  }
}

function nested(spec: FieldSpec): Schema {
  if (spec.of === undefined) throw new TypeError(`schema: expected a schema for message field ${spec.key}`);
  return spec.of();
}
