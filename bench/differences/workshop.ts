/** What the cases of differences.ts work with: a folder for files, the Python quantizer, onnxruntime-node. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { zipSync } from 'fflate';
import { sqnr, tensor, type Tensor } from 'zeropoint';
import {
  encodeNpy,
  inputValues,
  openCalibrationData,
  ortNode,
  readModel,
  writeModel,
  type Model,
  type ModelRunner,
} from 'zeropoint/onnx';

export type Feeds = Readonly<Record<string, Tensor>>;

/** One line of the table: what, and what each side does. */
export interface Row {
  readonly what: string;
  readonly theirs: string;
  readonly ours: string;
}

/** A job of bench/peer/differences.py; the file that it writes is named `out`. */
export interface PeerJob {
  readonly kind: 'static' | 'dynamic' | 'pre_process' | 'weights';
  readonly model: string;
  readonly out: string;
  readonly data?: string;
  readonly options?: Readonly<Record<string, unknown>>;
}

const ROUNDS = 31;
const SCRIPT = fileURLToPath(new URL('../peer/differences.py', import.meta.url));

export class Workshop {
  readonly #folder = mkdtempSync(join(tmpdir(), 'zeropoint-differences-'));
  readonly #python: string;
  /** Where the models of bench/peer/models.py are. */
  readonly models: string;

  constructor(python: string, models: string) {
    this.#python = python;
    this.models = models;
  }

  path(name: string): string {
    return join(this.#folder, name);
  }

  async save(model: Model, name: string): Promise<string> {
    const path = this.path(name);
    await writeModel(model, path, { overwrite: true });
    return path;
  }

  /** An .npz file with an array for each input; first axis: samples. */
  saveData(name: string, arrays: Feeds): string {
    const path = this.path(name);
    const files = Object.entries(arrays).map(([array, values]) => [`${array}.npy`, encodeNpy(values)]);
    writeFileSync(path, zipSync(Object.fromEntries(files), { level: 0 }));
    return path;
  }

  /** Runs jobs of onnxruntime's quantizer in one process; null or the error of each. */
  peer(jobs: readonly PeerJob[]): readonly (string | null)[] {
    const path = this.path('jobs.json');
    writeFileSync(path, JSON.stringify(jobs.map((job) => ({ options: {}, ...job }))));
    const run = spawnSync(this.#python, [SCRIPT, path], { encoding: 'utf8', maxBuffer: 2 ** 28 });
    if (run.status !== 0)
      throw new Error(`differences.py: expected a result, got: ${run.stderr.slice(-2000)}`);
    return JSON.parse(run.stdout.trim().split('\n').at(-1) ?? '') as (string | null)[];
  }

  /** For jobs that are to succeed. */
  done(jobs: readonly PeerJob[]): void {
    const error = this.peer(jobs).find((each) => each !== null);
    if (error !== undefined) throw new Error(`differences.py: expected files, got: ${error}`);
  }

  dispose(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** The first output over all feeds, end to end. */
export async function outputsOf(model: Model | string, feeds: readonly Feeds[]): Promise<Tensor> {
  const runner = await ortNode(model, { optimization: 'all' });
  try {
    const values: number[] = [];
    for (const feed of feeds) {
      const results = await runner.run(feed);
      for (const value of results[runner.outputs[0].name].data as Float32Array) values.push(value);
    }
    return tensor(Float32Array.from(values));
  } finally {
    await runner.dispose();
  }
}

/** Error of each model against the first, `12.3 dB`. */
export async function fidelity(
  original: Model | string,
  models: readonly (Model | string)[],
  feeds: readonly Feeds[],
): Promise<readonly string[]> {
  const expected = await outputsOf(original, feeds);
  const ratios: string[] = [];
  for (const model of models) ratios.push(`${sqnr(expected, await outputsOf(model, feeds)).toFixed(1)} dB`);
  return ratios;
}

/**
 * Least processor time of a run of each model, in turn, on one thread, `12.3 ms`: what else runs on the machine takes time,
 * but not this one.
 */
export async function times(models: readonly (Model | string)[], feed: Feeds): Promise<readonly string[]> {
  const runners: ModelRunner[] = [];
  for (const model of models) runners.push(await ortNode(model, { optimization: 'all', threads: 1 }));
  const least = runners.map(() => Infinity);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, runner] of runners.entries()) {
      const start = process.cpuUsage();
      await runner.run(feed);
      const { user, system } = process.cpuUsage(start);
      least[i] = Math.min(least[i], (user + system) / 1000);
    }
  }
  for (const runner of runners) await runner.dispose();
  return least.map((milliseconds) => `${milliseconds.toPrecision(3)} ms`);
}

/** Why onnxruntime-node does not load a file; undefined if it does. */
export async function loadError(path: string): Promise<string | undefined> {
  try {
    const runner = await ortNode(path, { optimization: 'all' });
    await runner.dispose();
    return undefined;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    // The runtime says where the file was, and the node as it is written, before it says why.
    return error.message
      .split(/expected to load the model, got: |Load model from .* failed:|, Error /)
      .at(-1);
  }
}

/** What a promise is refused with; `passes` if it is not. */
export async function refusal(job: Promise<unknown>): Promise<string> {
  try {
    await job;
    return 'passes';
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const code = 'code' in error ? `, ${String(error.code)}` : '';
    return `${error.name}${code}: ${error.message.split('\n')[0]}`;
  }
}

/** Samples of an .npz file; one at a time, unless said otherwise. */
export async function samplesOf(
  model: Model,
  path: string,
  dealing: { readonly samples?: number; readonly batchSize?: number } = {},
): Promise<readonly Feeds[]> {
  const { batches } = await openCalibrationData(path, inputValues(model), { batchSize: 1, ...dealing });
  const feeds: Feeds[] = [];
  for await (const feed of batches()) feeds.push(feed);
  return feeds;
}

/** Size as a share of the original, `27 %`. */
export function share(path: string, original: string): string {
  return `${Math.round((100 * statSync(path).size) / statSync(original).size)} %`;
}

/** Initializers by name. */
export async function constantsOf(path: string): Promise<ReadonlyMap<string, Tensor>> {
  const { graph } = await readModel(path);
  const constants = new Map<string, Tensor>();
  for (const { name, initializer } of graph.initializers) {
    const held = await initializer?.load();
    if (held !== undefined) constants.set(name, held);
  }
  return constants;
}

/** How many nodes of an operator there are. */
export async function count(model: Model | string, opType: string): Promise<number> {
  const { graph } = typeof model === 'string' ? await readModel(model) : model;
  return [...graph.allNodes()].filter((node) => node.opType === opType).length;
}
