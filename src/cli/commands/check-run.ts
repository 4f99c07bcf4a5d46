/** `zeropoint check --run`: the model in each target, against one reference on the CPU. */
import { QuantError, type Tensor } from 'zeropoint';
import {
  batchSizeFor,
  compareOutputs,
  inputValues,
  openCalibrationData,
  type CheckTarget,
  type Feeds,
  type Model,
  type ModelRunner,
  type OutputError,
} from 'zeropoint/onnx';
import type { Context } from '../frame.ts';
import { openRunner } from '../runtime.ts';
import { readOptions } from '../verbs/common.ts';
import type { CheckWords } from '../verbs/check.ts';
import { workingFeeds } from './made-up-feeds.ts';
import { runInChild } from './check-node.ts';
import { runInBrowser } from './check-web.ts';

/** dB of signal to noise below which numbers are wrong: against the file itself, and against a float model. */
const LEAST_SQNR = { itself: 20, float: 10 } as const;
/** Of `--data`: enough to see wrong numbers. */
const DEFAULT_SAMPLES = 8;
/** Share of equal elements below which outputs that are no floats are wrong. */
const LEAST_AGREEMENT = 0.9;

export interface RunJob {
  readonly path: string;
  readonly model: Model;
  readonly targets: readonly CheckTarget[];
  readonly words: CheckWords;
  readonly context: Context;
}

/** What a target did, before it is judged. */
export interface RawRun {
  readonly runtime: string;
  /** Browser and adapter; null for onnxruntime-node. */
  readonly place: string | null;
  readonly loadMs: number | null;
  /** Each run. */
  readonly runMs: readonly number[];
  readonly peakBytes: number | null;
  /** Nodes that WebGPU left to the CPU. */
  readonly onCpu: readonly { readonly op: string; readonly node: string }[];
  /** A batch each. */
  readonly outputs: readonly Readonly<Record<string, Tensor>>[];
  readonly failure: { readonly stage: string; readonly message: string } | null;
}

/** What is asked of a target. */
export interface RawJob {
  readonly path: string;
  readonly model: Model;
  readonly batches: readonly Readonly<Record<string, Tensor>>[];
  readonly words: CheckWords;
  readonly signal: AbortSignal;
}

export interface Fallback {
  readonly op: string;
  readonly count: number;
  readonly nodes: readonly string[];
}

export interface TargetRun extends Omit<RawRun, 'outputs' | 'onCpu' | 'runMs' | 'failure'> {
  /** Median. */
  readonly runMs: number | null;
  /** Operators, after the runtime's optimizations, that WebGPU left to the CPU. */
  readonly fallbacks: readonly Fallback[];
  /** Against the reference; empty if nothing was run. */
  readonly outputs: readonly OutputError[];
  /** Why the target fails; null if it does not. */
  readonly problem: { readonly kind: 'load' | 'run' | 'wrong numbers'; readonly message: string } | null;
}

export interface RunReport {
  readonly comparison: {
    /** The model that ran on the CPU, and what ran it. */
    readonly reference: string;
    readonly runtime: string;
    readonly inputs: string;
    readonly samples: number;
    readonly minSqnr: number;
    readonly minAgreement: number;
  };
  readonly targets: readonly TargetRun[];
}

export async function runTargets(job: RunJob): Promise<RunReport> {
  const { path, words, context } = job;
  const reference = words.float ?? path;
  context.progress.update({ stage: `run ${reference}`, done: 0, unit: 'targets' });
  const minSqnr = words.minSqnr ?? (words.float === undefined ? LEAST_SQNR.itself : LEAST_SQNR.float);
  const { batches, expected, outputs, ...facts } = await expectedOutputs(reference, job);
  const targets: TargetRun[] = [];
  for (const target of job.targets) {
    context.signal.throwIfAborted();
    const done = targets.length;
    context.progress.update({ stage: `run on ${target}`, done, total: job.targets.length, unit: 'targets' });
    const raw = await runOn(target, { ...job, batches, signal: context.signal });
    targets.push(await judged(raw, { batches, expected, outputs, minSqnr }));
  }
  return { comparison: { reference, ...facts, minSqnr, minAgreement: LEAST_AGREEMENT }, targets };
}

type Batches = readonly Readonly<Record<string, Tensor>>[];

/** What is fed, and what the reference makes of it. */
interface Expected {
  readonly runtime: string;
  readonly inputs: string;
  readonly samples: number;
  readonly batches: Batches;
  readonly expected: Batches;
  readonly outputs: ModelRunner['outputs'];
}

