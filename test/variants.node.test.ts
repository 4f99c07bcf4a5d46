/** `variants`: which files it makes of which, in one piece or not at all. */
import { describe, expect, it } from 'vitest';
import { tensor, type TensorLike } from 'zeropoint';
import {
  buildModel,
  compareOutputs,
  MemorySink,
  ortNode,
  ortWeb,
  readModel,
  VARIANT_DTYPES,
  variants,
  writeModel,
  type Model,
  type VariantDType,
  type VariantsOptions,
} from 'zeropoint/onnx';
import { convNet, noise, purelyConv, torchNamed, twoInputs } from './support/cli-models.ts';
import { countOps, variantFile, variantModel } from './support/variants.ts';

type Files = Map<string, Uint8Array>;

async function bytesOf(model: Model): Promise<Uint8Array> {
  const sink = new MemorySink();
  await writeModel(model, sink);
  return sink.bytes;
}

/** Options that write into memory. */
function intoMemory(options: Omit<VariantsOptions, 'open'> = {}): { files: Files; options: VariantsOptions } {
  const files: Files = new Map();
  return { files, options: { ...options, open: (file) => new MemorySink(file, files) } };
}

const INPUTS: Readonly<Record<string, Readonly<Record<string, TensorLike>>>> = {
  mlp: { x: noise([2, 24]) },
  conv: { x: noise([2, 3, 8, 8]) },
  lstm: { x: noise([5, 2, 6]) },
  gather: { i: tensor([0, 3, 1, 2, 8, 5, 5], [7], 'int64') },
  transformer: {
    input_ids: tensor([3, 1, 49, 7], [1, 4], 'int64'),
    position_ids: tensor([0, 1, 2, 3], [1, 4], 'int64'),
    mask: tensor([1, 0, 0, 0, 1, 1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 1], [1, 1, 4, 4], 'bool'),
  },
};

/** Least SQNR in dB of what was measured, with a little room: 8 bits, 4 bits, 16 bits. */
const LEAST: Readonly<Record<VariantDType, number>> = {
  fp16: 50,
  q8: 24,
  int8: 24,
  uint8: 24,
  q4: 12,
  q4f16: 12,
  bnb4: 12,
};

describe.each(Object.keys(INPUTS))('%s in every variant of preset web', async (name) => {
  const { files, options } = intoMemory();
  const { variants: made, skipped } = await variants(variantFile(name), options);

  it('has all seven', () => {
    expect(skipped).toEqual([]);
    expect(made.map(({ dtype }) => dtype)).toEqual(VARIANT_DTYPES);
  });

  it.each(made)('$file is loaded and close to float, natively and in WebAssembly', async (variant) => {
    // As applications get it. Below that level onnxruntime-node 1.30 computes float16 MatMulNBits of accuracy level 4 wrongly
    // where it puts casts around one: their scales are no constants then.
    const level = { optimization: 'all' } as const;
    const reference = await ortNode(await variantModel(name), level);
    const file = files.get(variant.file) ?? new Uint8Array();
    for (const open of [ortNode, ortWeb]) {
      const runner = await open(file, level);
      const { outputs } = await compareOutputs(reference, runner, [INPUTS[name]]);
      expect(outputs[0].sqnr, runner.name).toBeGreaterThan(LEAST[variant.dtype]);
      await runner.dispose();
    }
    await reference.dispose();
  });

  it('nothing of what WebGPU wants falls back', async () => {
    for (const { dtype, file, runsOn } of made) {
      const integers = ['q8', 'int8', 'uint8'].includes(dtype);
      const ops = countOps(await readModel(files.get(file) ?? new Uint8Array()));
      const computes = Object.keys(ops).some((op) => /Integer|DynamicQuantize/.test(op));
      expect(computes && !integers, file).toBe(false);
      const isHalf = dtype.endsWith('16');
      expect(runsOn.webgpu).toBe(computes ? false : isHalf ? 'shader-f16' : true);
    }
  });
});

