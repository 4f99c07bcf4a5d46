/** External data of a model that is to be replaced, and that nothing needs then: `model.onnx_data` and the like. */
import { readdir, realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Model, WrittenFile } from 'zeropoint/onnx';
import { isDataOf } from '../files.ts';
import { modelFacts } from '../model-facts.ts';

/** `files`: what takes the place of `output`. Data of the input stays, unless the input is what is replaced. */
export async function obsoleteData(
  output: string,
  files: readonly WrittenFile[],
  input: { readonly path: string; readonly model: Model },
): Promise<readonly string[]> {
  const replaced = await realpath(output).catch(() => undefined);
  if (replaced === undefined) return [];
  const folder = dirname(output);
  const written = new Set(files.map(({ name }) => name));
  const isOld = (name: string): boolean => isDataOf(name, basename(output)) && !written.has(name);
  const old = (await readdir(folder)).filter(isOld).map((name) => join(folder, name));
  if (replaced === (await realpath(input.path))) return old;
  const used = await dataOf(input);
  const places = await Promise.all(old.map((path) => realpath(path).catch(() => path)));
  return old.filter((_, i) => !used.includes(places[i]));
}

function dataOf({ path, model }: { readonly path: string; readonly model: Model }): Promise<string[]> {
  const names = Object.keys(modelFacts(model).externalData);
  return Promise.all(names.map((name) => realpath(join(dirname(path), name))));
}
