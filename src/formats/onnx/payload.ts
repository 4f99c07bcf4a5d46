/**
 * Elements in the typed fields of TensorProto (float_data, int32_data, ...) to the bytes that raw_data would hold:
 * little-endian, packed below 8 bits. Which element lies how in which field: comments on TensorProto in onnx.proto.
 */
import { FormatError } from '../../errors.ts';
import { Cursor, WireError } from '../protobuf/cursor.ts';
import type { Span } from '../protobuf/schema.ts';
import type { DataField } from './data-type.ts';

interface FieldRow {
  /** Bytes of one value on the wire; 0 for varints. */
  readonly width: number;
}

const FIELDS = {
  float_data: { width: 4 },
  double_data: { width: 8 },
  int32_data: { width: 0 },
  int64_data: { width: 0 },
  uint64_data: { width: 0 },
} as const satisfies Record<Exclude<DataField, 'string_data'>, FieldRow>;

export type NumberField = keyof typeof FIELDS;

/** Longest varint. */
const MAX_VARINT = 10;

/**
 * Whether spans of `bytes` can hold the elements of `rawBytes` bytes, `elementBytes` each, judged by length alone.
 * Unpacked elements have a tag of one byte each, since all these fields have numbers below 16.
 */
export function canHold(
  field: NumberField,
  spans: readonly Span[],
  rawBytes: number,
  elementBytes: number,
): boolean {
  const packed = spans.filter((span) => span.verbatim !== true).reduce((sum, span) => sum + span.length, 0);
  const tagged = spans.filter((span) => span.verbatim === true).reduce((sum, span) => sum + span.length, 0);
  const { width } = FIELDS[field];
  if (width > 0) return packed + (tagged / (width + 1)) * width === rawBytes;
  const count = rawBytes / elementBytes;
  return packed + tagged / 2 >= count && packed / MAX_VARINT + tagged / (MAX_VARINT + 1) <= count;
}

/**
 * Reads and decodes. `elementBytes` is what one value becomes: 1 for all types of 8 bits and below, since those below
 * are packed first and each byte is a value.
 * @throws FormatError unless there are exactly `rawBytes` / `elementBytes` values.
 */
export async function decodePayload(
  field: NumberField,
  spans: readonly Span[],
  rawBytes: number,
  elementBytes: number,
): Promise<Uint8Array> {
  const out = new Uint8Array(rawBytes);
  let at = 0;
  for (const span of spans) {
    const bytes = await span.source.read(span.offset, span.length);
    at =
      FIELDS[field].width > 0
        ? copyFixed(span, bytes, out, at)
        : copyVarints(span, bytes, out, at, elementBytes);
  }
  if (at !== rawBytes) throw countError(spans[0], rawBytes / elementBytes, at / elementBytes);
  return out;
}

function countError(span: Span | undefined, expected: number, got: number): FormatError {
  return new FormatError(`tensor: expected ${expected} values, got ${got > expected ? 'more' : got}`, {
    code: 'FORMAT_INVALID',
    details: { offset: span?.offset },
  });
}

function copyFixed(span: Span, bytes: Uint8Array, out: Uint8Array, start: number): number {
  let at = start;
  for (const [from, to] of bodies(span, bytes)) {
    if (at + to - from > out.length) throw countError(span, out.length, at + to - from);
    out.set(bytes.subarray(from, to), at);
    at += to - from;
  }
  return at;
}

function copyVarints(
  span: Span,
  bytes: Uint8Array,
  out: Uint8Array,
  start: number,
  elementBytes: number,
): number {
  const cursor = new Cursor(bytes, span.offset);
  const view = new DataView(out.buffer);
  let at = start;
  try {
    for (const [from, to] of bodies(span, bytes)) {
      for (let pos = from; pos < to; pos = cursor.body) {
        if (at + elementBytes > out.length) throw countError(span, out.length / elementBytes, Infinity);
        store(view, at, cursor, pos, elementBytes);
        at += elementBytes;
      }
    }
  } catch (error) {
    throw error instanceof WireError ? wireFormatError(error) : error;
  }
  return at;
}

function wireFormatError(error: WireError): FormatError {
  return new FormatError(`tensor at offset ${error.offset}: ${error.message}`, {
    code: 'FORMAT_INVALID',
    details: { offset: error.offset },
    cause: error,
  });
}

function store(view: DataView, at: number, cursor: Cursor, pos: number, elementBytes: number): void {
  if (elementBytes === 8) {
    view.setBigInt64(at, cursor.int64(pos), true);
    return;
  }
  const value = Number(BigInt.asIntN(32, cursor.int64(pos)));
  if (elementBytes === 1) view.setInt8(at, value);
  else if (elementBytes === 2) view.setInt16(at, value, true);
  else view.setInt32(at, value, true);
}

/** Stretches of `bytes` without tags: all of a packed field, or the body of each unpacked element. */
function* bodies(span: Span, bytes: Uint8Array): Generator<readonly [from: number, to: number]> {
  if (span.verbatim !== true) {
    yield [0, bytes.length];
    return;
  }
  const cursor = new Cursor(bytes, span.offset);
  while (cursor.end < bytes.length && cursor.next()) yield [cursor.body, cursor.end];
}
