/**
 * What onnxruntime's JavaScript packages have in common: their interface, as far as we use it, and the runner over it.
 * Written down here because both packages are optional: our declarations must not need theirs.
 */
import { checkOptions } from '../errors/check-options.ts';
import { QuantError, UnsupportedError } from '../errors.ts';
import type { Model } from '../graph/model.ts';
import { asTensor } from '../tensor/cast.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { exposeValues, type PackedExtremes } from './expose.ts';
import { checkFeeds } from './feeds.ts';
import { inputValues, outputValues } from './runner-values.ts';
import { EXTREMES_RULES, RUN_RULES } from './runner-rules.ts';
import type {
  Extremes,
  ExtremesOptions,
  ExtremesResult,
  Feeds,
  ModelRunner,
  RunnerOptions,
  RunnerValue,
  RunOptions,
} from './types.ts';

export interface OrtTensor {
  readonly data: unknown;
  readonly dims: readonly number[];
  readonly type: string;
  dispose?(): void;
}

export interface OrtSession {
  run(feeds: Record<string, OrtTensor>, fetches: readonly string[]): Promise<Record<string, OrtTensor>>;
  release(): Promise<void>;
}

export interface OrtModule {
  readonly InferenceSession: {
    create(model: string | Uint8Array, options: Readonly<Record<string, unknown>>): Promise<OrtSession>;
  };
  readonly Tensor: new (type: string, data: unknown, dims: readonly number[]) => OrtTensor;
  readonly env: {
    readonly versions: Readonly<Record<string, string | undefined>>;
    readonly wasm?: { numThreads?: number };
  };
}

/** A model and how one of the packages loads it. */
export interface OrtBackend {
  readonly name: string;
  readonly ort: OrtModule;
  readonly model: Model;
  /** Whether a model that cannot be loaded shall fail when the runner is made. */
  readonly loadsAtOnce: boolean;
  /** Loads the model from where it lies. */
  openFile(): Promise<OrtSession>;
  /** Loads an edited copy. */
  openModel(copy: Model): Promise<OrtSession>;
}

/** Options of a session that both packages understand. Messages of the runtime come to us as errors: no log. */
export function sessionOptions({ optimization = 'basic', threads }: RunnerOptions): Record<string, unknown> {
  return {
    graphOptimizationLevel: optimization,
    ...(threads === undefined ? {} : { intraOpNumThreads: threads, interOpNumThreads: 1 }),
    logSeverityLevel: 4,
  };
}

export async function openOrtRunner(backend: OrtBackend): Promise<ModelRunner> {
  const runner = new OrtRunner(backend);
  if (backend.loadsAtOnce) await runner.load();
  return runner;
}

/** A session and what it was made for. */
interface OpenSession {
  readonly key: string;
  readonly session: OrtSession;
  readonly packed: PackedExtremes | undefined;
}

class OrtRunner implements ModelRunner {
  readonly name: string;
  readonly model: Model;
  readonly inputs: readonly RunnerValue[];
  readonly outputs: readonly RunnerValue[];
  readonly #backend: OrtBackend;
  /** The only session: two would hold the weights twice. */
  #session: OpenSession | undefined;
  /** Set once the runtime has refused to reduce values: then they are to be fetched. */
  #lacksExtremes = false;
  /** Ends when all that was asked for is done: runtimes run one thing at a time. */
  #queue: Promise<unknown> = Promise.resolve();
  #disposed = false;

  constructor(backend: OrtBackend) {
    const { model } = backend;
    this.name = backend.name;
    this.model = model;
    this.inputs = inputValues(model);
    this.outputs = outputValues(model);
    this.#backend = backend;
  }

