/**
 * Options of every public function of `zeropoint/onnx`: a misspelt one is refused with the one that was meant, a value that it
 * cannot have with what it can. A function that is in neither table below fails the last test.
 */
import { describe, expect, it } from 'vitest';
import * as onnx from 'zeropoint/onnx';
import { random } from './support/graphs.ts';

type Options = Readonly<Record<string, unknown>>;

/** How a function is called, and options that are wrong in one place. */
interface Case {
  readonly call: (options: never) => unknown;
  /** A good option and its value. */
  readonly good: Options;
  /** A name that is near a good one, and that one. */
  readonly typo: readonly [got: string, meant: string];
  /** Values that cannot be, and what the message must say of them. */
  readonly wrong: readonly (readonly [options: Options, message: RegExp])[];
}

const { buildModel } = onnx;

function float(): onnx.Model {
  return buildModel((b) => {
    const x = b.input('x', 'float32', [1, 16]);
    b.output(b.op('MatMul', [x, b.constant('w', random([16, 16]))]), 'y', 'float32', [1, 16]);
  });
}

const batches = [{ x: random([1, 16], 2) }];
const runner = await onnx.createRunner(float());
const plan = await onnx.calibrate(onnx.prepare(float()), runner, batches);
const inputs = onnx.inputValues(float());
const npy = onnx.encodeNpy(random([4, 16]));
const image = [{ name: 'x', dtype: 'float32', shape: [1, 3, 8, 8] }] as const;
const sink = (): onnx.MemorySink => new onnx.MemorySink();
const mapping = { qconfigMapping: onnx.staticQConfigMapping() };
/** As much of a folder of the browser as is asked for a new file. */
const FOLDER = {
  getFileHandle: (_name: string, how?: { create: boolean }) =>
    how?.create === true
      ? Promise.resolve({ createWritable: () => Promise.resolve(new WritableStream()) })
      : Promise.reject(new Error('not there')),
} as unknown as FileSystemDirectoryHandle;

const JOB: Case['wrong'] = [
  [{ signal: {} }, /expected signal to be an AbortSignal, got an object/],
  [{ onProgress: true }, /expected onProgress to be a function, got true/],
];

const MAPPING: Case['wrong'] = [
  [{ qconfigMapping: { '': null } }, /expected qconfigMapping to be a QConfigMapping, got an object/],
];

const COPY: Omit<Case, 'call'> = {
  good: { names: 'short', allowQuantized: false },
  typo: ['name', 'names'],
  wrong: [
    ...JOB,
    [{ names: 'long' }, /expected names one of short, onnxruntime, got 'long'/],
    [{ allowQuantized: 1 }, /expected allowQuantized to be a boolean, got 1/],
    [{ format: 'qdq' }, /expected options .*, got unknown option 'format'/],
  ],
};

const FORM: Omit<Case, 'call'> = {
  good: { format: 'qdq', dedicatedPairs: false, names: 'short' },
  typo: ['dedicatedPair', 'dedicatedPairs'],
  wrong: [
    ...JOB,
    [{ format: 'qlinear' }, /expected format one of qdq, qoperator, got 'qlinear'/],
    [{ dedicatedPairs: 'yes' }, /expected dedicatedPairs to be a boolean, got 'yes'/],
  ],
};

const RUNNER: Omit<Case, 'call'> = {
  good: { optimization: 'basic', threads: 1 },
  typo: ['optimisation', 'optimization'],
  wrong: [
    [{ optimization: 'most' }, /expected optimization one of disabled, basic, extended, all, got 'most'/],
    [{ threads: 0 }, /expected threads to be a whole number >= 1, got 0/],
    [{ threads: '4' }, /expected threads to be a whole number >= 1, got '4'/],
    [{ temporaryFolder: 1 }, /expected temporaryFolder to be a string, got 1/],
  ],
};

