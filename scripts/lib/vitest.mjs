/** Vitest with its usual output, and its counts. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { CACHE, runTool } from './run.mjs';
import { readIfThere } from './stamp.mjs';

const VITEST_REPORT = join(CACHE, 'vitest.json');

/** Runs vitest with its usual output and counts from its report. A file that cannot be loaded counts as one failure. */
export async function vitest(words, env = {}) {
  rmSync(VITEST_REPORT, { force: true });
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${VITEST_REPORT}`];
  const { code } = await runTool('vitest', 'vitest', ['run', ...reporters, ...words], { inherit: true, env });
  const report = JSON.parse(readIfThere(VITEST_REPORT) ?? 'null');
  if (report === null) return { passed: 0, failed: 1, skipped: 0, output: 'vitest wrote no report' };
  const broken = report.testResults.filter(
    (file) => file.status === 'failed' && file.assertionResults.length === 0,
  );
  const failed = report.numFailedTests + broken.length;
  return {
    passed: report.numPassedTests,
    // Vitest also fails without a failed test: an unhandled rejection, no test found.
    failed: code !== 0 && failed === 0 ? 1 : failed,
    skipped: report.numPendingTests + report.numTodoTests,
    output: '',
  };
}
