/** Writes a small file that is there when it is complete, or not at all. */
import { writeFile } from 'node:fs/promises';
import { QuantError } from 'zeropoint';
import { stageOutput } from '../files.ts';

/** @throws QuantError OUTPUT_EXISTS, or OUTPUT_FAILED */
export async function writeText(path: string, text: string, force: boolean): Promise<void> {
  const staged = await stageOutput(path, { force });
  try {
    await writeFile(staged.path, text).catch((cause: unknown) => {
      throw new QuantError(`${path}: expected to write the file, got ${String(cause)}`, {
        code: 'OUTPUT_FAILED',
        hint: 'Check that the folder can be written to and has space.',
        cause,
      });
    });
    await staged.commit();
  } finally {
    await staged.discard();
  }
}
