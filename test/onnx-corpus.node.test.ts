/**
 * A corpus of other people's models (see support/corpus.ts), each written unchanged, cleaned, raised to a newer opset and
 * quantized in every mode. Part of `npm run test:slow`, which says where the corpus is; skipped in `npm test`.
 */
import { readFileSync } from 'node:fs';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { ModelProtoSchema } from 'onnx-buf';
import { describe, expect, it } from 'vitest';
import { QuantError, type Tensor } from 'zeropoint';
import {
  clean,
  convertToFloat16,
  ortNode,
  printModel,
  quantizeDynamic,
  quantizeStatic,
  quantizeWeights,
  raiseOpset,
  readModel,
  storeWeights,
  type Feeds,
  type Model,
} from 'zeropoint/onnx';
import { corpusFeeds, corpusModels } from './support/corpus.ts';
import { bytesOf } from './support/graphs.ts';
import { difference } from './support/onnx-fixtures.ts';

const FOLDER = process.env.ZEROPOINT_CORPUS;
/** Of what only simplifies, relative to the larger of 1 and the value: rounding of float32 in another order. */
const MAX_ERROR = 1e-5;
const NEWER_OPSET = 21;
/** Other numbers at each run. */
const RANDOM = /RandomNormal|RandomUniform|Bernoulli|Multinomial|Dropout/;

type Outputs = Readonly<Record<string, Tensor>>;

/** What the runtime gives; its refusal if it cannot load or run the model. */
async function outputs(model: Model, feeds: Feeds): Promise<Outputs | QuantError> {
  try {
    const runner = await ortNode(model, { optimization: 'disabled', threads: 1 });
    try {
      return await runner.run(feeds);
    } finally {
      await runner.dispose();
    }
  } catch (error) {
    return onlyOurs(error);
  }
}

function onlyOurs(error: unknown): QuantError {
  if (!(error instanceof QuantError)) throw error;
  expect(error.message).toMatch(/expected .*, got/s);
  return error;
}

function expectSameKind(actual: Outputs, expected: Outputs): void {
  const kinds = (all: Outputs) =>
    Object.entries(all).map(([name, { dtype, shape }]) => `${name}: ${dtype}[${shape.join()}]`);
  expect(kinds(actual)).toEqual(kinds(expected));
}

function expectEqual(actual: Outputs, expected: Outputs): void {
  expectSameKind(actual, expected);
  for (const [name, { data }] of Object.entries(expected)) {
    const worst = Array.from(data, Number).reduce((most, value, i) => {
      const other = Number(actual[name].data[i]);
      if (Object.is(value, other) || value === other) return most;
      return Math.max(most, Math.abs(value - other) / Math.max(1, Math.abs(value)));
    }, 0);
    expect(worst, name).toBeLessThanOrEqual(MAX_ERROR);
  }
}

/** Nothing is lost: the same bytes, or, where another library wrote the file, the same message. */
async function expectUnchanged(model: Model, bytes: Uint8Array): Promise<void> {
  const written = await bytesOf(model);
  if (difference(written, bytes) === undefined) return;
  const canonical = (file: Uint8Array) => toBinary(ModelProtoSchema, fromBinary(ModelProtoSchema, file));
  expect(difference(canonical(written), canonical(bytes))).toBeUndefined();
}

const run = (model: Model) => ortNode(model, { threads: 1 });

const MODES: Readonly<Record<string, (model: Model, feeds: Feeds) => Promise<{ readonly model: Model }>>> = {
  dynamic: (model) => quantizeDynamic(model, { convolutions: true }),
  static: (model, feeds) => quantizeStatic(model, { batches: [feeds], runner: run }),
  'static, all': (model, feeds) => quantizeStatic(model, { batches: [feeds], coverage: 'all', runner: run }),
  QOperator: (model, feeds) =>
    quantizeStatic(model, { batches: [feeds], runner: run }, { format: 'qoperator' }),
  'weights, 4 bits': (model) => quantizeWeights(model, { blockSize: 16 }),
  'weights, 8 bits': (model) => quantizeWeights(model, { bits: 8, blockSize: 16 }),
  'stored weights': (model) => storeWeights(model),
  float16: (model) => convertToFloat16(model),
  bfloat16: (model) => convertToFloat16(model, { dtype: 'bfloat16' }),
};

/** onnxruntime has no bfloat16 arithmetic on a CPU. */
const NOT_RUN = new Set(['bfloat16']);

describe.skipIf(FOLDER === undefined)('corpus', () => {
  const models = FOLDER === undefined ? [] : corpusModels(FOLDER);

  it('has models', () => expect(models.length).toBeGreaterThan(0));

  it.each(models)('$name', async ({ path }) => {
    const model = await readModel(path);
    const printed = printModel(model);
    const feeds = await corpusFeeds(path, model);
    const expected = feeds && (await outputs(model, feeds));
    await expectUnchanged(model, readFileSync(path));

    /** A model that was made of this one: what runs must run, and what only simplifies gives the same. */
    const check = async (made: Model, isSame: boolean): Promise<void> => {
      const again = await readModel(await bytesOf(made));
      if (feeds === undefined || expected === undefined || expected instanceof QuantError) return;
      const actual = await outputs(again, feeds);
      if (actual instanceof QuantError) throw actual;
      if (isSame && !RANDOM.test(printed)) expectEqual(actual, expected);
      else expectSameKind(actual, expected);
    };
    for (const pass of [clean, (given: Model) => raiseOpset(given, NEWER_OPSET)]) {
      const done = await pass(model).catch(onlyOurs);
      if (!(done instanceof QuantError)) await check(done.model, true);
    }
    for (const [name, quantize] of Object.entries(MODES)) {
      const done = await quantize(model, feeds ?? {}).catch(onlyOurs);
      if (!(done instanceof QuantError) && !NOT_RUN.has(name)) await check(done.model, false);
    }
    expect(printModel(model)).toBe(printed);
  });
});
