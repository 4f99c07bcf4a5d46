/**
 * Writes a model. Everything is laid out first, with tensors as references; then their bytes are copied from where they
 * lie, a few megabytes at a time.
 *
 * A model that was read and not changed gives the same bytes if the official protobuf library wrote it: records keep
 * unknown fields, presence and unusual order (formats/protobuf), and the graph keeps what it has no place for as an
 * opaque origin. That was chosen over keeping the bytes of each message and a flag for changes, because there the
 * truth lies in two places and every edit must remember the flag; here the graph is the only truth.
 */
import { checkOptions, members, type Rule } from '../../errors/check-options.ts';
import { BOOLEAN, byType, FUNCTION, numberFrom, oneOf, SIGNAL } from '../../errors/option-rules.ts';
import { QuantError } from '../../errors.ts';
import { checkModel, type Model, type ModelFunction } from '../../graph/model.ts';
import type { TensorSource } from '../../graph/tensor-source.ts';
import { MAX_MESSAGE_BYTES } from '../protobuf/limits.ts';
import { encodeMessage, type Encoded } from '../protobuf/writer.ts';
import { openSink, PieceWriter, SinkSet, type SinkLike } from '../sink.ts';
import { writeAttribute } from './attribute-codec.ts';
import { FileTensor } from './file-tensor.ts';
import { Placement, type Chunk } from './placement.ts';
import type { FunctionOrigin, ModelOrigin } from './read-model.ts';
import { MODEL, type FunctionRecord, type ModelRecord, type OpsetRecord } from './schema.ts';
import { keepText, writeFunctionBody, writeGraph } from './write-graph.ts';

/** What goes into external data, and in files of what size. */
export interface ExternalDataOptions {
  /**
   * Initializers of at least this many bytes go outside. Default 1024, as in onnx's own tools: onnxruntime refuses models
   * whose shapes (small int64 tensors) lie outside.
   */
  readonly threshold?: number;
  /** Largest external file in bytes. Default 1 GiB: browsers must hold a file in one buffer. */
  readonly chunkSize?: number;
}

/** How far {@link writeModel} has come, in bytes. */
export interface WriteProgress {
  /** Bytes of all files. */
  readonly done: number;
  readonly total: number;
}

/** Options of {@link writeModel}. */
export interface WriteModelOptions {
  /** Whether existing files may be replaced. Default false. */
  readonly overwrite?: boolean;
  /**
   * `'auto'`: tensors that were external stay so, and all large ones become so if the model would pass protobuf's
   * 2 GiB. `'embed'`: one file. An object: large initializers go outside. Default `'auto'`.
   */
  readonly externalData?: 'auto' | 'embed' | ExternalDataOptions;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: WriteProgress) => void;
}

/** `auto`, `embed`, or what goes outside. */
export const PLACEMENT: Rule = byType({
  string: oneOf('auto', 'embed'),
  object: members({
    threshold: numberFrom(0),
    chunkSize: numberFrom(0, { above: true }),
  } satisfies Record<keyof ExternalDataOptions, Rule>),
});

const RULES = {
  overwrite: BOOLEAN,
  externalData: PLACEMENT,
  signal: SIGNAL,
  onProgress: FUNCTION,
} satisfies Record<keyof WriteModelOptions, Rule>;

/** A file that {@link writeModel} wrote, and its size in bytes. */
export interface WrittenFile {
  readonly name: string;
  readonly size: number;
}

const DEFAULTS = { threshold: 1024, chunkSize: 1_073_741_824 } as const;
const DEFAULT_NAME = 'model.onnx';

/**
 * Writes a model and gives the files that it took, the model's first. Files appear when they are complete: on any
 * error and on abort nothing is left behind.
 *
 * @throws QuantError OUTPUT_EXISTS, OUTPUT_FAILED (with the file), FORMAT_LIMIT where one file is wanted and would
 *   pass 2 GiB; GraphError for a graph that is out of order; FormatError if a tensor cannot be read.
 */
export async function writeModel(
  model: Model,
  target: SinkLike,
  options: WriteModelOptions = {},
): Promise<readonly WrittenFile[]> {
  checkModel('writeModel', model);
  checkOptions('writeModel', options, RULES);
  options.signal?.throwIfAborted();
  const sinks = new SinkSet(await openSink(target, { overwrite: options.overwrite ?? false }));
  try {
    const layout = layOut(model, sinks.main.name ?? DEFAULT_NAME, options);
    const files = await writeFiles(sinks, layout, options);
    options.signal?.throwIfAborted();
    await sinks.commit();
    return files;
  } catch (error) {
    await sinks.abort(error);
    throw error;
  }
}

interface Layout {
  readonly name: string;
  readonly message: Encoded;
  readonly chunks: readonly Chunk[];
}

function layOut(model: Model, name: string, { externalData = 'auto' }: WriteModelOptions): Layout {
  if (externalData !== 'auto' && externalData !== 'embed') return checked(outside(model, name, externalData));
  const keep = externalData === 'auto';
  const placement = new Placement({
    model: name,
    ...DEFAULTS,
    isExternal: (source) => keep && wasExternal(source),
  });
  const layout = encode(model, name, placement);
  if (layout.message.length < MAX_MESSAGE_BYTES || !keep) return checked(layout);
  return checked(outside(model, name, {}));
}

