/**
 * What GPTQ needs of calibration data: XᵀX of what each weight is multiplied with. The runtime computes it, as an output
 * of the model (Reshape to [samples, K], then Gemm with transA), so that activations never leave it and K·K numbers a
 * batch do. The values are those of the float model.
 *
 * Matrices are held for as many inputs as fit into 256 MiB, one at least; then the data is gone through again for the next.
 */
import { factorInputs, type InputFactor } from '../../algorithms/input-factor.ts';
import { CalibrationError } from '../../errors.ts';
import type { Model } from '../../graph/model.ts';
import { memorySource } from '../../graph/tensor-source.ts';
import type { Value } from '../../graph/value.ts';
import { outputOf, present } from '../../passes/access.ts';
import { sampleCount } from '../../runners/sample-count.ts';
import type { ModelRunner } from '../../runners/types.ts';
import { tensor } from '../../tensor/tensor.ts';
import type { Batches } from '../calibrate.ts';
import type { JobOptions } from '../job.ts';

/** Bytes of matrices that are held together. */
const BUDGET = 268_435_456;

/**
 * Most inputs of a product. Two matrices of K² float64 stand side by side while the factor is made, and the runtime gives a
 * third in float32: 5.4 GB at this limit, and some 10^12 multiplications.
 */
export const MOST_INPUTS = 16_384;

/** What some weight is multiplied with: values of the main graph, each with K elements along its last axis. */
export interface WeightInputs {
  readonly values: readonly string[];
  /** K. */
  readonly size: number;
}

/** Data, and what runs the model. */
export interface FactorSource {
  readonly batches: Batches | (() => Batches);
  readonly runner: (model: Model) => Promise<ModelRunner>;
  /** Default 256 MiB. */
  readonly budget?: number;
}

export class InputFactors {
  readonly #model: Model;
  readonly #wanted: readonly WeightInputs[];
  readonly #source: FactorSource;
  readonly #job: JobOptions;
  /** XᵀX until somebody asks for the factor, then that; of the last pass only. */
  #held = new Map<string, Float64Array | InputFactor>();
  /** Samples of a pass. */
  samples = 0;

  /** `wanted` in the order in which factors will be asked for; `model` stays as it is. */
  constructor(model: Model, wanted: readonly WeightInputs[], source: FactorSource, job: JobOptions = {}) {
    this.#model = model;
    const distinct = new Map(wanted.map((inputs) => [keyOf(inputs), inputs]));
    this.#wanted = [...distinct.values()];
    this.#source = source;
    this.#job = job;
  }

  /**
   * The factor of one of the inputs that were announced.
   *
   * @throws CalibrationError CALIBRATION_EMPTY without batches, CALIBRATION_NAN if the values are not finite
   */
  async factor(inputs: WeightInputs): Promise<InputFactor> {
    const key = keyOf(inputs);
    if (!this.#held.has(key)) await this.#pass(key);
    const held = present(this.#held.get(key), `${key}: expected inputs that were announced`);
    if (!(held instanceof Float64Array)) return held;
    checkFinite(inputs, held);
    const factor = factorInputs(held, inputs.size, { loudFirst: true });
    this.#held.set(key, factor);
    return factor;
  }

  /** Goes through the data for the inputs from `first` on. */
  async #pass(first: string): Promise<void> {
    const inputs = this.#fitting(first);
    this.#held = new Map(inputs.map((each) => [keyOf(each), new Float64Array(each.size ** 2)]));
    const values = new Map(inputs.flatMap((each) => each.values.map((name) => [name, each.size] as const)));
    const { model, outputs } = withProducts(this.#model, values);
    const runner = await this.#source.runner(model);
    try {
      await this.#sum(runner, inputs, outputs);
    } finally {
      await runner.dispose();
    }
  }

  #fitting(first: string): WeightInputs[] {
    const start = this.#wanted.findIndex((inputs) => keyOf(inputs) === first);
    let left = this.#source.budget ?? BUDGET;
    const end = this.#wanted.findIndex(
      ({ size }, i) => i >= start && (left -= 8 * size ** 2) < 0 && i > start,
    );
    return this.#wanted.slice(start, end < 0 ? undefined : end);
  }

