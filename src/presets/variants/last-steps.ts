/**
 * What the steps of the last recipe gave, so that the next one, if it begins with the same steps, goes on from there: q4f16
 * is q4 and one step more. One recipe is held, and let go before other work begins, since a result can be 128 MiB.
 */
import type { Model } from '../../graph/model.ts';

interface Entry<Step, Result> {
  readonly model: Model;
  readonly step: Step;
  readonly result: Result;
}

export class LastSteps<Step, Result> {
  #entries: Entry<Step, Result>[] = [];

  /** What `step`, the `index`th of a recipe, gives for `model`: from the last recipe if all steps so far were its own. */
  async run(index: number, model: Model, step: Step, work: () => Promise<Result>): Promise<Result> {
    const known = this.#entries[index];
    if (known?.model === model && known.step === step) return known.result;
    this.#entries.length = Math.min(index, this.#entries.length);
    const result = await work();
    this.#entries[index] = { model, step, result };
    return result;
  }
}
