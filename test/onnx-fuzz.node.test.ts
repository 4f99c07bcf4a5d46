/**
 * Damaged files give a QuantError or a model that can be used: never another error, never a hang, never much memory.
 * `npm test` runs a thousand of them, `npm run test:slow` a hundred times as many and others each time: it prints its seed.
 */
import { fromBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { ModelProtoSchema } from 'onnx-buf';
import { expect, it } from 'vitest';
import {
  clean,
  MemorySink,
  prepare,
  printModel,
  quantizeDynamic,
  quantizeWeights,
  raiseOpset,
  readModel,
  writeModel,
  type Model,
} from 'zeropoint/onnx';
import {
  apply,
  change,
  checkMemory,
  encoded,
  FACTOR,
  mutate,
  mutation,
  onlyOurs,
  SEED,
} from './support/damage.ts';
import { FIXTURES, fixture, fixturePath } from './support/onnx-fixtures.ts';

const BYTE_RUNS = 700 * FACTOR;
const STRUCTURE_RUNS = 300 * FACTOR;
const TIMEOUT_MS = 60_000 * FACTOR;
/** A file takes about a millisecond; a collector that sets in, or a busy machine, a few hundred. */
const LONGEST_MS = 10_000;

/** Quantized ones too: their operators and 4-bit types are others. */
const FILES = [...FIXTURES.map(fixture), ...(await Promise.all(['mlp', 'digits_cnn'].map(quantized)))];

async function quantized(name: string): Promise<Uint8Array<ArrayBuffer>> {
  const { model } = await quantizeWeights(await readModel(fixturePath(`${name}.onnx`)), { blockSize: 16 });
  const sink = new MemorySink();
  await writeModel(model, sink);
  return sink.bytes;
}

const EXTERNAL = { externalData: () => new Uint8Array(256) };

/** Reads, and uses what was read in every way. Any error but a QuantError fails the property. */
async function use(bytes: Uint8Array): Promise<'refused' | 'used'> {
  const start = performance.now();
  try {
    const model = await readModel(bytes, EXTERNAL);
    printModel(model);
    for (const { initializer } of model.graph.initializers) await initializer?.load().catch(onlyOurs);
    const sink = new MemorySink();
    await writeModel(model.clone(), sink);
    const again = await readModel(sink.bytes, { externalData: Object.fromEntries(sink.files) });
    expect(printModel(again)).toBe(printModel(model));
    for (const quantize of QUANTIZERS) await quantize(model).catch(onlyOurs);
    return 'used';
  } catch (error) {
    return onlyOurs(error);
  } finally {
    expect(performance.now() - start).toBeLessThan(LONGEST_MS);
  }
}

/** Whatever can be read can be given to these, and makes sense or is refused. */
const QUANTIZERS: readonly ((model: Model) => Promise<unknown>)[] = [
  clean,
  (model) => raiseOpset(model, 21),
  async (model) => prepare(model),
  (model) => quantizeDynamic(model),
  (model) => quantizeWeights(model, { blockSize: 16 }),
];

it(
  `${BYTE_RUNS} files with damaged bytes`,
  async () => {
    const outcomes = new Set<string>();
    const files = fc.constantFrom(...FILES);
    const property = fc.asyncProperty(
      files,
      fc.array(mutation, { minLength: 1, maxLength: 4 }),
      async (file, deeds) => {
        outcomes.add(await use(deeds.reduce(mutate, file)));
      },
    );
    await fc.assert(property, { seed: SEED, numRuns: BYTE_RUNS });
    expect(outcomes).toEqual(new Set(['refused', 'used']));
    checkMemory();
  },
  TIMEOUT_MS,
);

it(
  `${STRUCTURE_RUNS} files with damaged structure`,
  async () => {
    const outcomes = new Set<string>();
    const files = fc.constantFrom(...FILES);
    const changes = fc.array(change, { minLength: 1, maxLength: 6 });
    const property = fc.asyncProperty(files, changes, async (file, list) => {
      const message = fromBinary(ModelProtoSchema, file);
      for (const item of list) apply(message, item);
      const bytes = encoded(message);
      if (bytes !== undefined) outcomes.add(await use(bytes));
    });
    await fc.assert(property, { seed: SEED, numRuns: STRUCTURE_RUNS });
    expect(outcomes).toEqual(new Set(['refused', 'used']));
    checkMemory();
  },
  TIMEOUT_MS,
);
