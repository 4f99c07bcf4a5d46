/**
 * A folder of models with data, as the tests of onnx are laid out: a folder a model, `model.onnx` in it, and
 * `test_data_set_0/input_N.pb` with one TensorProto each.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { ModelProtoSchema, TensorProtoSchema } from 'onnx-buf';
import { readModel, type Feeds, type Model } from 'zeropoint/onnx';

export interface CorpusModel {
  /** Of its folder, below the corpus. */
  readonly name: string;
  readonly path: string;
}

export function corpusModels(folder: string): readonly CorpusModel[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.onnx'))
    .toSorted()
    .map((name) => ({ name: name.replace(/\/model\.onnx$/, ''), path: join(folder, name) }));
}

/** The inputs that lie beside a model; undefined if there are none, or some are no tensors of numbers. */
export async function corpusFeeds(path: string, { graph }: Model): Promise<Feeds | undefined> {
  const wanted = graph.inputs.filter((input) => !graph.initializers.has(input));
  const folder = join(path, '..', 'test_data_set_0');
  const feeds: [string, Feeds[string]][] = [];
  for (const { name } of wanted) {
    const file = join(folder, `input_${graph.inputs.findIndex((input) => input.name === name)}.pb`);
    if (!existsSync(file)) return undefined;
    const tensor = await loaded(readFileSync(file)).catch(() => undefined);
    if (tensor === undefined) return undefined;
    feeds.push([name, tensor]);
  }
  return Object.fromEntries(feeds);
}

/** A TensorProto alone, through the reader of models. */
async function loaded(bytes: Uint8Array): Promise<Feeds[string]> {
  const tensor = { ...fromBinary(TensorProtoSchema, bytes), name: 'input' };
  const message = create(ModelProtoSchema, {
    irVersion: 8n,
    opsetImport: [{ version: 17n }],
    graph: { initializer: [tensor] },
  });
  const { graph } = await readModel(toBinary(ModelProtoSchema, message));
  const { initializer } = graph.value('input') ?? {};
  if (initializer === undefined) throw new TypeError('expected an input, got none');
  return initializer.load();
}
