/** What a runner is made for, and that model in a form that a runtime can take. */
import { readModel } from '../formats/onnx/read-model.ts';
import { writeModel } from '../formats/onnx/write-model.ts';
import { MemorySink } from '../formats/sink.ts';
import { openSource, type SourceLike } from '../formats/source.ts';
import type { Graph } from '../graph/graph.ts';
import { Model } from '../graph/model.ts';
import type { RunnerOptions } from './types.ts';

/** A model in memory, or where one lies. */
export type RunnerSource = Model | SourceLike;

export interface ResolvedSource {
  readonly model: Model;
  /** Where the model was read from; undefined for one in memory. */
  readonly source: SourceLike | undefined;
}

export async function resolveSource(
  source: RunnerSource,
  { maxStructureBytes }: RunnerOptions,
): Promise<ResolvedSource> {
  if (source instanceof Model) return { model: source, source: undefined };
  return { model: await readModel(source, { maxStructureBytes }), source };
}

/** A model's file in memory, and its external data by location. */
export interface ModelFiles {
  readonly bytes: Uint8Array;
  readonly externalData: readonly { readonly path: string; readonly data: Uint8Array }[];
}

/** The model as it would be written. Weights are copied. */
export async function modelFiles(model: Model): Promise<ModelFiles> {
  const sink = new MemorySink();
  await writeModel(model, sink);
  const external = [...sink.files].filter(([name]) => name !== sink.name);
  return { bytes: sink.bytes, externalData: external.map(([path, data]) => ({ path, data })) };
}

/** The bytes of a source; undefined if the model has more files than that one. */
export async function fileBytes(model: Model, source: SourceLike): Promise<Uint8Array | undefined> {
  if (hasExternalData(model.graph)) return undefined;
  const opened = await openSource(source);
  return opened.source.read(0, opened.source.size);
}

function hasExternalData(graph: Graph): boolean {
  for (const { where } of constantsOf(graph)) if (where !== 'model' && where !== 'memory') return true;
  return false;
}

/** Bytes of all constants. */
export function weightBytes(graph: Graph): number {
  let sum = 0;
  for (const { byteLength } of constantsOf(graph)) sum += byteLength;
  return sum;
}

function* constantsOf(graph: Graph): Generator<{ readonly where: string; readonly byteLength: number }> {
  for (const { initializer } of graph.initializers) if (initializer !== undefined) yield initializer;
  for (const node of graph.nodes) {
    for (const attribute of node.attributes.values()) if (attribute.kind === 'tensor') yield attribute.value;
    for (const inner of node.subgraphs) yield* constantsOf(inner);
  }
}
