/** Static quantization from end to end: against onnxruntime's Python quantizer, and run by onnxruntime at every level. */
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  defaultDebugQConfig,
  HistogramObserver,
  MinMaxObserver,
  PerChannelMinMaxObserver,
  PlaceholderObserver,
  QConfig,
  QConfigMapping,
  sqnr,
  tensor,
  type Tensor,
  UnsupportedError,
} from 'zeropoint';
import {
  buildModel,
  calibrate,
  clean,
  convert,
  createRunner,
  mergePlans,
  onnxQConfig,
  ortNode,
  planFromJSON,
  prepare,
  quantizeStatic,
  readModel,
  staticQConfigMapping,
  type Converted,
  type GraphBuilder,
  type Model,
  type Node,
  type Plan,
  type QuantizeStaticOptions,
  type Value,
} from 'zeropoint/onnx';
import { staticCases, zooInput, zooModel, type ZooName } from './support/zoo.ts';
import { bytesOf, LEVELS, random } from './support/graphs.ts';

/** Least signal to noise of a small int8 graph on random data, in dB; 8 bits give about 40, layers add up. */
const LEAST_SQNR = 28;

async function throughFile(model: Model): Promise<Model> {
  return readModel(await bytesOf(model));
}

const opTypes = (model: Model): string[] => [...model.graph.nodes].map((node) => node.opType);
const find = (model: Model, opType: string): Node => {
  const node = [...model.graph.nodes].find((candidate) => candidate.opType === opType);
  if (node === undefined) throw new Error(`no ${opType} in ${opTypes(model).join()}`);
  return node;
};

/** Quantizes a graph with one input `x`, and holds its outputs at every optimization level to the float ones. */
async function quantizeAndRun(
  model: Model,
  x: Tensor,
  qconfigMapping?: QConfigMapping,
): Promise<Converted & { readonly worst: number }> {
  const result = await quantizeStatic(model, { batches: [{ x }], qconfigMapping });
  const float = await ortNode(model, { optimization: 'disabled' });
  const expected = await float.run({ x });
  await float.dispose();
  const written = await throughFile(result.model);
  let worst = Infinity;
  for (const optimization of LEVELS) {
    const runner = await ortNode(written, { optimization });
    const outputs = await runner.run({ x });
    await runner.dispose();
    for (const [name, value] of Object.entries(expected)) worst = Math.min(worst, sqnr(value, outputs[name]));
  }
  return { ...result, worst };
}

const image = (b: GraphBuilder): Value => b.input('x', 'float32', ['N', 4, 8, 8]);
const conv = (b: GraphBuilder, x: Value, name: string, channels = 4): Value => {
  const weight = b.constant(`${name}_w`, random([channels, 4, 3, 3], 7));
  return b.op(
    'Conv',
    [x, weight, b.constant(`${name}_b`, random([channels], 8))],
    { pads: [1, 1, 1, 1] },
    name,
  );
};

