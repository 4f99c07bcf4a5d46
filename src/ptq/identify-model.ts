/**
 * What tells a model from others, cheaply: no weight is read but for its first bytes, which fine-tuning changes.
 *
 *   digest = FNV-1a over nodes (operator, inputs, outputs), inputs, outputs and constants (name, type, shape, first bytes)
 */
import { checkOptions } from '../errors/check-options.ts';
import { TEXT, wholeFrom } from '../errors/option-rules.ts';
import { Fnv } from '../graph/fnv.ts';
import type { Graph } from '../graph/graph.ts';
import type { Model } from '../graph/model.ts';
import { formatType } from '../graph/value-type.ts';

/** A model, as a plan remembers it. */
export interface ModelIdentity {
  /** File name, for people; a model may be renamed. */
  readonly name: string;
  /** Bytes, external data included. */
  readonly size: number;
  readonly opset: number;
  readonly digest: string;
}

/** Bytes that are looked at in each constant. */
const SAMPLE_BYTES = 64;
/** Constants that are looked into; of the others name, type and shape count. */
const SAMPLED_CONSTANTS = 1024;

/** The model as read, before any pass. */
export async function identifyModel(
  model: Model,
  file: { readonly name: string; readonly size: number },
): Promise<ModelIdentity> {
  checkOptions('identifyModel', file, { name: TEXT, size: wholeFrom(0) });
  const { name, size } = file;
  const hash = new Fnv();
  const { graph } = model;
  for (const value of [...graph.inputs, ...graph.outputs])
    hash.text(`${value.name} ${formatType(value.type)}`);
  for (const node of graph.allNodes()) {
    const names = [...node.inputs, undefined, ...node.outputs].map((value) => value?.name ?? '');
    hash.text(`${node.qualifiedOp} ${names.join(' ')}`);
  }
  await hashConstants(graph, hash);
  return { name, size, opset: model.opset, digest: hash.digest() };
}

async function hashConstants(graph: Graph, hash: Fnv): Promise<void> {
  let left = SAMPLED_CONSTANTS;
  for (const { name, initializer } of graph.initializers) {
    if (initializer === undefined) continue;
    const { elementType, shape, byteLength } = initializer;
    hash.text(`${name} ${elementType} ${shape.join(' ')}`);
    if (left-- <= 0 || byteLength === 0) continue;
    hash.bytes(await initializer.read(0, Math.min(SAMPLE_BYTES, byteLength)));
  }
}
