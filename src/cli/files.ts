/** Files of the command line: sizes, and an output that appears when it is complete or not at all. */
import { rmSync } from 'node:fs';
import { link, lstat, mkdtemp, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { QuantError } from 'zeropoint';
import type { Model } from 'zeropoint/onnx';
import { modelFacts } from './model-facts.ts';

export async function fileSize(path: string): Promise<number> {
  return (await stat(path)).size;
}

export async function isFolder(path: string): Promise<boolean> {
  const info = await stat(path).catch(() => undefined);
  return info?.isDirectory() ?? false;
}

/** Bytes of a model's file and of the external data that it uses. */
export async function totalSize(path: string, model: Model): Promise<number> {
  const external = Object.values(modelFacts(model).externalData);
  return external.reduce((sum, size) => sum + size, await fileSize(path));
}

/** Whether a file is external data of a model by its name: `model.onnx_data`, `model.onnx_data_1`, ... */
export function isDataOf(name: string, model: string): boolean {
  return name.startsWith(`${model}_data`) && /^(_[0-9]+)?$/.test(name.slice(model.length + '_data'.length));
}

/** `dir/model.onnx` → `dir/model.int8.onnx` */
export function defaultOutput(path: string, ending = 'int8.onnx'): string {
  return join(dirname(path), `${basename(path).replace(/\.onnx$/i, '')}.${ending}`);
}

const OTHER_NAME = 'Choose another name with --output';

/**
 * Throws QuantError OUTPUT_EXISTS if there is something at `path` that may not be overwritten; `instead` says what to do but
 * `--force`. `links`: a link to a file may be, since a rename puts a file in its place and leaves what it points to.
 */
export async function checkFree(path: string, force: boolean | 'links', instead = OTHER_NAME): Promise<void> {
  const info = await lstat(path).catch(() => undefined);
  if (info === undefined || (force && info.isFile())) return;
  if (force === 'links' && (await stat(path).catch(() => undefined))?.isFile()) return;
  throw taken(path, info.isFile(), instead);
}

function taken(path: string, isFile: boolean, instead = OTHER_NAME): QuantError {
  return new QuantError(
    `${path}: expected no file there, got ${isFile ? 'an existing one' : 'something else'}`,
    {
      code: 'OUTPUT_EXISTS',
      hint: isFile ? `${instead}, or overwrite it with --force.` : `${instead}.`,
      details: { file: path },
    },
  );
}

/** Throws QuantError: as {@link checkFree}, or OUTPUT_FAILED if `path` lies in no folder. */
export async function checkOutput(path: string, force: boolean): Promise<void> {
  await checkFree(path, force);
  const info = await stat(dirname(path)).catch(() => undefined);
  if (!info?.isDirectory()) throw noFolder(path, info === undefined ? 'nothing there' : 'a file');
}

export function noFolder(path: string, got: string, cause?: unknown): QuantError {
  return new QuantError(`${path}: expected a folder to write to, got ${got}`, {
    code: 'OUTPUT_FAILED',
    hint: 'Check that the folder exists and can be written to.',
    details: { file: path },
    cause,
  });
}

/** Files that are written and looked at under their final names, but in a hidden folder beside their final place. */
export interface StagedOutput {
  /** Where to write. */
  readonly path: string;
  /** An error about {@link path}, told of the file that the user named. */
  told(error: unknown): unknown;
  /**
   * Moves all files to where they belong, the main one last, then removes files that are obsolete with it; gives the paths,
   * the main one first.
   */
  commit(obsolete?: readonly string[]): Promise<readonly string[]>;
  /** Removes what was not committed. Can be called again. */
  discard(): Promise<void>;
}

/** @throws QuantError OUTPUT_EXISTS, or OUTPUT_FAILED if the folder cannot be written to */
export async function stageOutput(
  target: string,
  { force }: { readonly force: boolean },
): Promise<StagedOutput> {
  const path = resolve(target);
  await checkFree(path, force);
  const folder = await stagingFolder(path);
  // A process that is ended the hard way (second Ctrl-C) must not leave it either.
  const removeNow = (): void => rmSync(folder, { recursive: true, force: true });
  process.once('exit', removeNow);
  return {
    path: join(folder, basename(path)),
    told: (error) => toldOf(error, folder, dirname(path)),
    commit: (obsolete = []) => moveAll(folder, { path, force, obsolete }),
    async discard() {
      await rm(folder, { recursive: true, force: true });
      process.off('exit', removeNow);
    },
  };
}

async function stagingFolder(path: string): Promise<string> {
  try {
    return await mkdtemp(join(dirname(path), `.${basename(path)}.`));
  } catch (cause) {
    throw noFolder(path, String(cause), cause);
  }
}

function toldOf(error: unknown, folder: string, place: string): unknown {
  if (!(error instanceof QuantError) || !error.message.includes(folder)) return error;
  const { code, hint, details, cause } = error;
  return new QuantError(error.message.replaceAll(folder, place), { code, hint, details, cause });
}

/** In one order in all processes, the main file last: of several that write the same output at once one succeeds. */
async function moveAll(
  folder: string,
  { path, force, obsolete }: Readonly<{ path: string; force: boolean; obsolete: readonly string[] }>,
): Promise<readonly string[]> {
  const main = basename(path);
  const others = (await readdir(folder)).filter((name) => name !== main);
  const targets = [...others.toSorted(), main].map((name) => join(dirname(path), name));
  for (const target of [...targets, ...obsolete]) await checkFree(target, force);
  const moved: string[] = [];
  try {
    for (const target of targets) {
      const staged = join(folder, basename(target));
      await (force ? rename(staged, target) : moveExclusively(staged, target));
      moved.push(target);
    }
    for (const old of obsolete) await rm(old);
  } catch (error) {
    // With --force what was replaced is gone already.
    if (!force) for (const target of moved) await rm(target, { force: true });
    throw error;
  }
  return targets.toReversed();
}

/** A rename that replaces nothing, also where somebody else puts a file there at this moment. */
async function moveExclusively(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    if (isTaken(error)) throw taken(to, true);
    // A file system without hard links: the name is taken with an empty file, which the rename replaces.
    const placeholder = await open(to, 'wx').catch((cause: unknown) => {
      throw isTaken(cause) ? taken(to, true) : cause;
    });
    await placeholder.close();
    await rename(from, to).catch(async (cause: unknown) => {
      await rm(to, { force: true });
      throw cause;
    });
  }
}

function isTaken(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EEXIST';
}