async function expectedOutputs(reference: string, job: RunJob): Promise<Expected> {
  const { words, context } = job;
  // 'basic' keeps the arithmetic of the file; 'all' fuses, and is what applications get: so it is what is checked.
  const options = { optimization: 'basic', ...readOptions(words) } as const;
  const runner = await openRunner(reference, options).catch((error: unknown) => {
    const isRefused = error instanceof QuantError && error.code === 'RUNTIME_FAILED';
    // A file that the CPU refuses may load elsewhere; it is compared with nothing then.
    if (!isRefused || words.float !== undefined) throw error;
    return undefined;
  });
  if (runner === undefined) {
    return {
      runtime: 'no runtime: it is refused',
      inputs: 'nothing',
      samples: 0,
      batches: [],
      expected: [],
      outputs: [],
    };
  }
  try {
    const fed = await feedsOf(runner, job);
    const expected: Readonly<Record<string, Tensor>>[] = [];
    for (const feeds of fed.batches) expected.push(await runner.run(feeds, { signal: context.signal }));
    return { runtime: runner.name, ...fed, expected, outputs: runner.outputs };
  } finally {
    await runner.dispose();
  }
}

async function feedsOf(
  runner: ModelRunner,
  { model, words, context: { signal } }: RunJob,
): Promise<Pick<Expected, 'batches' | 'inputs' | 'samples'>> {
  if (words.data !== undefined) {
    const { samples = DEFAULT_SAMPLES } = words;
    const options = { samples, defaultBatchSize: Math.min(samples, batchSizeFor(model)) };
    const data = await openCalibrationData(words.data, inputValues(model), options);
    const batches: Readonly<Record<string, Tensor>>[] = [];
    for await (const feeds of data.batches()) {
      signal.throwIfAborted();
      batches.push(feeds);
    }
    return { batches, inputs: words.data, samples: data.samples };
  }
  const feeds = await workingFeeds(runner, signal);
  if (feeds === undefined) return { batches: [], inputs: 'nothing', samples: 0 };
  // Made of tensors, all of them.
  return { batches: [feeds as Readonly<Record<string, Tensor>>], inputs: 'made-up inputs', samples: 1 };
}

function runOn(target: CheckTarget, job: RawJob): Promise<RawRun> {
  if (target === 'ort-node-cpu') return runInChild(job);
  return runInBrowser(target, job);
}

interface Reference extends Pick<Expected, 'batches' | 'expected' | 'outputs'> {
  readonly minSqnr: number;
}

async function judged(raw: RawRun, reference: Reference): Promise<TargetRun> {
  const { runtime, place, loadMs, peakBytes, failure } = raw;
  const facts = {
    runtime,
    place,
    loadMs,
    peakBytes,
    runMs: median(raw.runMs),
    fallbacks: grouped(raw.onCpu),
  };
  if (failure !== null) {
    const kind = failure.stage === 'run' ? 'run' : 'load';
    return { ...facts, outputs: [], problem: { kind, message: failure.message } };
  }
  try {
    const outputs = await compared(raw, reference);
    const worst = outputs.find((output) => isWrong(output, reference.minSqnr));
    const problem =
      worst === undefined ? null : { kind: 'wrong numbers' as const, message: wrongText(worst, reference) };
    return { ...facts, outputs, problem };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return { ...facts, outputs: [], problem: { kind: 'wrong numbers', message: error.message } };
  }
}

/** `!(a >= b)`: NaN is wrong too. */
function isWrong({ sqnr, agreement }: OutputError, minSqnr: number): boolean {
  return sqnr === undefined ? !((agreement ?? 1) >= LEAST_AGREEMENT) : !(sqnr >= minSqnr);
}

function wrongText({ name, sqnr, agreement, maxAbsError }: OutputError, { minSqnr }: Reference): string {
  return sqnr === undefined
    ? `output '${name}': expected ${LEAST_AGREEMENT * 100} % of elements equal to the reference's, got ${((agreement ?? 0) * 100).toFixed(1)} %`
    : `output '${name}': expected at least ${minSqnr} dB of signal to noise against the reference, got ${sqnr.toFixed(1)} dB (max error ${maxAbsError.toPrecision(3)})`;
}

/** compareOutputs with what both have computed already. */
async function compared(
  raw: RawRun,
  { batches, expected, outputs: declared }: Reference,
): Promise<readonly OutputError[]> {
  if (batches.length === 0) return [];
  const replay = (outputs: readonly Readonly<Record<string, Tensor>>[]): ModelRunner => {
    const next = outputs.values();
    return {
      name: raw.runtime,
      inputs: [],
      outputs: declared,
      run: (_feeds: Feeds) => Promise.resolve({ ...next.next().value }),
      dispose: () => Promise.resolve(),
    };
  };
  const { outputs } = await compareOutputs(replay(expected), replay(raw.outputs), batches);
  return outputs;
}

function grouped(onCpu: RawRun['onCpu']): readonly Fallback[] {
  const groups = new Map<string, string[]>();
  for (const { op, node } of onCpu) groups.set(op, [...(groups.get(op) ?? []), node]);
  return [...groups]
    .map(([op, nodes]) => ({ op, count: nodes.length, nodes }))
    .toSorted((a, b) => b.count - a.count || (a.op < b.op ? -1 : 1));
}

function median(times: readonly number[]): number | null {
  if (times.length === 0) return null;
  const sorted = times.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1];
}
