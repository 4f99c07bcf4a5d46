/** One process at a time: a lock folder that holds its owner's pid, taken over when the owner is gone. */
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readIfThere } from './stamp.mjs';

const POLL_MS = 100;

/** Runs `task` while holding the lock folder `path`; waits for whoever holds it now. */
export async function withLock(path, task) {
  mkdirSync(dirname(path), { recursive: true });
  while (!take(path)) {
    if (isAbandoned(path)) rmSync(path, { recursive: true, force: true });
    else await sleep(POLL_MS);
  }
  try {
    return await task();
  } finally {
    rmSync(path, { recursive: true, force: true });
  }
}

// The folder is filled before it gets its name, so that a lock without a pid never exists.
function take(path) {
  const mine = `${path}.${process.pid}`;
  rmSync(mine, { recursive: true, force: true });
  mkdirSync(mine);
  writeFileSync(join(mine, 'pid'), String(process.pid));
  try {
    renameSync(mine, path);
    return true;
  } catch {
    rmSync(mine, { recursive: true, force: true });
    return false;
  }
}

function isAbandoned(path) {
  const pid = Number(readIfThere(join(path, 'pid')));
  if (!(pid > 0)) return false;
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return error.code === 'ESRCH';
  }
}
