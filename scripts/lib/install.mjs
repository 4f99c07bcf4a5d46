/** `npm ci` when it is due. */
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { withLock } from './lock.mjs';
import { runNpm } from './run.mjs';
import { hashFiles, readIfThere } from './stamp.mjs';

/**
 * Runs `npm ci` in `folder` unless its node_modules was made from its package-lock.json; two at once wait for each
 * other. Throws if npm fails.
 */
export async function install(folder) {
  if (isInstalled(folder)) return;
  await withLock(join(folder, '.cache/install.lock'), async () => {
    if (isInstalled(folder)) return;
    console.error(`npm ci in ${folder}`);
    const npm = await runNpm(['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
      cwd: folder,
      inherit: true,
    });
    if (npm.code !== 0) throw new Error(`npm ci: expected exit code 0, got ${npm.code}`);
    writeFileSync(stampPath(folder), lockHash(folder));
  });
}

/** True if our stamp names this lock file, or, after a hand-made `npm install`, if npm wrote node_modules later. */
function isInstalled(folder) {
  if (readIfThere(stampPath(folder)) === lockHash(folder)) return true;
  const installed = statSync(join(folder, 'node_modules/.package-lock.json'), { throwIfNoEntry: false });
  if (installed === undefined || installed.mtimeMs < statSync(join(folder, 'package-lock.json')).mtimeMs)
    return false;
  writeFileSync(stampPath(folder), lockHash(folder));
  return true;
}

function stampPath(folder) {
  return join(folder, 'node_modules/.zeropoint-lock');
}

function lockHash(folder) {
  return hashFiles(folder, [join(folder, 'package-lock.json')]);
}
