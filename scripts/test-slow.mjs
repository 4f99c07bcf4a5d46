/**
 * `npm run test:slow`: what takes minutes and need not run each time. A hundred thousand damaged model files, other ones at
 * each run; the seed is printed, and `ZEROPOINT_FUZZ_SEED` runs the same files again. Ends with `N passed, N failed`.
 */
import { runTool } from './lib/run.mjs';

const FACTOR = 100;
/** A hang in a file must end the run, not the patience of who waits for it. */
const LONGEST_MS = 30 * 60_000;

const seed = process.env.ZEROPOINT_FUZZ_SEED ?? String(Date.now() % 2 ** 31);
console.log(`${FACTOR * 1000} damaged files; again: ZEROPOINT_FUZZ_SEED=${seed} npm run test:slow`);
const { code } = await runTool('vitest', 'vitest', ['run', 'test/onnx-fuzz.node.test.ts'], {
  inherit: true,
  env: { ZEROPOINT_FUZZ_SEED: seed, ZEROPOINT_FUZZ_FACTOR: String(FACTOR) },
  timeoutMs: LONGEST_MS,
});
console.log(`\n${code === 0 ? '1 passed, 0 failed' : '0 passed, 1 failed'}`);
process.exitCode = code;