const DATA: Omit<Case, 'call'> = {
  good: { batchSize: 1, samples: 1, seed: 0, shard: { index: 1, count: 1 } },
  typo: ['sample', 'samples'],
  wrong: [
    [{ batchSize: 0 }, /expected batchSize to be a whole number >= 1, got 0/],
    [{ samples: 1.5 }, /expected samples to be a whole number >= 1, got 1.5/],
    [{ seed: 'a' }, /expected seed to be a whole number >= 0 and <= 4294967295, got 'a'/],
    [{ shard: 2 }, /expected shard an object of options, got 2/],
    [{ shard: { idx: 1, count: 2 } }, /got unknown option 'shard.idx'/],
  ],
};

const READY: Case['wrong'] = [
  ...MAPPING,
  [{ coverage: 'most' }, /expected coverage one of kernels, all, got 'most'/],
  [{ equalize: 0 }, /expected equalize to be a boolean, got 0/],
];

const QCONFIG: Omit<Case, 'call'> = {
  good: { perChannel: true, weightDType: 'int8' },
  typo: ['perChanel', 'perChannel'],
  wrong: [
    [{ perChannel: 'yes' }, /expected perChannel to be a boolean, got 'yes'/],
    [{ reduceRange: 1 }, /expected reduceRange to be a boolean, got 1/],
    [{ weightDType: 'int9' }, /expected weightDType int8, uint8, int4, uint4, got int9/],
    [{ activation: 'minmax' }, /expected activation to be a function, got 'minmax'/],
  ],
};

