/**
 * Several arrays in a .npz archive, as np.savez and np.savez_compressed write them. Only the directory is held; arrays
 * are read one at a time, stored ones by slices where they lie, deflated ones as a stream.
 */
import { openSource, type SourceLike } from '../source.ts';
import { npyError } from './header.ts';
import { readArray, type NpyArray } from './npy.ts';
import { ZipArchive } from './zip.ts';

const SUFFIX = '.npy';

/** The arrays of an archive. */
export class NpzFile {
  readonly names: readonly string[];
  readonly #archive: ZipArchive;
  readonly #where: string;

  constructor(archive: ZipArchive, where: string) {
    this.#archive = archive;
    this.#where = where;
    this.names = [...archive.entries.keys()]
      .filter((name) => name.endsWith(SUFFIX))
      .map((name) => name.slice(0, -SUFFIX.length));
  }

  /** Opens an array. Throws FormatError NPY_INVALID, naming file and array, if it is none or not there. */
  async array(name: string): Promise<NpyArray> {
    const where = `${this.#where}: array ${JSON.stringify(name)}`;
    if (!this.names.includes(name)) {
      throw npyError(
        where,
        `expected one of ${this.names.join(', ') || 'no arrays'}, got ${JSON.stringify(name)}`,
      );
    }
    return readArray(await this.#archive.file(`${name}${SUFFIX}`), name, where);
  }
}

/** Opens a .npz archive. Throws FormatError NPY_INVALID for anything else. */
export async function openNpz(source: SourceLike): Promise<NpzFile> {
  const { source: opened } = await openSource(source);
  return new NpzFile(await ZipArchive.open(opened), opened.name ?? 'source');
}