/** One graph for each family of ops; all take float32 [N, 4, 8, 8]. */
const GRAPHS: Readonly<Record<string, (b: GraphBuilder) => Value>> = {
  'Conv with Relu': (b) => b.op('Relu', [conv(b, image(b), 'c')]),
  'Conv with Clip': (b) => {
    const bounds = [b.constant('lo', tensor(0, [])), b.constant('hi', tensor(2, []))];
    return b.op('Clip', [conv(b, image(b), 'c'), ...bounds]);
  },
  'Conv without bias, depthwise': (b) =>
    b.op('Conv', [image(b), b.constant('w', random([4, 1, 3, 3]))], { group: 4 }),
  'residual Add': (b) => {
    const x = b.op('Relu', [conv(b, image(b), 'c')]);
    return b.op('Relu', [b.op('Add', [x, conv(b, x, 'd')])]);
  },
  'Add of a constant': (b) => b.op('Add', [conv(b, image(b), 'c'), b.constant('k', random([4, 1, 1], 3))]),
  'MaxPool, AveragePool': (b) => {
    const pooled = b.op('MaxPool', [conv(b, image(b), 'c')], { kernel_shape: [2, 2], strides: [2, 2] });
    return b.op('AveragePool', [pooled], { kernel_shape: [2, 2] });
  },
  'GlobalAveragePool, Flatten, Gemm': (b) => {
    const mean = b.op('Flatten', [b.op('GlobalAveragePool', [conv(b, image(b), 'c')])]);
    return b.op('Gemm', [mean, b.constant('w', random([4, 5])), b.constant('b', random([5], 2))]);
  },
  'Gemm with transB, alpha, then Gemm with beta': (b) => {
    const flat = b.op('Flatten', [image(b)]);
    const hidden = b.op(
      'Gemm',
      [flat, b.constant('w', random([16, 256])), b.constant('b', random([16], 2))],
      {
        transB: 1,
        alpha: 0.5,
      },
    );
    const out = [
      b.op('Relu', [hidden]),
      b.constant('w2', random([16, 3], 4)),
      b.constant('b2', random([3], 5)),
    ];
    return b.op('Gemm', out, { beta: 0.25 });
  },
  'MatMul, Add': (b) => {
    const flat = b.op('Flatten', [image(b)]);
    const product = b.op('MatMul', [flat, b.constant('w', random([256, 6]))]);
    return b.op('Add', [product, b.constant('b', random([6], 2))]);
  },
  'MatMul of two activations': (b) => {
    const x = b.op('Reshape', [image(b), b.constant('s', tensor(BigInt64Array.of(0n, 4n, 64n)))]);
    return b.op('MatMul', [x, b.op('Transpose', [x], { perm: [0, 2, 1] })]);
  },
  'Transpose, Concat, Squeeze': (b) => {
    const y = conv(b, image(b), 'c');
    const turned = b.op('Transpose', [y], { perm: [0, 1, 3, 2] });
    return b.op('Concat', [y, turned, conv(b, y, 'd', 2)], { axis: 1 });
  },
};

describe('each family of ops', () => {
  it.each(Object.keys(GRAPHS))(`%s: SQNR ≥ ${LEAST_SQNR} dB in onnxruntime at every level`, async (name) => {
    const model = buildModel((b) => b.output(GRAPHS[name](b), 'y', 'float32'));
    const { worst, report, model: quantized } = await quantizeAndRun(model, random([3, 4, 8, 8], 11));
    expect(worst).toBeGreaterThan(LEAST_SQNR);
    expect(worst).toBeLessThan(Infinity);
    expect(report.quantized.length).toBeGreaterThan(0);
    expect(quantized.graph.outputs.map((value) => value.name)).toEqual(['y']);
  });

  it('int8 activations: Relu stays, because a symmetric grid does not end at zero', async () => {
    const activation = MinMaxObserver.withArgs({
      dtype: 'qint8',
      qscheme: 'per_tensor_symmetric',
      rule: 'onnx',
    });
    const model = buildModel((b) => b.output(GRAPHS['Conv with Relu'](b), 'y', 'float32'));
    const { worst, report } = await quantizeAndRun(
      model,
      random([3, 4, 8, 8]),
      staticQConfigMapping({ activation }),
    );
    expect(report.absorbed).toEqual([]);
    expect(worst).toBeGreaterThan(LEAST_SQNR);
  });

  it('int16 activations need opset 21 and give ≥ 40 dB', async () => {
    const activation = MinMaxObserver.withArgs({ dtype: 'uint16', rule: 'onnx' });
    const model = buildModel((b) => b.output(GRAPHS['Conv with Relu'](b), 'y', 'float32'));
    const { worst } = await quantizeAndRun(model, random([3, 4, 8, 8]), staticQConfigMapping({ activation }));
    expect(worst).toBeGreaterThan(40);
    const old = buildModel((b) => b.output(GRAPHS['Conv with Relu'](b), 'y', 'float32'), { opset: 17 });
    expect(() => prepare(old, staticQConfigMapping({ activation }))).toThrow(
      /opset 21 or newer for 16-bit codes/,
    );
  });
});

/** Least signal to noise of one layer with 4-bit weights by channel on random data, in dB. */
const LEAST_SQNR_4_BIT = 14;

