/** onnxruntime-web: the runtime as WebAssembly, for browsers; it runs in Node too, without a native binary. */
import { checkOptions } from '../errors/check-options.ts';
import type { SourceLike } from '../formats/source.ts';
import type { Model } from '../graph/model.ts';
import { importRuntime } from './import-runtime.ts';
import { openOrtRunner, sessionOptions, type OrtModule, type OrtSession } from './ort.ts';
import { fileBytes, modelFiles, resolveSource, type RunnerSource } from './runner-source.ts';
import { RUNNER_RULES } from './runner-rules.ts';
import type { ModelRunner, RunnerOptions } from './types.ts';

const PACKAGE = 'onnxruntime-web';

/**
 * Runs a model in onnxruntime-web, on the CPU. `threads` holds for the whole module, as its `env.wasm.numThreads`. A
 * model given by path or bytes is loaded at once, one in memory at its first run.
 *
 * @throws UnsupportedError RUNTIME_MISSING if the package is not installed, RUNTIME_FAILED if it cannot load the model;
 *   what readModel throws
 */
export async function ortWeb(source: RunnerSource, options: RunnerOptions = {}): Promise<ModelRunner> {
  checkOptions('ortWeb', options, RUNNER_RULES);
  const ort = await importRuntime(PACKAGE, () => import('onnxruntime-web'), options.ort);
  if (options.threads !== undefined && ort.env.wasm !== undefined) ort.env.wasm.numThreads = options.threads;
  const { model, source: file } = await resolveSource(source, options);
  const settings = { ...sessionOptions({ ...options, threads: undefined }), executionProviders: ['wasm'] };
  return openOrtRunner({
    ort,
    model,
    name: `${PACKAGE} ${ort.env.versions.web ?? ''} (wasm)`,
    loadsAtOnce: file !== undefined,
    openModel: (given) => openInMemory(ort, given, settings),
    openFile: () => openFile(ort, model, file, settings),
  });
}

async function openFile(
  ort: OrtModule,
  model: Model,
  file: SourceLike | undefined,
  settings: Readonly<Record<string, unknown>>,
): Promise<OrtSession> {
  const bytes = file && (await fileBytes(model, file));
  if (bytes === undefined) return openInMemory(ort, model, settings);
  return ort.InferenceSession.create(bytes, settings);
}

async function openInMemory(
  ort: OrtModule,
  model: Model,
  settings: Readonly<Record<string, unknown>>,
): Promise<OrtSession> {
  const { bytes, externalData } = await modelFiles(model);
  return ort.InferenceSession.create(bytes, { ...settings, externalData });
}
