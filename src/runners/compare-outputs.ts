/**
 * How far a model's outputs are from another's on the same inputs. With reference r and other o over all values seen:
 *
 *   SQNR = 10 · log10(Σ r² / Σ (r − o)²)   cosine = Σ r·o / √(Σ r² · Σ o²)   error = max |r − o|
 *
 * Sums run over all batches, so that the figures are of the whole data and not means of figures. Pairs that are equal
 * or both NaN count as no error; pairs that are equal and infinite count in nothing, since they would drown the rest.
 */
import { checkOptions } from '../errors/check-options.ts';
import { SIGNAL } from '../errors/option-rules.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { dtypeInfo } from '../tensor/dtype.ts';
import { elementValues } from '../tensor/values.ts';
import { sampleCount } from './sample-count.ts';
import type { Feeds, ModelRunner } from './types.ts';

/** How far one output is from the reference. */
export interface OutputError {
  readonly name: string;
  /** dB; Infinity if the outputs are equal. undefined for outputs that are not floats. */
  readonly sqnr: number | undefined;
  /** undefined for outputs that are not floats. */
  readonly cosine: number | undefined;
  readonly maxAbsError: number;
  /**
   * Share of rows with the same greatest element, for float outputs of two axes with more than one column (classes);
   * share of equal elements for outputs that are not floats; undefined otherwise.
   */
  readonly agreement: number | undefined;
}

/** What {@link compareOutputs} found. */
export interface Comparison {
  /** Samples seen: as calibration data says, else sizes of the first axis of the first input. */
  readonly samples: number;
  readonly outputs: readonly OutputError[];
}

/** Runs both models on each batch. Throws RangeError if `other` has not the outputs of `reference`. */
export async function compareOutputs(
  reference: ModelRunner,
  other: ModelRunner,
  batches: AsyncIterable<Feeds> | Iterable<Feeds>,
  options: { readonly signal?: AbortSignal } = {},
): Promise<Comparison> {
  checkOptions('compareOutputs', options, { signal: SIGNAL });
  const { signal } = options;
  const sums = new Map(reference.outputs.map(({ name }) => [name, new OutputSums()]));
  let samples = 0;
  for await (const feeds of batches) {
    const expected = await reference.run(feeds, { signal });
    const actual = await other.run(feeds, { signal });
    for (const [name, output] of sums) output.add(name, expected[name], actual[name]);
    samples += sampleCount(feeds);
  }
  return { samples, outputs: [...sums].map(([name, output]) => output.result(name)) };
}

class OutputSums {
  #reference = 0;
  #other = 0;
  #product = 0;
  #noise = 0;
  #maxAbsError = 0;
  #agreeing = 0;
  #compared = 0;
  #isFloat = true;

  add(name: string, expected: Tensor, actual: Tensor | undefined): void {
    if (actual === undefined || actual.shape.join() !== expected.shape.join()) {
      throw new RangeError(
        `compareOutputs: expected output '${name}' of shape [${expected.shape.join(', ')}], got ${actual === undefined ? 'none' : `[${actual.shape.join(', ')}]`}`,
      );
    }
    this.#isFloat = dtypeInfo(expected.dtype).kind === 'float';
    const r = elementValues(expected);
    const o = elementValues(actual);
    for (let i = 0; i < r.length; i++) this.#addPair(Number(r[i]), Number(o[i]));
    if (this.#isFloat && expected.shape.length === 2) this.#addRows(r, o, expected.shape);
  }

  #addPair(r: number, o: number): void {
    const isSame = Object.is(r, o) || r === o;
    if (!this.#isFloat) {
      this.#compared++;
      if (isSame) this.#agreeing++;
    }
    if (isSame && !Number.isFinite(r)) return;
    const error = isSame ? 0 : Math.abs(r - o);
    this.#reference += r * r;
    this.#other += o * o;
    this.#product += r * o;
    this.#noise += error * error;
    // Not Math.max alone: a NaN must stay.
    if (!(error <= this.#maxAbsError)) this.#maxAbsError = error;
  }

  #addRows(r: ArrayLike<unknown>, o: ArrayLike<unknown>, [rows, columns]: readonly number[]): void {
    if (columns < 2) return;
    for (let row = 0; row < rows; row++) {
      this.#compared++;
      if (argmax(r, row * columns, columns) === argmax(o, row * columns, columns)) this.#agreeing++;
    }
  }

  result(name: string): OutputError {
    const isFloat = this.#isFloat;
    return {
      name,
      sqnr: isFloat ? this.#sqnr() : undefined,
      cosine: isFloat ? this.#cosine() : undefined,
      maxAbsError: this.#maxAbsError,
      agreement: this.#compared === 0 ? undefined : this.#agreeing / this.#compared,
    };
  }

  /** 1 where nothing differs, even if all is zero. */
  #cosine(): number {
    return this.#noise === 0 ? 1 : this.#product / Math.sqrt(this.#reference * this.#other);
  }

  #sqnr(): number {
    return this.#noise === 0 ? Infinity : 10 * Math.log10(this.#reference / this.#noise);
  }
}

/** Index in the row of the first greatest element. */
function argmax(values: ArrayLike<unknown>, start: number, length: number): number {
  let best = 0;
  for (let i = 1; i < length; i++) {
    if (Number(values[start + i]) > Number(values[start + best])) best = i;
  }
  return best;
}
