/** External data: finding the files that a model names (ONNX "External Data"), and naming those that we write. */
import { FormatError } from '../../errors.ts';
import { EXTERNAL, locationOf, type FileTensor } from './file-tensor.ts';
import type { Span } from '../protobuf/schema.ts';
import { openSource, type ExternalOpener, type Source, type SourceLike } from '../source.ts';
import type { AttributeRecord, GraphRecord, ModelRecord, TensorRecord } from './schema.ts';

/** Files of external data for a model that is not given by path, by location as the model spells it. */
export type ExternalFiles =
  | Readonly<Record<string, SourceLike>>
  | ((location: string) => SourceLike | undefined | Promise<SourceLike | undefined>);

/** Opens the files: the caller's first, then those beside the model. */
export function externalFinder(
  files: ExternalFiles | undefined,
  beside: ExternalOpener | undefined,
): ExternalOpener {
  return async (location) => {
    const given = await lookUp(files, location);
    if (given !== undefined) return (await openSource(given)).source;
    return beside?.(location);
  };
}

async function lookUp(files: ExternalFiles | undefined, location: string): Promise<SourceLike | undefined> {
  if (typeof files === 'function') return files(location);
  return files !== undefined && Object.hasOwn(files, location) ? files[location] : undefined;
}

/** Opens every file that tensors of `model` lie in. Files that are not found are absent from the result. */
export async function openExternalData(
  model: ModelRecord,
  find: ExternalOpener,
  where: string,
): Promise<ReadonlyMap<string, Source>> {
  const sources = new Map<string, Source>();
  const seen = new Set<string>();
  for (const tensor of tensorsOf(model)) {
    if (tensor.data_location !== EXTERNAL) continue;
    const location = locationOf(tensor);
    if (location === '') throw noLocation(tensor, where);
    if (seen.has(location)) continue;
    seen.add(location);
    const source = await find(location);
    if (source !== undefined) sources.set(location, source);
  }
  return sources;
}

function noLocation(tensor: TensorRecord, where: string): FormatError {
  return new FormatError(
    `${where}: expected external tensor ${JSON.stringify(tensor.name ?? '')} to have a location, got none`,
    { code: 'FORMAT_INVALID', details: { tensor: tensor.name, field: 'external_data' } },
  );
}

function* tensorsOf(model: ModelRecord): Generator<TensorRecord> {
  if (model.graph !== undefined) yield* graphTensors(model.graph);
  for (const { node, attribute_proto } of model.functions ?? []) {
    yield* graphTensors({ node });
    yield* attributeTensors(attribute_proto);
  }
}

function* graphTensors(graph: GraphRecord): Generator<TensorRecord> {
  yield* graph.initializer ?? [];
  for (const { values, indices } of graph.sparse_initializer ?? []) yield* [values ?? {}, indices ?? {}];
  for (const node of graph.node ?? []) yield* attributeTensors(node.attribute);
}

function* attributeTensors(attributes: readonly AttributeRecord[] = []): Generator<TensorRecord> {
  for (const { t, g, tensors, graphs, sparse_tensor, sparse_tensors } of attributes) {
    if (t !== undefined) yield t;
    yield* tensors ?? [];
    for (const graph of [...(graphs ?? []), ...(g === undefined ? [] : [g])]) yield* graphTensors(graph);
    const sparse = [...(sparse_tensors ?? []), ...(sparse_tensor === undefined ? [] : [sparse_tensor])];
    for (const { values, indices } of sparse) yield* [values ?? {}, indices ?? {}];
  }
}

/**
 * Two tensors may lie in the same place (tied weights), but not in places that overlap: that is a wrong offset, and
 * would give wrong numbers without any other sign.
 */
export function checkOverlaps(tensors: readonly FileTensor[], where: string): void {
  for (const [location, group] of groupByLocation(tensors)) {
    const placed = group.flatMap((tensor) =>
      tensor.raw === undefined ? [] : [{ tensor, span: tensor.raw }],
    );
    placed.sort((a, b) => a.span.offset - b.span.offset || a.span.length - b.span.length);
    placed.forEach(({ tensor, span }, index) => {
      const before = index === 0 ? undefined : placed[index - 1];
      if (before === undefined || !overlap(before.span, span)) return;
      throw new FormatError(
        `${where}: expected tensors apart in ${location}, got ${before.tensor.record.name} and ${tensor.record.name} overlapping at offset ${span.offset}`,
        { code: 'FORMAT_INVALID', details: { location, offset: span.offset, tensor: tensor.record.name } },
      );
    });
  }
}

function overlap(a: Span, b: Span): boolean {
  if (a.length === 0 || b.length === 0) return false;
  return b.offset < a.offset + a.length && !(a.offset === b.offset && a.length === b.length);
}

function groupByLocation(tensors: readonly FileTensor[]): Map<string, FileTensor[]> {
  const groups = new Map<string, FileTensor[]>();
  for (const tensor of tensors) {
    const group = groups.get(tensor.where);
    if (group === undefined) groups.set(tensor.where, [tensor]);
    else group.push(tensor);
  }
  return groups;
}

/** Names as transformers.js looks for them: `model.onnx_data`, `model.onnx_data_1`, ... */
export function chunkName(model: string, index: number): string {
  return index === 0 ? `${model}_data` : `${model}_data_${index}`;
}
