/**
 * `npm test`: sets up, runs every check and test, prints a table, and ends with `N passed, N failed, N skipped`:
 * each test of vitest counts as one, and each other step as one. All steps run, whatever fails before them.
 * `npm test -- <words>` gives the words to vitest and runs nothing else.
 */
import { mkdirSync } from 'node:fs';
import { build } from './build.mjs';
import { install } from './lib/install.mjs';
import { CACHE, ROOT, run, runTool } from './lib/run.mjs';
import { vitest } from './lib/vitest.mjs';

/** In the order they run: what fails fast comes first, what needs `dist/` last. */
const STEPS = [
  { name: 'build', run: async () => oneTest({ code: (await build()) ? 0 : 1, output: '' }) },
  { name: 'types', run: () => tool('typescript', 'tsc', '--noEmit', '-p', 'tsconfig.json') },
  { name: 'lint', run: () => tool('oxlint', 'oxlint', '--format=unix'), show: true },
  { name: 'format', run: () => tool('oxfmt', 'oxfmt', '--check') },
  { name: 'layers', run: () => script('check-layers.mjs') },
  { name: 'unused', run: () => tool('knip', 'knip', '--no-progress', '--no-config-hints') },
  { name: 'bundle budget', run: () => script('check-bundle.mjs'), show: true },
  { name: 'vitest', run: () => vitest([]) },
  { name: 'publint', run: () => script('check-package.mjs', 'publint') },
  { name: 'attw', run: () => script('check-package.mjs', 'attw') },
  { name: 'tarball', run: () => script('check-package.mjs', 'contents'), show: true },
  { name: 'install', run: () => script('check-package.mjs', 'install'), show: true },
];

async function tool(packageName, bin, ...args) {
  return oneTest(await runTool(packageName, bin, args));
}

async function script(name, ...args) {
  return oneTest(await run(process.execPath, [`scripts/${name}`, ...args]));
}

function oneTest({ code, output }) {
  const passed = code === 0 ? 1 : 0;
  return { passed, failed: 1 - passed, skipped: 0, output };
}

/** Runs the steps one after another; prints what a failed step said as soon as it ends. */
async function runSteps(steps) {
  const results = [];
  for (const step of steps) {
    console.log(`\n▸ ${step.name}`);
    const start = performance.now();
    const result = await step.run();
    if (result.failed > 0 || step.show) console.log(result.output.trim());
    results.push({ name: step.name, seconds: (performance.now() - start) / 1000, ...result });
  }
  return results;
}

function printTable(results) {
  console.log('');
  for (const { name, seconds, passed, failed, skipped } of results) {
    const mark = failed > 0 ? 'FAILED' : 'ok';
    const counts = passed + failed + skipped > 1 ? `  ${summary({ passed, failed, skipped })}` : '';
    console.log(`${name.padEnd(14)} ${mark.padEnd(6)} ${seconds.toFixed(1).padStart(6)} s${counts}`);
  }
}

function summary({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}

await install(ROOT);
mkdirSync(CACHE, { recursive: true });
const words = process.argv.slice(2);
const results = await runSteps(words.length > 0 ? [{ name: 'vitest', run: () => vitest(words) }] : STEPS);
const sum = (key) => results.reduce((total, result) => total + result[key], 0);
const total = { passed: sum('passed'), failed: sum('failed'), skipped: sum('skipped') };
printTable(results);
console.log(`\n${summary(total)}`);
process.exitCode = total.failed === 0 ? 0 : 1;
