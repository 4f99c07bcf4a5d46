/**
 * Damaged files give a QuantError or a model that can be used: never another error, never a hang, never much memory.
 * `npm test` runs a thousand of them, `npm run test:slow` a hundred times as many and others each time: it prints its seed.
 */
import { fromBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { ModelProtoSchema } from 'onnx-buf';
import { expect, it } from 'vitest';
import {
  convertToFloat16,
  MemorySink,
  printModel,
  quantizeDynamic,
  quantizeWeights,
  readModel,
  storeWeights,
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
import { MODES } from './support/every-mode.ts';
import { FIXTURES, fixture, fixturePath } from './support/onnx-fixtures.ts';

const BYTE_RUNS = 700 * FACTOR;
const STRUCTURE_RUNS = 300 * FACTOR;
const TIMEOUT_MS = 60_000 * FACTOR;
/** A file takes about a millisecond; a collector that sets in, or a busy machine, a few hundred. */
const LONGEST_MS = 10_000;
/** Of all modes, others for each file. */
const MODES_A_FILE = 5;

/** Quantized ones too: their operators and 4-bit types are others. */
const FILES = [
  ...FIXTURES.map(fixture),
  ...(await Promise.all(['mlp', 'digits_cnn'].map((name) => made(name, quantizeDynamic)))),
  ...(await Promise.all(
    [
      (model: Model) => quantizeWeights(model, { blockSize: 16 }),
      (model: Model) => storeWeights(model),
      (model: Model) => convertToFloat16(model),
    ].map((mode) => made('digits_cnn', mode)),
  )),
];

async function made(
  name: string,
  mode: (model: Model) => Promise<{ readonly model: Model }>,
): Promise<Uint8Array<ArrayBuffer>> {
  const { model } = await mode(await readModel(fixturePath(`${name}.onnx`)));
  const sink = new MemorySink();
  await writeModel(model, sink);
  return sink.bytes;
}

/** Modes that came to an end on some damaged file: if one never does, nothing is tried on it. */
const DONE = new Set<string>();

const EXTERNAL = { externalData: () => new Uint8Array(256) };

/** Reads, and uses what was read in every way. Any error but a QuantError fails the property. */
async function use(bytes: Uint8Array, modes: readonly string[]): Promise<'refused' | 'used'> {
  const start = performance.now();
  try {
    const model = await readModel(bytes, EXTERNAL);
    printModel(model);
    for (const { initializer } of model.graph.initializers) await initializer?.load().catch(onlyOurs);
    const sink = new MemorySink();
    await writeModel(model.clone(), sink);
    const again = await readModel(sink.bytes, { externalData: Object.fromEntries(sink.files) });
    expect(printModel(again)).toBe(printModel(model));
    const before = printModel(model);
    for (const mode of modes) {
      const outcome = await MODES[mode](model).catch(onlyOurs);
      if (outcome !== 'refused') DONE.add(mode);
    }
    // Whatever a mode did, it did to a copy.
    expect(printModel(model)).toBe(before);
    return 'used';
  } catch (error) {
    return onlyOurs(error);
  } finally {
    expect(performance.now() - start).toBeLessThan(LONGEST_MS);
  }
}

/** Whatever can be read can be given to any mode, and makes sense or is refused. */
const someModes = fc.shuffledSubarray(Object.keys(MODES), {
  minLength: MODES_A_FILE,
  maxLength: MODES_A_FILE,
});

it(
  `${BYTE_RUNS} files with damaged bytes`,
  async () => {
    const outcomes = new Set<string>();
    const files = fc.constantFrom(...FILES);
    const property = fc.asyncProperty(
      files,
      fc.array(mutation, { minLength: 1, maxLength: 4 }),
      someModes,
      async (file, deeds, modes) => {
        outcomes.add(await use(deeds.reduce(mutate, file), modes));
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
    const property = fc.asyncProperty(files, changes, someModes, async (file, list, modes) => {
      const message = fromBinary(ModelProtoSchema, file);
      for (const item of list) apply(message, item);
      const bytes = encoded(message);
      if (bytes !== undefined) outcomes.add(await use(bytes, modes));
    });
    await fc.assert(property, { seed: SEED, numRuns: STRUCTURE_RUNS });
    expect(outcomes).toEqual(new Set(['refused', 'used']));
    checkMemory();
  },
  TIMEOUT_MS,
);

it('every mode came to an end on some of them', () => {
  expect(Object.keys(MODES).filter((mode) => !DONE.has(mode))).toEqual([]);
});
