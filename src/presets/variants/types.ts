/** What `variants` takes and gives. */
import type { ReadModelOptions } from '../../formats/onnx/read-model.ts';
import type { ExternalDataOptions, WrittenFile } from '../../formats/onnx/write-model.ts';
import type { SinkLike } from '../../formats/sink.ts';
import type { JobOptions, Progress } from '../../ptq/job.ts';
import type { RunsOn } from './backends.ts';
import type { BaseFile } from './base-files.ts';
import type { VariantDType } from './dtypes.ts';
import type { VariantPreset, VariantReport } from './recipes.ts';

/** Options of `variants`. */
export interface VariantsOptions extends Pick<ReadModelOptions, 'maxStructureBytes'> {
  /** Opens a file to write, by name: `model_q4.onnx`. It must be able to open siblings where external data is needed. */
  readonly open: (file: string) => SinkLike | Promise<SinkLike>;
  /** Default: all seven. */
  readonly dtypes?: readonly VariantDType[];
  /** One dtype for each base file, in place of `dtypes`: `{ embed_tokens: 'fp16', decoder_model_merged: 'q4' }`. */
  readonly plan?: VariantPlan;
  /**
   * Bytes of all files that a page loads: only the best dtype that fits is made, the same for all base files. In the order
   * fp32, fp16, q8, int8, uint8, q4, q4f16, bnb4, as far as `dtypes` has them (default: all; fp32 is
   * always tried, unless `note` of a base file says that pages cannot load it).
   */
  readonly maxSize?: number;
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

/** A dtype by base file; `fp32` leaves one as it is. */
export type VariantPlan = Readonly<Record<string, VariantDType | 'fp32'>>;

/** How far `variants` is, with the file that it works on. */
export interface VariantsProgress extends Progress {
  readonly file: string;
}

/** How to stop `variants` and how to follow it. */
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

/** What `variants` made. */
export interface VariantsResult {
  readonly preset: VariantPreset;
  readonly bases: readonly BaseFile[];
  readonly variants: readonly Variant[];
  readonly skipped: readonly SkippedVariant[];
  /** With `plan` and `maxSize`: what a page is to load. */
  readonly dtype?: VariantDType | 'fp32' | VariantPlan;
}
