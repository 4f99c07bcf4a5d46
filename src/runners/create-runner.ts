/** A runner from whichever runtime is installed. */
import { checkOptions } from '../errors/check-options.ts';
import { QuantError, UnsupportedError } from '../errors.ts';
import { ortNode } from './ort-node.ts';
import { ortWeb } from './ort-web.ts';
import type { RunnerSource } from './runner-source.ts';
import { CREATE_RULES } from './runner-rules.ts';
import type { ModelRunner, RunnerOptions } from './types.ts';

/**
 * onnxruntime-node if it is installed, else onnxruntime-web (in Node 3 to 14 times slower).
 *
 * @throws UnsupportedError RUNTIME_MISSING if neither is installed, with the command that installs one; otherwise as
 *   {@link ortNode} and {@link ortWeb}
 */
export async function createRunner(
  source: RunnerSource,
  options: Omit<RunnerOptions, 'ort'> = {},
): Promise<ModelRunner> {
  checkOptions('createRunner', options, CREATE_RULES);
  try {
    return await ortNode(source, options);
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
  try {
    return await ortWeb(source, options);
  } catch (cause) {
    if (!isMissing(cause)) throw cause;
    throw new UnsupportedError('runner: expected onnxruntime-node or onnxruntime-web, got neither', {
      code: 'RUNTIME_MISSING',
      hint: 'Run: npm install onnxruntime-node (or onnxruntime-web, slower, without a native binary)',
      cause,
    });
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof QuantError && error.code === 'RUNTIME_MISSING';
}
