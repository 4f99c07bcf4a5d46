/** Makes the files of a dtype and holds them until all are made. */
import { openSink } from '../../formats/sink.ts';
import { writeModel, type WriteModelOptions } from '../../formats/onnx/write-model.ts';
import type { Model } from '../../graph/model.ts';
import type { Progress } from '../../ptq/job.ts';
import { runsOn } from './backends.ts';
import { weightBytes, type OpenedBase } from './base-files.ts';
import { variantFile, type VariantDType } from './dtypes.ts';
import { HeldSinks } from './held-sinks.ts';
import { LastSteps } from './last-steps.ts';
import { makeVariant, type Step, type StepResult, type VariantPreset } from './recipes.ts';
import type { SkippedVariant, Variant, VariantsJob, VariantsOptions } from './types.ts';

/** From this size on weights do not lie in the model's file: browsers hold a file in one buffer. */
const EXTERNAL_FROM = 1_073_741_824;

/** Where a file that is made of nothing to do is the float model. */
const asCopy = (reason: string): string => `float copy: ${reason}`;

export class VariantWriter {
  readonly #options: VariantsOptions & { readonly preset: VariantPreset };
  readonly #job: VariantsJob;
  readonly #sinks = new HeldSinks();
  readonly #last = new LastSteps<Step, StepResult>();
  readonly variants: Variant[] = [];
  readonly skipped: SkippedVariant[] = [];

  constructor(options: VariantsOptions & { readonly preset: VariantPreset }, job: VariantsJob) {
    this.#options = options;
    this.#job = job;
  }

  commit(): Promise<void> {
    return this.#sinks.commit();
  }

  abort(reason: unknown): Promise<void> {
    return this.#sinks.abort(reason);
  }

  /**
   * All files of a dtype: transformers.js has a dtype only if every base file has it. So one with nothing to do is copied if
   * another has something, or if `copies` says so.
   */
  async make(
    bases: readonly OpenedBase[],
    dtype: VariantDType,
    { copies = false }: { readonly copies?: boolean } = {},
  ): Promise<void> {
    const { preset, modelType } = this.#options;
    const idle: { readonly base: OpenedBase; readonly note: string }[] = [];
    const before = this.variants.length;
    for (const base of bases) {
      const file = variantFile(base.base, dtype);
      const onProgress = (progress: Progress): void => this.#job.onProgress?.({ ...progress, file });
      const { signal } = this.#job;
      signal?.throwIfAborted();
      const job = { onProgress, ...(signal && { signal }) };
      const made = await makeVariant(base.model, { preset, dtype, modelType }, job, this.#last);
      if ('reason' in made) idle.push({ base, note: made.reason });
      else await this.#write(base, dtype, made);
    }
    if (this.variants.length === before && !copies) {
      const reasons = [...new Set(idle.map(({ note }) => note))];
      this.skipped.push({ dtype, reason: reasons.join('; ') });
      return;
    }
    for (const { base, note } of idle) {
      await this.#write(base, dtype, { model: base.model, reports: [], note: asCopy(note) });
    }
  }

  async #write(
    { base, model: float }: OpenedBase,
    dtype: VariantDType,
    made: Pick<Variant, 'reports' | 'note'> & { readonly model: Model },
  ): Promise<void> {
    const { model, ...facts } = made;
    const file = variantFile(base, dtype);
    const { open, overwrite = false } = this.#options;
    const sink = this.#sinks.hold(await openSink(await open(file), { overwrite }));
    const files = await writeModel(model, { ...sink, name: file }, this.#placement(model));
    const size = files.reduce((sum, part) => sum + part.size, 0);
    this.variants.push({ base, dtype, file, size, files, runsOn: await runsOn(model, float), ...facts });
  }

  #placement(model: Model): WriteModelOptions {
    const { externalData = 'auto' } = this.#options;
    const { signal } = this.#job;
    const chosen = externalData !== 'auto' ? externalData : weightBytes(model) < EXTERNAL_FROM ? 'embed' : {};
    return { externalData: chosen, ...(signal && { signal }) };
  }
}
