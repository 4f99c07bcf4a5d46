/**
 * What tells calibration data from other data of the same name, cheaply: no more than a few megabytes are read.
 *
 *   file:    SHA-256 over its size, its first and its last megabyte (all of it up to two; an .npz ends with a CRC of each array)
 *   images:  SHA-256 over paths and sizes
 */
import { createHash } from 'node:crypto';
import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isFolder } from './files.ts';
import { imagesIn } from './open-data.ts';

/** Bytes that are looked at at each end of a file. */
const END_BYTES = 1_048_576;

/** Hexadecimal digits of a digest: some 10^19 values. */
const DIGITS = 16;

/** A file, or a folder of images. */
export async function dataDigest(path: string): Promise<string> {
  const hash = createHash('sha256');
  for (const part of (await isFolder(path)) ? await imageFacts(path) : await ends(path)) hash.update(part);
  return hash.digest('hex').slice(0, DIGITS);
}

async function imageFacts(folder: string): Promise<readonly string[]> {
  const names = await imagesIn(folder);
  return Promise.all(names.map(async (name) => `${name} ${(await stat(join(folder, name))).size}\n`));
}

async function ends(path: string): Promise<readonly (string | Uint8Array)[]> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    const first = await file.read(Buffer.alloc(Math.min(size, END_BYTES)), { position: 0 });
    const rest = Math.min(size - first.bytesRead, END_BYTES);
    const last = await file.read(Buffer.alloc(rest), { position: size - rest });
    return [`${size}\n`, first.buffer, last.buffer];
  } finally {
    await file.close();
  }
}
