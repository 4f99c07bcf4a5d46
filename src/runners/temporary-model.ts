/** A model in a folder of its own, for runtimes that map files. `node:` imports: loaded only where a folder is needed. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeModel } from '../formats/onnx/write-model.ts';
import type { Model } from '../graph/model.ts';

/** Writes the model with its weights beside it, calls `use` with its path, and removes both. */
export async function withTemporaryModel<T>(model: Model, use: (path: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'zeropoint-'));
  try {
    const path = join(folder, 'model.onnx');
    await writeModel(model, path, { externalData: {} });
    return await use(path);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
