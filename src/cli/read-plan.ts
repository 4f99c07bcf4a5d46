/** Plans from files. */
import { readFile } from 'node:fs/promises';
import { FormatError } from 'zeropoint';
import { parsePlanFile, type PlanFile } from 'zeropoint/onnx';

/** @throws FormatError FORMAT_NOT_A_FILE, or STATE_INVALID for what is no plan */
export async function readPlan(path: string): Promise<PlanFile> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new FormatError(`${path}: expected a plan, got ${reason(cause)}`, {
      code: 'FORMAT_NOT_A_FILE',
      hint: 'zeropoint calibrate writes plans.',
      details: { file: path },
      cause,
    });
  });
  return parsePlanFile(text, path);
}

function reason(cause: unknown): string {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  if (code === 'ENOENT') return 'nothing there';
  return code === 'EISDIR' ? 'a folder' : String(cause);
}
