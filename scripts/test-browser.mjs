/**
 * `npm run test:browser`: the tests that need Chromium (`*.browser.test.ts`), which `npm test` leaves out. CHROMIUM names
 * another browser than the first on the path. Without one they count as skipped, in CI (CI=true) as failed.
 * Ends with `N passed, N failed, N skipped`.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { build } from './build.mjs';
import { CACHE } from './lib/run.mjs';
import { vitest } from './lib/vitest.mjs';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';

async function results() {
  if (!(await build())) return { passed: 0, failed: 1, skipped: 0 };
  if (existsSync(CHROMIUM)) {
    return vitest(['.browser.test.ts'], { ZEROPOINT_BROWSER_TESTS: '1', CHROMIUM });
  }
  console.log(`expected Chromium, got nothing at ${CHROMIUM}`);
  return process.env.CI ? { passed: 0, failed: 1, skipped: 0 } : { passed: 0, failed: 0, skipped: 1 };
}

mkdirSync(CACHE, { recursive: true });
const { passed, failed, skipped } = await results();
console.log(`\n${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exitCode = failed === 0 ? 0 : 1;
