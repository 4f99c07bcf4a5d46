/**
 * Budgets of what a user's bundler makes of the package: minified and gzipped, for browsers. The WASM bytes are not
 * counted (they are data, and their size is printed). A browser bundle may reach `node:` only by `import()`, so that
 * nothing of Node is needed before a path is given.
 */
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { ROOT } from './lib/run.mjs';
import { readIfThere } from './lib/stamp.mjs';

const KB = 1024;

/** What is imported, and the budget in bytes. */
const BUNDLES = [
  { name: 'zeropoint', code: "export * from 'zeropoint';", budget: 20 * KB },
  {
    name: 'only quantizePerChannel',
    code: "export { quantizePerChannel } from 'zeropoint';",
    budget: 20 * KB,
  },
  { name: 'only MinMaxObserver', code: "export { MinMaxObserver } from 'zeropoint';", budget: 20 * KB },
  { name: 'only QConfigMapping', code: "export { QConfigMapping } from 'zeropoint';", budget: 20 * KB },
  { name: 'zeropoint/onnx', code: "export * from 'zeropoint/onnx';", budget: 60 * KB },
];

/** Optional peers: a page brings its own. */
const PEERS = ['onnxruntime-node', 'onnxruntime-web', 'onnxruntime-web/*'];

const withoutWasmBytes = {
  name: 'without-wasm-bytes',
  setup(compiler) {
    compiler.onLoad({ filter: /module\.generated\.ts$/ }, () => ({
      contents: "export const WASM_BASE64: string = '';",
      loader: 'ts',
    }));
  },
};

/** Bundles `code` for a browser; gives its text and the `node:` modules it imports statically. */
async function bundle(code) {
  const result = await build({
    stdin: { contents: code, resolveDir: ROOT, loader: 'ts' },
    alias: { zeropoint: join(ROOT, 'src/index.ts'), 'zeropoint/onnx': join(ROOT, 'src/onnx.ts') },
    bundle: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    minify: true,
    write: false,
    metafile: true,
    logLevel: 'error',
    external: ['node:*', ...PEERS],
    plugins: [withoutWasmBytes],
  });
  const imports = Object.values(result.metafile.inputs).flatMap((input) => input.imports);
  const staticNode = imports.filter(
    ({ kind, path }) => kind !== 'dynamic-import' && path.startsWith('node:'),
  );
  return { bytes: result.outputFiles[0].contents, staticNode: staticNode.map(({ path }) => path) };
}

const kb = (bytes) => (bytes / KB).toFixed(1);
let failed = 0;
for (const { name, code, budget } of BUNDLES) {
  const { bytes, staticNode } = await bundle(code);
  const size = gzipSync(bytes, { level: 9 }).length;
  const problems = [
    size > budget && `over its budget of ${kb(budget)} KB`,
    staticNode.length > 0 && `imports ${staticNode.join(', ')} statically`,
  ].filter(Boolean);
  failed += problems.length;
  console.log(`${name}: ${kb(size)} KB of ${kb(budget)} KB ${problems.join('; ')}`.trimEnd());
}
const wasm = readIfThere(join(ROOT, 'src/kernels/wasm/module.generated.ts'))?.match(/'([^']+)'/)?.[1] ?? '';
console.log(`wasm module, not counted: ${kb((wasm.length * 3) / 4)} KB`);
process.exitCode = failed === 0 ? 0 : 1;
