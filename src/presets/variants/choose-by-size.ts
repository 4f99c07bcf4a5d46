/** The best dtype whose files are small enough for a page. */
import { QuantError } from '../../errors.ts';
import type { Sink } from '../../formats/sink.ts';
import type { OpenedBase } from './base-files.ts';
import { VARIANT_DTYPES, type VariantDType } from './dtypes.ts';
import type { VariantPreset } from './recipes.ts';
import type { VariantsJob, VariantsOptions } from './types.ts';
import { VariantWriter } from './variant-writer.ts';

/**
 * Makes one after the other, the best first, writes none, and stops at the first that fits. Float is none of them if pages
 * cannot load it.
 *
 * @throws QuantError BUDGET_EXCEEDED, with the smallest and its size, if none fits
 */
export async function chooseBySize(
  bases: readonly OpenedBase[],
  maxSize: number,
  options: VariantsOptions & { readonly preset: VariantPreset },
  job: VariantsJob,
): Promise<VariantDType | 'fp32'> {
  const sizes = new Map<VariantDType | 'fp32', number>();
  const notes = bases.flatMap(({ file, note }) => (note === undefined ? [] : [`${file}: ${note}`]));
  if (notes.length === 0) sizes.set('fp32', sum(bases));
  if (notes.length === 0 && sum(bases) <= maxSize) return 'fp32';
  const { dtypes = VARIANT_DTYPES } = options;
  // VARIANT_DTYPES is in the order of how close they are to float.
  for (const dtype of VARIANT_DTYPES.filter((name) => dtypes.includes(name))) {
    const writer = new VariantWriter({ ...options, open: nowhere }, job);
    await writer.make(bases, dtype);
    if (writer.variants.length === 0) continue;
    const size = sum(writer.variants);
    if (size <= maxSize) return dtype;
    sizes.set(dtype, size);
  }
  throw noneFits(maxSize, sizes, notes);
}

function noneFits(
  maxSize: number,
  sizes: ReadonlyMap<VariantDType | 'fp32', number>,
  notes: readonly string[],
): QuantError {
  const [least] = [...sizes].toSorted(([, a], [, b]) => a - b);
  const got =
    least === undefined
      ? `none that pages can load (${notes.join('; ')})`
      : `${least[1]} for the smallest, ${least[0]}`;
  return new QuantError(`variants: expected a dtype of at most ${maxSize} bytes, got ${got}`, {
    code: 'BUDGET_EXCEEDED',
    hint: 'Allow more, allow more dtypes, or take a smaller model.',
    details: { maxSize, sizes: Object.fromEntries(sizes) },
  });
}

function sum(files: readonly { readonly size: number }[]): number {
  return files.reduce((total, { size }) => total + size, 0);
}

function nowhere(): Sink {
  return { write: () => undefined, sibling: nowhere };
}
