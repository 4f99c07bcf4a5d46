/** The runtime, wherever it is installed. */
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { QuantError } from 'zeropoint';
import {
  createRunner,
  ortNode,
  ortWeb,
  type ModelRunner,
  type RunnerOptions,
  type RunnerSource,
} from 'zeropoint/onnx';

/** In the order of preference. */
const RUNTIMES = [
  { name: 'onnxruntime-node', open: ortNode },
  { name: 'onnxruntime-web', open: ortWeb },
] as const;

/**
 * As createRunner, which sees what is installed beside this package; where there is nothing, the project in the working
 * directory is looked at (`npx` installs this package elsewhere, without optional peers).
 */
export async function openRunner(source: RunnerSource, options: RunnerOptions = {}): Promise<ModelRunner> {
  const given = { temporaryFolder: temporaryFolder(), ...options };
  try {
    return await createRunner(source, given);
  } catch (error) {
    if (!isMissing(error)) throw error;
    const runner = await openFromProject(source, given);
    if (runner === undefined) throw error;
    return runner;
  }
}

/**
 * The module onnxruntime-node, beside this package or in the project of the working directory; undefined if it is in neither,
 * which `ortNode` has the words for.
 */
export async function nativeRuntime(): Promise<unknown> {
  for (const place of [import.meta.url, join(process.cwd(), 'package.json')]) {
    const path = resolved(createRequire(place), 'onnxruntime-node');
    if (path !== undefined) return import(pathToFileURL(path).href);
  }
  return undefined;
}

function isMissing(error: unknown): boolean {
  return error instanceof QuantError && error.code === 'RUNTIME_MISSING';
}

let folder: string | undefined;

/** One for the whole run, there only if a large model is staged; a run that is ended the hard way must not leave it. */
function temporaryFolder(): string {
  if (folder !== undefined) return folder;
  const path = join(tmpdir(), `zeropoint-cli-${randomBytes(8).toString('hex')}`);
  process.once('exit', () => rmSync(path, { recursive: true, force: true }));
  folder = path;
  return path;
}

async function openFromProject(
  source: RunnerSource,
  options: RunnerOptions,
): Promise<ModelRunner | undefined> {
  const project = createRequire(join(process.cwd(), 'package.json'));
  for (const { name, open } of RUNTIMES) {
    const path = resolved(project, name);
    if (path !== undefined) return open(source, { ...options, ort: await import(pathToFileURL(path).href) });
  }
  return undefined;
}

function resolved(project: NodeJS.Require, name: string): string | undefined {
  try {
    return project.resolve(name);
  } catch {
    return undefined;
  }
}

/** The module sharp from the working directory's project; undefined if it is beside this package, or nowhere. */
export async function openSharp(): Promise<unknown> {
  if (resolved(createRequire(import.meta.url), 'sharp') !== undefined) return undefined;
  const path = resolved(createRequire(join(process.cwd(), 'package.json')), 'sharp');
  return path === undefined ? undefined : import(pathToFileURL(path).href);
}
