/**
 * A schema says which fields of a message we want, by number. All other fields are kept as they are, unread.
 * Wire format: protobuf encoding guide, "Message structure".
 */
import type { Source } from '../source.ts';

/** A stretch of a file that stays there until it is copied or decoded. */
export interface Span {
  readonly source: Pick<Source, 'read'>;
  readonly offset: number;
  readonly length: number;
  /** The span holds whole fields, tags included, and not just one field's bytes. */
  readonly verbatim?: boolean;
}

/** A field that the schema does not have, tag included. */
export interface RawField {
  readonly number: number;
  readonly data: Uint8Array | Span;
}

/** What every decoded message has besides its fields. */
export interface WireRecord {
  rest?: readonly RawField[];
  /** Numbers of the fields in the file's order, one an occurrence; absent where they ascend, as they mostly do. */
  order?: readonly number[];
  /** Numbers of the repeated fields that were packed. */
  packed?: readonly number[];
}

/**
 * How a field is held:
 * `string` string, must be UTF-8; `bytes` Uint8Array; `int` number within ±2^53; `int64` bigint; `fixed32` the
 * bits as an unsigned number, so that every NaN survives; `message` a record; `span` a {@link Span} of a bytes or
 * packed field, or of consecutive unpacked elements with their tags; `spans` the same for a repeated bytes field.
 */
export type FieldType = 'string' | 'bytes' | 'int' | 'int64' | 'fixed32' | 'message' | 'span' | 'spans';

export interface FieldSpec<K extends string = string> {
  readonly key: K;
  readonly type: FieldType;
  readonly repeated?: boolean;
  /** Schema of a message field; a function, since schemas refer to each other. */
  readonly of?: () => Schema;
  /** What an element costs besides what its type does, see limits.ts. */
  readonly cost?: number;
  /** Costs of a byte of its body, if more is made of it than the type says. */
  readonly byteCost?: number;
}

/** `T` is the type of the decoded record: optional properties for all fields, arrays for repeated ones. */
export interface Schema<T extends WireRecord = WireRecord> {
  readonly name: string;
  readonly fields: Readonly<Record<number, FieldSpec>>;
  /** The same, ascending by number. */
  readonly entries: readonly (readonly [number: number, spec: FieldSpec])[];
  /** What a message costs besides its fields, see limits.ts. */
  readonly cost: number;
  /** Never there: it only ties the schema to its record type. */
  readonly record?: T;
}

export function schema<T extends WireRecord>(
  name: string,
  fields: Readonly<Record<number, FieldSpec<keyof T & string>>>,
  cost: number = MESSAGE_COST,
): Schema<T> {
  const entries = Object.entries(fields).map(([key, spec]) => [Number(key), spec] as const);
  return { name, fields, cost, entries: entries.sort(([a], [b]) => a - b) };
}

/** Of a record and its place in a list. */
const MESSAGE_COST = 300;

/** Wire types. 3 and 4 are the groups of old. */
export const VARINT = 0;
export const FIXED64 = 1;
export const LENGTH = 2;
export const GROUP = 3;
export const END_GROUP = 4;
export const FIXED32 = 5;
