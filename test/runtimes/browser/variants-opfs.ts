/**
 * `variants` on file handles of a browser: the float model is read from the origin's private file system, and each file is
 * written there. Bytes are those that Node writes; after an error nothing is left.
 */
import { describe, expect, it, onTestFinished } from 'vitest';
import { directorySink, variants, type VariantsOptions, type VariantsResult } from 'zeropoint/onnx';
import { loadFixture } from '../../support/fixtures.ts';
import { VARIANT_JOBS, type VariantDigests } from '../variant-jobs.ts';

/** What Node wrote, of the same sources (run.mjs). */
const NODE: VariantDigests = await (await fetch(new URL('variants.json', import.meta.url))).json();

/** A new folder with the float model in it. */
async function folderWith(model: Uint8Array<ArrayBuffer>): Promise<FileSystemDirectoryHandle> {
  const root = await navigator.storage.getDirectory();
  const name = crypto.randomUUID();
  const folder = await root.getDirectoryHandle(name, { create: true });
  onTestFinished(() => root.removeEntry(name, { recursive: true }));
  const stream = await (await folder.getFileHandle('model.onnx', { create: true })).createWritable();
  await stream.write(model);
  await stream.close();
  return folder;
}

async function bytesOf(folder: FileSystemDirectoryHandle, name: string): Promise<ArrayBuffer> {
  return (await (await folder.getFileHandle(name)).getFile()).arrayBuffer();
}

async function namesIn(folder: FileSystemDirectoryHandle): Promise<string[]> {
  const names: string[] = [];
  for await (const name of folder.keys()) names.push(name);
  return names.toSorted();
}

async function digest(bytes: ArrayBuffer): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return [...hash].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The model of a folder, as a page has it after a person chose that folder. */
async function run(
  folder: FileSystemDirectoryHandle,
  options: Omit<VariantsOptions, 'open'>,
  signal?: AbortSignal,
): Promise<VariantsResult> {
  const model = await (await folder.getFileHandle('model.onnx')).getFile();
  const open: VariantsOptions['open'] = (name) => directorySink(folder, name);
  return variants({ 'model.onnx': model }, { ...options, open }, signal === undefined ? {} : { signal });
}

describe('variants in the private file system of a browser', () => {
  it.each(Object.keys(VARIANT_JOBS))("%s: Node's bytes, file for file", async (job) => {
    const { model, options } = VARIANT_JOBS[job];
    const folder = await folderWith(await loadFixture(model));
    const { variants: made } = await run(folder, options);
    const names = made.flatMap(({ files }) => files.map(({ name }) => name));
    expect(await namesIn(folder)).toEqual(['model.onnx', ...names].toSorted());
    const digests: Record<string, string> = {};
    for (const name of names) digests[name] = await digest(await bytesOf(folder, name));
    expect(digests).toEqual(NODE[job]);
  });

  it('a handle in place of a folder: the file that a person chose to save to', async () => {
    const folder = await folderWith(await loadFixture(VARIANT_JOBS.web.model));
    const target = await folder.getFileHandle('model_q4.onnx', { create: true });
    const model = await (await folder.getFileHandle('model.onnx')).getFile();
    await variants(model, { dtypes: ['q4'], open: () => target });
    expect(await digest(await bytesOf(folder, 'model_q4.onnx'))).toBe(NODE.web['model_q4.onnx']);
  });

  it('a name that is taken stops all, and what was there stays', async () => {
    const folder = await folderWith(await loadFixture(VARIANT_JOBS.web.model));
    await folder.getFileHandle('model_q4.onnx', { create: true });
    await expect(run(folder, {})).rejects.toMatchObject({ code: 'OUTPUT_EXISTS' });
    expect(await namesIn(folder)).toEqual(['model.onnx', 'model_q4.onnx']);
  });

  it('an abort between two files leaves none', async () => {
    const folder = await folderWith(await loadFixture(VARIANT_JOBS.web.model));
    const model = await (await folder.getFileHandle('model.onnx')).getFile();
    const controller = new AbortController();
    let files = 0;
    const open: VariantsOptions['open'] = (name) => {
      files++;
      if (files === 3) controller.abort();
      return directorySink(folder, name);
    };
    const job = { signal: controller.signal };
    await expect(variants(model, { open }, job)).rejects.toMatchObject({ name: 'AbortError' });
    expect(files).toBe(3);
    expect(await namesIn(folder)).toEqual(['model.onnx']);
  });
});
