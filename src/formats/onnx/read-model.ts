/** Reads an ONNX model: its structure at once, its tensors when they are asked for. */
import { checkOptions, type Rule } from '../../errors/check-options.ts';
import { ANYTHING, byType, numberFrom } from '../../errors/option-rules.ts';
import { FormatError, GraphError } from '../../errors.ts';
import type { Attribute } from '../../graph/attribute.ts';
import { Model, type ModelFunction } from '../../graph/model.ts';
import { readMessage } from '../protobuf/reader.ts';
import { openSource, type OpenedSource, type Source, type SourceLike } from '../source.ts';
import { readAttribute } from './attribute-codec.ts';
import { checkOverlaps, externalFinder, openExternalData, type ExternalFiles } from './external-data.ts';
import { FileTensor } from './file-tensor.ts';
import {
  FileSparseTensor,
  normalizeDomain,
  readFunctionBody,
  readGraph,
  type GraphContext,
} from './read-graph.ts';
import { MODEL, type FunctionRecord, type ModelRecord, type OpsetRecord } from './schema.ts';
import { notOnnx, notOnnxError, SNIFF_BYTES } from './sniff.ts';

/** Options of {@link readModel}. */
export interface ReadModelOptions {
  /** Where external data lies, for models that are not given by path, or whose data lies elsewhere. */
  readonly externalData?: ExternalFiles;
  /**
   * Most memory that the structure (nodes, attributes, names; not tensors) may take, here and when the model is quantized, as
   * estimated, in bytes. Default 256 MiB, which is some 65,000 nodes: files from elsewhere could exhaust the memory without it.
   */
  readonly maxStructureBytes?: number | undefined;
}

/** Of {@link ReadModelOptions}, also where they are handed on. */
export const READ_RULES = {
  externalData: byType({ function: ANYTHING, object: ANYTHING }),
  maxStructureBytes: numberFrom(0),
} satisfies Record<keyof ReadModelOptions, Rule>;

/** What {@link Model.origin} is for models that were read. */
export interface ModelOrigin {
  /** Fields that a Model does not hold, and the lists below as they were spelt. */
  readonly record: ModelRecord;
  /** Entries as they were read: while they are so, the record's lists are written again. */
  readonly opsetImports: ReadonlyMap<string, number>;
  readonly metadata: ReadonlyMap<string, string>;
}

/** What {@link ModelFunction.origin} is for functions that were read. */
export interface FunctionOrigin {
  readonly record: FunctionRecord;
  readonly opsetImports: ReadonlyMap<string, number>;
}

/** Files before this IR version have no opset_import (onnx.proto, ModelProto.opset_import). */
const FIRST_IR_WITH_OPSETS = 3;

/**
 * Reads a model. Memory grows with the number of nodes, not with the size of the weights: those stay where they are,
 * so the source must stay readable and unchanged while the model is in use.
 *
 * @throws FormatError for bytes that are no ONNX model (with offset and field), and for external data that is missing,
 *   too short or outside the model's folder; GraphError for a model that contradicts itself; UnsupportedError for
 *   segmented tensors.
 */
export async function readModel(source: SourceLike, options: ReadModelOptions = {}): Promise<Model> {
  checkOptions('readModel', options, READ_RULES);
  const opened = await openSource(source);
  const file = opened.source.name ?? 'source';
  const record = await readRecord(opened.source, file, options.maxStructureBytes);
  return modelOf(record, await contextOf(record, opened, options, file));
}

