/** Runs bundled test files in whatever runtime this is, with vitest's runner. */
import { startTests, type Task, type VitestRunner } from '@vitest/runner';

export interface Report {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** One text a failure: file, names of the suites and the test, message. */
  readonly failures: readonly string[];
}

const RUNNER: VitestRunner = {
  config: {
    root: '/',
    setupFiles: [],
    name: undefined,
    passWithNoTests: false,
    testNamePattern: undefined,
    allowOnly: false,
    sequence: { seed: 0, hooks: 'stack', setupFiles: 'list' },
    chaiConfig: undefined,
    maxConcurrency: 1,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    retry: 0,
    includeTaskLocation: false,
    tags: [],
    tagsFilter: undefined,
    strictTags: false,
  },
  // A URL, since esbuild would bundle all that a relative template could name. Bundles of tests lie beside this one.
  importFile: (path) => import(new URL(`.${path}`, import.meta.url).href),
};

/** Runs the bundles of those names. A file that cannot be imported counts as one failure. */
export async function runTests(bundles: readonly string[]): Promise<Report> {
  const report = { passed: 0, failed: 0, skipped: 0, failures: [] as string[] };
  for (const file of await startTests(
    bundles.map((name) => `/${name}`),
    RUNNER,
  ))
    count(file, file.name, report);
  return report;
}

function count(task: Task, path: string, report: { -readonly [K in keyof Report]: Report[K] }): void {
  const errors = task.result?.errors ?? [];
  if (task.type === 'suite') {
    for (const child of task.tasks) count(child, `${path} > ${child.name}`, report);
  } else if (task.result?.state === 'pass') {
    report.passed++;
  } else if (errors.length === 0) {
    report.skipped++;
  }
  if (errors.length === 0) return;
  report.failed++;
  report.failures = [
    ...report.failures,
    ...errors.map(({ message, diff }) => [path, message, diff].filter(Boolean).join('\n')),
  ];
}
