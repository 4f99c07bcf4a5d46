/** A model in a folder of its own, for runtimes that map files. `node:` imports: loaded only where a folder is needed. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeModel } from '../formats/onnx/write-model.ts';
import type { Model } from '../graph/model.ts';

/**
 * Writes the model with its weights beside it, calls `use` with its path, and removes both. `place`: where the folder shall
 * be, made if it is not there; default: the system's folder for temporary files.
 */
export async function withTemporaryModel<T>(
  model: Model,
  use: (path: string) => Promise<T>,
  place: string = tmpdir(),
): Promise<T> {
  await mkdir(place, { recursive: true });
  const folder = await mkdtemp(join(place, 'zeropoint-'));
  try {
    const path = join(folder, 'model.onnx');
    await writeModel(model, path, { externalData: {} });
    return await use(path);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
