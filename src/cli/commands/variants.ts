/** `zeropoint variants`: find the float models, make all variants in a hidden folder, compare, then put all in place. */
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FormatError } from 'zeropoint';
import {
  findBaseFiles,
  modelTypeOf,
  readModel,
  variantFile,
  variants,
  withVariantsInConfig,
  withVariantsInReadme,
  type Sink,
  type SinkLike,
  type SkippedVariant,
  type Variant,
  type VariantPlan,
  type VariantsOptions,
  type VariantsResult,
} from 'zeropoint/onnx';
import { UsageError } from '../errors.ts';
import { checkFree, isDataOf } from '../files.ts';
import { runVerb, type Context, type Outcome } from '../frame.ts';
import { stageSet, type StagedMove, type StagedSet } from '../staged-set.ts';
import { readOptions } from '../verbs/common.ts';
import { DTYPE_NAMES, type VariantsWords } from '../verbs/variants.ts';
import { findPlace, type VariantsPlace } from './variants-place.ts';
import { variantsSummary } from './variants-summary.ts';
import { verify, type Verification } from './verify.ts';

/** What was done; printed as it is by `--json`. */
export interface VariantsOutcome extends Omit<VariantsResult, 'variants'> {
  /** Where the files are. */
  readonly folder: string;
  readonly variants: readonly CheckedVariant[];
  /** Files beside the models that were changed. */
  readonly changed: readonly string[];
  readonly seconds: number;
}

export interface CheckedVariant extends Variant {
  /** null with `--no-verify` and `--dry-run`. */
  readonly verification: Verification | null;
}

interface Job {
  readonly place: VariantsPlace;
  readonly words: VariantsWords;
  readonly options: Omit<VariantsOptions, 'open'>;
  readonly context: Context;
}

export async function makeVariants(source: string, words: VariantsWords): Promise<void> {
  await runVerb(words, async (context) => {
    const place = await findPlace(source, words);
    const plan = words.plan === undefined ? undefined : await readVariantPlan(words.plan);
    const job = { place, words, options: { ...optionsOf(place, words), ...(plan && { plan }) }, context };
    if (place.warning !== undefined) context.progress.note(place.warning);
    const start = performance.now();
    const made = await (words.dryRun ? rehearse(job) : perform(job)).catch(asUsage);
    const outcome = { ...made, seconds: (performance.now() - start) / 1000 };
    return { json: outcome, text: () => variantsSummary(outcome, words) } satisfies Outcome;
  });
}

/** What the library has for options that contradict each other or name nothing. */
function asUsage(error: unknown): never {
  if (error instanceof RangeError && error.message.includes(': expected '))
    throw new UsageError(error.message);
  throw error;
}

/** The library looks at the names in it. */
async function readVariantPlan(path: string): Promise<VariantPlan> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw planError(path, String(cause), cause);
  });
  let plan: unknown;
  try {
    plan = JSON.parse(text);
  } catch (cause) {
    throw planError(path, String(cause), cause);
  }
  const isPlan = typeof plan === 'object' && plan !== null && !Array.isArray(plan);
  if (!isPlan || Object.values(plan as object).some((dtype) => typeof dtype !== 'string')) {
    throw planError(path, JSON.stringify(plan).slice(0, SHOWN_CHARACTERS));
  }
  return plan as VariantPlan;
}

const SHOWN_CHARACTERS = 80;

function planError(path: string, got: string, cause?: unknown): FormatError {
  return new FormatError(`${path}: expected a JSON object of dtypes by model, got ${got}`, {
    code: 'CONFIG_INVALID',
    hint: 'For instance {"embed_tokens": "fp16", "decoder_model_merged": "q4"}.',
    details: { file: path },
    cause,
  });
}

/** A config.json that cannot be read stops everything now, not when all is done. */
function optionsOf({ config }: VariantsPlace, words: VariantsWords): Omit<VariantsOptions, 'open'> {
  const { dtype: dtypes, compat, externalData, maxSize, force = false } = words;
  const found = config === undefined ? undefined : modelTypeOf(config);
  const { modelType = found } = words;
  return {
    ...(dtypes && { dtypes }),
    ...(compat && { preset: compat }),
    ...(maxSize !== undefined && { maxSize }),
    ...(modelType !== undefined && { modelType }),
    ...(externalData !== undefined && { externalData: placementOf(externalData) }),
    ...readOptions(words),
    allowQuantized: force,
    overwrite: force,
  };
}

function placementOf(words: boolean | number): NonNullable<VariantsOptions['externalData']> {
  if (words === false) return 'embed';
  return words === true ? {} : { chunkSize: words };
}

type Made = Omit<VariantsOutcome, 'seconds'>;

/** Everything but writing. */
async function rehearse({ place, options, context }: Job): Promise<Made> {
  const result = await variants(place.files, { ...options, open: nowhere }, jobOf(context));
  const unchecked = result.variants.map((variant) => ({ ...variant, verification: null }));
  return { ...result, folder: place.folder, variants: unchecked, changed: [] };
}

function nowhere(): Sink {
  return { write: () => undefined, sibling: nowhere };
}

function jobOf({ signal, progress }: Context): Parameters<typeof variants>[2] {
  return { signal, onProgress: ({ file, ...facts }) => progress.update({ ...facts, stage: file }) };
}

async function perform(job: Job): Promise<Made> {
  const { place, options, context } = job;
  await checkNames(job);
  await checkTexts(job);
  const staged = await stageSet(place.root);
  try {
    const open = (file: string): SinkLike => join(staged.folder, file);
    const result = await variants(place.files, { ...options, overwrite: true, open }, jobOf(context));
    const checked: CheckedVariant[] = [];
    for (const variant of result.variants) checked.push(await check(variant, staged.folder, job));
    context.signal.throwIfAborted();
    const changed = await putInPlace(result, staged, job);
    return { ...result, folder: place.folder, variants: checked, changed };
  } catch (error) {
    throw staged.told(error, place.folder);
  } finally {
    await staged.discard();
  }
}