describe('4-bit weights', () => {
  it.each([
    [
      'by channel, symmetric',
      PerChannelMinMaxObserver.withArgs({ dtype: 'int4', qscheme: 'per_channel_symmetric' }),
    ],
    ['by channel, affine', PerChannelMinMaxObserver.withArgs({ dtype: 'uint4' })],
    ['per tensor, a zero point below 0', MinMaxObserver.withArgs({ dtype: 'int4' })],
  ])(`%s: SQNR ≥ ${LEAST_SQNR_4_BIT} dB in onnxruntime at every level`, async (_name, weight) => {
    const mapping = new QConfigMapping().setGlobal(
      new QConfig({ activation: onnxQConfig().activation, weight }),
    );
    const model = buildModel((b) => b.output(GRAPHS['Conv with Relu'](b), 'y', 'float32'));
    const { worst, report } = await quantizeAndRun(model, random([3, 4, 8, 8], 11), mapping);
    expect(worst).toBeGreaterThan(LEAST_SQNR_4_BIT);
    expect(report.weights[0].dtype).toMatch(/^u?int4$/);
  });
});

describe('against onnxruntime 1.30, Python quantizer', () => {
  const digest = (value: Tensor): string =>
    createHash('sha256')
      .update(new Uint8Array(value.data.buffer, value.data.byteOffset, value.data.byteLength))
      .digest('hex');

  async function stored(node: Node, input: number, part: number): Promise<string> {
    const source = node.inputs[input]?.producer?.inputs[part]?.constant;
    return source === undefined ? 'not stored' : digest(await source.load());
  }

  it.each(Object.entries(staticCases()))(
    '%s: equal scales, zero points and integers',
    async (name, expected) => {
      const [zoo, , granularity] = name.split(' ');
      const model = await zooModel(zoo as ZooName);
      const { model: quantized, report } = await quantizeStatic(model, {
        batches: [{ input: zooInput(zoo as ZooName) }],
        qconfigMapping: staticQConfigMapping({ perChannel: granularity === 'channel' }),
      });
      const grids = Object.fromEntries(report.activations.map((a) => [a.name, [a.scale, a.zeroPoint]]));
      // Theirs also has the logits, which stay float here, and repeats the grid of a reshaped tensor.
      const { logits, ...others } = expected.activations;
      expect(logits).toBeDefined();
      const flat = Object.keys(others).filter((value) => !value.includes('Flatten'));
      expect(grids).toEqual(Object.fromEntries(flat.map((value) => [value, others[value]])));
      const nodes = [...quantized.graph.nodes].filter(({ opType }) => opType === 'Conv' || opType === 'Gemm');
      expect(nodes).toHaveLength(expected.weights.length);
      for (const [index, node] of nodes.entries()) {
        const row = expected.weights[index];
        expect(node.opType).toBe(row.op);
        expect(await stored(node, 1, 0)).toBe(row.weight.sha256);
        expect(await stored(node, 1, 1)).toBe(row.weight_scale.sha256);
        expect(await stored(node, 2, 0)).toBe(row.bias.sha256);
        expect(await stored(node, 2, 1)).toBe(row.bias_scale.sha256);
      }
    },
  );
});

