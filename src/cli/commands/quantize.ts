/** `zeropoint quantize`: read, choose a mode, quantize, write, load and compare, then put the file in its place. */
import { basename } from 'node:path';
import {
  checkSameModel,
  convert,
  identifyModel,
  missingShards,
  opsetToPrepare,
  quantizeStatic,
  raiseOpset,
  readModel,
  readyForPlan,
  writeModel,
  clean,
  type CalibrationData,
  type ConvertOptions,
  type CopyOptions,
  type DataPart,
  type Model,
  type PlanFile,
  type Progress,
  type ReadyModel,
} from 'zeropoint/onnx';
import type { QConfigMapping } from 'zeropoint';
import { nameMeantNodes } from '../config/node-names.ts';
import { withConfig } from '../config/with-config.ts';
import { checkOutput, defaultOutput, stageOutput, totalSize } from '../files.ts';
import { runVerb, type Context } from '../frame.ts';
import { checkBlockWords, choosesByData, decideMode, type ModeDecision } from '../mode.ts';
import { checkDataWords, dataPart, openData } from '../open-data.ts';
import type { ProgressFacts } from '../progress.ts';
import { openRunner } from '../runtime.ts';
import { readPlan } from '../read-plan.ts';
import { readOptions } from '../verbs/common.ts';
import type { QuantizeOptions } from '../verbs/quantize.ts';
import { obsoleteData } from './obsolete-data.ts';
import { checkModeWords, ending, placement, uncheckedBecause } from './output-form.ts';
import { qconfigMappingOf } from './qconfig.ts';
import { dryRun } from './quantize-dry-run.ts';
import { summary } from './quantize-summary.ts';
import { verify, type Verification } from './verify.ts';
import { withoutData, type Report, type Written } from './without-data.ts';

/** What one call works on. */
export interface QuantizeJob {
  readonly input: string;
  readonly output: string;
  readonly options: QuantizeOptions;
  readonly choice: ModeDecision;
  /** As read. */
  readonly original: Model;
  /** Folded, tidied, and in an opset that has the forms that are wanted: what is quantized. */
  readonly model: Model;
  /** undefined if a plan has decided it all. */
  readonly mapping: QConfigMapping | undefined;
  readonly data: CalibrationData | undefined;
  /** With `--plan`: what was calibrated before. */
  readonly plan: ReadyModel | undefined;
  readonly calibration: readonly DataPart[] | null;
}

/** What was done; printed as it is by `--json`. */
export interface QuantizeResult {
  readonly input: FileFacts;
  readonly output: FileFacts;
  readonly mode: ModeDecision;
  /** What ranges were measured on, or gptq looked at, with the decoder where it was images; null where none were. */
  readonly calibration: readonly DataPart[] | null;
  readonly report: Report;
  /** null with `--no-verify`. */
  readonly verification: Verification | null;
  readonly seconds: number;
}

interface FileFacts {
  readonly file: string;
  /** Bytes, external data included. */
  readonly size: number;
}

/** Samples of the data that the result is compared on. */
const VERIFY_SAMPLES = 128;

export async function quantize(input: string, words: QuantizeOptions): Promise<void> {
  await runVerb(words, async (context) => {
    const options = await withConfig(words);
    checkDataWords(words, options.calibrate);
    const job = await openJob(input, options);
    const { mode, reason, warning } = job.choice;
    context.progress.note(`mode: ${mode}, ${reason}`);
    if (warning !== undefined) context.progress.note(`slow there: ${warning}`);
    if (options.dryRun) return dryRun(job);
    const result = await run(job, context);
    return { json: result, text: () => summary(job, result) };
  });
}

async function openJob(input: string, options: QuantizeOptions): Promise<QuantizeJob> {
  const original = await readModel(input, readOptions(options));
  const plan = options.plan === undefined ? undefined : await openPlan(original, input, options.plan);
  const choice = plan === undefined ? decideMode(original, input, options) : choiceOf(plan.file);
  checkBlockWords(choice, options);
  checkModeWords(choice, options);
  const output = options.output ?? defaultOutput(input, ending(choice, options));
  if (!options.dryRun) await checkOutput(output, options.force ?? false);
  const { model, mapping } =
    plan === undefined
      ? await prepared(original, choice, options)
      : { model: plan.ready.model, mapping: undefined };
  const data = await openData(model, options);
  const isMeasured = choice.mode === 'static' || choosesByData(choice, options);
  const measured = isMeasured && data !== undefined ? [dataPart(data, options)] : null;
  const calibration = plan === undefined ? measured : plan.file.data;
  return { input, output, options, choice, original, model, mapping, data, calibration, plan: plan?.ready };
}

