/**
 * What tells calibration data from other data of the same name.
 *
 *   file:    SHA-256 over all of its bytes, read once in parts (1 GiB: 2.6 s on two cores of a shared machine)
 *   images:  SHA-256 over paths and sizes
 *
 * Samples of a file's bytes would pass over a sample that was mended in place; its time of change differs between copies.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isFolder } from './files.ts';
import { imagesIn } from './open-data.ts';

/** Bytes that are read at once. */
const CHUNK_BYTES = 1_048_576;

/** Hexadecimal digits of a digest: some 10^19 values. */
const DIGITS = 16;

/** A file, or a folder of images. */
export async function dataDigest(path: string): Promise<string> {
  const hash = createHash('sha256');
  const parts = (await isFolder(path))
    ? await imageFacts(path)
    : createReadStream(path, { highWaterMark: CHUNK_BYTES });
  for await (const part of parts) hash.update(part as string | Buffer);
  return hash.digest('hex').slice(0, DIGITS);
}

async function imageFacts(folder: string): Promise<readonly string[]> {
  const names = await imagesIn(folder);
  return Promise.all(names.map(async (name) => `${name} ${(await stat(join(folder, name))).size}\n`));
}
