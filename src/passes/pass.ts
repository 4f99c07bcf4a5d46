/**
 * A pass does one deed to a model: it takes a model, leaves it as it is, and gives a copy that shares the weights.
 * What it could have done and did not is data, with the reason.
 */
import type { Model } from '../graph/model.ts';

/** A node that was left as it is, and why. */
export interface SkippedNode {
  /** Name of the node, or its operator and first output where it has none. */
  readonly node: string;
  readonly opType: string;
  readonly reason: string;
}

/** What a pass gives back. */
export interface PassResult {
  readonly model: Model;
  /** False if the result equals the input. */
  readonly modified: boolean;
  readonly skipped: readonly SkippedNode[];
}

/** A deed on a model; the model that it takes is left as it is. */
export type Pass = (model: Model) => Promise<PassResult>;

/** Runs passes one after the other. */
export function sequence(...passes: readonly Pass[]): Pass {
  return async (model) => {
    let result: PassResult = { model, modified: false, skipped: [] };
    for (const pass of passes) {
      const next = await pass(result.model);
      result = {
        model: next.model,
        modified: result.modified || next.modified,
        skipped: [...result.skipped, ...next.skipped],
      };
    }
    return result;
  };
}
