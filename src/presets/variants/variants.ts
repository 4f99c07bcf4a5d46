/**
 * Every file that transformers.js can ask for, from the float models of a repository: `model_q4.onnx`, `model_fp16.onnx`, ...
 * Recipes: recipes.ts. All files appear together at the end, or none.
 */
import { GraphError, QuantError } from '../../errors.ts';
import {
  writeModel,
  type ExternalDataOptions,
  type WriteModelOptions,
  type WrittenFile,
} from '../../formats/onnx/write-model.ts';
import { openSink, type SinkLike } from '../../formats/sink.ts';
import type { SourceLike } from '../../formats/source.ts';
import type { Model } from '../../graph/model.ts';
import type { JobOptions, Progress } from '../../ptq/job.ts';
import { runsOn, type RunsOn } from './backends.ts';
import { asFiles, isOneSource, openBases, weightBytes } from './base-files.ts';
import type { BaseFile, ModelFiles, OpenedBase } from './base-files.ts';
import { variantFile, VARIANT_DTYPES, type VariantDType } from './dtypes.ts';
import { HeldSinks } from './held-sinks.ts';
import { makeVariant, VARIANT_PRESETS, type VariantPreset, type VariantReport } from './recipes.ts';

/** Options of {@link variants}. */
export interface VariantsOptions {
  /** Opens a file to write, by name: `model_q4.onnx`. It must be able to open siblings where external data is needed. */
  readonly open: (file: string) => SinkLike | Promise<SinkLike>;
  /** Default: all seven. */
  readonly dtypes?: readonly VariantDType[];
  /** Default `web`. */
  readonly preset?: VariantPreset;
  /**
   * `model_type` of config.json. `transformersjs-3` has 8-bit scales by channel and a reduced range for all types but 28; without
   * a type it has neither, as `quantize.py` on its own.
   */
  readonly modelType?: string;
  /** Take models that are quantized already, and do what is float in them. Default false. */
  readonly allowQuantized?: boolean;
  /** Whether existing files may be replaced. Default false. */
  readonly overwrite?: boolean;
  /** `auto` (default): weights of 1 GiB and more go into external data, in files of 1 GiB at most. Else as of `writeModel`. */
  readonly externalData?: 'auto' | 'embed' | ExternalDataOptions;
}

/** How far {@link variants} is, with the file that it works on. */
export interface VariantsProgress extends Progress {
  readonly file: string;
}

/** How to stop {@link variants} and how to follow it. */
export interface VariantsJob extends Omit<JobOptions, 'onProgress'> {
  readonly onProgress?: (progress: VariantsProgress) => void;
}

/** A file that was made. */
export interface Variant {
  readonly base: string;
  readonly dtype: VariantDType;
  readonly file: string;
  /** Bytes of `files`. */
  readonly size: number;
  /** The model and its external data. */
  readonly files: readonly WrittenFile[];
  readonly runsOn: RunsOn;
  /** What was done, a report a step. Empty for a copy of the float model, see `note`. */
  readonly reports: readonly VariantReport[];
  /** Present if the recipe found nothing to do: the file is the float model, since a dtype needs every base file. */
  readonly note?: string;
}

/** A dtype for which no base file had anything to do; nothing was written for it. */
export interface SkippedVariant {
  readonly dtype: VariantDType;
  readonly reason: string;
}

/** What {@link variants} made. */
export interface VariantsResult {
  readonly preset: VariantPreset;
  readonly bases: readonly BaseFile[];
  readonly variants: readonly Variant[];
  readonly skipped: readonly SkippedVariant[];
}

/** From this size on weights do not lie in the model's file: browsers hold a file in one buffer. */
const EXTERNAL_FROM = 1_073_741_824;

/**
 * Makes variants of every float model among `source`: one model, or files by name as they lie in a folder (`onnx/` of a
 * repository), external data included. Weights are read where they lie, so memory does not grow with the models.
 *
 * @throws RangeError for an option that does not exist; QuantError OUTPUT_EXISTS for a file that is there already, before
 *   anything is made, OUTPUT_FAILED; FormatError without float models, for one that cannot be read or lacks external data;
 *   GraphError for a model that is quantized, or if there is nothing to do for any dtype. Then nothing is written
 * @example
 * const files = new Map();
 * await variants(file, { dtypes: ['q4f16'], open: (name) => new MemorySink(name, files) });
 */