/** By the name of the function; where it takes two objects of options, `name/2` is the second. */
const CASES: Readonly<Record<string, Case>> = {
  readModel: {
    call: async (options) => onnx.readModel(await bytes(), options),
    good: { externalData: {} },
    typo: ['externaldata', 'externalData'],
    wrong: [[{ externalData: 'folder' }, /expected externalData to be a function or object, got 'folder'/]],
  },
  writeModel: {
    call: (options) => onnx.writeModel(float(), sink(), options),
    good: { overwrite: true, externalData: { threshold: 0 } },
    typo: ['overwriting', 'overwrite'],
    wrong: [
      ...JOB,
      [{ overwrite: 1 }, /expected overwrite to be a boolean, got 1/],
      [{ externalData: 'none' }, /expected externalData one of auto, embed, got 'none'/],
      [{ externalData: { chunksize: 1 } }, /'externalData.chunksize': did you mean 'chunkSize'\?/],
      [{ externalData: { chunkSize: 0 } }, /expected externalData.chunkSize to be a number > 0, got 0/],
    ],
  },
  directorySink: {
    call: (options) => onnx.directorySink(FOLDER, 'model.onnx', options),
    good: {},
    typo: ['overwrit', 'overwrite'],
    wrong: [[{ overwrite: 'no' }, /expected overwrite to be a boolean, got 'no'/]],
  },
  buildModel: {
    call: (options) => buildModel(() => undefined, options),
    good: { opset: 21, opsets: { custom: 1 } },
    typo: ['opSet', 'opset'],
    wrong: [
      [{ opset: '21' }, /expected opset to be a whole number >= 1, got '21'/],
      [{ opsets: { custom: 0 } }, /expected opsets.custom to be a whole number >= 1, got 0/],
    ],
  },
  prepare: {
    call: (options) => onnx.prepare(float(), undefined, options),
    good: { coverage: 'all' },
    typo: ['coverages', 'coverage'],
    wrong: [[{ coverage: 'most' }, /expected coverage one of kernels, all, got 'most'/]],
  },
  opsetToPrepare: {
    call: (options) => onnx.opsetToPrepare(float(), onnx.staticQConfigMapping(), options),
    good: { coverage: 'all' },
    typo: ['covrage', 'coverage'],
    wrong: [[{ coverage: 1 }, /expected coverage one of kernels, all, got 1/]],
  },
  readyStatic: {
    call: (options) => onnx.readyStatic(float(), options),
    good: { equalize: false, ...mapping },
    typo: ['equalise', 'equalize'],
    wrong: READY,
  },
  readyForPlan: {
    call: (options) => onnx.readyForPlan(float(), plan, options),
    good: { equalize: false },
    typo: ['equalized', 'equalize'],
    wrong: [[{ equalize: 'no' }, /expected equalize to be a boolean, got 'no'/]],
  },
  calibrate: {
    call: (options) => onnx.calibrate(plan, runner, batches, options),
    good: { onProgress: () => undefined, model: float() },
    typo: ['onprogress', 'onProgress'],
    wrong: [...JOB, [{ checkpoint: 'plan.json' }, /expected checkpoint to be a function, got 'plan.json'/]],
  },
  convert: { call: (options) => onnx.convert(float(), plan, options), ...FORM },
  quantizeStatic: {
    call: (options: object) => onnx.quantizeStatic(float(), { batches, ...options }),
    good: { runner: () => onnx.createRunner(float()), coverage: 'kernels', ...mapping },
    typo: ['equalise', 'equalize'],
    wrong: [
      ...READY,
      [{ batches: 'data.npz' }, /expected batches that can be iterated, got 'data.npz'/],
      [{ runner: 'onnxruntime' }, /expected runner to be a function or object, got 'onnxruntime'/],
      [{ runner: {} }, /expected runner to be a ModelRunner, got an object/],
    ],
  },
  'quantizeStatic/2': { call: (options) => onnx.quantizeStatic(float(), { batches }, options), ...FORM },
  quantizeDynamic: {
    call: (options) => onnx.quantizeDynamic(float(), options),
    good: { perChannel: true, convolutions: false },
    typo: ['perChanel', 'perChannel'],
    wrong: [
      ...MAPPING,
      [{ weightDType: 'int4' }, /expected weightDType one of int8, uint8, got 'int4'/],
      [{ rules: 'onnx' }, /expected rules one of zeropoint, onnxruntime, got 'onnx'/],
      [{ convolutions: 'all' }, /expected convolutions to be a boolean, got 'all'/],
    ],
  },
  'quantizeDynamic/2': { call: (options) => onnx.quantizeDynamic(float(), {}, options), ...COPY },
  quantizeWeights: {
    call: (options) => onnx.quantizeWeights(float(), options),
    good: { bits: 4, blockSize: 16, overrides: [{ nodes: /^/, bits: 8 }] },
    typo: ['blocksize', 'blockSize'],
    wrong: [
      ...MAPPING,
      [{ bits: 5 }, /expected options.bits one of 2, 4, 8.*, got 5/],
      [{ bits: '4' }, /expected options.bits one of 2, 4, 8.*, got '4'/],
      [{ blockSize: '32' }, /expected options.blockSize one of 16, 32, 64, 128, 256.*, got '32'/],
      [{ symmetric: 'yes' }, /expected symmetric to be a boolean, got 'yes'/],
      [{ format: 'gguf' }, /expected format one of matmul-nbits, bnb4, dequantize-linear, got 'gguf'/],
      [{ bnb4Type: 'nf5' }, /expected bnb4Type one of nf4, fp4, got 'nf5'/],
      [{ overrides: [{ node: 'product' }] }, /'overrides\[0\].node': did you mean 'nodes'\?/],
      [{ overrides: [{ nodes: 7 }] }, /expected overrides\[0\].nodes to be a string or object, got 7/],
      [{ batches: 7 }, /expected batches to be a function or object or list, got 7/],
      [{ runner: {} }, /expected runner to be a function, got an object/],
    ],
  },
  'quantizeWeights/2': { call: (options) => onnx.quantizeWeights(float(), {}, options), ...COPY },
  storeWeights: {
    call: (options) => onnx.storeWeights(float(), options),
    good: mapping,
    typo: ['qConfigMaping', 'qconfigMapping'],
    wrong: MAPPING,
  },
  'storeWeights/2': { call: (options) => onnx.storeWeights(float(), {}, options), ...COPY },
  convertToFloat16: {
    call: (options) => onnx.convertToFloat16(float(), options),
    good: { keepIO: true, keep: { opTypes: 'none' }, clampRule: 'round' },
    typo: ['keepIOs', 'keepIO'],
    wrong: [
      [{ dtype: 'float8' }, /expected dtype one of float16, bfloat16, got 'float8'/],
      [{ keepIO: 'x' }, /expected keepIO to be a boolean or list, got 'x'/],
      [{ keep: { optypes: [] } }, /'keep.optypes': did you mean 'opTypes'\?/],
      [{ keep: { opTypes: 'transformers' } }, /expected keep.opTypes one of default, .*, got 'transformers'/],
      [{ clampRule: { least: -1, greatest: 1 } }, /expected clampRule.least to be a number >= 0, got -1/],
      [{ overflows: 'all' }, /expected overflows to be a list, got 'all'/],
    ],
  },
  'convertToFloat16/2': { call: (options) => onnx.convertToFloat16(float(), {}, options), ...COPY },
  findOverflows: {
    call: (options) => onnx.findOverflows(float(), runner, batches, options),
    good: { onProgress: () => undefined },
    typo: ['signals', 'signal'],
    wrong: JOB,
  },
  equalizeLayers: {
    call: (options) => onnx.equalizeLayers(float(), options),
    good: { perChannel: false },
    typo: ['perchannel', 'perChannel'],
    wrong: [[{ perChannel: 0 }, /expected perChannel to be a boolean, got 0/]],
  },
  onnxQConfig: { call: (options) => onnx.onnxQConfig(options), ...QCONFIG },
  staticQConfigMapping: { call: (options) => onnx.staticQConfigMapping(options), ...QCONFIG },
  createRunner: { call: (options) => dispose(onnx.createRunner(float(), options)), ...RUNNER },
  ortNode: { call: (options) => dispose(onnx.ortNode(float(), options)), ...RUNNER },
  ortWeb: { call: (options) => dispose(onnx.ortWeb(float(), options)), ...RUNNER },
  compareOutputs: {
    call: (options) => onnx.compareOutputs(runner, runner, batches, options),
    good: {},
    typo: ['sgnal', 'signal'],
    wrong: [JOB[0]],
  },
  measureLatency: {
    call: (options: object) => onnx.measureLatency([runner], batches[0], { rounds: 1, ...options }),
    good: { warmup: 0 },
    typo: ['warmUp', 'warmup'],
    wrong: [JOB[0], [{ rounds: 0 }, /expected rounds to be a whole number >= 1, got 0/]],
  },
  openCalibrationData: { call: (options) => onnx.openCalibrationData(npy, inputs, options), ...DATA },
  openImageData: {
    ...DATA,
    call: (options) => onnx.openImageData([new Uint8Array(1)], image, options),
    good: { ...DATA.good, size: [8, 8], mean: [0.5], layout: 'NCHW' },
    wrong: [
      ...DATA.wrong,
      [{ size: 0 }, /expected size to be a whole number >= 1/],
      [{ crop: [8, '8'] }, /expected crop\[1\] to be a whole number >= 1.*, got '8'/],
      [{ mean: 0.5 }, /expected mean to be a list, got 0.5/],
      [{ layout: 'CHW' }, /expected layout one of NCHW, NHWC, got 'CHW'/],
      [{ channels: 'rgba' }, /expected channels one of rgb, bgr, gray, got 'rgba'/],
    ],
  },
  chooseMode: {
    call: (facts) => onnx.chooseMode(float(), facts),
    good: { hasData: true, target: 'webgpu' },
    typo: ['hasdata', 'hasData'],
    wrong: [[{ target: 'gpu' }, /expected target one of onnxruntime-cpu, .*, got 'gpu'/]],
  },
  identifyModel: {
    call: (file: object) => onnx.identifyModel(float(), { name: 'model.onnx', size: 1, ...file }),
    good: {},
    typo: ['sizes', 'size'],
    wrong: [[{ size: '1' }, /expected size to be a whole number >= 0, got '1'/]],
  },
  check: {
    call: (options) => onnx.check(float(), options),
    good: { targets: ['ort-web-webgpu'], version: '1.30' },
    typo: ['target', 'targets'],
    wrong: [
      [{ targets: ['web'] }, /expected targets\[0\] one of ort-node-cpu, .*, got 'web'/],
      [{ targets: [] }, /expected at least one target, got none/],
      [{ version: 1.3 }, /expected version to be a string, got 1\.3/],
      [{ version: '0.9' }, /expected a version of onnxruntime of .*, got 0\.9/],
    ],
  },
  variants: {
    call: async (options: object) => onnx.variants(await bytes(), { open: () => sink(), ...options }),
    good: { dtypes: ['fp16'], overwrite: true },
    typo: ['dtype', 'dtypes'],
    wrong: [
      [{ dtypes: ['q5'] }, /expected dtypes\[0\] one of fp16, .*, got 'q5'/],
      [{ plan: { model: 'q5' } }, /expected plan.model one of fp32, .*, got 'q5'/],
      [{ maxSize: '200MB' }, /expected maxSize to be a number > 0, got '200MB'/],
      [{ preset: 'node' }, /expected preset one of web, transformersjs-3, got 'node'/],
      [{ open: 'folder' }, /expected open to be a function, got 'folder'/],
      [{ externalData: 'none' }, /expected externalData one of auto, embed, got 'none'/],
    ],
  },
  'variants/2': {
    call: async (job) => onnx.variants(await bytes(), { dtypes: ['fp16'], open: () => sink() }, job),
    good: { onProgress: () => undefined },
    typo: ['onProgess', 'onProgress'],
    wrong: JOB,
  },
  withVariantsInConfig: {
    call: (facts: object) => onnx.withVariantsInConfig('{}', { chunks: {}, ...facts }),
    good: { dtype: 'q4' },
    typo: ['dtypes', 'dtype'],
    wrong: [[{ chunks: { 'model.onnx': '1' } }, /expected chunks.model.onnx to be a whole number >= 0/]],
  },
  withVariantsInReadme: {
    call: (facts: object) => onnx.withVariantsInReadme('', { bases: ['model'], sizes: {}, ...facts }),
    good: { sizes: {} },
    typo: ['reason', 'reasons'],
    wrong: [[{ bases: 'model' }, /expected bases to be a list, got 'model'/]],
  },
  // Methods that users call.
  'Graph.replaceAllUses': {
    call: (options) => {
      const { graph } = float();
      const [x] = graph.inputs;
      graph.replaceAllUses(x, graph.addInput('z', x.type), options);
    },
    good: { outputs: false },
    typo: ['filters', 'filter'],
    wrong: [[{ outputs: 'all' }, /expected outputs to be a boolean, got 'all'/]],
  },
  'ModelRunner.run': {
    call: (options) => runner.run(batches[0], options),
    good: { fetch: ['y'] },
    typo: ['fetches', 'fetch'],
    wrong: [JOB[0], [{ fetch: 'y' }, /expected fetch to be a list, got 'y'/]],
  },
  'CalibrationData.batches': {
    call: async (options) => (await onnx.openCalibrationData(npy, inputs)).batches(options),
    good: { samples: 2, skip: 1 },
    typo: ['skips', 'skip'],
    wrong: [[{ skip: -1 }, /expected skip to be a whole number >= 0, got -1/]],
  },
};

