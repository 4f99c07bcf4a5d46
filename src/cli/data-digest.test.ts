import { appendFileSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { dataDigest } from './data-digest.ts';

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'zeropoint-digest-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

it('a file: all of its bytes, however large', async () => {
  const path = join(temporaryFolder(), 'data.npy');
  const digestOf = (bytes: Uint8Array): Promise<string> => {
    writeFileSync(path, bytes);
    return dataDigest(path);
  };
  for (const length of [0, 1, 1 << 20, (1 << 20) + 1, 3 << 20]) {
    const bytes = new Uint8Array(length);
    const digests = [await digestOf(bytes), await digestOf(new Uint8Array(length + 1))];
    for (const at of new Set([0, length >> 1, length - 1])) {
      if (length > 0) digests.push(await digestOf(bytes.with(at, 1)));
    }
    expect(new Set(digests).size).toBe(digests.length);
    expect(await digestOf(bytes)).toBe(digests[0]);
  }
});

it('a folder: paths and sizes of its images, wherever it lies', async () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, 'a/inner'), { recursive: true });
  writeFileSync(join(folder, 'a/1.png'), '12');
  writeFileSync(join(folder, 'a/inner/2.png'), '3');
  const digests = [await dataDigest(join(folder, 'a'))];
  renameSync(join(folder, 'a'), join(folder, 'b'));
  writeFileSync(join(folder, 'b/notes.txt'), 'no image');
  expect(await dataDigest(join(folder, 'b'))).toBe(digests[0]);
  appendFileSync(join(folder, 'b/1.png'), '4');
  digests.push(await dataDigest(join(folder, 'b')));
  renameSync(join(folder, 'b/inner/2.png'), join(folder, 'b/inner/3.png'));
  digests.push(await dataDigest(join(folder, 'b')));
  expect(new Set(digests).size).toBe(3);
});
