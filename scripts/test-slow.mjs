/**
 * `npm run test:slow`: what takes minutes and need not run each time. A hundred thousand damaged model files, other ones at
 * each run, each through some of the modes; the seed is printed, and `ZEROPOINT_FUZZ_SEED` runs the same files again. Files of
 * 60 MB that are made to exhaust a reader. Then a corpus of models of other people, in the folder that is given
 * (`npm run test:slow -- <folder>`, or `ZEROPOINT_CORPUS`), else where Debian's package libonnx-testdata puts it. Ends with
 * `N passed, N failed, N skipped`.
 */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { runTool } from './lib/run.mjs';

const FACTOR = 100;
/** A hang in a file must end the run, not the patience of who waits for it. */
const LONGEST_MS = 30 * 60_000;
const DEBIAN_CORPUS = '/usr/share/libonnx-testdata/data';

async function vitest(file, env) {
  const options = { inherit: true, env, timeoutMs: LONGEST_MS };
  const { code } = await runTool('vitest', 'vitest', ['run', file], options);
  return code === 0 ? 'passed' : 'failed';
}

/** Every kind of hostile file, at its full size. */
function hostile() {
  return vitest('test/onnx-hostile', { ZEROPOINT_FUZZ_FACTOR: String(FACTOR) });
}

function fuzz() {
  const seed = process.env.ZEROPOINT_FUZZ_SEED ?? String(Date.now() % 2 ** 31);
  console.log(`${FACTOR * 1000} damaged files; again: ZEROPOINT_FUZZ_SEED=${seed} npm run test:slow`);
  const env = { ZEROPOINT_FUZZ_SEED: seed, ZEROPOINT_FUZZ_FACTOR: String(FACTOR) };
  return vitest('test/onnx-fuzz', env);
}

async function corpus() {
  const given = process.argv[2] ?? process.env.ZEROPOINT_CORPUS;
  const folder = resolve(given ?? DEBIAN_CORPUS);
  if (existsSync(folder)) return vitest('test/onnx-corpus.node.test.ts', { ZEROPOINT_CORPUS: folder });
  console.log(`corpus ${given === undefined ? 'skipped' : 'FAILED'}: no folder ${folder}`);
  if (given !== undefined) return 'failed';
  console.log(
    'install it with: apt-get install libonnx-testdata, or name a folder: npm run test:slow -- <folder>',
  );
  return 'skipped';
}

const results = [await fuzz(), await hostile(), await corpus()];
const count = (what) => results.filter((result) => result === what).length;
console.log(`\n${count('passed')} passed, ${count('failed')} failed, ${count('skipped')} skipped`);
process.exitCode = count('failed') === 0 ? 0 : 1;
