/**
 * A model that is quantized already is refused by every way of quantizing, whichever way it was made: its integers would be
 * taken for numbers, or its grids be put on other grids. float16 after integers is a combination that is meant.
 */
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { GraphError } from 'zeropoint';
import {
  buildModel,
  chooseMode,
  convertToFloat16,
  opsetToPrepare,
  prepare,
  quantizeDynamic,
  quantizeStatic,
  quantizeWeights,
  readyStatic,
  staticQConfigMapping,
  storeWeights,
  variants,
  type Model,
} from 'zeropoint/onnx';
import { temporaryFolder, useCli } from './support/cli.ts';
import { bytesOf, random } from './support/graphs.ts';
import { noise, saveModel, saveNpz } from './support/cli-models.ts';

/** Conv, Relu, two products: something for every mode. */
function float(): Model {
  return buildModel((b) => {
    const x = b.input('image', 'float32', ['N', 3, 8, 8]);
    const conv = b.op('Conv', [x, b.constant('kernel', random([4, 3, 3, 3], 1))]);
    const flat = b.op('Flatten', [b.op('Relu', [conv])]);
    const product = b.op('MatMul', [flat, b.constant('w', random([144, 32], 2))]);
    b.output(b.op('MatMul', [product, b.constant('v', random([32, 32], 3))]), 'y', 'float32', ['N', 32]);
  });
}

const batches = [{ image: random([2, 3, 8, 8], 4) }];

const MODES: Readonly<Record<string, (model: Model) => Promise<{ readonly model: Model }>>> = {
  static: (model) => quantizeStatic(model, { batches }),
  'static, QOperator': (model) => quantizeStatic(model, { batches }, { format: 'qoperator' }),
  dynamic: (model) => quantizeDynamic(model),
  'matmul-nbits': (model) => quantizeWeights(model),
  bnb4: (model) => quantizeWeights(model, { format: 'bnb4' }),
  'dequantize-linear': (model) => quantizeWeights(model, { format: 'dequantize-linear' }),
  'stored weights': (model) => storeWeights(model),
};

/** Before any of them changes the model. */
const PREPARATIONS: Readonly<Record<string, (model: Model) => unknown>> = {
  chooseMode: (model) => chooseMode(model),
  prepare: (model) => prepare(model),
  opsetToPrepare: (model) => opsetToPrepare(model, staticQConfigMapping()),
  readyStatic: (model) => readyStatic(model),
  variants: async (model) => variants(await bytesOf(model), { open: () => expect.fail('opened') }),
};

const AGAIN = Object.entries({ ...MODES, ...PREPARATIONS });

describe.each(Object.entries(MODES))('quantized by %s', (_, quantize) => {
  const made = quantize(float()).then(({ model }) => model);

  it.each(AGAIN)('is refused by %s', async (_name, again) => {
    const model = await made;
    const attempt = (async () => again(model))();
    await expect(attempt).rejects.toThrow(/expected a float model, got one that is quantized/);
    await expect(attempt).rejects.toBeInstanceOf(GraphError);
    await expect(attempt).rejects.toMatchObject({ code: 'GRAPH_NOT_QUANTIZABLE' });
  });

  it('becomes float16 where it still computes in float', async () => {
    expect((await convertToFloat16(await made)).report.converted).toBeGreaterThan(0);
  });
});

it('narrowed to float16 it is refused by every mode, and by float16 itself', async () => {
  const { model } = await convertToFloat16(float(), { keepIO: false });
  for (const again of [...Object.values(MODES), (half: Model) => convertToFloat16(half)])
    await expect(again(model)).rejects.toMatchObject({ code: 'GRAPH_NOT_QUANTIZABLE' });
});

it('integers that come in through a DequantizeLinear are no quantized model', async () => {
  const model = buildModel((b) => {
    const pixels = b.input('pixels', 'uint8', [1, 16]);
    const scale = b.constant('scale', noise([1]));
    const x = b.op('DequantizeLinear', [pixels, scale]);
    b.output(b.op('MatMul', [x, b.constant('w', random([16, 16]))]), 'y', 'float32', [1, 16]);
  });
  expect((await quantizeDynamic(model)).report.quantized).toHaveLength(1);
});

describe('zeropoint', () => {
  const zeropoint = useCli();
  const VERBS: Readonly<Record<string, readonly string[]>> = {
    quantize: ['quantize', 'model.onnx'],
    'quantize --dry-run': ['quantize', 'model.onnx', '--dry-run'],
    'quantize with data': ['quantize', 'model.onnx', '-c', 'data.npz'],
    'quantize --static': ['quantize', 'model.onnx', '--static', '-c', 'data.npz'],
    'quantize --format': ['quantize', 'model.onnx', '--static', '--format', 'qoperator', '-c', 'data.npz'],
    'quantize --dynamic': ['quantize', 'model.onnx', '--dynamic'],
    'quantize --weights 4': ['quantize', 'model.onnx', '--weights', '4'],
    'quantize --config (by-channel)': ['quantize', 'model.onnx', '--config', 'quant.json'],
    calibrate: ['calibrate', 'model.onnx', '-c', 'data.npz'],
    variants: ['variants', 'model.onnx'],
  };

  it.each(Object.entries(VERBS))('%s refuses what is quantized, and writes nothing', async (_, args) => {
    const cwd = temporaryFolder();
    await saveModel(cwd, (await storeWeights(float())).model);
    writeFileSync(join(cwd, 'quant.json'), JSON.stringify({ weights: { format: 'by-channel' } }));
    saveNpz(cwd, { image: noise([2, 3, 8, 8]) });
    const { code, stderr, stdout } = await zeropoint(args, { cwd });
    expect(stderr).toMatch(/error: .*expected a float model, got one that is quantized/);
    expect([code, stdout]).toEqual([1, '']);
    expect(readdirSync(cwd).toSorted()).toEqual(['data.npz', 'model.onnx', 'quant.json']);
  });
});