/** Functions of the package that take no object of options. */
const WITHOUT = new Set(
  `batchSizeFor buildGraph checkOpset checkSameModel eliminateIdentity encodeNpy failsCheck findBaseFiles findTarget
  float16OptionsFor foldBatchNormalization foldConstants formatType inlineFunctions inputValues isSorted memorySource mergeDuplicateInitializers
  mergePlanFiles mergePlans missingShards modelTypeOf nearestName openNpy openNpz outputValues parsePlanFile planFile
  planFromJSON printGraph printModel printNode raiseOpset removeUnused clean tensorType toAttribute toQOperator variantFile`.split(
    /\s+/,
  ),
);

async function bytes(): Promise<Uint8Array> {
  const target = sink();
  await onnx.writeModel(float(), target);
  return target.bytes;
}

async function dispose(opened: Promise<onnx.ModelRunner>): Promise<void> {
  await (await opened).dispose();
}

/** The error that a call throws or rejects with. */
async function errorOf({ call }: Case, options: unknown): Promise<unknown> {
  try {
    await call(options as never);
  } catch (error) {
    return error;
  }
  return undefined;
}

describe.each(Object.entries(CASES))('%s', (name, one) => {
  const where = name.split('/')[0].split('.').at(-1) ?? '';
  const own = where === 'staticQConfigMapping' ? 'onnxQConfig' : where;

  it('takes what it knows, and undefined for what is not given', async () => {
    expect(await errorOf(one, one.good)).toBeUndefined();
    expect(await errorOf(one, { ...one.good, [one.typo[1]]: undefined })).toBeUndefined();
  });

  it('refuses an unknown option with a TypeError that names the one that was meant', async () => {
    const [got, meant] = one.typo;
    const error = await errorOf(one, { ...one.good, [got]: undefined });
    expect(error).toBeInstanceOf(TypeError);
    const text = `^${own}: expected options .*${meant}.*, got unknown option '${got}': did you mean '${meant}'\\?$`;
    expect(String((error as Error).message)).toMatch(new RegExp(text));
  });

  it.each(one.wrong)('refuses %j', async (options, message) => {
    const error = await errorOf(one, options);
    expect(error instanceof TypeError || error instanceof RangeError).toBe(true);
    expect((error as Error).message).toMatch(new RegExp(`^${own}: `));
    expect((error as Error).message).toMatch(message);
  });
});

