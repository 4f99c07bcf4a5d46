/**
 * Makes a checkout ready to run: `npm ci` if it is due, then the build of what is stale. Every npm script starts
 * with it, so that one command is enough from a bare clone; when nothing is due it only hashes the sources.
 */
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { withLock } from './lib/lock.mjs';
import { CACHE, ROOT, runNpm } from './lib/run.mjs';
import { hashFiles, readIfThere } from './lib/stamp.mjs';

const LOCK_FILE = join(ROOT, 'package-lock.json');
const INSTALLED = join(ROOT, 'node_modules/.package-lock.json');
const STAMP = join(ROOT, 'node_modules/.zeropoint-lock');

/** Runs `npm ci` unless node_modules was made from this package-lock.json. Throws if npm fails. */
export async function install() {
  if (isInstalled()) return;
  await withLock(join(CACHE, 'install.lock'), async () => {
    if (isInstalled()) return;
    console.error('installing dependencies (npm ci)');
    const npm = await runNpm(['ci', '--no-audit', '--no-fund', '--loglevel=error'], { inherit: true });
    if (npm.code !== 0) throw new Error(`npm ci: expected exit code 0, got ${npm.code}`);
    writeFileSync(STAMP, lockHash());
  });
}

/** True if our stamp names this lock file, or, after a hand-made `npm install`, if npm wrote node_modules later. */
function isInstalled() {
  if (readIfThere(STAMP) === lockHash()) return true;
  const installed = statSync(INSTALLED, { throwIfNoEntry: false });
  if (installed === undefined || installed.mtimeMs < statSync(LOCK_FILE).mtimeMs) return false;
  writeFileSync(STAMP, lockHash());
  return true;
}

function lockHash() {
  return hashFiles(ROOT, [LOCK_FILE]);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  await install();
  const { build } = await import('./build.mjs');
  process.exitCode = (await build()) ? 0 : 1;
}
