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

/**
 * What is imported, and the budget in bytes. Pages that import what they use stay below 20 KB. Everything at once does
 * not: a fifth of it is texts of errors and option checks, the rest is spread evenly over what there is to do
 * (ARCHITECTURE.md, "What the budgets bought").
 */
const BUNDLES = [
  { name: 'zeropoint', code: "export * from 'zeropoint';", budget: 28.5 * KB },
  {
    name: 'only quantizePerChannel',
    code: "export { quantizePerChannel } from 'zeropoint';",
    budget: 11 * KB,
  },
  { name: 'only MinMaxObserver', code: "export { MinMaxObserver } from 'zeropoint';", budget: 13 * KB },
  { name: 'only QConfigMapping', code: "export { QConfigMapping } from 'zeropoint';", budget: 2 * KB },
  {
    name: 'only readModel, writeModel',
    code: "export { readModel, writeModel } from 'zeropoint/onnx';",
    budget: 31 * KB,
  },
  {
    name: 'only readModel, quantizeWeights, writeModel',
    code: "export { readModel, quantizeWeights, writeModel } from 'zeropoint/onnx';",
    budget: 70 * KB,
  },
  { name: 'zeropoint/onnx', code: "export * from 'zeropoint/onnx';", budget: 152 * KB },
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

/**
 * Bundles `code` for a browser; gives the gzipped size of all that it made, chunks behind `import()` included, and
 * the `node:` modules that are imported before any `import()`.
 */
async function bundle(code) {
  const { metafile, outputFiles } = await build({
    stdin: { contents: code, resolveDir: ROOT, loader: 'js' },
    alias: { zeropoint: join(ROOT, 'src/index.ts'), 'zeropoint/onnx': join(ROOT, 'src/onnx.ts') },
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    minify: true,
    write: false,
    outdir: 'out',
    metafile: true,
    logLevel: 'error',
    external: ['node:*', ...PEERS],
    plugins: [withoutWasmBytes],
  });
  const size = outputFiles.reduce((sum, { contents }) => sum + gzipSync(contents, { level: 9 }).length, 0);
  const entry = Object.values(metafile.outputs).find((output) => output.entryPoint === '<stdin>');
  return {
    size,
    staticNode: staticImports(entry, metafile.outputs).filter((path) => path.startsWith('node:')),
  };
}

/** Everything that a chunk imports before any `import()`, directly or through other chunks. */
function staticImports(chunk, chunks) {
  const paths = chunk.imports.filter(({ kind }) => kind !== 'dynamic-import').map(({ path }) => path);
  return paths.flatMap((path) => [path, ...(chunks[path] ? staticImports(chunks[path], chunks) : [])]);
}

const kb = (bytes) => (bytes / KB).toFixed(1);
let failed = 0;
for (const { name, code, budget } of BUNDLES) {
  const { size, staticNode } = await bundle(code);
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