describe('which files', () => {
  const fp16 = { dtypes: ['fp16'] } as const;

  it('base files of a folder by name; what is a variant by its name is not one', async () => {
    const { files, options } = intoMemory({ dtypes: ['q4'] });
    const model = await bytesOf(twoInputs());
    const { bases, variants: made } = await variants(
      {
        'encoder_model.onnx': model,
        'decoder_model_merged.onnx': model,
        'encoder_model_fp16.onnx': model,
        'tokenizer.json': Uint8Array.of(1),
      },
      options,
    );
    expect(bases.map(({ base, size }) => [base, size])).toEqual([
      ['decoder_model_merged', model.length],
      ['encoder_model', model.length],
    ]);
    expect(made.map(({ file }) => file)).toEqual(['decoder_model_merged_q4.onnx', 'encoder_model_q4.onnx']);
    expect([...files.keys()].toSorted()).toEqual(made.map(({ file }) => file));
    for (const { file, size } of made) expect(files.get(file)?.length).toBe(size);
  });

  it('one model goes by the name of its file, and by model.onnx without one', async () => {
    const model = await bytesOf(twoInputs());
    for (const [source, file] of [
      [model, 'model_fp16.onnx'],
      [new File([new Uint8Array(model)], 'vision_encoder.onnx'), 'vision_encoder_fp16.onnx'],
      [new Blob([new Uint8Array(model)]), 'model_fp16.onnx'],
    ] as const) {
      const { options } = intoMemory(fp16);
      expect((await variants(source, options)).variants[0].file).toBe(file);
    }
  });

  it('external data comes from the files given, and goes out in chunks as transformers.js names them', async () => {
    const stored = new MemorySink('model.onnx');
    await writeModel(twoInputs(), stored, { externalData: { threshold: 0 } });
    const { files, options } = intoMemory({
      dtypes: ['fp16'],
      externalData: { threshold: 1, chunkSize: 512 },
    });
    const { bases, variants: made } = await variants(Object.fromEntries(stored.files), options);
    expect(bases[0].externalData).toEqual(['model.onnx_data']);
    expect(bases[0].size).toBe([...stored.files.values()].reduce((sum, { length }) => sum + length, 0));
    const chunks = ['model_fp16.onnx', 'model_fp16.onnx_data', 'model_fp16.onnx_data_1'];
    expect(made[0].files.map(({ name }) => name)).toEqual(chunks);
    expect([...files.keys()].toSorted()).toEqual(chunks);
    expect(
      countOps(await readModel(files.get(chunks[0])!, { externalData: Object.fromEntries(files) })),
    ).toMatchObject({
      MatMul: 2,
    });
  });

  it('a float model whose external data pages do not find says so, and is not what maxSize chooses', async () => {
    const source = await torchNamed(twoInputs());
    const { bases, dtype, variants: made } = await variants(source, intoMemory({ maxSize: 1e6 }).options);
    expect(bases[0]).toMatchObject({
      externalData: ['model.onnx.data'],
      note: 'pages cannot load it: its external data is in model.onnx.data, transformers.js looks for model.onnx_data',
    });
    expect([dtype, made.map(({ file }) => file)]).toEqual(['fp16', ['model_fp16.onnx']]);
    await expect(variants(source, intoMemory({ maxSize: 1 }).options)).rejects.toThrow(
      /got \d+ for the smallest, bnb4/,
    );
    // It has nothing to do in q8.
    const idle = await torchNamed(
      buildModel((b) => {
        const sum = b.op('Add', [b.input('x', 'float32', [64]), b.constant('w', noise([64]))]);
        b.output(sum, 'y', 'float32', [64]);
      }),
    );
    await expect(variants(idle, intoMemory({ maxSize: 1e6, dtypes: ['q8'] }).options)).rejects.toThrow(
      'got none that pages can load (model.onnx: pages cannot load it: its external data is in model.onnx.data',
    );
  });

  it('a base file with nothing to do is copied if another has something, and the dtype left out if none has', async () => {
    const { files, options } = intoMemory({ dtypes: ['q4', 'fp16'], preset: 'transformersjs-3' });
    const conv = await bytesOf(purelyConv());
    const both = { 'vision_encoder.onnx': conv, 'decoder_model.onnx': await bytesOf(twoInputs()) };
    const { variants: made } = await variants(both, options);
    const copy = made.find(({ file }) => file === 'vision_encoder_q4.onnx');
    expect(copy).toMatchObject({ reports: [], note: expect.stringMatching(/^float copy: .*Conv/) });
    expect(files.get('vision_encoder_q4.onnx')).toEqual(conv);

    const alone = intoMemory({ dtypes: ['q4', 'fp16'], preset: 'transformersjs-3' });
    const result = await variants({ 'vision_encoder.onnx': conv }, alone.options);
    expect(result.skipped).toEqual([{ dtype: 'q4', reason: expect.stringContaining('Conv') }]);
    expect([...alone.files.keys()]).toEqual(['vision_encoder_fp16.onnx']);
  });

  it('q8 of transformersjs-3 is uint8 where there is a Conv, by the model type by channel', async () => {
    const source = await bytesOf(convNet());
    const weights: unknown[] = [];
    for (const modelType of [undefined, 'bert', 'whisper']) {
      const { files, options } = intoMemory({ dtypes: ['q8'], preset: 'transformersjs-3', modelType });
      await variants(source, options);
      const { graph } = await readModel([...files.values()][0]);
      const { elementType, shape } = graph.value('weight_zero_point')!.constant!;
      weights.push([elementType, shape]);
    }
    expect(weights).toEqual([
      ['uint8', []],
      ['uint8', [3]],
      ['uint8', []],
    ]);
  });
});

