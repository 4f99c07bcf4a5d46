/**
 * Builds what is stale: the wasm module (AssemblyScript → base64 in a generated TypeScript file), then `dist/`.
 * `--force` builds both whatever their stamps say. Nothing here depends on the clock or the machine.
 */
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { withLock } from './lib/lock.mjs';
import { CACHE, ROOT, runTool } from './lib/run.mjs';
import { hashFiles, listFiles, readIfThere } from './lib/stamp.mjs';

const ASSEMBLY = join(ROOT, 'src/kernels/wasm/assembly');
const ASSEMBLY_ENTRY = join(ASSEMBLY, 'index.ts');
const WASM_MODULE = join(ROOT, 'src/kernels/wasm/module.generated.ts');
const DIST = join(ROOT, 'dist');
const DIST_STAMP = join(DIST, '.build-stamp');
const LOCK = join(CACHE, 'build.lock');

// No runtime and imported memory: the host owns all memory. No assertions and no abort import: kernels never trap.
const ASC_FLAGS = '-O3 --noAssert --runtime stub --importMemory --enable simd --use abort='.split(' ');

/** One row a build product, in the order they are built. */
const PRODUCTS = [
  { name: 'wasm module', hash: hashWasm, stamp: wasmStamp, build: buildWasm },
  { name: 'dist', hash: hashDist, stamp: () => readIfThere(DIST_STAMP), build: buildDist },
];

/** Builds what is stale (all with `force`). Resolves to false, with the reason printed, if a compiler refused. */
export async function build({ force = false } = {}) {
  if (!force && !isBuildDue()) return true;
  return withLock(LOCK, async () => {
    for (const product of PRODUCTS) {
      const hash = product.hash();
      if (!force && product.stamp() === hash) continue;
      console.error(`building ${product.name}`);
      if (!(await product.build(hash))) return false;
    }
    return true;
  });
}

/** True if a product is missing or was made from other inputs. Reads files only. */
function isBuildDue() {
  return PRODUCTS.some((product) => product.stamp() !== product.hash());
}

function hashWasm() {
  const { version } = JSON.parse(
    readFileSync(join(ROOT, 'node_modules/assemblyscript/package.json'), 'utf8'),
  );
  const sources = listFiles(ASSEMBLY, (path) => path.endsWith('.ts'));
  return hashFiles(ROOT, sources, [version, ...ASC_FLAGS].join(' '));
}

/** The hash that the generated file names in its first line. */
function wasmStamp() {
  return readIfThere(WASM_MODULE)?.match(/^\/\/ inputs ([0-9a-f]{64})$/m)?.[1];
}

async function buildWasm(hash) {
  if (!existsSync(ASSEMBLY_ENTRY)) {
    console.error('  skipped: src/kernels/wasm/assembly/index.ts is not there');
    return true;
  }
  const output = join(CACHE, `kernels-${process.pid}.wasm`);
  const asc = await runTool('assemblyscript', 'asc', [ASSEMBLY_ENTRY, ...ASC_FLAGS, '--outFile', output]);
  if (asc.code !== 0) return refuse('asc', asc.output);
  writeWhole(WASM_MODULE, wasmModuleText(hash, readFileSync(output)));
  rmSync(output);
  return true;
}

function wasmModuleText(hash, bytes) {
  return [
    '// Made by scripts/build.mjs from src/kernels/wasm/assembly. Do not edit.',
    `// inputs ${hash}`,
    `export const WASM_BASE64: string = '${bytes.toString('base64')}';`,
    '',
  ].join('\n');
}

function hashDist() {
  const sources = listFiles(join(ROOT, 'src'), (path) => path.endsWith('.ts') && !path.endsWith('.test.ts'));
  const configs = ['tsconfig.json', 'tsconfig.build.json', 'package.json'].map((name) => join(ROOT, name));
  return hashFiles(ROOT, [...sources, ...configs]);
}

/** Compiles beside `dist/` and puts the result in its place, so that a failure leaves the old one. */
async function buildDist(hash) {
  const fresh = join(CACHE, `dist-${process.pid}`);
  rmSync(fresh, { recursive: true, force: true });
  const tsc = await runTool('typescript', 'tsc', ['-p', 'tsconfig.build.json', '--outDir', fresh]);
  if (tsc.code !== 0) {
    rmSync(fresh, { recursive: true, force: true });
    return refuse('tsc', tsc.output);
  }
  const cli = join(fresh, 'cli/main.js');
  if (existsSync(cli)) chmodSync(cli, 0o755);
  writeFileSync(join(fresh, '.build-stamp'), hash);
  rmSync(DIST, { recursive: true, force: true });
  renameSync(fresh, DIST);
  return true;
}

function writeWhole(path, text) {
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.tmp`;
  writeFileSync(temporary, text);
  renameSync(temporary, path);
}

function refuse(tool, output) {
  console.error(`${tool} failed:\n${output}`);
  return false;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  mkdirSync(CACHE, { recursive: true });
  const done = await build({ force: process.argv.includes('--force') });
  process.exitCode = done ? 0 : 1;
}
