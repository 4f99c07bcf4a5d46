/**
 * Files made to exhaust a reader: any size of them is read, or refused with FORMAT_LIMIT, in bounded memory, and what is read
 * goes through every mode. Memory is that of a process of its own. `npm run test:slow` takes every kind of file, in files of
 * 60 MB; `npm test` the costliest ones.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FormatError } from 'zeropoint';
import { check, createRunner, MemorySink, readModel, variants } from 'zeropoint/onnx';
import { FACTOR, onlyOurs } from './support/damage.ts';
import { HOSTILE, type HostileKind } from './support/hostile-files.ts';
import { MODES } from './support/every-mode.ts';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const IS_SLOW = FACTOR > 1;
const MANY_BYTES = IS_SLOW ? 60_000_000 : 6_000_000;
/** The most that is read, about: 60,000 small nodes. */
const READABLE_BYTES = 1_200_000;
/** Node itself takes 50 MB. */
const MOST_READING_MB = 450;
/** Dynamic quantization makes five nodes of one (800), QOperator as many and their constants (920); the rest stays below 450. */
const MOST_QUANTIZING_MB = 1000;
const SLOW_MS = 300_000;

const KINDS = Object.keys(HOSTILE) as HostileKind[];
const COSTLY: readonly HostileKind[] = ['local functions', 'strings of one attribute', 'unknown fields'];

/** The others make less of a model than one of these. */
const COSTLY_MODES = ['dynamic', 'QOperator', 'stored weights', 'float16'];

let folder = '';
beforeAll(async () => {
  mkdirSync(join(ROOT, '.cache'), { recursive: true });
  folder = mkdtempSync(join(ROOT, '.cache/hostile-'));
  await build({
    entryPoints: [join(ROOT, 'test/support/hostile-child.ts')],
    alias: { zeropoint: join(ROOT, 'src/index.ts'), 'zeropoint/onnx': join(ROOT, 'src/onnx.ts') },
    external: ['fflate', 'onnxruntime-node', 'onnxruntime-web', 'sharp'],
    outfile: join(folder, 'child.mjs'),
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    logLevel: 'error',
  });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What reading a file, and then a mode, gave in a process of its own. */
function attempt(bytes: Uint8Array, mode: string): { readonly outcome: string; readonly megabytes: number } {
  const file = join(folder, 'hostile.onnx');
  writeFileSync(file, bytes);
  const { stdout, stderr } = spawnSync(process.execPath, [join(folder, 'child.mjs'), file, mode], {
    encoding: 'utf8',
    timeout: SLOW_MS,
  });
  expect(stderr).toBe('');
  return JSON.parse(stdout) as ReturnType<typeof attempt>;
}

describe(`files of ${MANY_BYTES / 1e6} MB are read, or refused, in less than ${MOST_READING_MB} MB`, () => {
  it.each(IS_SLOW ? KINDS : COSTLY)(
    '%s',
    (kind) => {
      const { outcome, megabytes } = attempt(HOSTILE[kind](MANY_BYTES), 'write');
      expect(['done', 'FORMAT_LIMIT', 'FORMAT_INVALID']).toContain(outcome);
      expect(megabytes).toBeLessThan(MOST_READING_MB);
    },
    SLOW_MS,
  );
});

describe(`what can be read goes through the modes in less than ${MOST_QUANTIZING_MB} MB`, () => {
  const kinds = IS_SLOW ? KINDS : (['products in a chain', 'local functions that double'] as const);
  it.each(
    kinds.flatMap((kind) => (IS_SLOW ? COSTLY_MODES : ['dynamic']).map((mode) => [kind, mode] as const)),
  )(
    '%s: %s',
    (kind, mode) => {
      const { outcome, megabytes } = attempt(HOSTILE[kind](READABLE_BYTES), mode);
      expect(outcome).toMatch(/^(done|FORMAT_|GRAPH_|UNSUPPORTED_)/);
      expect(megabytes).toBeLessThan(MOST_QUANTIZING_MB);
    },
    SLOW_MS,
  );
});

it.each(KINDS)('a small file of the kind "%s" goes through every mode, or is refused', async (kind) => {
  const bytes = HOSTILE[kind](kind === 'local functions that double' ? 8000 : 2000);
  const model = await readModel(bytes, { externalData: () => new Uint8Array(256) }).catch(onlyOurs);
  if (model === 'refused') return;
  for (const mode of Object.values(MODES)) await mode(model).catch(onlyOurs);
});

it('says the limit and how to raise it', async () => {
  const bytes = HOSTILE['nodes in a chain'](40_000);
  await readModel(bytes);
  const refused = readModel(bytes, { maxStructureBytes: 2 ** 20 });
  await expect(refused).rejects.toThrow(
    /ModelProto\.graph\.node\[\d+\].* at offset \d+: expected a structure that takes at most 1 MiB besides tensors, got more/,
  );
  await expect(refused).rejects.toBeInstanceOf(FormatError);
  await expect(refused).rejects.toMatchObject({
    code: 'FORMAT_LIMIT',
    hint: expect.stringContaining('maxStructureBytes') as string,
  });
});

it.each([
  ['check', (bytes: Uint8Array, limit: object) => check(bytes, limit)],
  ['createRunner', (bytes: Uint8Array, limit: object) => createRunner(bytes, limit)],
  [
    'variants',
    (bytes: Uint8Array, limit: object) => variants(bytes, { ...limit, open: () => new MemorySink() }),
  ],
])('%s reads within the limit that it is given', async (_name, read) => {
  const bytes = HOSTILE['nodes in a chain'](4000);
  await expect(read(bytes, { maxStructureBytes: 2 ** 10 })).rejects.toMatchObject({ code: 'FORMAT_LIMIT' });
});