/** A kept plan, and the model that it speaks of. @throws GraphError if it is for another model */
async function openPlan(
  model: Model,
  path: string,
  planPath: string,
): Promise<{ readonly file: PlanFile; readonly ready: ReadyModel }> {
  const file = await readPlan(planPath);
  const identity = await identifyModel(model, { name: basename(path), size: await totalSize(path, model) });
  checkSameModel(file, identity, planPath);
  return { file, ready: await readyForPlan(model, file.plan, { equalize: file.equalize }) };
}

function choiceOf(file: PlanFile): ModeDecision {
  const missing = missingShards(file);
  const partial = missing.length === 0 ? '' : `; shards ${missing.join(', ')} of the data are not in it`;
  return { mode: 'static', reason: `as --plan says${partial}` };
}

/** The model folded and tidied; for static mode in an opset that has the forms that are wanted. */
async function prepared(
  original: Model,
  { mode }: ModeDecision,
  options: QuantizeOptions,
): Promise<{ readonly model: Model; readonly mapping: QConfigMapping }> {
  const { model } = await clean(original);
  nameMeantNodes(model, options);
  const mapping = qconfigMappingOf(model, options);
  return { model: mode === 'static' ? await raised(model, mapping, options) : model, mapping };
}

/** The model in an opset that has the forms that are wanted: per-channel weights need 13. */
async function raised(model: Model, mapping: QConfigMapping, { coverage }: QuantizeOptions): Promise<Model> {
  return (await raiseOpset(model, opsetToPrepare(model, mapping, { coverage }))).model;
}

async function run(job: QuantizeJob, context: Context): Promise<QuantizeResult> {
  const start = performance.now();
  // Before anything is written: the output may replace the input.
  const input = { file: job.input, size: await totalSize(job.input, job.original) };
  const { model, report } = await converted(job, context);
  const staged = await stageOutput(job.output, { force: job.options.force ?? false });
  try {
    const { signal } = context;
    const files = await writeModel(model, staged.path, { signal, ...placement(job.options) });
    const verification =
      uncheckedBecause(job.choice, job.options) === undefined
        ? await verified(job, staged.path, context)
        : null;
    signal.throwIfAborted();
    const { input: path, output, original } = job;
    await staged.commit(
      job.options.force ? await obsoleteData(output, files, { path, model: original }) : [],
    );
    return {
      input,
      output: { file: job.output, size: files.reduce((sum, { size }) => sum + size, 0) },
      mode: job.choice,
      calibration: job.calibration,
      report,
      verification,
      seconds: (performance.now() - start) / 1000,
    };
  } catch (error) {
    throw staged.told(error);
  } finally {
    await staged.discard();
  }
}

async function converted(job: QuantizeJob, { signal, progress }: Context): Promise<Written> {
  const { choice, model, mapping, data, plan } = job;
  const { names, format, coverage, equalize, dedicatedPairs } = job.options;
  const onProgress = (facts: Progress): void => progress.update(shown(facts, data));
  const copying: CopyOptions = { ...(names && { names }), signal, onProgress };
  const converting: ConvertOptions = {
    ...copying,
    ...(format && { format }),
    ...(dedicatedPairs && { dedicatedPairs }),
  };
  if (plan !== undefined) {
    const { model: result, report } = await convert(model, plan.plan, converting);
    const { equalized, raisedOpset } = plan;
    return {
      model: result,
      report: { ...report, ...(equalized && { equalized }), ...(raisedOpset && { raisedOpset }) },
    };
  }
  if (choice.mode !== 'static') return withoutData(job, copying);
  if (data === undefined) throw new TypeError('quantize: expected data for static mode, got none');
  const batches = data.batches();
  const options = { qconfigMapping: mapping, coverage, equalize, batches, runner: openRunner };
  const { model: result, report } = await quantizeStatic(model, options, converting);
  // It was given the raised model, so it does not know.
  const raisedOpset = { from: job.original.opset, to: model.opset };
  return {
    model: result,
    report: raisedOpset.from === raisedOpset.to ? report : { ...report, raisedOpset },
  };
}

/** Calibration in samples: people know how many they gave. */
function shown(
  { stage, done, total, unit, samples }: Progress,
  data: CalibrationData | undefined,
): ProgressFacts {
  if (stage === 'calibrate' && samples !== undefined && data !== undefined) {
    return { stage, done: samples, total: data.samples, unit: 'samples' };
  }
  return { stage, done, total, unit };
}

function verified(job: QuantizeJob, path: string, { signal, progress }: Context): Promise<Verification> {
  progress.update({ stage: 'compare', done: 0, unit: 'samples' });
  return verify(job.original, path, job.data?.batches({ samples: VERIFY_SAMPLES }), signal);
}
