/** Says whether an output is older than its inputs, by a hash of their contents: times lie after a clone or a pull. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';

/**
 * Every file below a folder that `accept(path)` takes, sorted; empty if there is no such folder. Does not enter
 * `node_modules` and folders whose name begins with a dot: nobody writes sources there.
 */
export function listFiles(folder, accept = () => true) {
  return readdirIfThere(folder)
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      if (!entry.isDirectory()) return accept(path) ? [path] : [];
      return entry.name.startsWith('.') || entry.name === 'node_modules' ? [] : listFiles(path, accept);
    })
    .sort();
}

function readdirIfThere(folder) {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch (error) {
    if (error.code === 'ENOENT') return [];
    throw error;
  }
}

/** SHA-256 over names (relative to `root`) and contents of `files`, and over `extra` (versions, flags). */
export function hashFiles(root, files, extra = '') {
  const hash = createHash('sha256').update(extra);
  for (const file of files) {
    hash.update(`\0${relative(root, file).split(sep).join('/')}\0`).update(readFileSync(file));
  }
  return hash.digest('hex');
}

/** Text of a file, or undefined if there is none. */
export function readIfThere(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}
