/** Runs the bundles in Chromium. */
import { fileURLToPath } from 'node:url';
import { hasChromium, withPage } from '../support/chromium.mjs';

/** The folder `test/`, and nothing above it. */
const SERVED = fileURLToPath(new URL('..', import.meta.url));

/** A function that runs bundles and gives their report, or undefined if there is no Chromium. */
export function findChromium() {
  return hasChromium() ? runInChromium : undefined;
}

function runInChromium(bundles, timeoutMs) {
  const page = { roots: { '/': SERVED }, path: '/runtimes/page.html', timeoutMs };
  const evaluate = async ([harness, names]) => (await import(harness)).runTests(names);
  return withPage(page, (opened) => opened.evaluate(evaluate, ['/.runtimes/harness.js', bundles]));
}
