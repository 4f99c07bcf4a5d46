/** Runs the bundles in Debian's Chromium (or the one that CHROMIUM names), from a server on localhost. */
import { createReadStream, existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { extname, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const EXECUTABLE = process.env.CHROMIUM ?? '/usr/bin/chromium';
const SERVED = fileURLToPath(new URL('..', import.meta.url));
const TYPES = { '.js': 'text/javascript', '.html': 'text/html', '.json': 'application/json' };
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** A function that runs bundles and gives their report, or undefined if there is no Chromium. */
export function findChromium() {
  return existsSync(EXECUTABLE) ? runInChromium : undefined;
}

async function runInChromium(bundles, timeoutMs) {
  const server = await serve();
  const profile = mkdtempSync(join(tmpdir(), 'zeropoint-chromium-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: EXECUTABLE,
    args: FLAGS,
  });
  const timer = setTimeout(() => context.close(), timeoutMs);
  try {
    const page = await context.newPage();
    await page.goto(`http://localhost:${server.address().port}/runtimes/page.html`);
    const evaluate = async ([harness, names]) => (await import(harness)).runTests(names);
    return await page.evaluate(evaluate, ['/.runtimes/harness.js', bundles]);
  } finally {
    clearTimeout(timer);
    await context.close();
    server.close();
    rmSync(profile, { recursive: true, force: true });
  }
}

/** Serves the folder `test/` and nothing above it. */
function serve() {
  const server = createServer((request, response) => {
    const path = join(SERVED, decodeURIComponent(new URL(request.url, 'http://localhost').pathname));
    if (
      !path.startsWith(SERVED.replace(/[\\/]?$/, sep)) ||
      !statSync(path, { throwIfNoEntry: false })?.isFile()
    ) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { 'content-type': TYPES[extname(path)] ?? 'application/octet-stream' });
    createReadStream(path).pipe(response);
  });
  return new Promise((resolve) => server.listen(0, 'localhost', () => resolve(server)));
}