it.each([
  ['null', null],
  ['a text', 'static'],
  ['a list', [1]],
  ['a Map', new Map()],
  ['a mapping in place of what holds it', onnx.staticQConfigMapping()],
  ['a function', () => undefined],
])('options that are %s: TypeError', async (_, options) => {
  for (const call of ['quantizeDynamic', 'quantizeWeights', 'storeWeights', 'convertToFloat16'] as const) {
    const error = await errorOf(CASES[call], options);
    expect(error).toBeInstanceOf(TypeError);
    expect((error as Error).message).toMatch(`${call}: expected an object of options, got `);
  }
});

it('every function of the package is looked at here', () => {
  const functions = Object.entries(onnx)
    .filter(
      ([, value]) =>
        typeof value === 'function' && !Function.prototype.toString.call(value).startsWith('class'),
    )
    .map(([name]) => name);
  const known = new Set([...Object.keys(CASES).map((name) => name.split('/')[0]), ...WITHOUT]);
  expect(functions.filter((name) => !known.has(name))).toEqual([]);
});

it.each<[string, (model: onnx.Model) => unknown]>([
  ['quantizeDynamic', (model) => onnx.quantizeDynamic(model)],
  ['quantizeStatic', (model) => onnx.quantizeStatic(model, { batches })],
  ['quantizeWeights', (model) => onnx.quantizeWeights(model)],
  ['convertToFloat16', (model) => onnx.convertToFloat16(model)],
  ['storeWeights', (model) => onnx.storeWeights(model)],
  ['prepare', (model) => onnx.prepare(model)],
  ['convert', (model) => onnx.convert(model, plan)],
  ['chooseMode', (model) => onnx.chooseMode(model)],
  ['writeModel', (model) => onnx.writeModel(model, sink())],
])('%s refuses what is no model', async (name, call) => {
  for (const [model, got] of [
    [undefined, 'undefined'],
    [{}, 'an object'],
    ['model.onnx', "'model.onnx'"],
  ] as const) {
    await expect(async () => call(model as never)).rejects.toThrow(
      new TypeError(`${name}: expected model to be a Model, as readModel gives, got ${got}`),
    );
  }
});

it('calibrate refuses a batch that is no object, and says which', async () => {
  await expect(onnx.calibrate(plan, runner, [batches[0], null as never])).rejects.toMatchObject({
    message: 'calibrate: expected batch 1 to be an object of tensors, got null',
    code: 'CALIBRATION_INPUT',
  });
});
