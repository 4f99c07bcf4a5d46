/** Names of transformers.js 4.3: its dtypes, the suffix that each has as a file, and base files (reference: its `dtypes.js`). */

/** What can be made. */
export const VARIANT_DTYPES = ['fp16', 'q8', 'int8', 'uint8', 'q4', 'q4f16', 'bnb4'] as const;

/** A dtype of transformers.js that `variants` makes. */
export type VariantDType = (typeof VARIANT_DTYPES)[number];

const SUFFIXES: Readonly<Record<VariantDType, string>> = {
  fp16: '_fp16',
  q8: '_quantized',
  int8: '_int8',
  uint8: '_uint8',
  q4: '_q4',
  q4f16: '_q4f16',
  bnb4: '_bnb4',
};

/** With those of files that others make. */
const ALL_SUFFIXES = [...Object.values(SUFFIXES), '_q2', '_q2f16', '_q1', '_q1f16'];

/** `model`, `q8` → `model_quantized.onnx` */
export function variantFile(base: string, dtype: VariantDType | 'fp32'): string {
  return `${base}${dtype === 'fp32' ? '' : SUFFIXES[dtype]}.onnx`;
}

/** What {@link findBaseFiles} tells apart. */
export interface FoundFiles {
  /** Float models, without `.onnx`, in the order of the alphabet. */
  readonly bases: readonly string[];
  /** Files that are variants by their name. */
  readonly variants: readonly string[];
}

/** Which of some files are models to start from: all `.onnx` but those that are variants by their suffix. */
export function findBaseFiles(files: Iterable<string>): FoundFiles {
  const models = [...files].filter((file) => file.endsWith('.onnx')).toSorted();
  const isVariant = (file: string): boolean => baseOf(file) !== stemOf(file);
  return {
    bases: models.filter((file) => !isVariant(file)).map(stemOf),
    variants: models.filter(isVariant),
  };
}

/** `model_q4.onnx` → `model` */
export function baseOf(file: string): string {
  const stem = stemOf(file);
  const suffix = ALL_SUFFIXES.find((ending) => stem.endsWith(ending) && stem.length > ending.length) ?? '';
  return stem.slice(0, stem.length - suffix.length);
}

function stemOf(file: string): string {
  return file.replace(/\.onnx$/, '');
}
