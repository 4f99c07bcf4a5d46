/** Shows the values of a run to their observers: whole, or as extremes that the runtime finds where they suffice. */
import type { Observer } from '../observers/index.ts';
import { RangeObserver } from '../observers/range-observer.ts';
import type { ExtremesResult, Feeds, ModelRunner } from '../runners/types.ts';

/** The observers of a model's values, by name. */
export class Watch {
  readonly #runner: ModelRunner;
  readonly #observers: ReadonlyMap<string, Observer>;
  /** Values of which extremes suffice. One that has none to give (infinities of a mask, NaN) leaves for good. */
  readonly #reduced: Map<string, RangeObserver>;

  constructor(runner: ModelRunner, observers: ReadonlyMap<string, Observer>) {
    this.#runner = runner;
    this.#observers = observers;
    const inputs = new Set(runner.inputs.map(({ name }) => name));
    const isReduced = (entry: [string, Observer]): entry is [string, RangeObserver] =>
      !inputs.has(entry[0]) && entry[1] instanceof RangeObserver && entry[1].needsOnlyExtremes;
    this.#reduced = new Map(runner.runForExtremes === undefined ? [] : [...observers].filter(isReduced));
  }

  /** Runs a batch and shows it to the observers. Throws what the runner and they throw. */
  async show(feeds: Feeds, signal?: AbortSignal): Promise<void> {
    const { results, extremes } = await this.#run(feeds, signal);
    const unknown = [...this.#reduced.keys()].filter((name) => extremes[name] === undefined);
    if (unknown.length > 0) {
      for (const name of unknown) this.#reduced.delete(name);
      return this.show(feeds, signal);
    }
    for (const [name, observer] of this.#observers) {
      const reduced = this.#reduced.get(name);
      if (reduced === undefined) observer.observe(results[name] ?? feeds[name]);
      else reduced.observeExtremes(extremes[name].min, extremes[name].max);
    }
  }

  async #run(feeds: Feeds, signal: AbortSignal | undefined): Promise<ExtremesResult> {
    const extremesOf = [...this.#reduced.keys()];
    const inputs = new Set(this.#runner.inputs.map(({ name }) => name));
    const fetch = [...this.#observers.keys()].filter((name) => !inputs.has(name) && !this.#reduced.has(name));
    const reduced =
      extremesOf.length === 0
        ? undefined
        : await this.#runner.runForExtremes?.(feeds, { fetch, extremesOf, signal });
    return reduced ?? { results: await this.#runner.run(feeds, { fetch, signal }), extremes: {} };
  }
}
