/**
 * A plan says what will be quantized and with which observer; after calibration it holds what the observers saw. It is
 * plain data: JSON.stringify and back, so that a calibration can be kept, shown, or split over processes and merged.
 */
import { observerFromJSON, type FactoryJSON, type ObserverState } from '../observers/index.ts';
import type { SkippedNode } from '../passes/pass.ts';
import { CalibrationError, QuantError } from '../errors.ts';

/** How to make an observer: its class and the arguments that are not defaults. */
export type ObserverSpec = FactoryJSON;

/** A node that will compute in integers, and the observers of its tensors. */
export interface PlannedNode {
  readonly node: string;
  readonly opType: string;
  /** First output: what identifies the node in the model. */
  readonly output: string;
  readonly activation: ObserverSpec;
  readonly weight: ObserverSpec;
  /** The mapping names this very node: it is quantized whatever speaks against it. */
  readonly named?: true;
}

/** A value that gets scale and zero point of its own at run time. */
export interface PlannedActivation {
  readonly spec: ObserverSpec;
  /** State of the observer after calibration; absent before. */
  readonly state?: ObserverState;
  /** Where the op says the range (Softmax: 0 to 1), calibration does not look. */
  readonly range?: readonly [low: number, high: number];
  /** The value that is observed, where some readers take it in another type: the key is not its name then. */
  readonly value?: string;
}

/** What `prepare` decided and `calibrate` saw, as plain data. */
export interface Plan {
  readonly version: 1;
  /** Present if more is quantized than what onnxruntime has kernels for. */
  readonly coverage?: 'all';
  readonly nodes: readonly PlannedNode[];
  readonly activations: Readonly<Record<string, PlannedActivation>>;
  /** Values that have the grid of another one (reshapes, pooling): value → the value observed for it. */
  readonly shared: Readonly<Record<string, string>>;
  readonly skipped: readonly SkippedNode[];
  /** Samples seen so far. */
  readonly samples: number;
}

/**
 * The plan of a data set whose two parts were calibrated apart. Observers that cannot be merged refuse (moving averages).
 * @throws CalibrationError if the plans are not of the same model and configuration.
 */
export function mergePlans(a: Plan, b: Plan): Plan {
  const frame = (plan: Plan): string =>
    JSON.stringify([
      plan.nodes,
      plan.shared,
      Object.entries(plan.activations).map(([name, { spec }]) => [name, spec]),
    ]);
  if (frame(a) !== frame(b)) {
    throw new CalibrationError(
      'mergePlans: expected two plans of one model and configuration, got different ones',
      {
        code: 'CALIBRATION_MERGE',
        hint: 'Make both from the same prepare(model, qconfigMapping).',
      },
    );
  }
  const activations: Record<string, PlannedActivation> = {};
  for (const [name, planned] of Object.entries(a.activations)) {
    activations[name] = { ...planned, ...mergedState(planned.state, b.activations[name].state) };
  }
  return { ...a, activations, samples: a.samples + b.samples };
}

function mergedState(
  a: ObserverState | undefined,
  b: ObserverState | undefined,
): { readonly state?: ObserverState } {
  if (a === undefined || b === undefined) return a === b ? {} : { state: a ?? b };
  const observer = observerFromJSON(a);
  observer.merge(observerFromJSON(b));
  return { state: observer.toJSON() };
}

/** A plan from parsed JSON. @throws QuantError STATE_INVALID if it is not one. */
export function planFromJSON(json: unknown): Plan {
  const plan = json as Partial<Plan> | null;
  const isPlan =
    typeof plan === 'object' &&
    plan?.version === 1 &&
    Array.isArray(plan.nodes) &&
    Array.isArray(plan.skipped) &&
    isRecord(plan.activations) &&
    isRecord(plan.shared);
  if (!isPlan) {
    throw new QuantError('planFromJSON: expected a plan of version 1, got something else', {
      code: 'STATE_INVALID',
      hint: 'Write plans with JSON.stringify(plan).',
    });
  }
  return plan as Plan;
}

function isRecord(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}