describe('bad input: nothing is written', () => {
  const refused = async (source: Parameters<typeof variants>[0], options = {}): Promise<unknown> => {
    const memory = intoMemory({ dtypes: ['fp16', 'q4'], ...options });
    const error = await variants(source, memory.options).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect([...memory.files.keys()]).toEqual([]);
    return error;
  };

  it('no model, or variants alone', async () => {
    expect(await refused({ 'config.json': Uint8Array.of(1) })).toMatchObject({
      code: 'FORMAT_NOT_A_FILE',
      message: 'variants: expected float models such as model.onnx, got no .onnx file',
    });
    expect(await refused({ 'model_q4.onnx': await bytesOf(twoInputs()) })).toMatchObject({
      message: expect.stringContaining('got variants alone (model_q4.onnx)'),
    });
  });

  it('a base file that lacks a part', async () => {
    const stored = new MemorySink('b.onnx');
    await writeModel(twoInputs(), stored, { externalData: { threshold: 0 } });
    const source = { 'a.onnx': await bytesOf(twoInputs()), 'b.onnx': stored.bytes };
    expect(await refused(source)).toMatchObject({
      code: 'EXTERNAL_DATA_MISSING',
      message: expect.stringContaining(
        'b.onnx: graph "test": tensor "w_a": expected external data in "b.onnx_data"',
      ),
    });
  });

  it('a quantized model says what it holds; allowQuantized goes on with what is float', async () => {
    const memory = intoMemory({ dtypes: ['q4'], preset: 'transformersjs-3' });
    await variants(variantFile('mlp'), memory.options);
    const source = { 'model.onnx': [...memory.files.values()][0] };
    expect(await refused(source, { dtypes: ['q8'] })).toMatchObject({
      code: 'GRAPH_NOT_QUANTIZABLE',
      message: 'model.onnx: expected a float model, got one that is quantized (1 MatMulNBits)',
    });
    const forced = intoMemory({ dtypes: ['q8'], allowQuantized: true });
    await variants(source, forced.options);
    const ops = countOps(await readModel([...forced.files.values()][0]));
    expect(ops).toMatchObject({ MatMulNBits: 1, MatMulInteger: 2 });
  });

  it('a name that is taken, unless it may be overwritten', async () => {
    const model = await bytesOf(twoInputs());
    const source = { 'model.onnx': model, 'model_q4.onnx': model };
    expect(await refused(source)).toMatchObject({
      code: 'OUTPUT_EXISTS',
      details: { file: 'model_q4.onnx' },
    });
    const memory = intoMemory({ dtypes: ['q4'], overwrite: true });
    expect((await variants(source, memory.options)).variants.map(({ file }) => file)).toEqual([
      'model_q4.onnx',
    ]);
  });

  it('a weight with NaN, in the second of two models', async () => {
    const bad = buildModel((b) => {
      const weight = b.constant('w', tensor([NaN, 1, 1, 1], [2, 2]));
      b.output(b.op('MatMul', [b.input('x', 'float32', [1, 2]), weight]), 'y', 'float32', [1, 2]);
    });
    const source = { 'a.onnx': await bytesOf(twoInputs()), 'b.onnx': await bytesOf(bad) };
    expect(await refused(source, { dtypes: ['q8'] })).toMatchObject({ code: 'GRAPH_INVALID' });
  });

  it('words that do not exist, and an abort', async () => {
    const source = await bytesOf(twoInputs());
    expect(String(await refused(source, { dtypes: ['q5'] }))).toContain('expected dtypes[0] one of fp16, q8');
    expect(String(await refused(source, { dtypes: [] }))).toContain(
      'expected at least one of dtypes, got none',
    );
    expect(String(await refused(source, { preset: 'node' }))).toContain(
      'expected preset one of web, transformersjs-3',
    );
    const controller = new AbortController();
    const { files, options } = intoMemory();
    const job = {
      signal: controller.signal,
      onProgress: ({ file }: { readonly file: string }) => {
        if (file === 'model_q4.onnx') controller.abort(new Error('enough'));
      },
    };
    await expect(variants(source, options, job)).rejects.toThrow('enough');
    expect(files.size).toBe(0);
  });
});