describe('form of the result', () => {
  async function resdw(): Promise<Converted> {
    return quantizeStatic(await zooModel('fmnist_resdw'), { batches: [{ input: zooInput('fmnist_resdw') }] });
  }

  it('Relu and Clip are absorbed, the last Gemm gives float, and nothing is left unnamed in the report', async () => {
    const { model, report } = await resdw();
    expect(report.absorbed).toHaveLength(10);
    expect(opTypes(model)).not.toContain('Relu');
    expect(opTypes(model)).not.toContain('Clip');
    expect(find(model, 'Gemm').outputs[0]?.isOutput).toBe(true);
    expect(report.skipped.map(({ opType }) => opType)).toEqual(['Sub', 'Div']);
    expect(report.samples).toBe(32);
  });

  it('biases have no zero point, weights have, and equal constants are stored once', async () => {
    const { model } = await resdw();
    for (const node of model.graph.nodes) {
      if (node.opType !== 'Conv') continue;
      expect(node.inputs[1]?.producer?.inputs).toHaveLength(3);
      expect(node.inputs[2]?.producer?.inputs).toHaveLength(2);
      expect(node.inputs[2]?.producer?.inputs[0]?.elementType).toBe('int32');
    }
    const scalars = [...model.graph.initializers].filter((value) => value.dims?.length === 0);
    const bytes = await Promise.all(
      scalars.map(async (value) => `${value.elementType} ${String((await value.constant?.load())?.data)}`),
    );
    expect(new Set(bytes).size).toBe(bytes.length);
  });

  it('the original is not changed, and names of onnxruntime can be had', async () => {
    const original = await zooModel('digits_mlp');
    const before = opTypes(original);
    const batches = [{ input: zooInput('digits_mlp') }];
    const { model } = await quantizeStatic(original, { batches }, { names: 'onnxruntime' });
    expect(opTypes(original)).toEqual(before);
    expect(model.graph.value('0.weight_quantized')).toBeDefined();
    expect(model.graph.value('input_scale')).toBeDefined();
    expect(find(model, 'QuantizeLinear').name).toBe('input_QuantizeLinear');
  });

  it('a value that float nodes read too keeps its exact form for them', async () => {
    const model = buildModel((b) => {
      const x = image(b);
      b.output(b.op('Sin', [x], {}, 'sine'), 'sine', 'float32');
      b.output(conv(b, x, 'c'), 'y', 'float32');
    });
    const { model: quantized } = await quantizeStatic(model, { batches: [{ x: random([2, 4, 8, 8]) }] });
    expect(find(quantized, 'Sin').inputs[0]?.name).toBe('x');
  });

  it('weights in Constant nodes are quantized like initializers, and the nodes go', async () => {
    const model = buildModel((b) => {
      const weight = b.op('Constant', [], { value: random([4, 4, 3, 3]) });
      b.output(b.op('Conv', [image(b), weight]), 'y', 'float32');
    });
    const { model: quantized } = await quantizeStatic(model, { batches: [{ x: random([2, 4, 8, 8]) }] });
    expect(opTypes(quantized)).not.toContain('Constant');
    expect(find(quantized, 'Conv').inputs[1]?.producer?.inputs[0]?.elementType).toBe('int8');
  });

  it('a bias too large for int32 enlarges the scale of its weight: nothing saturates', async () => {
    const model = buildModel((b) => {
      const weight = b.constant('w', tensor(Float32Array.of(1e-12, 0.5), [1, 2]));
      b.output(
        b.op('Relu', [
          b.op('Gemm', [b.input('x', 'float32', ['N', 1]), weight, b.constant('b', tensor([3, 1]))]),
        ]),
        'y',
      );
      b.output(
        b.op('Gemm', [b.op('Identity', [b.graph.outputs[0]]), b.constant('v', tensor([[1], [1]]))]),
        'z',
        'float32',
      );
    });
    const { model: quantized } = await quantizeStatic(model, { batches: [{ x: tensor([[0], [1]]) }] });
    const gemm = find(quantized, 'Gemm');
    const bias = gemm.inputs[2]?.producer;
    const codes = (await bias?.inputs[0]?.constant?.load())?.data as Int32Array;
    const scales = (await bias?.inputs[1]?.constant?.load())?.data as Float32Array;
    expect(codes[0]).toBeLessThan(2147483647);
    expect(codes[0] * scales[0]).toBeCloseTo(3, 5);
    expect(codes[1] * scales[1]).toBeCloseTo(1, 5);
  });
});

