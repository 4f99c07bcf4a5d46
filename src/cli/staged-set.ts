/** Several files that appear together: written under their final names into a hidden folder, then moved, or none of them. */
import { rmSync } from 'node:fs';
import { lstat, mkdir, mkdtemp, rename, rm, rmdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { QuantError } from 'zeropoint';
import { checkFree, noFolder } from './files.ts';

/** Where a staged file goes; `replace`: it may stand in the place of another, `links`: of a link to one, too. */
export interface StagedMove {
  readonly from: string;
  readonly to: string;
  readonly replace: boolean | 'links';
}

export interface StagedSet {
  /** Where to write: on the disk of `beside`. */
  readonly folder: string;
  /** An error about {@link folder}, told of the folder that the files go to. */
  told(error: unknown, place: string): unknown;
  /**
   * Removes some files and moves others to where they belong. If that fails half-way, all is put back as it was.
   * @throws QuantError OUTPUT_EXISTS, OUTPUT_FAILED
   */
  commit(moves: readonly StagedMove[], obsolete: readonly string[]): Promise<void>;
  /** Removes what was not committed. Can be called again. */
  discard(): Promise<void>;
}

/** @throws QuantError OUTPUT_FAILED if `beside` cannot be written to */
export async function stageSet(beside: string): Promise<StagedSet> {
  const folder = await mkdtemp(join(beside, '.zeropoint.')).catch((cause: unknown) => {
    throw noFolder(beside, String(cause), cause);
  });
  // A process that is ended the hard way (second Ctrl-C) must not leave it either.
  const removeNow = (): void => rmSync(folder, { recursive: true, force: true });
  process.once('exit', removeNow);
  return {
    folder,
    told(error, place) {
      if (!(error instanceof QuantError) || !error.message.includes(folder)) return error;
      const { code, hint, details, cause } = error;
      return new QuantError(error.message.replaceAll(folder, place), { code, hint, details, cause });
    },
    commit: (moves, obsolete) => commit(folder, moves, obsolete),
    async discard() {
      await rm(folder, { recursive: true, force: true });
      process.off('exit', removeNow);
    },
  };
}

async function commit(
  folder: string,
  moves: readonly StagedMove[],
  obsolete: readonly string[],
): Promise<void> {
  for (const { to, replace } of moves) await checkFree(to, replace, 'Move it elsewhere');
  const undo: (() => Promise<unknown>)[] = [];
  const old = join(folder, '.replaced');
  await mkdir(old);
  const putAway = async (path: string): Promise<void> => {
    const place = join(old, String(undo.length));
    await rename(path, place);
    undo.push(() => rename(place, path));
  };
  try {
    for (const path of obsolete) await putAway(path);
    for (const { from, to } of moves) {
      if (await makeFolder(dirname(to))) undo.push(() => rmdir(dirname(to)));
      if (await lstat(to).catch(() => undefined)) await putAway(to);
      await rename(from, to);
      undo.push(() => rename(to, from));
    }
  } catch (cause) {
    for (const step of undo.toReversed()) await step();
    throw new QuantError(`${moves[0]?.to}: expected to put files in their places, got ${String(cause)}`, {
      code: 'OUTPUT_FAILED',
      hint: 'Check that the folder can be written to. Nothing was changed.',
      cause,
    });
  }
}

/** Whether it was made. Its parent exists. */
async function makeFolder(path: string): Promise<boolean> {
  if (await stat(path).catch(() => undefined)) return false;
  await mkdir(path);
  return true;
}