const OTHERS = 'Leave its dtype out with --dtype';

/** Names that are taken stop everything before the first model is read: of models, and of external data without a model. */
async function checkNames({ place, words, options }: Job): Promise<void> {
  const { plan, maxSize, dtypes = DTYPE_NAMES } = options;
  // Which dtype fits is not known yet.
  if (maxSize !== undefined) return;
  const force = words.force ?? false;
  const there = [...(await sizesIn(place.folder)).keys()];
  for (const base of findBaseFiles(Object.keys(place.files)).bases) {
    for (const dtype of plan === undefined ? dtypes : [plan[base] ?? 'fp32']) {
      if (dtype === 'fp32') continue;
      const file = variantFile(base, dtype);
      const data = there.filter((name) => isDataOf(name, file));
      for (const name of [file, ...data]) await checkFree(join(place.folder, name), force, OTHERS);
    }
  }
}

/** The texts that are changed when all is done. Those of a Hugging Face cache are links to files that others share. */
async function checkTexts({ place, words }: Job): Promise<void> {
  if (!place.isRepository) return;
  for (const [name, word] of [
    ['config.json', 'config'],
    ['README.md', 'readme'],
  ] as const) {
    if (words[word]) await checkFree(join(place.root, name), 'links', `Leave it alone with --no-${word}`);
  }
}

async function check(
  variant: Variant,
  folder: string,
  { place, words, context }: Job,
): Promise<CheckedVariant> {
  if (!words.verify) return { ...variant, verification: null };
  const { signal, progress } = context;
  progress.update({ stage: `compare ${variant.file}`, done: 0, unit: 'samples' });
  const original = await readModel(place.files[`${variant.base}.onnx`], readOptions(words));
  return { ...variant, verification: await verify(original, join(folder, variant.file), undefined, signal) };
}

/** Moves models, config.json and README.md to where they belong; gives the last two, if they were changed. */
async function putInPlace(result: VariantsResult, staged: StagedSet, job: Job): Promise<readonly string[]> {
  const { place, words } = job;
  const names = result.variants.flatMap(({ files }) => files.map(({ name }) => name));
  const replace = words.force ?? false;
  const moves: StagedMove[] = names.map((name) => ({
    from: join(staged.folder, name),
    to: join(place.folder, name),
    replace,
  }));
  const before = await sizesIn(place.folder);
  const obsolete = [...before.keys()].filter(
    (name) => !names.includes(name) && isPartOf(name, result.variants),
  );
  for (const name of obsolete) await checkFree(join(place.folder, name), replace, OTHERS);
  const sizes = new Map([...before].filter(([name]) => !obsolete.includes(name)));
  for (const { name, size } of result.variants.flatMap(({ files }) => files)) sizes.set(name, size);
  const texts = changedTexts(result, sizes, job);
  for (const [name, text] of Object.entries(texts)) {
    await writeFile(join(staged.folder, name), text);
    moves.push({ from: join(staged.folder, name), to: join(place.root, name), replace: 'links' });
  }
  await staged.commit(
    moves,
    obsolete.map((name) => join(place.folder, name)),
  );
  return Object.keys(texts).map((name) => join(place.root, name));
}

/** Whether a file is external data of one of these models, of an earlier run. */
function isPartOf(name: string, made: readonly Variant[]): boolean {
  return made.some(({ file }) => isDataOf(name, file));
}

async function sizesIn(folder: string): Promise<ReadonlyMap<string, number>> {
  const names = await readdir(folder).catch(() => []);
  const sizes = new Map<string, number>();
  for (const name of names) {
    const info = await stat(join(folder, name)).catch(() => undefined);
    if (info?.isFile()) sizes.set(name, info.size);
  }
  return sizes;
}

/** Files of external data that pages are to load for a float model, whatever lies beside it; undefined for other models. */
function chunksOf(file: string, bases: VariantsResult['bases']): number | undefined {
  const base = bases.find((candidate) => candidate.file === file);
  return base?.note === undefined ? base?.externalData.length : 0;
}

/** New texts of config.json and README.md, if they change. A folder without config.json is no repository: nothing of its is touched. */
function changedTexts(
  { bases, skipped, dtype }: VariantsResult,
  sizes: ReadonlyMap<string, number>,
  { place: { isRepository, config, readme = '' }, words }: Job,
): Record<string, string> {
  if (!isRepository) return {};
  const models = [...sizes.keys()].filter((name) => name.endsWith('.onnx'));
  const partsOf = (file: string): string[] => [...sizes.keys()].filter((name) => isDataOf(name, file));
  const chunks = Object.fromEntries(
    models.map((file) => [file, chunksOf(file, bases) ?? partsOf(file).length]),
  );
  const total = (file: string): number =>
    [file, ...partsOf(file)].reduce((sum, name) => sum + (sizes.get(name) ?? 0), 0);
  const facts = {
    bases: bases.map(({ base }) => base),
    sizes: Object.fromEntries(models.map((file) => [file, total(file)])),
    reasons: Object.fromEntries(skipped.map(({ dtype, reason }: SkippedVariant) => [dtype, reason])),
  };
  const texts: Record<string, string> = {};
  if (config !== undefined) {
    const text = withVariantsInConfig(config, { chunks, ...(dtype && { dtype }) });
    if (text !== config) texts['config.json'] = text;
  }
  if (words.readme) {
    const text = withVariantsInReadme(readme, facts);
    if (text !== readme) texts['README.md'] = text;
  }
  return texts;
}
