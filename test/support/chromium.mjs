/** A page of Debian's Chromium (or the one that CHROMIUM names), from a server on localhost. */
import { createReadStream, existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { extname, join, sep } from 'node:path';
import { chromium } from 'playwright-core';

const EXECUTABLE = process.env.CHROMIUM ?? '/usr/bin/chromium';
const TYPES = {
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.html': 'text/html',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
};
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** WebGPU computed by the CPU, which any machine has: slow, and without 16-bit arithmetic. */
export const SOFTWARE_GPU = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'];

export const hasChromium = () => existsSync(EXECUTABLE);

/**
 * Opens the page at `path` and gives what `use(page)` gives. `roots`: folders by the start of an address, nothing else is
 * served. After `timeoutMs` the browser is closed, so that `use` throws.
 */
export async function withPage({ roots, path, flags = ['--disable-gpu'], timeoutMs }, use) {
  const server = await serve(roots);
  const profile = mkdtempSync(join(tmpdir(), 'zeropoint-chromium-'));
  const options = { executablePath: EXECUTABLE, args: [...FLAGS, ...flags] };
  const context = await chromium.launchPersistentContext(profile, options);
  const timer = setTimeout(() => context.close(), timeoutMs);
  try {
    const page = await context.newPage();
    await page.goto(`http://localhost:${server.address().port}${path}`);
    return await use(page);
  } finally {
    clearTimeout(timer);
    await context.close();
    server.close();
    rmSync(profile, { recursive: true, force: true });
  }
}

function serve(roots) {
  const server = createServer((request, response) => {
    const file = fileAt(roots, decodeURIComponent(new URL(request.url, 'http://localhost').pathname));
    if (file === undefined) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'application/octet-stream' });
    createReadStream(file).pipe(response);
  });
  return new Promise((resolve) => server.listen(0, 'localhost', () => resolve(server)));
}

/** The file that an address means, if it lies in the folder of its start. */
function fileAt(roots, address) {
  const start = Object.keys(roots).find((prefix) => address.startsWith(prefix));
  if (start === undefined) return undefined;
  const folder = roots[start].replace(/[\\/]?$/, sep);
  const file = join(folder, address.slice(start.length));
  return file.startsWith(folder) && statSync(file, { throwIfNoEntry: false })?.isFile() ? file : undefined;
}
