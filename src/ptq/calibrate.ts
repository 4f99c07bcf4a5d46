/**
 * Runs batches through the original model and shows each planned activation to its observer. One pass; memory is one
 * batch of activations. Of values whose observers want no more than the extremes, the runtime finds those itself.
 *
 * Tried and rejected: running the float model with all of the runtime's optimizations. Convolutions in its own layout take a
 * third less time (resnet18 46 → 34 ms a sample), and change the last bits of ranges: scales are no longer those of
 * onnxruntime's Python quantizer. Who does not mind passes such a `runner`.
 *
 * Tried and rejected: beginning the next run before observers look at this one. onnxruntime-node computes inside a
 * callback of the event loop, so nothing else runs meanwhile, and two batches of activations are held.
 */
import { checkOptions, type Rule } from '../errors/check-options.ts';
import { ANYTHING, FUNCTION } from '../errors/option-rules.ts';
import { CalibrationError } from '../errors.ts';
import type { Model } from '../graph/model.ts';
import type { Observer } from '../observers/index.ts';
import { observerFromJSON } from '../observers/index.ts';
import { sampleCount } from '../runners/sample-count.ts';
import type { ModelRunner } from '../runners/types.ts';
import { makeObserver } from './observer-spec.ts';
import { Watch } from './watch.ts';
import type { TensorLike } from '../tensor/tensor.ts';
import type { JobOptions } from './job.ts';
import { JOB_RULES } from './option-rules.ts';
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
  /** What `runner` runs, so that NaN is traced to the weight that it comes from. Default: `runner.model`. */
  readonly model?: Model | undefined;
}

const RULES = {
  ...JOB_RULES,
  checkpoint: FUNCTION,
  model: ANYTHING,
} satisfies Record<keyof CalibrateOptions, Rule>;

/**
 * A plan whose activations hold what their observers saw. A plan that already holds something goes on from there, so
 * a data set can be shown in parts.
 *
 * @throws CalibrationError if there is no batch (CALIBRATION_EMPTY), a value is NaN (CALIBRATION_NAN, naming it), or a
 *   batch does not fit the model's inputs (CALIBRATION_INPUT, from the runner); GraphError naming a weight with NaN or an
 *   infinity that a NaN comes from. An aborted signal throws its reason.
 */
export async function calibrate(
  plan: Plan,
  runner: ModelRunner,
  batches: Batches,
  options: CalibrateOptions = {},
): Promise<Plan> {
  checkOptions('calibrate', options, RULES);
  const { signal, onProgress, checkpoint, model = runner.model } = options;
  const observers = openObservers(plan);
  const watched = Array.from(observers, ([key, observer]) => ({
    value: plan.activations[key].value ?? key,
    observer,
  }));
  const watch = new Watch(runner, watched, model);
  let samples = plan.samples;
  let seen = 0;
  const soFar = (): Plan => ({ ...plan, activations: closeObservers(plan, observers), samples });
  for await (const feeds of batches) {
    signal?.throwIfAborted();
    checkFeeds(feeds, seen);
    await watch.show(feeds, signal);
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

function checkFeeds(feeds: unknown, index: number): void {
  if (typeof feeds === 'object' && feeds !== null) return;
  throw new CalibrationError(
    `calibrate: expected batch ${index} to be an object of tensors, got ${String(feeds)}`,
    {
      code: 'CALIBRATION_INPUT',
      hint: "Give each batch as { [input's name]: tensor }.",
    },
  );
}

function openObservers(plan: Plan): Map<string, Observer> {
  return new Map(
    Object.entries(plan.activations)
      .filter(([, { range }]) => range === undefined)
      .map(([key, { spec, state, value = key }]) => [
        key,
        state === undefined ? makeObserver(spec, { name: value }) : observerFromJSON(state),
      ]),
  );
}

function closeObservers(
  plan: Plan,
  observers: ReadonlyMap<string, Observer>,
): Record<string, PlannedActivation> {
  const activations: Record<string, PlannedActivation> = { ...plan.activations };
  for (const [key, observer] of observers) {
    activations[key] = { ...plan.activations[key], state: observer.toJSON() };
  }
  return activations;
}
