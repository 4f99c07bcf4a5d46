/** What a trained model is for: inputs of its kind, how it is run over them, and how far two sets of answers agree. */
import type { Tensor } from 'zeropoint';

export type Feeds = Readonly<Record<string, Tensor>>;
export type Outputs = Readonly<Record<string, Tensor>>;

/** One run of a model. */
export type Run = (feeds: Feeds) => Promise<Outputs>;

/** How far quantized answers agree with those in float. */
export interface Agreement {
  /** 0 to 1: the share of answers that are the same by the task's own measure. */
  readonly share: number;
  /** What else is worth knowing, in a few words. */
  readonly detail?: string;
}

export interface Task {
  /** What `agreement` counts, in a sentence. */
  readonly measure: string;
  /** False where recordings or photographs could not be fetched. */
  readonly isReal: boolean;
  /** Where the inputs are from, in a sentence; says so if they are synthetic. */
  readonly inputs: string;
  /** Feeds to calibrate with; a model that carries state is run to get them. */
  calibration(run: Run): Promise<readonly Feeds[]>;
  /** The model's outputs on the test inputs, in an order that is always the same. */
  answers(run: Run): Promise<readonly Outputs[]>;
  agreement(expected: readonly Outputs[], actual: readonly Outputs[]): Agreement;
  /** Present where the inputs have labels: area under the ROC curve. */
  auc?(answers: readonly Outputs[]): number;
}

/** Runs a model without state on each. */
export async function runEach(run: Run, feeds: readonly Feeds[]): Promise<Outputs[]> {
  const results: Outputs[] = [];
  for (const feed of feeds) results.push(await run(feed));
  return results;
}

/** The float32 elements of an output. */
export function floats(outputs: Outputs, name: string): Float32Array {
  const value = outputs[name];
  if (value?.data instanceof Float32Array) return value.data;
  throw new TypeError(`${name}: expected a float32 output, got ${value?.dtype ?? 'none'}`);
}

/** Share of places where `test` holds. */
export function shareOf<T>(items: readonly T[], test: (item: T, index: number) => boolean): number {
  return items.filter(test).length / items.length;
}

/** Probability that a positive example scores higher than a negative one; ties count half. */
export function areaUnderCurve(positive: readonly number[], negative: readonly number[]): number {
  let wins = 0;
  for (const p of positive) for (const n of negative) wins += p > n ? 1 : p === n ? 0.5 : 0;
  return wins / (positive.length * negative.length);
}
