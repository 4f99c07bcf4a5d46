/**
 * Folders of src/ are layers: a file imports only from layers before its own, or from its own. Prints each breach as
 * `file:line: text` and exits with 1. `node scripts/check-layers.mjs [repository]`.
 *
 * Further rules of the house, checked on the same syntax trees:
 * - core layers (errors ... qconfig) import no package and nothing of `node:`;
 * - only the CLI touches `process` and `console`;
 * - CLI, app, tests and examples import the package by its public name, never by a path into src/.
 * Unit tests obey the order too, but may import test tools; in core layers `node:` only as `*.node.test.ts`.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { parseSync } from 'oxc-parser';
import { ROOT } from './lib/run.mjs';
import { listFiles } from './lib/stamp.mjs';
import { walk } from './lib/syntax.mjs';

/** In order. The last core layer is `qconfig`. */
const LAYERS = [
  'errors',
  'tensor',
  'kernels',
  'quant',
  'observers',
  'qconfig',
  'graph',
  'formats',
  'passes',
  'algorithms',
  'runners',
  'ptq',
  'presets',
  'report',
  'cli',
];
const LAST_CORE = LAYERS.indexOf('qconfig');
const CLI = LAYERS.indexOf('cli');

/** Files beside the folders, and the last layer from which each may import. */
const ENTRIES = { 'index.ts': LAST_CORE, 'onnx.ts': CLI - 1 };

/** Folders outside src/ that see the package as its users do. */
const OUTSIDE = ['test', 'examples', 'app'];

/** Another language in TypeScript's clothes. */
const ASSEMBLY = join('kernels', 'wasm', 'assembly');

const TEST_TOOLS = new Set(['vitest', 'fast-check']);
const CLI_ONLY_GLOBALS = new Set(['process', 'console']);

/** Every breach in the repository at `root`, as `file:line: text`, and the number of files read. */
function checkLayers(root) {
  const src = join(root, 'src');
  const isSource = (path) => /\.(ts|mts|js|mjs)$/.test(path) && !path.startsWith(join(src, ASSEMBLY) + sep);
  const inside = listFiles(src, isSource).map((path) => checkFile(path, root, insideRules(src, path)));
  const outside = OUTSIDE.flatMap((folder) => listFiles(join(root, folder), isSource)).map((path) =>
    checkFile(path, root, outsideRules(src)),
  );
  return { files: inside.length + outside.length, breaches: [...inside, ...outside].flat() };
}

/** The breaches of one file. A rule takes what was found and returns a text, or nothing. */
function checkFile(path, root, rules) {
  if (rules.misplaced) return [`${display(root, path)}:1: ${rules.misplaced}`];
  const text = readFileSync(path, 'utf8');
  const breaches = [];
  const report = (offset, problem) => {
    if (problem) breaches.push(`${display(root, path)}:${lineOf(text, offset)}: ${problem}`);
  };
  const { program, errors } = parseSync(path, text);
  if (errors.length > 0) report(0, `expected TypeScript, got a syntax error: ${errors[0].message}`);
  walk(program, (node, parent, key) => {
    const specifier = importedFrom(node);
    if (specifier !== undefined) report(node.start, rules.onImport(specifier, path));
    if (isGlobalUse(node, parent, key)) report(node.start, rules.onGlobal(node.name));
  });
  return breaches;
}

function insideRules(src, path) {
  const fromSrc = relative(src, path).split(sep);
  const isTest = path.endsWith('.test.ts');
  const name = fromSrc.length === 1 ? fromSrc[0].replace(/(\.node)?(\.test)?\.ts$/, '') : fromSrc[0];
  const isEntry = fromSrc.length === 1 && Object.hasOwn(ENTRIES, fromSrc[0]);
  const own = isEntry ? ENTRIES[fromSrc[0]] : LAYERS.indexOf(name);
  if (own < 0) return { misplaced: `expected a layer (${LAYERS.join(', ')}) or an entry, got ${fromSrc[0]}` };
  return {
    onImport: (specifier, from) => {
      if (specifier.startsWith('.')) return relativeBreach(specifier, from, { src, own, name, isTest });
      if (isTest) return testPackageBreach(specifier, own, from);
      return packageBreach(specifier, own, name);
    },
    onGlobal: (global) => {
      if (own !== CLI && !isTest) return `${name} uses ${global}, which only cli may touch`;
    },
  };
}

function relativeBreach(specifier, from, { src, own, name, isTest }) {
  const target = relative(src, resolve(dirname(from), specifier)).split(sep);
  if (target[0] === '..') return isTest ? undefined : `${name} imports ${specifier}, which lies outside src/`;
  if (Object.hasOwn(ENTRIES, target[0]))
    return `${name} imports the entry ${specifier}; take the file that defines the name`;
  const layer = LAYERS.indexOf(target[0].replace(/\.ts$/, ''));
  if (layer < 0) return `${name} imports ${specifier}, which is in no layer`;
  if (layer > own) return `${name} imports ${specifier} from ${LAYERS[layer]}, a later layer`;
  if (own === CLI && layer !== CLI)
    return `cli imports ${specifier} by path; take it from zeropoint or zeropoint/onnx`;
}

function packageBreach(specifier, own, name) {
  if (own <= LAST_CORE)
    return `${name} imports ${specifier}; core layers import no package and nothing of node:`;
  if (own !== CLI && isOurs(specifier))
    return `${name} imports ${specifier}; inside the library take the file that defines the name`;
}

function testPackageBreach(specifier, own, path) {
  if (own > LAST_CORE || TEST_TOOLS.has(specifier) || isOurs(specifier)) return undefined;
  if (path.endsWith('.node.test.ts')) return undefined;
  return `a core test imports ${specifier}; name it *.node.test.ts if it cannot run in a browser`;
}

function outsideRules(src) {
  return {
    onImport: (specifier, from) => {
      if (!specifier.startsWith('.')) return undefined;
      const target = resolve(dirname(from), specifier);
      if (target === src || target.startsWith(src + sep)) {
        return `imports ${specifier} by path; take it from zeropoint or zeropoint/onnx`;
      }
    },
    onGlobal: () => undefined,
  };
}

function isOurs(specifier) {
  return specifier === 'zeropoint' || specifier.startsWith('zeropoint/');
}

/** The module that a syntax node names: import, re-export, `import()` and `import('x').Type`. */
function importedFrom(node) {
  switch (node.type) {
    case 'ImportDeclaration':
    case 'ExportNamedDeclaration':
    case 'ExportAllDeclaration':
    case 'ImportExpression':
    case 'TSImportType':
      return node.source?.value;
    default:
      return undefined;
  }
}

/** A reference to the global `process` or `console`, not a property or key of that name; `globalThis.x` too. */
function isGlobalUse(node, parent, key) {
  if (node.type !== 'Identifier' || !CLI_ONLY_GLOBALS.has(node.name)) return false;
  if (parent.type === 'MemberExpression' && key === 'property' && !parent.computed) {
    return parent.object.type === 'Identifier' && parent.object.name === 'globalThis';
  }
  return !(key === 'key' && !parent.computed);
}

function lineOf(text, offset) {
  return text.slice(0, offset).split('\n').length;
}

function display(root, path) {
  return relative(root, path).split(sep).join('/');
}

const root = resolve(process.argv[2] ?? ROOT);
if (!existsSync(join(root, 'src'))) throw new Error(`layers: expected a folder src in ${root}`);
const { files, breaches } = checkLayers(root);
for (const breach of breaches) console.log(breach);
console.log(`layers: ${files} files, ${breaches.length} breaches`);
process.exitCode = breaches.length === 0 ? 0 : 1;
