/** Words of the command line, and what a file says where they are silent. */
import { UsageError } from '../errors.ts';
import type { ConfigurationOptions, DataOptions } from '../verbs/options.ts';
import type { FileOptions } from '../verbs/quantize.ts';
import { readConfig } from './read-config.ts';
import type { Config } from './schema.ts';

type Words = ConfigurationOptions & DataOptions & FileOptions;

/**
 * With `--config`: words override the file; patterns of `--exclude` are added to its own. What no word can say (levels,
 * overrides, ...) comes along as `settings`.
 *
 * @throws UsageError for a file that cannot be read, or is not as its schema says
 */
export async function withConfig<T extends Words>(words: T): Promise<T> {
  if (words.config === undefined) return words;
  const settings = await readConfig(words.config);
  checkSections(settings, words.config);
  const {
    target,
    coverage,
    equalize,
    format,
    dedicatedPairs,
    names,
    externalData,
    calibration = {},
    exclude = [],
  } = settings;
  const { data: calibrate, images, ...dealing } = calibration;
  const file = {
    target,
    coverage,
    equalize,
    format,
    dedicatedPairs,
    names,
    externalData,
    calibrate,
    ...dealing,
    ...pixels(images),
  };
  return {
    ...defined(file),
    ...words,
    exclude: [...exclude, ...(words.exclude ?? [])],
    settings,
  };
}

/** Keys that say mode static. */
const STATIC_KEYS = [
  'coverage',
  'equalize',
  'format',
  'dedicatedPairs',
] as const satisfies readonly (keyof Config)[];

/** The first key of a file that says mode static. */
export function staticKeyOf(settings: Config): (typeof STATIC_KEYS)[number] | undefined {
  return STATIC_KEYS.find((key) => settings[key] !== undefined);
}

/** What a section is about is a mode of its own. */
function checkSections({ mode, weights, float16, ...keys }: Config, path: string): void {
  const refuse = (section: string, modes: string): UsageError =>
    new UsageError(
      `${path}: mode: expected ${modes} beside '${section}', got '${mode}'`,
      `Leave ${section} out.`,
    );
  if (weights !== undefined && mode !== undefined && mode !== 'weight-only') {
    throw refuse('weights', "'weight-only'");
  }
  if (float16 && (mode === 'static' || mode === 'dynamic')) {
    throw refuse('float16', "'float16' or 'weight-only'");
  }
  const staticKey = staticKeyOf(keys);
  if (staticKey !== undefined && mode !== undefined && mode !== 'static') {
    throw refuse(staticKey, "'static'");
  }
  const other = weights !== undefined ? 'weights' : float16 ? 'float16' : undefined;
  if (staticKey !== undefined && other !== undefined) {
    throw new UsageError(
      `${path}: expected '${staticKey}' or '${other}', got both`,
      'They are of different modes.',
    );
  }
}

type Images = NonNullable<NonNullable<Config['calibration']>['images']>;

function pixels({ size, crop, ...others }: Images = {}): Omit<Images, 'size' | 'crop'> & {
  readonly size?: readonly number[];
  readonly crop?: readonly number[];
} {
  const sides = (length: number | readonly number[]): readonly number[] =>
    typeof length === 'number' ? [length] : length;
  return { ...others, ...(size && { size: sides(size) }), ...(crop && { crop: sides(crop) }) };
}

/** A key with undefined would hide nothing, but be there. */
function defined<T extends object>(object: T): Partial<T> {
  // Keys are a subset of T's, values are T's.
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as Partial<T>;
}
