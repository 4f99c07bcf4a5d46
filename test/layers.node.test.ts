import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';

const CHECK = fileURLToPath(new URL('../scripts/check-layers.mjs', import.meta.url));

/** Runs the check on a repository made of `files`; gives its exit code and the lines before the summary. */
function check(files: Readonly<Record<string, string>>): { code: number | null; breaches: string[] } {
  const root = mkdtempSync(join(tmpdir(), 'zeropoint-layers-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  for (const [path, text] of Object.entries({ 'src/errors.ts': 'export const e = 1;', ...files })) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  const { status, stdout } = spawnSync(process.execPath, [CHECK, root], { encoding: 'utf8' });
  return { code: status, breaches: stdout.trim().split('\n').slice(0, -1) };
}

test('a tree that obeys every rule passes', () => {
  const result = check({
    'src/tensor/tensor.ts': `import { e } from '../errors.ts'; export const t = { process: e }.process;`,
    'src/tensor/tensor.test.ts': `import { test } from 'vitest'; import { t } from './tensor.ts'; test('t', () => t);`,
    'src/tensor/file.node.test.ts': `import 'node:fs'; console.log(process.pid);`,
    'src/formats/npy/read.ts': `import { t } from '../../tensor/tensor.ts'; export const read = () => import('node:fs');`,
    'src/index.ts': `export { t } from './tensor/tensor.ts';`,
    'src/onnx.ts': `export { read } from './formats/npy/read.ts';`,
    'src/cli/main.ts': `import { t } from 'zeropoint'; import 'commander'; console.log(t, process.argv);`,
    'test/spans.test.ts': `import { t } from 'zeropoint'; import './support/x.ts'; void t;`,
  });
  expect(result).toEqual({ code: 0, breaches: [] });
});

const CORE = 'core layers import no package and nothing of node:';

test.each([
  [
    'a static import',
    `import { q } from '../quant/q.ts';`,
    'tensor imports ../quant/q.ts from quant, a later layer',
  ],
  [
    'a type import',
    `import type { Q } from '../quant/q.ts';`,
    'tensor imports ../quant/q.ts from quant, a later layer',
  ],
  ['a re-export', `export * from '../quant/q.ts';`, 'tensor imports ../quant/q.ts from quant, a later layer'],
  [
    'import()',
    `export const q = () => import('../quant/q.ts');`,
    'tensor imports ../quant/q.ts from quant, a later layer',
  ],
  [
    'a type import()',
    `export type Q = import('../quant/q.ts').Q;`,
    'tensor imports ../quant/q.ts from quant, a later layer',
  ],
  [
    'the entry',
    `import '../index.ts';`,
    'tensor imports the entry ../index.ts; take the file that defines the name',
  ],
  ['a package', `import 'fflate';`, `tensor imports fflate; ${CORE}`],
  ['node:', `import 'node:fs';`, `tensor imports node:fs; ${CORE}`],
  ['console', `console.log(1);`, 'tensor uses console, which only cli may touch'],
  ['process', `export const e = process.env;`, 'tensor uses process, which only cli may touch'],
  ['globalThis.process', `void globalThis.process;`, 'tensor uses process, which only cli may touch'],
])('in tensor/, %s is a breach with file and line', (_, line, text) => {
  const result = check({ 'src/tensor/bad.ts': `// first line\n${line}\n` });
  expect(result).toEqual({ code: 1, breaches: [`src/tensor/bad.ts:2: ${text}`] });
});

test.each([
  ['src/index.ts', `import './graph/model.ts';`, 'index imports ./graph/model.ts from graph, a later layer'],
  ['src/onnx.ts', `import './cli/main.ts';`, 'onnx imports ./cli/main.ts from cli, a later layer'],
  [
    'src/cli/main.ts',
    `import '../tensor/tensor.ts';`,
    'cli imports ../tensor/tensor.ts by path; take it from zeropoint or zeropoint/onnx',
  ],
  [
    'src/graph/model.ts',
    `import 'zeropoint';`,
    'graph imports zeropoint; inside the library take the file that defines the name',
  ],
  [
    'src/quant/q.test.ts',
    `import 'node:fs';`,
    'a core test imports node:fs; name it *.node.test.ts if it cannot run in a browser',
  ],
  [
    'test/a.test.ts',
    `import '../src/index.ts';`,
    'imports ../src/index.ts by path; take it from zeropoint or zeropoint/onnx',
  ],
])('%s: %s is a breach', (path, line, text) => {
  expect(check({ [path]: line })).toEqual({ code: 1, breaches: [`${path}:1: ${text}`] });
});

test('a folder that is no layer is a breach', () => {
  const { code, breaches } = check({ 'src/utils/x.ts': '' });
  expect(code).toBe(1);
  expect(breaches).toHaveLength(1);
  expect(breaches[0]).toMatch(
    /^src\/utils\/x\.ts:1: expected a layer \(errors, .*\) or an entry, got utils$/,
  );
});