describe('plans', () => {
  const batches = (from: number, to: number): { input: Tensor }[] => [
    { input: zooInput('digits_mlp', from, to) },
  ];

  async function prepared(mapping?: QConfigMapping): Promise<{ model: Model; plan: Plan }> {
    const { model } = await clean(await zooModel('digits_mlp'));
    return { model, plan: prepare(model, mapping) };
  }

  it('survive JSON, go on where they stopped, and merge to what one calibration gives', async () => {
    const { model, plan } = await prepared();
    const runner = await createRunner(model);
    const whole = await calibrate(plan, runner, [...batches(0, 16), ...batches(16, 32)]);
    const first = planFromJSON(JSON.parse(JSON.stringify(await calibrate(plan, runner, batches(0, 16)))));
    const second = await calibrate(plan, runner, batches(16, 32));
    const resumed = await calibrate(first, runner, batches(16, 32));
    await runner.dispose();
    expect(resumed).toEqual(whole);
    expect(mergePlans(first, second)).toEqual(whole);
    expect(whole.samples).toBe(32);
    expect(plan.samples).toBe(0);
  });

  it('of different configurations do not merge', async () => {
    const a = (await prepared()).plan;
    const b = (await prepared(staticQConfigMapping({ perChannel: false }))).plan;
    expect(() => mergePlans(a, b)).toThrow(/two plans of one model and configuration/);
  });

  it('planFromJSON refuses what is no plan', () => {
    const hollow = { version: 1, nodes: [], activations: null, shared: null };
    for (const wrong of [null, 1, [], {}, { version: 2 }, hollow])
      expect(() => planFromJSON(wrong)).toThrow(/expected a plan/);
  });

  it('the QConfigMapping decides by name, pattern and op type', async () => {
    const { model } = await clean(await zooModel('digits_cnn'));
    const names = [...model.graph.nodes].filter((node) => node.opType === 'Conv').map((node) => node.name);
    const histogram = new QConfig({
      activation: HistogramObserver.withArgs({ dtype: 'quint8' }),
      weight: onnxQConfig().weight,
    });
    const mapping = staticQConfigMapping()
      .setModuleName(names[0], null)
      .setObjectType('Gemm', null)
      .setModuleNameRegex('^/2/', histogram);
    const plan = prepare(model, mapping);
    expect(plan.nodes.map((node) => node.node)).not.toContain(names[0]);
    expect(
      plan.skipped.filter(({ reason }) => reason === 'the QConfigMapping leaves it in float'),
    ).toHaveLength(2);
    const observers = plan.nodes
      .filter(({ opType }) => opType === 'Conv')
      .map((node) => node.activation.type);
    expect(new Set(observers)).toEqual(new Set(['MinMaxObserver', 'HistogramObserver']));
  });
});

describe('the fifth level of a QConfigMapping', () => {
  it('counts nodes of a type, whatever lies between them', async () => {
    const { model } = await clean(await zooModel('digits_cnn'));
    const convs = [...model.graph.nodes].filter((node) => node.is('Conv')).map((node) => node.label);
    const mapping = staticQConfigMapping().setModuleNameObjectTypeOrder('', 'Conv', 1, null);
    const planned = prepare(model, mapping).nodes.filter(({ opType }) => opType === 'Conv');
    expect(planned.map(({ node }) => node)).toEqual(convs.filter((_, i) => i !== 1));
  });
});

