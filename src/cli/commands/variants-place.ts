/**
 * Where the files of a transformers.js repository lie:
 *
 *   root/config.json, README.md     root/onnx/model.onnx, model_q4.onnx, model_q4.onnx_data, ...
 *
 * Cases:
 * 1. A folder with an `onnx` folder that has models: those.
 * 2. A folder named `onnx`: it; config.json is beside it.
 * 3. Another folder with models: variants go into its `onnx` if it has a config.json, else beside the models.
 * 4. One model: variants go beside it.
 */
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { FormatError, QuantError } from 'zeropoint';
import type { ModelFiles } from 'zeropoint/onnx';
import { isFolder } from '../files.ts';
import type { VariantsWords } from '../verbs/variants.ts';

export interface VariantsPlace {
  /** Models to look at, by name; values are paths. */
  readonly files: ModelFiles;
  /** Where variants go; its parent exists. */
  readonly folder: string;
  /** Of config.json and README.md. */
  readonly root: string;
  /** Whether there is a config.json. */
  readonly isRepository: boolean;
  /** Text of config.json; undefined if there is none, or it is left alone. */
  readonly config: string | undefined;
  /** Text of README.md; undefined if there is none, or it is left alone. */
  readonly readme: string | undefined;
  /** Said once: base files lie where transformers.js does not look. */
  readonly warning: string | undefined;
}

/** Which texts are looked at. */
type TextWords = Pick<VariantsWords, 'config' | 'readme'>;

/** @throws FormatError for what is no file or folder, QuantError for models that are there twice */
export async function findPlace(source: string, words: TextWords): Promise<VariantsPlace> {
  const path = resolve(source);
  const info = await stat(path).catch(() => undefined);
  if (info === undefined) {
    throw new FormatError(`${path}: expected a folder or a model, got nothing there`, {
      code: 'FORMAT_NOT_A_FILE',
      hint: 'Check the path; a relative one starts at the working directory.',
      details: { file: source },
    });
  }
  if (!info.isDirectory()) {
    const folder = dirname(path);
    const root = basename(folder) === 'onnx' ? dirname(folder) : folder;
    const files = { [basename(path)]: path };
    return { files, folder, root, ...(await texts(root, words)), warning: undefined };
  }
  return basename(path) === 'onnx'
    ? placeOf({ models: path, root: dirname(path), folder: path }, words)
    : placeOfRoot(path, words);
}

async function placeOfRoot(root: string, words: TextWords): Promise<VariantsPlace> {
  const inner = join(root, 'onnx');
  const [outside, inside] = [await modelsIn(root), (await isFolder(inner)) ? await modelsIn(inner) : []];
  if (inside.length === 0) {
    const folder = (await hasConfig(root)) ? inner : root;
    const place = await placeOf({ models: root, root, folder }, words);
    const warning =
      'transformers.js looks for models in onnx/: move the float ones there too, for dtype fp32';
    return folder === inner && outside.length > 0 ? { ...place, warning } : place;
  }
  const twice = outside.find((file) => inside.includes(file));
  if (twice === undefined) return placeOf({ models: inner, root, folder: inner }, words);
  throw new QuantError(`${twice}: expected it in one place, got it in ${root} and in ${inner}`, {
    code: 'OUTPUT_EXISTS',
    hint: `Name the folder that counts: ${inner}.`,
    details: { file: twice },
  });
}

async function placeOf(
  { models, root, folder }: Readonly<Record<'models' | 'root' | 'folder', string>>,
  words: TextWords,
): Promise<VariantsPlace> {
  const names = await modelsIn(models);
  const files = Object.fromEntries(names.map((name) => [name, join(models, name)]));
  return { files, folder, root, ...(await texts(root, words)), warning: undefined };
}

/** Without those that are hidden: unfinished files of others. */
async function modelsIn(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const names = entries.filter((entry) => !entry.isDirectory()).map(({ name }) => name);
  return names.filter((name) => /^[^.].*\.onnx$/.test(name)).toSorted();
}

async function hasConfig(root: string): Promise<boolean> {
  return (await stat(join(root, 'config.json')).catch(() => undefined)) !== undefined;
}

/** What is left alone need not be readable. */
async function texts(
  root: string,
  { config, readme }: TextWords,
): Promise<Pick<VariantsPlace, 'isRepository' | 'config' | 'readme'>> {
  return {
    isRepository: await hasConfig(root),
    config: config ? await readText(join(root, 'config.json')) : undefined,
    readme: readme ? await readText(join(root, 'README.md')) : undefined,
  };
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined;
    throw new FormatError(`${path}: expected a file that can be read, got ${String(cause)}`, {
      code: 'FORMAT_NOT_A_FILE',
      hint: 'Check its permissions, or leave it out: --no-config, --no-readme.',
      details: { file: path },
      cause,
    });
  }
}
