/** Variants that Node and a browser both make, to be compared: what of, and how. */
import type { VariantsOptions } from 'zeropoint/onnx';

export interface VariantJob {
  /** Path below `test/fixtures/`. */
  readonly model: string;
  readonly options: Omit<VariantsOptions, 'open'>;
}

const MODEL = 'ort/variants/transformer.onnx';

export const VARIANT_JOBS: Readonly<Record<string, VariantJob>> = {
  web: { model: MODEL, options: { preset: 'web' } },
  'transformersjs-3': { model: MODEL, options: { preset: 'transformersjs-3', modelType: 'bert' } },
  'external data in chunks': {
    model: MODEL,
    options: { dtypes: ['fp16', 'q8', 'q4'], externalData: { threshold: 1, chunkSize: 4096 } },
  },
};

/** SHA-256 of each file by name, by job. */
export type VariantDigests = Readonly<Record<string, Readonly<Record<string, string>>>>;
