/** `zeropoint calibrate`: read, prepare, show the data to the observers, and keep what they saw as a plan. */
import { basename } from 'node:path';
import { QuantError } from 'zeropoint';
import {
  calibrate,
  clean,
  identifyModel,
  planFile,
  readModel,
  readyStatic,
  type CalibrationData,
  type Plan,
  type ReadyModel,
} from 'zeropoint/onnx';
import { nameMeantNodes } from '../config/node-names.ts';
import { withConfig } from '../config/with-config.ts';
import { dataDigest } from '../data-digest.ts';
import { Interrupted, UsageError } from '../errors.ts';
import { checkFree, checkOutput, defaultOutput, totalSize } from '../files.ts';
import { runVerb, type Context, type Outcome } from '../frame.ts';
import { dataPart, openData } from '../open-data.ts';
import { openRunner } from '../runtime.ts';
import { counted, table } from '../table.ts';
import { readOptions } from '../verbs/common.ts';
import type { CalibrateOptions } from '../verbs/calibrate.ts';
import { Keeper, partialPath, readKept, type PlanOrigin } from './keep-calibration.ts';
import { qconfigMappingOf } from './qconfig.ts';
import { writeText } from './write-text.ts';

interface CalibrateJob {
  readonly input: string;
  readonly output: string;
  readonly options: CalibrateOptions;
  readonly ready: ReadyModel;
  readonly data: CalibrationData;
  readonly origin: PlanOrigin;
}

/** Printed as it is by `--json`. */
interface CalibrateResult {
  readonly input: string;
  readonly output: string;
  /** Samples that the plan has seen, those of an earlier call included. */
  readonly samples: number;
  /** Values that were observed. */
  readonly observed: number;
  /** Batches of earlier calls. */
  readonly resumedAfter: number;
  readonly shard: CalibrateOptions['shard'] | null;
  readonly decoder: string | null;
  readonly seconds: number;
}

export async function calibrateModel(input: string, words: CalibrateOptions): Promise<void> {
  await runVerb(words, async (context) => {
    const options = await withConfig(words);
    const job = await openJob(input, options);
    return options.dryRun ? dryRun(job) : run(job, context);
  });
}

async function openJob(input: string, options: CalibrateOptions): Promise<CalibrateJob> {
  if (options.calibrate === undefined) {
    throw new UsageError(
      'calibrate: expected calibration data (--calibrate), got none',
      `Run: zeropoint calibrate ${input} --calibrate data.npz`,
    );
  }
  const { mode = 'static' } = options.settings ?? {};
  if (mode !== 'static') {
    throw new UsageError(
      `${options.config}: mode: expected 'static', which calibration is for, got '${mode}'`,
    );
  }
  const output = options.output ?? defaultOutput(input, 'plan.json');
  if (!options.dryRun) await checkPlaces(output, options);
  const original = await readModel(input, readOptions(options));
  const { model } = await clean(original);
  nameMeantNodes(model, options);
  const qconfigMapping = qconfigMappingOf(model, options);
  const { coverage, equalize = true } = options;
  const ready = await readyStatic(model, { qconfigMapping, coverage, equalize });
  // --calibrate is there, so there is data.
  const data = (await openData(ready.model, options)) as CalibrationData;
  const size = await totalSize(input, original);
  const origin: PlanOrigin = {
    model: await identifyModel(original, { name: basename(input), size }),
    configuration: configurationOf(options),
    equalize,
    data: [{ ...dataPart(data, options), digest: await dataDigest(options.calibrate) }],
    plan: ready.plan,
  };
  return { input, output, options, ready, data, origin };
}

/** What ranges depend on besides model and data. */
function configurationOf({
  settings,
  target,
  coverage,
  ...words
}: CalibrateOptions): Record<string, unknown> {
  const { observer = 'minmax', activationDtype = 'uint8', weightDtype = 'int8' } = words;
  const { reduceRange = false, perTensor = false, exclude = [] } = words;
  const { global, opTypes, namePatterns, nodes } = settings ?? {};
  return {
    observer,
    activationDtype,
    weightDtype,
    reduceRange,
    perTensor,
    exclude,
    ...(target && { target }),
    ...(coverage && { coverage }),
    ...(settings && { levels: { global, opTypes, namePatterns, nodes } }),
  };
}

