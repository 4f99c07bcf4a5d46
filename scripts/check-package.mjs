/**
 * Checks the packed tarball as its users get it. One word says which check:
 * - `publint`, `attw`: the manifest and the types, for ESM-only packages;
 * - `contents`: what is in the tarball, and its size;
 * - `install`: into an empty project with nothing else installed, then use, command line and type-check there.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run, runNpm, runTool } from './lib/run.mjs';

const CHECKS = { publint, attw, contents, install };

/** A quarter is sources of types, a quarter the command line; the rest grows with what there is to do. */
const MAX_PACKED_BYTES = 600_000;
const REQUIRED = [
  'LICENSE',
  'README.md',
  'CHANGELOG.md',
  'package.json',
  'dist/index.js',
  'dist/index.d.ts',
  'dist/onnx.js',
  'dist/onnx.d.ts',
  'dist/cli/main.js',
  'schema/quant.schema.json',
];
const ALLOWED =
  /^(LICENSE|README\.md|CHANGELOG\.md|package\.json|schema\/quant\.schema\.json|dist\/[\w/.-]+\.(js|d\.ts))$/;
const FORBIDDEN = /\.test\.|fixture|\/test\//;

const CONSUMER_MAIN = `
import { quantizePerTensor, tensor } from 'zeropoint';
import * as onnx from 'zeropoint/onnx';

const q = quantizePerTensor(tensor([0.5827, -0.1982]), 1e-2, 0, 'qint8');
if (q.intRepr().data.join() !== '58,-20') throw new Error('wrong codes: ' + q.intRepr().data.join());
if (typeof onnx.readModel !== 'function') throw new Error('no readModel');
`;

const CONSUMER_TYPES = `
import { quantizePerTensor, tensor, type QuantizedTensor, type Tensor } from 'zeropoint';
import { readModel } from 'zeropoint/onnx';

const q: QuantizedTensor = quantizePerTensor(tensor([[0.5, -1]]), 1e-2, 0, 'qint8');
export const back: Tensor = q.dequantize();
export const read: (path: string) => Promise<unknown> = readModel;
// @ts-expect-error: a dtype is one of the names in the table
quantizePerTensor(back, 1e-2, 0, 'int7');
`;

/** Packs into `folder`; gives the tarball's path and npm's account of it. */
async function pack(folder) {
  const npm = await runNpm(['pack', '--json', '--loglevel=error', '--pack-destination', folder]);
  if (npm.code !== 0) throw new Error(`npm pack: expected exit code 0, got ${npm.code}\n${npm.output}`);
  const [account] = JSON.parse(npm.stdout);
  return { ...account, path: join(folder, account.filename) };
}

async function publint(tarball) {
  return expectSuccess('publint', await runTool('publint', 'publint', [tarball.path, '--strict']));
}

async function attw(tarball) {
  const args = [tarball.path, '--profile', 'esm-only', '--no-emoji', '--no-color'];
  return expectSuccess('attw', await runTool('@arethetypeswrong/cli', 'attw', args));
}

async function contents(tarball) {
  const paths = tarball.files.map(({ path }) => path);
  const problems = [
    ...REQUIRED.filter((path) => !paths.includes(path)).map((path) => `expected ${path}, got no such file`),
    ...paths
      .filter((path) => !ALLOWED.test(path) || FORBIDDEN.test(path))
      .map((path) => `unexpected ${path}`),
  ];
  if (tarball.size > MAX_PACKED_BYTES) {
    problems.push(`expected at most ${MAX_PACKED_BYTES} bytes packed, got ${tarball.size}`);
  }
  if (problems.length > 0) throw new Error(problems.join('\n'));
  return `${paths.length} files, ${(tarball.size / 1024).toFixed(0)} KB packed, ${(tarball.unpackedSize / 1024).toFixed(0)} KB unpacked`;
}

async function install(tarball, folder) {
  const cwd = join(folder, 'consumer');
  mkdirSync(cwd);
  writeJson(join(cwd, 'package.json'), { name: 'consumer', private: true, type: 'module' });
  writeFileSync(join(cwd, 'main.js'), CONSUMER_MAIN);
  writeFileSync(join(cwd, 'types.ts'), CONSUMER_TYPES);

  const flags = ['--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'];
  expectSuccess('npm install', await runNpm(['install', ...flags, tarball.path], { cwd }));
  expectSuccess('import', await run(process.execPath, ['main.js'], { cwd }));
  const help = expectSuccess(
    'npx zeropoint --help',
    await runNpm(['exec', '--offline', '--', 'zeropoint', '--help'], { cwd }),
  );
  if (!help.includes('quantize')) throw new Error(`npx zeropoint --help: expected its verbs, got:\n${help}`);
  for (const [module, moduleResolution] of [
    ['nodenext', 'nodenext'],
    ['esnext', 'bundler'],
  ]) {
    await typeCheck(cwd, { module, moduleResolution });
  }
  return 'imports, npx and types (nodenext, bundler) work with nothing else installed';
}

/** Checks our declarations too (no skipLibCheck), without the types of Node: a browser project has none. */
async function typeCheck(cwd, resolution) {
  const compilerOptions = {
    ...resolution,
    target: 'es2022',
    lib: ['es2022', 'dom'],
    types: [],
    strict: true,
    noEmit: true,
  };
  writeJson(join(cwd, 'tsconfig.json'), { compilerOptions, files: ['types.ts'] });
  expectSuccess(
    `tsc, ${resolution.moduleResolution}`,
    await runTool('typescript', 'tsc', ['-p', cwd], { cwd }),
  );
}

function expectSuccess(what, { code, output }) {
  if (code !== 0) throw new Error(`${what}: expected exit code 0, got ${code}\n${output}`);
  return output.trim();
}

function writeJson(path, value) {
  writeFileSync(path, JSON.stringify(value, undefined, 2));
}

const check = CHECKS[process.argv[2]];
if (check === undefined)
  throw new Error(`check-package: expected ${Object.keys(CHECKS).join(', ')}, got ${process.argv[2]}`);
const folder = mkdtempSync(join(tmpdir(), 'zeropoint-package-'));
try {
  console.log(await check(await pack(folder), folder));
} catch (error) {
  console.log(error.message);
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