async function readRecord(source: Source, file: string, limit: number | undefined): Promise<ModelRecord> {
  if (source.size === 0) {
    throw new FormatError(`${file}: expected an ONNX model, got an empty file`, {
      code: 'FORMAT_EMPTY',
      hint: 'Copy or download it again.',
      details: { file, offset: 0 },
    });
  }
  const other = notOnnx(await source.read(0, Math.min(SNIFF_BYTES, source.size)));
  if (other !== undefined) throw notOnnxError(file, other);
  const record = await readMessage(MODEL, source, limit);
  if (record.graph === undefined) throw notOnnxError(file, 'a protobuf message without a graph');
  if (record.ir_version === undefined) throw notOnnxError(file, 'a protobuf message without ir_version');
  if (record.opset_import === undefined && record.ir_version >= FIRST_IR_WITH_OPSETS) {
    throw new FormatError(`${file}: expected opset_import, got none`, {
      code: 'FORMAT_INVALID',
      hint: 'The file may have been cut off.',
      details: { file, field: 'ModelProto.opset_import' },
    });
  }
  return record;
}

async function contextOf(
  record: ModelRecord,
  { openExternal }: OpenedSource,
  { externalData }: ReadModelOptions,
  file: string,
): Promise<GraphContext> {
  const external = await openExternalData(record, externalFinder(externalData, openExternal), file);
  return { file, external, externalTensors: [] };
}

function modelOf(record: ModelRecord, context: GraphContext): Model {
  const { graph, functions = [], ...rest } = record;
  const opsetImports = opsetsOf(record.opset_import, context.file);
  const metadata = new Map(record.metadata_props?.map(({ key, value }) => [key ?? '', value ?? '']));
  const model = new Model(readGraph(graph ?? {}, context), {
    irVersion: record.ir_version ?? 0,
    opsetImports,
    metadata,
    functions: functions.map((f) => functionOf(f, context)),
  });
  model.producerName = record.producer_name ?? '';
  model.producerVersion = record.producer_version ?? '';
  model.domain = record.domain ?? '';
  model.modelVersion = record.model_version ?? 0n;
  model.docString = record.doc_string ?? '';
  model.origin = { record: rest, opsetImports, metadata } satisfies ModelOrigin;
  checkOverlaps(context.externalTensors, context.file);
  return model;
}

/** Files of IR version 1 and 2 speak operator set 1. */
function opsetsOf(records: readonly OpsetRecord[] | undefined, file: string): Map<string, number> {
  const opsets = new Map<string, number>();
  for (const record of records ?? [{ version: 1 }]) {
    const domain = normalizeDomain(record.domain);
    const { version = 0 } = record;
    const known = opsets.get(domain);
    if (known !== undefined && known !== version) {
      throw new GraphError(
        `${file}: expected one version of operator set ${domain || 'ai.onnx'}, got ${known} and ${version}`,
        { code: 'GRAPH_INVALID', details: { domain } },
      );
    }
    opsets.set(domain, version);
  }
  return opsets;
}

function functionOf(record: FunctionRecord, context: GraphContext): ModelFunction {
  const { node: _n, input: _i, output: _o, value_info: _v, attribute_proto: defaults = [], ...rest } = record;
  const opsetImports = opsetsOf(record.opset_import ?? [], context.file);
  return {
    domain: normalizeDomain(record.domain),
    name: record.name ?? '',
    overload: record.overload ?? '',
    body: readFunctionBody(record, context),
    opsetImports: new Map(opsetImports),
    attributes: record.attribute ?? [],
    attributeDefaults: new Map(defaults.map((a) => [a.name ?? '', defaultOf(record, a, context)])),
    origin: { record: rest, opsetImports } satisfies FunctionOrigin,
  };
}

function defaultOf(
  { name = '' }: FunctionRecord,
  attribute: NonNullable<FunctionRecord['attribute_proto']>[number],
  context: GraphContext,
): Attribute {
  const where = `${context.file}: function ${JSON.stringify(name)}`;
  const { external } = context;
  return readAttribute(attribute, {
    where,
    tensor: (tensor) => new FileTensor(tensor, { where, external }),
    sparseTensor: (tensor) => {
      const parts = [tensor.values ?? {}, tensor.indices ?? {}].map(
        (part) => new FileTensor(part, { where, external }),
      );
      return new FileSparseTensor(parts[0], parts[1], tensor);
    },
    graph: (graph) => readGraph(graph, context),
  });
}
