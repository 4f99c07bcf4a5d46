/** Data sets that Debian packages: fetched by apt, unpacked into a folder beside this file, never installed. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const CACHE = fileURLToPath(new URL('./.cache/', import.meta.url));

/** The folder `within` of a package; undefined where it cannot be had (no Debian, no network). */
export function debianFolder(packageName: string, within: string): string | undefined {
  const root = join(CACHE, packageName);
  const folder = join(root, within);
  if (existsSync(folder)) return folder;
  mkdirSync(root, { recursive: true });
  const isFetched = run(root, 'apt-get', ['download', packageName]) || fetchAfterUpdate(root, packageName);
  if (!isFetched) return undefined;
  const archive = readdirSync(root).find((name) => name.endsWith('.deb'));
  if (archive === undefined || !run(root, 'dpkg-deb', ['-x', archive, '.'])) return undefined;
  return existsSync(folder) ? folder : undefined;
}

/** Lists of packages may be old or absent. */
function fetchAfterUpdate(root: string, packageName: string): boolean {
  return run(root, 'apt-get', ['update']) && run(root, 'apt-get', ['download', packageName]);
}

function run(cwd: string, command: string, args: readonly string[]): boolean {
  return spawnSync(command, args, { cwd, stdio: 'ignore' }).status === 0;
}
