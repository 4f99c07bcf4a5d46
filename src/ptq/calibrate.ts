/**
 * Runs batches through the original model and shows each planned activation to its observer. One pass; memory is one
 * batch of activations (two while they overlap: the runtime computes the next batch while observers look at this one).
 */
import { CalibrationError } from '../errors.ts';
import type { Observer } from '../observers/index.ts';
import { observerFromJSON } from '../observers/index.ts';
import { sampleCount } from '../runners/sample-count.ts';
import type { ModelRunner } from '../runners/types.ts';
import type { Tensor, TensorLike } from '../tensor/tensor.ts';
import { makeObserver } from './observer-spec.ts';
import type { JobOptions } from './job.ts';
import type { Plan, PlannedActivation } from './plan.ts';

/** Inputs of the model by name, for one run. The first axis counts samples, unless calibration data says how many. */
export type Batch = Readonly<Record<string, TensorLike>>;

/** Batches, made when they are asked for, so that a data set need not fit into memory. */
export type Batches = AsyncIterable<Batch> | Iterable<Batch>;

/** How to stop and follow a calibration, and how to keep what it has so far. */
export interface CalibrateOptions extends JobOptions {
  /**
   * Called after each batch that the observers have seen, and awaited; `batches` counts those of this call. `soFar()` makes
   * the plan as `calibrate` would give it now: a job that may be killed keeps it and goes on from it later.
   */
  readonly checkpoint?: (soFar: () => Plan, batches: number) => Promise<void> | void;
}

/**
 * A plan whose activations hold what their observers saw. A plan that already holds something goes on from there, so
 * a data set can be shown in parts.
 *
 * @throws CalibrationError if there is no batch (CALIBRATION_EMPTY), a value is NaN (CALIBRATION_NAN, naming it), or a
 *   batch does not fit the model's inputs (CALIBRATION_INPUT, from the runner). An aborted signal throws its reason.
 */
export async function calibrate(
  plan: Plan,
  runner: ModelRunner,
  batches: Batches,
  options: CalibrateOptions = {},
): Promise<Plan> {
  const { signal, onProgress, checkpoint } = options;
  const observers = openObservers(plan);
  const names = [...observers.keys()];
  const inputs = new Set(runner.inputs.map((input) => input.name));
  const fetch = names.filter((name) => !inputs.has(name));
  let samples = plan.samples;
  let seen = 0;
  const soFar = (): Plan => ({ ...plan, activations: closeObservers(plan, observers), samples });
  for await (const { feeds, results } of overlapped(batches, (batch) =>
    runner.run(batch, { fetch, signal }),
  )) {
    signal?.throwIfAborted();
    for (const [name, observer] of observers) observer.observe(valueOf(name, feeds, results));
    samples += sampleCount(feeds);
    seen++;
    onProgress?.({ stage: 'calibrate', done: seen, unit: 'batches', samples });
    await checkpoint?.(soFar, seen);
  }
  signal?.throwIfAborted();
  if (seen === 0) {
    throw new CalibrationError('calibrate: expected at least one batch, got none', {
      code: 'CALIBRATION_EMPTY',
      hint: 'Give a data set with at least one sample.',
    });
  }
  return soFar();
}

interface BatchResult {
  readonly feeds: Batch;
  readonly results: Readonly<Record<string, Tensor>>;
}

/** Starts the next run before the last one's results are looked at. */
async function* overlapped(
  batches: Batches,
  run: (batch: Batch) => Promise<Record<string, Tensor>>,
): AsyncGenerator<BatchResult> {
  let pending: { readonly feeds: Batch; readonly running: Promise<Record<string, Tensor>> } | undefined;
  for await (const feeds of batches) {
    const ready = pending && { feeds: pending.feeds, results: await pending.running };
    const running = run(feeds);
    // Whoever stops early never awaits it; its failure must not count as unhandled then.
    running.catch(() => undefined);
    pending = { feeds, running };
    if (ready !== undefined) yield ready;
  }
  if (pending !== undefined) yield { feeds: pending.feeds, results: await pending.running };
}

function valueOf(name: string, feeds: Batch, results: Readonly<Record<string, Tensor>>): TensorLike {
  return results[name] ?? feeds[name];
}

function openObservers(plan: Plan): Map<string, Observer> {
  return new Map(
    Object.entries(plan.activations)
      .filter(([, { range }]) => range === undefined)
      .map(([name, { spec, state }]) => [
        name,
        state === undefined ? makeObserver(spec, { name }) : observerFromJSON(state),
      ]),
  );
}

function closeObservers(
  plan: Plan,
  observers: ReadonlyMap<string, Observer>,
): Record<string, PlannedActivation> {
  const activations: Record<string, PlannedActivation> = { ...plan.activations };
  for (const [name, observer] of observers) {
    activations[name] = { spec: plan.activations[name].spec, state: observer.toJSON() };
  }
  return activations;
}
