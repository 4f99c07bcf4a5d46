/**
 * Every file that transformers.js can ask for, from the float models of a repository: `model_q4.onnx`, `model_fp16.onnx`, ...
 * Recipes: recipes.ts. All files appear together at the end, or none.
 */
import { checkOptions, type Rule } from '../../errors/check-options.ts';
import { BOOLEAN, FUNCTION, listOf, numberFrom, oneOf, recordOf, TEXT } from '../../errors/option-rules.ts';
import { GraphError, QuantError } from '../../errors.ts';
import { READ_RULES } from '../../formats/onnx/read-model.ts';
import { PLACEMENT } from '../../formats/onnx/write-model.ts';
import type { SourceLike } from '../../formats/source.ts';
import { JOB_RULES } from '../../ptq/option-rules.ts';
import { asFiles, isOneSource, openBases } from './base-files.ts';
import type { BaseFile, ModelFiles, OpenedBase } from './base-files.ts';
import { chooseBySize } from './choose-by-size.ts';
import { variantFile, VARIANT_DTYPES, type VariantDType } from './dtypes.ts';
import { VARIANT_PRESETS } from './recipes.ts';
import type { VariantPlan, VariantsJob, VariantsOptions, VariantsResult } from './types.ts';
import { VariantWriter } from './variant-writer.ts';

const RULES = {
  open: FUNCTION,
  dtypes: listOf(oneOf(...VARIANT_DTYPES)),
  plan: recordOf(oneOf('fp32', ...VARIANT_DTYPES)),
  maxSize: numberFrom(0, { above: true }),
  preset: oneOf(...VARIANT_PRESETS),
  modelType: TEXT,
  allowQuantized: BOOLEAN,
  overwrite: BOOLEAN,
  externalData: PLACEMENT,
  maxStructureBytes: READ_RULES.maxStructureBytes,
} satisfies Record<keyof VariantsOptions, Rule>;

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
  checkOptions('variants', options, RULES);
  checkOptions('variants', job, JOB_RULES);
  checkTogether(options);
  const { preset = 'web', plan, maxSize } = options;
  const files = isOneSource(source) ? await asFiles(source) : source;
  const bases = await openBases(files, options);
  if (plan !== undefined) checkPlan(plan, bases);
  const resolved = { ...options, preset };
  const chosen = maxSize === undefined ? undefined : await chooseBySize(bases, maxSize, resolved, job);
  const tasks = chosen === undefined ? tasksOf(bases, options) : [{ bases, dtype: chosen }];
  if (options.overwrite !== true) checkFree(files, tasks);
  const writer = new VariantWriter(resolved, job);
  try {
    for (const task of tasks) await makeTask(task, writer, plan !== undefined);
    if (plan === undefined && chosen !== 'fp32') checkMadeSomething(writer);
    await writer.commit();
  } catch (error) {
    await writer.abort(error);
    throw error;
  }
  const dtype = plan ?? chosen;
  return {
    preset,
    bases: bases.map(({ model: _model, ...base }) => base),
    variants: writer.variants,
    skipped: writer.skipped,
    ...(dtype !== undefined && { dtype }),
  };
}

/** Base files, and the dtype that they get together. */
interface Task {
  readonly bases: readonly OpenedBase[];
  readonly dtype: VariantDType | 'fp32';
}

function tasksOf(
  bases: readonly OpenedBase[],
  { plan, dtypes = VARIANT_DTYPES }: VariantsOptions,
): readonly Task[] {
  if (plan === undefined) return [...new Set(dtypes)].map((dtype) => ({ bases, dtype }));
  return bases.map((base) => ({ bases: [base], dtype: plan[base.base] }));
}

/** A plan wants its files, also those in which there is nothing to do. */
async function makeTask({ bases, dtype }: Task, writer: VariantWriter, copies: boolean): Promise<void> {
  if (dtype !== 'fp32') await writer.make(bases, dtype, { copies });
}

/** What no rule for one option can say. */
function checkTogether({ dtypes, plan, maxSize, open }: VariantsOptions): void {
  if (open === undefined)
    throw new TypeError('variants: expected open, which gives files to write, got none');
  if (dtypes?.length === 0) throw new RangeError('variants: expected at least one of dtypes, got none');
  if (plan !== undefined && (dtypes !== undefined || maxSize !== undefined)) {
    throw new RangeError('variants: expected plan, or dtypes and maxSize, got both');
  }
}

/** A name that no base file has is a typo; a base file without a dtype would not be found by the page. */
function checkPlan(plan: VariantPlan, bases: readonly BaseFile[]): void {
  const names = bases.map(({ base }) => base);
  const unknown = Object.keys(plan).find((name) => !names.includes(name));
  const missing = names.find((name) => !Object.hasOwn(plan, name));
  if (unknown === undefined && missing === undefined) return;
  const got = unknown === undefined ? `none for ${missing}` : `one for ${unknown}, which is not there`;
  throw new RangeError(`variants: expected plan to have a dtype for each of ${names.join(', ')}, got ${got}`);
}

function checkFree(files: ModelFiles, tasks: readonly Task[]): void {
  const taken = tasks
    .filter(({ dtype }) => dtype !== 'fp32')
    .flatMap(({ bases, dtype }) => bases.map(({ base }) => variantFile(base, dtype)))
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
