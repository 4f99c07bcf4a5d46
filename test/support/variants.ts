/** What onnxruntime's Python quantizers made with the settings of transformers.js' scripts (scripts/fixtures/ort_variants.py). */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import type { Tensor } from 'zeropoint';
import { readModel, type Graph, type Model, type Node, type Value } from 'zeropoint/onnx';

const FOLDER = new URL('../fixtures/ort/variants/', import.meta.url);

export interface StoredTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  /** base64 */
  readonly data: string;
}

export interface VariantCase {
  readonly model: string;
  readonly dtype: 'fp16' | 'q8' | 'int8' | 'uint8' | 'q4' | 'q4f16' | 'bnb4';
  /** Of 8-bit variants: both per_channel and reduce_range off, or on. */
  readonly recipe?: 'quantize' | 'convert';
  readonly ops: Readonly<Record<string, number>>;
  /** {@link signature} of the output. */
  readonly signature: string;
  readonly initializers: Readonly<Record<string, StoredTensor>>;
}

/** The file is written by the script above. */
export const VARIANT_CASES = JSON.parse(
  gunzipSync(readFileSync(new URL('cases.json.gz', FOLDER))).toString(),
) as readonly VariantCase[];

/**
 * How often each operator occurs in what is made here: a value from outside that both branches of an If multiply is quantized
 * in each of them, where onnxruntime quantizes it once in front.
 */
export function operatorsHere({ model, ops }: VariantCase): Readonly<Record<string, number>> {
  const { DynamicQuantizeLinear: count } = ops;
  return model === 'branches' && count !== undefined ? { ...ops, DynamicQuantizeLinear: count + 1 } : ops;
}

export const variantFile = (name: string): URL => new URL(`${name}.onnx`, FOLDER);

export function variantModel(name: string): Promise<Model> {
  return readModel(variantFile(name));
}

export function storedTensor({ dtype, shape, data }: Tensor): StoredTensor {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return { dtype, shape: [...shape], data: bytes.toString('base64') };
}

/** By name, those of bodies included. */
export async function initializersOf({ graph }: Model): Promise<Record<string, StoredTensor>> {
  const found: Record<string, StoredTensor> = {};
  const graphs: Graph[] = [graph];
  for (const { initializers, nodes } of graphs) {
    for (const { name, constant } of initializers) {
      if (constant !== undefined) found[name] = storedTensor(await constant.load());
    }
    for (const { subgraphs } of nodes) graphs.push(...subgraphs);
  }
  return found;
}

/** How often each operator occurs, by name. */
export function countOps(model: Model): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { opType } of model.graph.allNodes()) counts[opType] = (counts[opType] ?? 0) + 1;
  return Object.fromEntries(Object.entries(counts).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

const digest = (text: string): string => createHash('sha256').update(text).digest('hex');

/**
 * A hash of the first output over operators, attributes of whole numbers, wiring and the contents of constants, and not over
 * names: as `signature` in the script. Bodies are not looked into.
 */
export async function signature({ graph }: Model): Promise<string> {
  const known = new Map<Value, string>();
  for (const input of graph.inputs) known.set(input, digest(`input ${input.name}`));
  for (const value of graph.initializers) {
    if (value.constant === undefined) continue;
    const { dtype, shape, data } = storedTensor(await value.constant.load());
    known.set(value, digest(`${dtype}[${shape.join()}]${data}`));
  }
  for (const node of graph.nodes) {
    const inputs = node.inputs.map((input) => (input === undefined ? '-' : known.get(input))).join();
    const body = `${node.opType}[${wholeNumbers(node)}](${inputs})`;
    node.outputs.forEach((output, i) => output && known.set(output, digest(`${body}#${i}`)));
  }
  return known.get(graph.outputs[0]) ?? 'no output';
}

function wholeNumbers({ attributes }: Node): string {
  return [...attributes]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([name, { kind, value }]) => {
      if (kind === 'int') return [`${name}=${value}`];
      return kind === 'ints' ? [`${name}=${value.join()}`] : [];
    })
    .join(';');
}