function outside(model: Model, name: string, options: ExternalDataOptions): Layout {
  const { threshold, chunkSize } = { ...DEFAULTS, ...options };
  const isExternal = (source: TensorSource, initializer: string | undefined): boolean =>
    initializer === undefined ? wasExternal(source) : source.byteLength >= threshold && source.byteLength > 0;
  return encode(model, name, new Placement({ model: name, chunkSize, isExternal }));
}

function wasExternal(source: TensorSource): boolean {
  return source instanceof FileTensor && source.isExternal;
}

function checked(layout: Layout): Layout {
  const { length } = layout.message;
  if (length < MAX_MESSAGE_BYTES) return layout;
  throw new QuantError(`${layout.name}: expected a model below 2 GiB, got ${length} bytes`, {
    code: 'FORMAT_LIMIT',
    hint: "Use externalData: 'auto', or { threshold } with a lower one.",
    details: { file: layout.name, length },
  });
}

function encode(model: Model, name: string, placement: Placement): Layout {
  return { name, message: encodeMessage(MODEL, modelRecord(model, placement)), chunks: placement.chunks };
}

function modelRecord(model: Model, placement: Placement): ModelRecord {
  // Only readModel sets the origin of models.
  const origin = model.origin as ModelOrigin | undefined;
  const record = origin?.record;
  return {
    ...record,
    ir_version: model.irVersion,
    producer_name: keepText(model.producerName, record?.producer_name),
    producer_version: keepText(model.producerVersion, record?.producer_version),
    domain: keepText(model.domain, record?.domain),
    model_version:
      model.modelVersion === 0n ? (record?.model_version === 0n ? 0n : undefined) : model.modelVersion,
    doc_string: keepText(model.docString, record?.doc_string),
    graph: writeGraph(model.graph, placement),
    opset_import: sameEntries(model.opsetImports, origin?.opsetImports)
      ? record?.opset_import
      : opsetRecords(model.opsetImports),
    metadata_props: sameEntries(model.metadata, origin?.metadata)
      ? record?.metadata_props
      : [...model.metadata].map(([key, value]) => ({ key, value })),
    functions: model.functions.map((f) => functionRecord(f, placement)),
  };
}

function opsetRecords(opsets: ReadonlyMap<string, number>): OpsetRecord[] {
  return [...opsets].map(([domain, version]) => ({ domain, version }));
}

function sameEntries<T>(now: ReadonlyMap<string, T>, before: ReadonlyMap<string, T> | undefined): boolean {
  if (before === undefined || now.size !== before.size) return false;
  return [...now].every(([key, value]) => before.get(key) === value);
}

function functionRecord(f: ModelFunction, placement: Placement): FunctionRecord {
  // Only readModel sets the origin of functions.
  const origin = f.origin as FunctionOrigin | undefined;
  const record = origin?.record;
  const defaults = [...f.attributeDefaults].map(([name, attribute]) =>
    writeAttribute(name, attribute, {
      tensor: (source) => placement.place(source, undefined),
      sparseTensor: ({ values, indices, shape }) => ({
        values: placement.place(values, undefined),
        indices: placement.place(indices, undefined),
        dims: [...shape],
      }),
      graph: (graph) => writeGraph(graph, placement),
    }),
  );
  return {
    ...record,
    ...writeFunctionBody(f, placement),
    name: f.name,
    domain: f.domain === '' ? record?.domain : f.domain,
    overload: keepText(f.overload, record?.overload),
    attribute: [...f.attributes],
    attribute_proto: defaults,
    opset_import: sameEntries(f.opsetImports, origin?.opsetImports)
      ? record?.opset_import
      : opsetRecords(f.opsetImports),
  };
}

async function writeFiles(
  sinks: SinkSet,
  layout: Layout,
  options: WriteModelOptions,
): Promise<WrittenFile[]> {
  const { name, message, chunks } = layout;
  const total = chunks.reduce((sum, chunk) => sum + chunk.size, message.length);
  let done = 0;
  const onBytes = (count: number): void => {
    done += count;
    options.onProgress?.({ done, total });
  };
  for (const chunk of chunks) {
    const writer = new PieceWriter(await sinks.sibling(chunk.name), { signal: options.signal, onBytes });
    await writeChunk(writer, chunk);
  }
  const writer = new PieceWriter(sinks.main, { signal: options.signal, onBytes });
  for (const piece of message.pieces) await writer.write(piece);
  await writer.flush();
  return [{ name, size: message.length }, ...chunks.map((chunk) => ({ name: chunk.name, size: chunk.size }))];
}

async function writeChunk(writer: PieceWriter, chunk: Chunk): Promise<void> {
  let at = 0;
  for (const { offset, span } of chunk.parts) {
    await writer.write(new Uint8Array(offset - at));
    await writer.write(span);
    at = offset + span.length;
  }
  await writer.flush();
}
