/** Where tensors go when a model is written: into the model's file, or into external data beside it. */
import type { TensorSource } from '../../graph/tensor-source.ts';
import type { Span } from '../protobuf/schema.ts';
import { dataTypeNumber } from './data-type.ts';
import { chunkName } from './external-data.ts';
import { EXTERNAL, FileTensor } from './file-tensor.ts';
import type { TensorRecord } from './schema.ts';
import type { TensorPlacer } from './write-graph.ts';

/** One external data file to be written: stretches of bytes at their offsets, ascending. */
export interface Chunk {
  readonly name: string;
  readonly parts: { readonly offset: number; readonly span: Span }[];
  size: number;
}

type Place = readonly [chunk: Chunk, offset: number];

export interface PlacementOptions {
  /** Name of the model's file, which the chunks are named after. */
  readonly model: string;
  /** Chunks end before they would be larger than this; a tensor that is larger gets one of its own. */
  readonly chunkSize: number;
  /** Whether a tensor goes outside; `name` is undefined for tensors in attributes. */
  readonly isExternal: (source: TensorSource, name: string | undefined) => boolean;
}

/** Offsets of tensors from this size on are multiples of a memory page, so that runtimes can map them. */
const PAGE = 4096;
/** Offsets of smaller tensors are multiples of a cache line. */
const LINE = 64;
const PAGED_FROM = 1_048_576;

export class Placement implements TensorPlacer {
  readonly chunks: Chunk[] = [];
  readonly #options: PlacementOptions;
  /** Bytes that several constants share lie in one place: where the bytes of a source went, by offset and length. */
  readonly #placed = new Map<object, Map<string, Place>>();

  constructor(options: PlacementOptions) {
    this.#options = options;
  }

  place(source: TensorSource, name: string | undefined): TensorRecord {
    const original = source instanceof FileTensor ? source.record : undefined;
    const span = rawSpan(source);
    if (span !== undefined && this.#options.isExternal(source, name)) {
      return { ...this.#head(source, name), ...this.#external(span) };
    }
    if (original === undefined || original.data_location === EXTERNAL) {
      return { ...this.#head(source, name), raw_data: span };
    }
    return { ...original, name: name ?? original.name };
  }

  /** What a record has besides the elements. */
  #head(source: TensorSource, name: string | undefined): TensorRecord {
    const original = source instanceof FileTensor ? source.record : undefined;
    return {
      dims: [...source.shape],
      data_type: dataTypeNumber(source.elementType),
      name: name ?? original?.name,
      rest: original?.rest,
    };
  }

  #external(span: Span): TensorRecord {
    const places = this.#placed.get(span.source) ?? new Map<string, Place>();
    const key = `${span.offset}+${span.length}`;
    const [chunk, offset] = places.get(key) ?? this.#append(span);
    this.#placed.set(span.source, places.set(key, [chunk, offset]));
    return {
      external_data: [
        { key: 'location', value: chunk.name },
        { key: 'offset', value: String(offset) },
        { key: 'length', value: String(span.length) },
      ],
      data_location: EXTERNAL,
    };
  }

  #append(span: Span): Place {
    const last = this.chunks.at(-1);
    const offset = last === undefined ? 0 : align(last.size, span.length);
    const fits = last !== undefined && offset + span.length <= this.#options.chunkSize;
    const chunk = fits ? last : this.#begin();
    const at = fits ? offset : 0;
    chunk.parts.push({ offset: at, span });
    chunk.size = at + span.length;
    return [chunk, at];
  }

  #begin(): Chunk {
    const chunk = { name: chunkName(this.#options.model, this.chunks.length), parts: [], size: 0 };
    this.chunks.push(chunk);
    return chunk;
  }
}

function align(offset: number, length: number): number {
  const step = length >= PAGED_FROM ? PAGE : LINE;
  return Math.ceil(offset / step) * step;
}

/** undefined for strings and types of a newer ONNX, which stay in the model's file. */
function rawSpan(source: TensorSource): Span | undefined {
  if (source instanceof FileTensor) return source.raw;
  return { source, offset: 0, length: source.byteLength };
}
