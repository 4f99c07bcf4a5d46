/** onnxruntime-node: the native runtime, for Node, Bun and Electron. */
import { checkOptions } from '../errors/check-options.ts';
import type { SourceLike } from '../formats/source.ts';
import type { Model } from '../graph/model.ts';
import { importRuntime } from './import-runtime.ts';
import { openOrtRunner, sessionOptions, type OrtModule, type OrtSession } from './ort.ts';
import { fileBytes, modelFiles, resolveSource, weightBytes, type RunnerSource } from './runner-source.ts';
import { RUNNER_RULES } from './runner-rules.ts';
import type { ModelRunner, RunnerOptions } from './types.ts';

/** A value, not a literal, so that bundlers leave the native package where it is. */
const PACKAGE: string = 'onnxruntime-node';

/**
 * Models with more weights go to the runtime through a file, which it maps, instead of two more copies in memory: calibrating
 * a MiniLM of 90 MB peaked at 385 instead of 570 MB, in the same time.
 */
const MAX_BYTES_IN_MEMORY = 33_554_432;

/**
 * Runs a model in onnxruntime-node, on the CPU. A model given by path or bytes is loaded at once, as it lies there; one
 * in memory at its first run.
 *
 * @throws UnsupportedError RUNTIME_MISSING if the package is not installed, RUNTIME_FAILED if it cannot load the model;
 *   what readModel throws
 */
export async function ortNode(source: RunnerSource, options: RunnerOptions = {}): Promise<ModelRunner> {
  checkOptions('ortNode', options, RUNNER_RULES);
  const ort = await importRuntime(PACKAGE, () => import(/* @vite-ignore */ PACKAGE), options.ort);
  const { model, source: file } = await resolveSource(source, options);
  return openOrtRunner({
    ort,
    model,
    name: `${PACKAGE} ${ort.env.versions.node ?? ''} (cpu)`,
    loadsAtOnce: file !== undefined,
    openModel: (given) => openInMemory(ort, given, options),
    openFile: () => openFile(ort, model, file, options),
  });
}

async function openFile(
  ort: OrtModule,
  model: Model,
  file: SourceLike | undefined,
  options: RunnerOptions,
): Promise<OrtSession> {
  // A path goes to the runtime itself, which finds external data beside it.
  if (typeof file === 'string') return ort.InferenceSession.create(file, sessionOptions(options));
  const bytes = file && (await fileBytes(model, file));
  if (bytes === undefined) return openInMemory(ort, model, options);
  return ort.InferenceSession.create(bytes, sessionOptions(options));
}

async function openInMemory(ort: OrtModule, model: Model, options: RunnerOptions): Promise<OrtSession> {
  if (weightBytes(model.graph) > MAX_BYTES_IN_MEMORY) {
    const { withTemporaryModel } = await import('./temporary-model.ts');
    const load = (path: string): Promise<OrtSession> =>
      ort.InferenceSession.create(path, sessionOptions(options));
    return withTemporaryModel(model, load, options.temporaryFolder);
  }
  const { bytes, externalData } = await modelFiles(model);
  return ort.InferenceSession.create(bytes, { ...sessionOptions(options), externalData });
}
