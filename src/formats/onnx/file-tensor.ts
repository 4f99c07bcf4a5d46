/** A constant that lies in the model's file or in external data: located when the model is read, loaded when asked. */
import { FormatError, UnsupportedError, type ErrorCode } from '../../errors.ts';
import { elementBits, isOurs, type ElementType } from '../../graph/element-type.ts';
import type { TensorSource } from '../../graph/tensor-source.ts';
import { allocate } from '../../tensor/dtype.ts';
import { elementCount } from '../../tensor/shape.ts';
import { Tensor } from '../../tensor/tensor.ts';
import type { Span } from '../protobuf/schema.ts';
import type { Source } from '../source.ts';
import { DATA_TYPES, dataField, elementTypeOf, type DataField } from './data-type.ts';
import { canHold, decodePayload, type NumberField } from './payload.ts';
import type { TensorRecord } from './schema.ts';

/** TensorProto.DataLocation. */
export const EXTERNAL = 1;

/** What is needed to find a tensor's bytes. */
export interface TensorContext {
  /** For messages: the model's file and the tensor's place. */
  readonly where: string;
  /** Files of external data that were found, by location. */
  readonly external: ReadonlyMap<string, Source>;
}

type Payload =
  | { readonly kind: 'raw'; readonly span: Span }
  | { readonly kind: 'field'; readonly field: NumberField; readonly spans: readonly Span[] }
  /** Strings and types of a newer ONNX: carried, never decoded. */
  | { readonly kind: 'opaque'; readonly spans: readonly Span[] };

const DATA_FIELDS: readonly DataField[] = [...new Set(Object.values(DATA_TYPES).map((row) => row.field))];

export class FileTensor implements TensorSource {
  readonly elementType: ElementType;
  readonly shape: readonly number[];
  readonly byteLength: number;
  readonly where: string;
  /** The TensorProto as it was read, to be written back; its spans stay where they are. */
  readonly record: TensorRecord;
  readonly #payload: Payload;
  readonly #label: string;

  /** Throws FormatError if the bytes cannot be what type and shape say. */
  constructor(record: TensorRecord, context: TensorContext) {
    this.record = record;
    this.#label = `${context.where}: tensor ${JSON.stringify(record.name ?? '')}`;
    this.elementType = elementTypeOf(record.data_type ?? 0);
    this.shape = this.#checkedShape(record.dims ?? []);
    const bits = elementBits(this.elementType);
    const known = bits === 0 ? undefined : Math.ceil((elementCount(this.shape) * bits) / 8);
    this.#payload =
      record.data_location === EXTERNAL ? this.#external(context, known) : this.#internal(known);
    this.byteLength = known ?? sum(this.#spans());
    this.where = record.data_location === EXTERNAL ? locationOf(record) : 'model';
  }

  /** True if the bytes lie outside the model's file. */
  get isExternal(): boolean {
    return this.record.data_location === EXTERNAL;
  }

  /** The elements as one stretch of bytes; undefined where they have no fixed size. */
  get raw(): Span | undefined {
    const payload = this.#payload;
    if (payload.kind === 'raw') return payload.span;
    return payload.kind === 'field' ? { source: this, offset: 0, length: this.byteLength } : undefined;
  }

  #spans(): readonly Span[] {
    return this.#payload.kind === 'raw' ? [this.#payload.span] : this.#payload.spans;
  }