export async function variants(
  source: SourceLike | ModelFiles,
  options: VariantsOptions,
  job: VariantsJob = {},
): Promise<VariantsResult> {
  const { dtypes = VARIANT_DTYPES, preset = 'web' } = options;
  if (dtypes.length === 0) throw new RangeError('variants: expected at least one of dtypes, got none');
  for (const dtype of dtypes) check('dtypes', dtype, VARIANT_DTYPES);
  check('preset', preset, VARIANT_PRESETS);
  const files = isOneSource(source) ? await asFiles(source) : source;
  const bases = await openBases(files, { allowQuantized: options.allowQuantized ?? false });
  if (options.overwrite !== true) checkFree(files, bases, dtypes);
  const writer = new VariantWriter({ ...options, preset }, job);
  try {
    for (const dtype of new Set(dtypes)) await writer.make(bases, dtype);
    checkMadeSomething(writer);
    await writer.commit();
  } catch (error) {
    await writer.abort(error);
    throw error;
  }
  return {
    preset,
    bases: bases.map(({ model: _model, ...base }) => base),
    variants: writer.variants,
    skipped: writer.skipped,
  };
}

function check(what: string, value: string, allowed: readonly string[]): void {
  if (allowed.includes(value)) return;
  throw new RangeError(`variants: expected ${what} of ${allowed.join(', ')}, got ${value}`);
}

function checkFree(files: ModelFiles, bases: readonly BaseFile[], dtypes: readonly VariantDType[]): void {
  const taken = bases
    .flatMap(({ base }) => dtypes.map((dtype) => variantFile(base, dtype)))
    .find((file) => Object.hasOwn(files, file));
  if (taken === undefined) return;
  throw new QuantError(`${taken}: expected no file of that name, got one`, {
    code: 'OUTPUT_EXISTS',
    hint: 'Leave its dtype out, or allow overwriting (--force).',
    details: { file: taken },
  });
}

function checkMadeSomething({ variants: made, skipped }: VariantWriter): void {
  if (made.length > 0) return;
  const reasons = [...new Set(skipped.map(({ reason }) => reason))];
  throw new GraphError(`variants: expected something to do for a dtype, got nothing: ${reasons.join('; ')}`, {
    code: 'GRAPH_NOT_QUANTIZABLE',
    hint: 'Start from a float32 export; nets without matrix products have fp16, and q8 and q4 in preset web.',
    details: { skipped },
  });
}

class VariantWriter {
  readonly #options: VariantsOptions & { readonly preset: VariantPreset };
  readonly #job: VariantsJob;
  readonly #sinks = new HeldSinks();
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

  /** All files of a dtype: transformers.js has a dtype only if every base file has it. */
  async make(bases: readonly OpenedBase[], dtype: VariantDType): Promise<void> {
    const { preset, modelType } = this.#options;
    const idle: { readonly base: OpenedBase; readonly note: string }[] = [];
    const before = this.variants.length;
    for (const base of bases) {
      const file = variantFile(base.base, dtype);
      const onProgress = (progress: Progress): void => this.#job.onProgress?.({ ...progress, file });
      const { signal } = this.#job;
      signal?.throwIfAborted();
      const job = { onProgress, ...(signal && { signal }) };
      const made = await makeVariant(base.model, { preset, dtype, modelType }, job);
      if ('reason' in made) idle.push({ base, note: made.reason });
      else await this.#write(base, dtype, made);
    }
    if (this.variants.length === before) {
      const reasons = [...new Set(idle.map(({ note }) => note))];
      this.skipped.push({ dtype, reason: reasons.join('; ') });
      return;
    }
    for (const { base, note } of idle) {
      await this.#write(base, dtype, { model: base.model, reports: [], note: `float copy: ${note}` });
    }
  }

  async #write(
    { base }: OpenedBase,
    dtype: VariantDType,
    made: Pick<Variant, 'reports' | 'note'> & { readonly model: Model },
  ): Promise<void> {
    const { model, ...facts } = made;
    const file = variantFile(base, dtype);
    const { open, overwrite = false } = this.#options;
    const sink = this.#sinks.hold(await openSink(await open(file), { overwrite }));
    const files = await writeModel(model, { ...sink, name: file }, this.#placement(model));
    const size = files.reduce((sum, part) => sum + part.size, 0);
    this.variants.push({ base, dtype, file, size, files, runsOn: runsOn(model), ...facts });
  }

  #placement(model: Model): WriteModelOptions {
    const { externalData = 'auto' } = this.#options;
    const { signal } = this.#job;
    const chosen = externalData !== 'auto' ? externalData : weightBytes(model) < EXTERNAL_FROM ? 'embed' : {};
    return { externalData: chosen, ...(signal && { signal }) };
  }
}