  load(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#open(undefined);
    });
  }

  run(feeds: Feeds, options: RunOptions = {}): Promise<Record<string, Tensor>> {
    return this.#inTurn(async () => {
      checkOptions('run', options, RUN_RULES);
      const { fetch, signal } = options;
      signal?.throwIfAborted();
      const tensors = checkFeeds(this.inputs, feeds);
      const fed = (fetch ?? []).filter((name) => Object.hasOwn(tensors, name));
      const wanted = fetch && [...new Set(fetch)].filter((name) => !fed.includes(name));
      const results =
        wanted?.length === 0 ? {} : await this.#compute(await this.#open(wanted), tensors, wanted);
      for (const name of fed) results[name] = tensors[name];
      return results;
    });
  }

  async runForExtremes(feeds: Feeds, options: ExtremesOptions): Promise<ExtremesResult> {
    checkOptions('runForExtremes', options, EXTREMES_RULES);
    const { fetch, signal } = options;
    const found = this.#lacksExtremes ? undefined : await this.#inTurn(() => this.#reduced(feeds, options));
    return found ?? { results: await this.run(feeds, { fetch, signal }), extremes: {} };
  }

  /** undefined if the runtime cannot reduce these values: none is float32, one has a dimension of 0. */
  async #reduced(
    feeds: Feeds,
    { fetch = [], extremesOf, signal }: ExtremesOptions,
  ): Promise<ExtremesResult | undefined> {
    signal?.throwIfAborted();
    const tensors = checkFeeds(this.inputs, feeds);
    const values = [...new Set(fetch)].filter((name) => !Object.hasOwn(tensors, name));
    try {
      const open = await this.#open(values, extremesOf);
      const { packed } = open;
      if (packed === undefined) return undefined;
      const all = await this.#compute(open, tensors, [...values, packed.output]);
      const { [packed.output]: numbers, ...results } = all;
      return { results, extremes: extremesFrom(packed, numbers) };
    } catch (error) {
      if (!(error instanceof UnsupportedError)) throw error;
      this.#lacksExtremes = true;
      return undefined;
    }
  }

  async #compute(
    { session }: OpenSession,
    tensors: Readonly<Record<string, Tensor>>,
    wanted: readonly string[] | undefined,
  ): Promise<Record<string, Tensor>> {
    const { ort } = this.#backend;
    // onnxruntime-node computes in the memory that it is given, and writes there where an operator may work in place
    // (BatchNormalization in training mode, behind casts that cancel): the caller's tensors must stay as they are.
    const inputs = mapValues(tensors, ({ dtype, data, shape }) => new ort.Tensor(dtype, data.slice(), shape));
    const names = wanted ?? this.outputs.map((output) => output.name);
    const outputs = await this.#wrapped('run the model', () => session.run(inputs, names));
    return mapValues(outputs, owned);
  }

  async #open(
    wanted: readonly string[] | undefined,
    extremesOf: readonly string[] = [],
  ): Promise<OpenSession> {
    const isPlain = extremesOf.length === 0 && this.#isPlain(wanted);
    const key = isPlain ? '' : JSON.stringify([wanted?.toSorted(), extremesOf.toSorted()]);
    if (this.#session?.key === key) return this.#session;
    await this.#close();
    const { model } = this.#backend;
    const open = (load: () => Promise<OrtSession>): Promise<OrtSession> =>
      this.#wrapped('load the model', load);
    if (isPlain) {
      const session = await open(() => this.#backend.openFile());
      this.#session = { key, session, packed: undefined };
      return this.#session;
    }
    const { model: copy, packed } = exposeValues(model, wanted ?? [], extremesOf);
    const session = await open(() => this.#backend.openModel(copy));
    this.#session = { key, session, packed };
    return this.#session;
  }

  #isPlain(wanted: readonly string[] | undefined): boolean {
    return (
      wanted === undefined || wanted.every((name) => this.outputs.some((output) => output.name === name))
    );
  }

  async #close(): Promise<void> {
    const session = this.#session?.session;
    this.#session = undefined;
    await session?.release();
  }

  async #wrapped<T>(deed: string, run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (cause) {
      // Ours (a model that cannot be written, a wrong name) say more than a wrapping would.
      if (cause instanceof QuantError || cause instanceof RangeError) throw cause;
      throw runtimeError(this.name, deed, cause);
    }
  }

  #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(() => {
      if (this.#disposed) throw new TypeError(`${this.name}: expected a runner in use, got a disposed one`);
      return task();
    });
    this.#queue = result.catch(() => undefined);
    return result;
  }

  async dispose(): Promise<void> {
    await this.#queue;
    this.#disposed = true;
    await this.#close();
  }
}

/** The tensor as ours. Both packages copy results out of the runtime's memory, so nothing is shared with it. */
function owned(tensor: OrtTensor): Tensor {
  return asTensor(tensor, 'run');
}

/** Extremes of values without NaN and infinities, which show in the sum (as do values too large to add up). */
function extremesFrom({ values }: PackedExtremes, { data, dtype }: Tensor): Record<string, Extremes> {
  const extremes: Record<string, Extremes> = {};
  if (dtype !== 'float32') return extremes;
  for (const [i, name] of values.entries()) {
    const [min, max, sum] = (data as Float32Array).subarray(3 * i, 3 * i + 3);
    if (Number.isFinite(sum)) extremes[name] = { min, max };
  }
  return extremes;
}

function runtimeError(runtime: string, deed: string, cause: unknown): UnsupportedError {
  const text = cause instanceof Error ? cause.message : String(cause);
  return new UnsupportedError(`${runtime}: expected to ${deed}, got: ${text.trim()}`, {
    code: 'RUNTIME_FAILED',
    details: { runtime },
    cause,
  });
}

function mapValues<A, B>(record: Readonly<Record<string, A>>, map: (value: A) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value)]));
}