  #checkedShape(dims: readonly number[]): readonly number[] {
    const bad = dims.find((dim) => dim < 0);
    if (bad !== undefined) throw this.#error(`expected sizes of at least 0, got ${bad}`);
    if (!Number.isSafeInteger(elementCount(dims) * 16)) {
      throw this.#error(`expected fewer elements than memory can hold, got shape [${dims.join(', ')}]`);
    }
    return Object.freeze([...dims]);
  }

  #internal(known: number | undefined): Payload {
    const { record } = this;
    if (record.segment !== undefined) {
      throw new UnsupportedError(`${this.#label}: expected no segment, got one`, {
        code: 'UNSUPPORTED_FEATURE',
        hint: 'Save the model with whole tensors.',
      });
    }
    const used = DATA_FIELDS.filter((field) => sum(record[field] ?? []) > 0);
    const { raw_data: span } = record;
    if (span !== undefined && (span.length > 0 || used.length === 0)) {
      if (used.length > 0) throw this.#error(`expected one field of data, got raw_data and ${used[0]}`);
      return this.#checkedRaw(span, known);
    }
    return this.#typed(used, known);
  }

  #checkedRaw(span: Span, known: number | undefined): Payload {
    if (known !== undefined && span.length !== known)
      throw this.#lengthError(known, span.length, span.offset);
    return { kind: 'raw', span };
  }

  #typed(used: readonly DataField[], known: number | undefined): Payload {
    const wanted = dataField(this.elementType);
    const wrong = used.find((field) => field !== wanted && wanted !== undefined);
    if (wrong !== undefined) {
      throw this.#error(`expected ${this.elementType} elements in ${wanted}, got them in ${wrong}`);
    }
    const spans = used.flatMap((field) => this.record[field] ?? []);
    const bits = elementBits(this.elementType);
    // Types of 6 bits lie unpacked in int32_data, unlike those of 4 and 2: carried as they are.
    const uneven = bits < 8 && 8 % bits !== 0;
    if (known === undefined || wanted === undefined || wanted === 'string_data' || uneven) {
      return { kind: 'opaque', spans };
    }
    if (!canHold(wanted, spans, known, this.#elementBytes(wanted))) {
      throw this.#lengthError(known, sum(spans), spans[0]?.offset);
    }
    return { kind: 'field', field: wanted, spans };
  }

  /** Bytes that one value of a field becomes; complex numbers are two values. */
  #elementBytes(field: NumberField): number {
    if (field === 'float_data') return 4;
    return field === 'double_data' ? 8 : Math.ceil(elementBits(this.elementType) / 8);
  }

  #external({ external }: TensorContext, known: number | undefined): Payload {
    const location = locationOf(this.record);
    const source = external.get(location);
    if (source === undefined) {
      throw this.#error(`expected external data in ${JSON.stringify(location)}, got no such file`, {
        code: 'EXTERNAL_DATA_MISSING',
        hint: 'Put the file beside the model, or pass it in options.externalData.',
        details: { location },
      });
    }
    const offset = this.#entry('offset') ?? 0;
    const length = this.#entry('length') ?? known ?? source.size - offset;
    if (offset + length > source.size) {
      throw this.#error(
        `expected ${length} bytes at offset ${offset} of ${location}, got ${source.size} in all`,
        {
          code: 'EXTERNAL_DATA_TRUNCATED',
          hint: 'Was the file downloaded completely?',
          details: { location, offset },
        },
      );
    }
    return this.#checkedRaw({ source, offset, length }, known);
  }

  #entry(key: string): number | undefined {
    const text = this.record.external_data?.find((entry) => entry.key === key)?.value;
    if (text === undefined) return undefined;
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (Number.isSafeInteger(value)) return value;
    throw this.#error(
      `expected ${key} of external data as a whole number of at least 0, got ${JSON.stringify(text)}`,
    );
  }

  async load(): Promise<Tensor> {
    const dtype = this.elementType;
    if (!isOurs(dtype)) {
      throw new UnsupportedError(`${this.#label}: expected a type that can be computed with, got ${dtype}`, {
        code: 'UNSUPPORTED_DTYPE',
        details: { tensor: this.record.name, dtype },
      });
    }
    const data = allocate(dtype, elementCount(this.shape));
    const own = new Uint8Array(data.buffer);
    const bytes = await this.read(0, this.byteLength, own);
    // A view of a cache, at any offset.
    if (bytes !== own) own.set(bytes);
    return new Tensor(dtype, this.shape, data);
  }

  async read(offset: number, length: number, into?: Uint8Array): Promise<Uint8Array> {
    const payload = this.#payload;
    switch (payload.kind) {
      case 'raw':
        return payload.span.source.read(payload.span.offset + offset, length, into);
      case 'field':
        return (await this.#decoded(payload.field, payload.spans)).subarray(offset, offset + length);
      case 'opaque':
        throw new UnsupportedError(
          `${this.#label}: expected elements of a fixed size, got ${this.elementType}`,
          {
            code: 'UNSUPPORTED_DTYPE',
            details: { tensor: this.record.name, dtype: this.elementType },
          },
        );
      default:
        return payload satisfies never;
    }
  }

  async #decoded(field: NumberField, spans: readonly Span[]): Promise<Uint8Array> {
    try {
      return await decodePayload(field, spans, this.byteLength, this.#elementBytes(field));
    } catch (cause) {
      if (!(cause instanceof FormatError)) throw cause;
      throw this.#error(cause.message, { code: cause.code, details: cause.details, cause });
    }
  }

  #lengthError(expected: number, got: number, offset: number | undefined): FormatError {
    const what = `${this.elementType}[${this.shape.join(', ')}]`;
    return this.#error(`expected ${expected} bytes for ${what}, got ${got}`, { details: { offset } });
  }

  #error(
    message: string,
    options: {
      code?: ErrorCode;
      hint?: string;
      details?: Readonly<Record<string, unknown>>;
      cause?: unknown;
    } = {},
  ): FormatError {
    return new FormatError(`${this.#label}: ${message}`, {
      ...options,
      code: options.code ?? 'FORMAT_INVALID',
      details: { tensor: this.record.name ?? '', ...options.details },
    });
  }
}

/** Location entry of external data; '' if there is none. */
export function locationOf(record: TensorRecord): string {
  return record.external_data?.find((entry) => entry.key === 'location')?.value ?? '';
}

function sum(spans: readonly Span[]): number {
  return spans.reduce((total, span) => total + span.length, 0);
}
