/** Shows the values of a run to their observers: whole, or as extremes that the runtime finds where they suffice. */
import type { Model } from '../graph/model.ts';
import type { Observer } from '../observers/index.ts';
import { RangeObserver } from '../observers/range-observer.ts';
import type { ExtremesResult, Feeds, ModelRunner } from '../runners/types.ts';
import { blamed } from './blame-constants.ts';

/** An observer and the value that it looks at. */
export interface Watched {
  readonly value: string;
  readonly observer: Observer;
}

/** The observers of a model's values; a value may have several. */
export class Watch {
  readonly #runner: ModelRunner;
  readonly #model: Model | undefined;
  readonly #watched: readonly Watched[];
  /** Values that cannot be reduced: the inputs, and what once had no extremes to give (a mask's infinities, NaN). */
  readonly #whole: Set<string>;

  /** `model` is what the runner runs, where that is known: its weights may be to blame for NaN. */
  constructor(runner: ModelRunner, watched: readonly Watched[], model: Model | undefined) {
    this.#runner = runner;
    this.#model = model;
    this.#watched = watched;
    this.#whole = new Set(runner.inputs.map(({ name }) => name));
  }

  /** Runs a batch and shows it to the observers. Throws what the runner and they throw, and GraphError for a weight with NaN. */
  async show(feeds: Feeds, signal?: AbortSignal): Promise<void> {
    const reduced = new Set(this.#watched.filter((one) => this.#isReduced(one)).map(({ value }) => value));
    const { results, extremes } = await this.#run(feeds, reduced, signal);
    const unknown = [...reduced].filter((value) => extremes[value] === undefined);
    if (unknown.length > 0) {
      for (const value of unknown) this.#whole.add(value);
      return this.show(feeds, signal);
    }
    for (const { value, observer } of this.#watched) {
      try {
        if (observer instanceof RangeObserver && this.#isReduced({ value, observer })) {
          observer.observeExtremes(extremes[value].min, extremes[value].max);
        } else observer.observe(results[value] ?? feeds[value]);
      } catch (error) {
        throw await blamed(error, this.#model, value);
      }
    }
  }

  #isReduced({ value, observer }: Watched): boolean {
    const suffices = observer instanceof RangeObserver && observer.needsOnlyExtremes;
    return suffices && this.#runner.runForExtremes !== undefined && !this.#whole.has(value);
  }

  async #run(
    feeds: Feeds,
    reduced: ReadonlySet<string>,
    signal: AbortSignal | undefined,
  ): Promise<ExtremesResult> {
    const inputs = new Set(this.#runner.inputs.map(({ name }) => name));
    const whole = this.#watched.filter((one) => !this.#isReduced(one)).map(({ value }) => value);
    const fetch = [...new Set(whole)].filter((value) => !inputs.has(value));
    const found =
      reduced.size === 0
        ? undefined
        : await this.#runner.runForExtremes?.(feeds, { fetch, extremesOf: [...reduced], signal });
    return found ?? { results: await this.#runner.run(feeds, { fetch, signal }), extremes: {} };
  }
}