  async #sum(
    runner: ModelRunner,
    inputs: readonly WeightInputs[],
    outputs: ReadonlyMap<string, string>,
  ): Promise<void> {
    const { signal, onProgress } = this.#job;
    let [samples, batches] = [0, 0];
    for await (const batch of this.#batches()) {
      const results = await runner.run(batch, { fetch: [...outputs.values()], signal });
      for (const each of inputs) {
        // factor() has not been called for these yet.
        const sums = this.#held.get(keyOf(each)) as Float64Array;
        for (const name of each.values)
          addUpper(sums, results[outputs.get(name) ?? ''].data as Float32Array, each.size);
      }
      samples += sampleCount(batch);
      batches++;
      onProgress?.({ stage: 'calibrate', done: batches, unit: 'batches', samples });
    }
    if (batches === 0) throw noBatches(this.samples > 0);
    this.samples = samples;
  }

  #batches(): Batches {
    const { batches } = this.#source;
    return typeof batches === 'function' ? batches() : batches;
  }
}

const keyOf = ({ values }: WeightInputs): string => values.join('\n');

function noBatches(again: boolean): CalibrationError {
  const hint = again
    ? 'The data is read more than once for a model of this size: give a function that gives batches, or an array.'
    : 'Give a data set with at least one sample.';
  return new CalibrationError(
    `quantizeWeights: expected at least one batch for gptq, got none${again ? ' in a further pass' : ''}`,
    { code: 'CALIBRATION_EMPTY', hint },
  );
}

/** A copy of the model that gives XᵀX of values; which output is whose. */
function withProducts(
  model: Model,
  values: ReadonlyMap<string, number>,
): { readonly model: Model; readonly outputs: ReadonlyMap<string, string> } {
  const copy = model.clone();
  const { graph } = copy;
  const products = [...values].map(([name, size]) => {
    const value = present(graph.value(name), `${name}: expected a value of the main graph`);
    return [name, productOf(copy, value, size)] as const;
  });
  graph.setOutputs([...graph.outputs, ...products.map(([, product]) => product)]);
  return { model: copy, outputs: new Map(products.map(([name, product]) => [name, product.name])) };
}

function productOf({ graph, opset }: Model, value: Value, size: number): Value {
  const shape = graph.addInitializer(
    graph.freshName(`${value.name}_flat_shape`),
    memorySource(tensor(BigInt64Array.of(-1n, BigInt(size)))),
  );
  const add = (opType: string, inputs: readonly Value[], attributes = {}): Value =>
    outputOf(
      graph.addNode({ opType, inputs, outputs: [graph.freshName(`${value.name}_${opType}`)], attributes }),
    );
  const flat = add('Reshape', [value, shape]);
  // Before opset 11 a Gemm has to add something.
  const zero = (): Value =>
    graph.addInitializer(graph.freshName(`${value.name}_zero`), memorySource(tensor(Float32Array.of(0))));
  const product = add('Gemm', [flat, flat, ...(opset < 11 ? [zero()] : [])], { transA: 1 });
  product.type = { kind: 'tensor', elementType: 'float32', dims: [size, size] };
  return product;
}

function addUpper(sums: Float64Array, product: Float32Array, size: number): void {
  for (let i = 0; i < size; i++) {
    for (let at = i * size + i; at < (i + 1) * size; at++) sums[at] += product[at];
  }
}

/** The diagonal holds sums of squares: what is not finite anywhere shows there. */
function checkFinite({ values, size }: WeightInputs, sums: Float64Array): void {
  for (let k = 0; k < size; k++) {
    if (Number.isFinite(sums[k * size + k])) continue;
    throw new CalibrationError(
      `quantizeWeights: ${values[0]}: expected finite values for gptq, got NaN or infinities`,
      {
        code: 'CALIBRATION_NAN',
        hint: 'Look at the calibration data, and at the weights of the float model.',
        details: { value: values[0] },
      },
    );
  }
}