/** What an earlier call kept is neither overwritten nor forgotten unless somebody says so. */
async function checkPlaces(
  output: string,
  { force = false, resume = false }: CalibrateOptions,
): Promise<void> {
  await checkOutput(output, force);
  if (resume || force) return;
  await checkFree(partialPath(output), false).catch((cause: unknown) => {
    throw new QuantError(
      `${partialPath(output)}: expected no earlier calibration, got one that was stopped`,
      {
        code: 'OUTPUT_EXISTS',
        hint: 'Go on with it with --resume, or begin anew with --force.',
        cause,
      },
    );
  });
}

function dryRun({ input, output, ready, data }: CalibrateJob): Outcome {
  const observed = observedCount(ready.plan);
  const { samples, batchSize } = data;
  return {
    json: { input, output, samples, batchSize, observed, quantized: ready.plan.nodes.length },
    text: () =>
      table([
        ['would write', output],
        ['observed', `${counted(observed, 'value')} of ${counted(ready.plan.nodes.length, 'node')}`],
        ['samples', `${counted(samples, 'sample')}, ${batchSize} at a time`],
      ]),
  };
}

function observedCount(plan: Plan): number {
  return Object.values(plan.activations).filter(({ range }) => range === undefined).length;
}

async function run(job: CalibrateJob, context: Context): Promise<Outcome> {
  const start = performance.now();
  const { input, output, options, data, origin } = job;
  const kept = options.resume ? await readKept(output, origin) : undefined;
  if (options.resume && kept === undefined)
    context.progress.note('nothing to resume: beginning at the start');
  const keeper = new Keeper(output, origin, kept?.batches ?? 0);
  const plan = await observeAll(job, keeper, kept ?? { plan: origin.plan, batches: 0 }, context);
  const file = planFile({ ...origin, data: [{ ...origin.data[0], samples: plan.samples }], plan });
  await writeText(output, `${JSON.stringify(file)}\n`, options.force ?? false);
  await keeper.discard();
  const result: CalibrateResult = {
    input,
    output,
    samples: plan.samples,
    observed: observedCount(plan),
    resumedAfter: kept?.batches ?? 0,
    shard: options.shard ?? null,
    decoder: data.decoder ?? null,
    seconds: (performance.now() - start) / 1000,
  };
  return { json: result, text: () => summary(result) };
}

async function observeAll(
  { ready, data, output }: CalibrateJob,
  keeper: Keeper,
  { plan, batches }: { readonly plan: Plan; readonly batches: number },
  { signal, progress }: Context,
): Promise<Plan> {
  const rest = data.batches({ skip: batches });
  const first = await rest.next();
  // Stopped after the last batch, before the plan was written.
  if (first.done && batches > 0) return plan;
  const runner = await openRunner(ready.model);
  try {
    return await calibrate(plan, runner, resumed(first, rest), {
      signal,
      checkpoint: keeper.checkpoint,
      onProgress: ({ stage, samples = 0 }) =>
        progress.update({ stage, done: samples, total: data.samples, unit: 'samples' }),
    });
  } catch (error) {
    if (!(error instanceof Interrupted) || !(await keeper.save())) throw error;
    throw new Interrupted(`kept ${partialPath(output)}; go on with the same words and --resume`);
  } finally {
    await runner.dispose();
  }
}

/** What is left after its first item was looked at. */
async function* resumed<T>(first: IteratorResult<T>, rest: AsyncIterable<T>): AsyncGenerator<T> {
  if (first.done) return;
  yield first.value;
  yield* rest;
}

function summary({
  input,
  output,
  samples,
  observed,
  resumedAfter,
  shard,
  decoder,
  seconds,
}: CalibrateResult): string {
  const resumed = resumedAfter === 0 ? '' : `, ${resumedAfter} batches of them earlier`;
  const part = shard === null || shard === undefined ? '' : `, shard ${shard.index} of ${shard.count}`;
  const next =
    part === ''
      ? `zeropoint quantize ${input} --plan ${output}`
      : 'zeropoint plan merge <the plan of each shard> --output plan.json';
  const rows = table([
    ['wrote', `${output}  (${counted(samples, 'sample')}${part}${resumed}, ${seconds.toFixed(1)} s)`],
    ['observed', counted(observed, 'value')],
    ...(decoder === null ? [] : [['decoder', decoder]]),
  ]);
  return `${rows}\nnext: ${next}\n`;
}
