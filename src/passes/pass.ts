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

/** The deed of a pass on a model that the caller owns. */
export type Edit = (model: Model) => Promise<Omit<PassResult, 'model'>>;

/** Does `edit` to a copy of `model`; the model itself comes back if nothing was changed. */
export async function onCopy(model: Model, edit: Edit): Promise<PassResult> {
  const copy = model.clone();
  const { modified, skipped } = await edit(copy);
  return { model: modified ? copy : model, modified, skipped };
}

/** One edit after the other. */
export function sequence(...edits: readonly Edit[]): Edit {
  return async (model) => {
    let modified = false;
    const skipped: SkippedNode[] = [];
    for (const edit of edits) {
      const done = await edit(model);
      modified = modified || done.modified;
      for (const node of done.skipped) skipped.push(node);
    }
    return { modified, skipped };
  };
}