describe('bad input', () => {
  it('a plan without ranges is not converted', async () => {
    const model = await zooModel('digits_mlp');
    await expect(convert(model, prepare(model))).rejects.toThrow(
      /expected a calibrated plan, got no range for input/,
    );
  });

  it('a plan of another model is refused', async () => {
    const mlp = await zooModel('digits_mlp');
    const runner = await createRunner(mlp);
    const plan = await calibrate(prepare(mlp), runner, [{ input: zooInput('digits_mlp') }]);
    await runner.dispose();
    await expect(convert(await zooModel('digits_cnn'), plan)).rejects.toThrow(
      /the model that the plan was made from/,
    );
  });

  it.each([
    [undefined, 'an object of options, got undefined'],
    [{}, '{ batches } that can be iterated, got none'],
    [{ batches: { x: 1 } }, 'batches that can be iterated, got an object'],
    [{ batches: 'data.npz' }, "batches that can be iterated, got 'data.npz'"],
  ])('refuses %j without batches with a TypeError, before anything runs', async (settings, text) => {
    const job = quantizeStatic(await zooModel('digits_mlp'), settings as unknown as QuantizeStaticOptions);
    await expect(job).rejects.toThrow(new TypeError(`quantizeStatic: expected ${text}`));
  });

  it('no batch, NaN, wrong names, shapes and dtypes are named', async () => {
    const model = await zooModel('digits_mlp');
    const run = (batches: Iterable<Record<string, Tensor>>): Promise<Converted> =>
      quantizeStatic(model, { batches });
    await expect(run([])).rejects.toMatchObject({ code: 'CALIBRATION_EMPTY' });
    const broken = zooInput('digits_mlp');
    broken.data[70] = NaN;
    await expect(run([{ input: broken }])).rejects.toMatchObject({ code: 'CALIBRATION_NAN' });
    await expect(run([{ inptu: zooInput('digits_mlp') }])).rejects.toMatchObject({
      code: 'CALIBRATION_INPUT',
    });
    await expect(run([{ input: tensor(new Float32Array(6), [2, 3]) }])).rejects.toThrow(/'input': expected/);
    await expect(run([{ input: tensor(new Int8Array(64), [1, 64]) }])).rejects.toThrow(/float32.*got int8/);
  });

  it('a quantized model, an old opset and activations by channel are refused before anything runs', async () => {
    const model = await zooModel('digits_mlp');
    const batches = [{ input: zooInput('digits_mlp') }];
    const { model: quantized } = await quantizeStatic(model, { batches });
    await expect(quantizeStatic(quantized, { batches })).rejects.toMatchObject({
      code: 'GRAPH_NOT_QUANTIZABLE',
    });
    const relu = buildModel((b) => b.output(b.op('Relu', [image(b)]), 'y', 'float32'));
    expect(() => prepare(relu)).toThrow(/got none. Relu: its input is float \(1\)/);
    const old = buildModel((b) => b.output(GRAPHS['Conv with Relu'](b), 'y', 'float32'), { opset: 12 });
    expect(() => prepare(old)).toThrow(/opset 13 or newer for 8-bit codes by channel, got 12/);
    expect(prepare(old, staticQConfigMapping({ perChannel: false })).nodes).toHaveLength(2);
  });

  it('leaves nodes with an empty weight or operand in float, with the reason', () => {
    const empty = tensor(new Float32Array(0), [4, 0]);
    const model = buildModel((b) => {
      const x = b.input('x', 'float32', [1, 4]);
      b.output(b.op('MatMul', [x, b.constant('v', random([4, 3]))]), 'y', 'float32');
      b.output(b.op('MatMul', [x, b.constant('w', empty)]), 'z', 'float32');
      b.output(b.op('Gemm', [x, b.constant('u', empty)]), 'u_out', 'float32');
      b.output(b.op('MatMul', [b.constant('a', tensor(new Float32Array(0), [0, 1])), x]), 'q', 'float32');
    });
    const { nodes, skipped } = prepare(model);
    expect(nodes.map(({ output }) => output)).toEqual(['y']);
    expect(skipped.map(({ opType, reason }) => [opType, reason])).toEqual([
      ['MatMul', "its constant 'w' is empty"],
      ['Gemm', "its constant 'u' is empty"],
      ['MatMul', "its constant 'a' is empty"],
    ]);
  });

  it.each([
    ['NaN', [NaN]],
    ['an infinity', [-Infinity]],
    ['an infinity', Array<number>(8).fill(Infinity)],
  ])('refuses a weight with %s by name, as weight-only quantization does', async (text, bad) => {
    const weight = random([8, 5]);
    bad.forEach((value, row) => (weight.data[row * 5 + 3] = value));
    const model = buildModel((b) => {
      const x = b.input('x', 'float32', ['N', 8]);
      b.output(b.op('MatMul', [x, b.constant('w', weight)]), 'y', 'float32');
    });
    await expect(quantizeStatic(model, { batches: [{ x: random([2, 8]) }] })).rejects.toMatchObject({
      message: `w: expected finite weights, got ${text} (matmul reads it)`,
      code: 'GRAPH_INVALID',
    });
  });

  it('refuses a constant operand with NaN, or without a finite value, by name; skips single infinities', async () => {
    const modelWith = (values: number[]): Model =>
      buildModel((b) => {
        const product = b.op('MatMul', [b.input('x', 'float32', ['N', 3]), b.constant('w', random([3, 3]))]);
        const sum = b.op('Relu', [b.op('Add', [product, b.constant('c', tensor(values))])]);
        b.output(b.op('MatMul', [sum, b.constant('v', random([3, 3], 2))]), 'y', 'float32');
      });
    const runner = await createRunner(modelWith([1, 2, 3]));
    const plan = await calibrate(prepare(modelWith([1, 2, 3])), runner, [{ x: random([2, 3]) }]);
    await runner.dispose();
    const run = (values: number[]): Promise<Converted> => convert(modelWith(values), plan);
    await expect(run([1, -Infinity, 2])).resolves.toBeDefined();
    await expect(run([NaN, 1, 2])).rejects.toThrow('c: expected numbers in a constant operand, got NaN (');
    await expect(run(Array<number>(3).fill(-Infinity))).rejects.toThrow(
      'c: expected a finite value in a constant operand, got none',
    );
  });

  it.each([
    ['NaN', NaN],
    ['an infinity', Infinity],
  ])('refuses a bias with %s by name, where a plan was made before it', async (text, bad) => {
    const modelWith = (last: number): Model =>
      buildModel((b) => {
        const [w, c] = [b.constant('w', random([3, 3, 1, 1])), b.constant('c', tensor([1, 2, last]))];
        b.output(b.op('Conv', [b.input('x', 'float32', ['N', 3, 2, 2]), w, c]), 'y', 'float32');
      });
    const runner = await createRunner(modelWith(3));
    const plan = await calibrate(prepare(modelWith(3)), runner, [{ x: random([2, 3, 2, 2]) }]);
    await runner.dispose();
    await expect(convert(modelWith(bad), plan)).rejects.toMatchObject({
      message: `c: expected a finite bias, got ${text} (conv reads it)`,
      code: 'GRAPH_INVALID',
    });
  });

  it('a chain of more sums than the stack has room for is looked through', () => {
    const model = buildModel((b) => {
      const c = b.constant('c', tensor([1]));
      let x = b.input('x', 'float32', ['N', 4]);
      for (let i = 0; i < 20_000; i++) x = b.op('Add', [x, c]);
      b.output(b.op('MatMul', [x, b.constant('w', random([4, 4]))]), 'y', 'float32');
    });
    expect(prepare(model, undefined, { coverage: 'all' }).nodes).toHaveLength(20_001);
  });

  it('a model without nodes, and one whose nodes calibration spoke against, have nothing to quantize', async () => {
    const empty = buildModel((b) => b.output(b.input('x', 'float32', [2]), 'y'));
    empty.graph.setOutputs(empty.graph.inputs);
    for (const node of empty.graph.nodes.toArray()) empty.graph.removeNode(node);
    expect(() => prepare(empty)).toThrow(/expected a node that can be quantized, got none$/);
    const scores = buildModel((b) => {
      const product = b.op('MatMul', [b.input('q', 'float32', [2, 1]), b.input('k', 'float32', [1, 2])]);
      b.output(b.op('Softmax', [product]), 'y');
    });
    expect(prepare(scores).nodes).not.toEqual([]);
    const batches = [{ q: tensor([[1], [1e5]]), k: tensor([[1, -1e5]]) }];
    await expect(quantizeStatic(scores, { batches })).rejects.toMatchObject({
      code: 'GRAPH_NOT_QUANTIZABLE',
    });
  });

  it('observers without a range, and float zero points, are refused before anything runs', async () => {
    const model = await zooModel('digits_mlp');
    const { activation, weight } = onnxQConfig();
    const refused = (qconfig: QConfig): void =>
      expect(() => prepare(model, new QConfigMapping().setGlobal(qconfig))).toThrow(UnsupportedError);
    refused(defaultDebugQConfig);
    refused(new QConfig({ activation, weight: PlaceholderObserver.withArgs({ dtype: 'quint8' }) }));
    const floats = PerChannelMinMaxObserver.withArgs({ qscheme: 'per_channel_affine_float_qparams' });
    refused(new QConfig({ activation, weight: floats }));
    expect(
      prepare(model, new QConfigMapping().setGlobal(new QConfig({ activation, weight }))).nodes,
    ).not.toEqual([]);
  });

  it('an aborted signal ends the work with its reason', async () => {
    const model = await zooModel('digits_mlp');
    const controller = new AbortController();
    function* batches(): Generator<{ input: Tensor }> {
      yield { input: zooInput('digits_mlp') };
      controller.abort(new Error('enough'));
      yield { input: zooInput('digits_mlp') };
    }
    await expect(
      quantizeStatic(model, { batches: batches() }, { signal: controller.signal }),
    ).rejects.toThrow('enough');
  });
});
