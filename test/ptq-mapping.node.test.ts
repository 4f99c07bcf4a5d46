/** Mappings with names and patterns, and with several types in one model. */
import { describe, expect, it } from 'vitest';
import { sqnr, type QConfigMapping } from 'zeropoint';
import {
  buildModel,
  calibrate,
  convert,
  createRunner,
  mergePlans,
  onnxQConfig,
  ortNode,
  planFromJSON,
  prepare,
  quantizeDynamic,
  quantizeStatic,
  quantizeWeights,
  readModel,
  staticQConfigMapping,
  storeWeights,
  type ActivationDType,
  type GraphBuilder,
  type Model,
  type Node,
  type Plan,
  type Value,
} from 'zeropoint/onnx';
import { worstSqnr } from './support/dynamic.ts';
import { bytesOf, LEVELS, random } from './support/graphs.ts';
import { zooInput, zooModel } from './support/zoo.ts';

describe('a mapping that is about no node of the model', () => {
  const qconfig = onnxQConfig();
  const fresh = (): QConfigMapping => staticQConfigMapping();

  it.each([
    [
      fresh().setModuleName('/1/1.0/Cnov', null),
      /setModuleName to be about a node.*"\/1\/1.0\/Cnov".*near it: "\/1\/1.0\/Conv"/,
    ],
    [fresh().setModuleName('/nowhere/at/all/near/it', null), /which none is under; names look like: "/],
    [fresh().setModuleNameRegex('/head', qconfig), /setModuleNameRegex to be about a node.*got "\/head"/],
    [
      fresh().setModuleNameObjectTypeOrder('', 'Conv', 5, null),
      /setModuleNameObjectTypeOrder .*got "", "Conv", 5/,
    ],
  ])('%#: is refused by every mode, with near names', async (qconfigMapping, text) => {
    const model = await zooModel('digits_cnn');
    const batches = [{ input: zooInput('digits_cnn') }];
    expect(() => prepare(model, qconfigMapping)).toThrow(RangeError);
    expect(() => prepare(model, qconfigMapping)).toThrow(text);
    await expect(quantizeStatic(model, { batches, qconfigMapping })).rejects.toThrow(text);
    await expect(quantizeDynamic(model, { qconfigMapping })).rejects.toThrow(text);
    await expect(quantizeWeights(model, { qconfigMapping })).rejects.toThrow(text);
    await expect(storeWeights(model, { qconfigMapping })).rejects.toThrow(text);
  });

  it('names, scopes, patterns and orders of the file are taken, and op types that it has not', async () => {
    const model = await zooModel('fmnist_resdw');
    const [first] = model.graph.nodes;
    const scope = first.name.slice(0, first.name.lastIndexOf('/'));
    const mapping = fresh()
      .setModuleName(first.name, null)
      .setModuleName(scope, null)
      .setModuleNameRegex('.*Conv', qconfig)
      .setModuleNameObjectTypeOrder('', 'Conv', 0, null)
      .setObjectType('LSTM', null);
    const batches = [{ input: zooInput('fmnist_resdw') }];
    const { report } = await quantizeStatic(model, { batches, qconfigMapping: mapping });
    expect(report.quantized.length).toBeGreaterThan(0);
  });
});

describe('several types of activations in one model', () => {
  const conv = (b: GraphBuilder, x: Value, name: string): Value =>
    b.op('Conv', [x, b.constant(`${name}_w`, random([4, 4, 1, 1], name.length * 3))], {}, name);

  /** All join two convolutions, `a` and `bb`, and a third, `ccc`, reads what they give as `joined`. */
  const JOINS: Readonly<Record<string, (b: GraphBuilder, left: Value, right: Value) => Value>> = {
    Add: (b, left, right) => b.op('Add', [left, right], {}, 'joined'),
    Mul: (b, left, right) => b.op('Mul', [left, right], {}, 'joined'),
    MatMul: (b, left, right) => b.op('MatMul', [left, right], {}, 'joined'),
    Concat: (b, left, right) => {
      const both = b.op('Concat', [left, right], { axis: 0 }, 'joined');
      return b.op('MaxPool', [both], { kernel_shape: [2, 2] }, 'pooled');
    },
    'Relu, Transpose, Add': (b, left, right) => {
      const turned = b.op('Transpose', [b.op('Relu', [left], {}, 'relu')], { perm: [0, 1, 3, 2] }, 'turned');
      return b.op('Add', [turned, right], {}, 'joined');
    },
  };

  /** Which output has the other type. */
  const WIDE = ['a', 'bb', 'joined', 'ccc'] as const;
  const TYPES = ['uint16', 'int16', 'int8'] as const satisfies readonly ActivationDType[];
  /** In dB, three layers with 8-bit weights. */
  const LEAST_SQNR = 28;

  const cases = Object.keys(JOINS).flatMap((join) => TYPES.map((dtype) => [join, dtype] as const));

  it.each(cases)(
    `%s, one node of %s: each value has the type of its owner, SQNR ≥ ${LEAST_SQNR} dB at every level`,
    async (join, dtype) => {
      const model = buildModel(
        (b) => {
          const x = b.input('x', 'float32', ['N', 4, 8, 8]);
          b.output(conv(b, JOINS[join](b, conv(b, x, 'a'), conv(b, x, 'bb')), 'ccc'), 'y', 'float32');
        },
        { opset: 21 },
      );
      const x = random([2, 4, 8, 8], 21);
      const float = await ortNode(model, { optimization: 'disabled' });
      const { y } = await float.run({ x });
      await float.dispose();
      for (const name of WIDE) {
        const node = [...model.graph.nodes].find(
          ({ outputs }) => outputs[0]?.name === (name === 'ccc' ? 'y' : name),
        );
        const qconfigMapping = staticQConfigMapping();
        qconfigMapping.setModuleName(node?.name ?? name, onnxQConfig({ activationDType: dtype }));
        const { model: quantized, report } = await quantizeStatic(model, {
          batches: [{ x }],
          qconfigMapping,
        });
        expect(report.activations.filter((value) => value.dtype === dtype).length).toBeGreaterThan(0);
        expect(report.activations.filter((value) => value.dtype === 'uint8').length).toBeGreaterThan(0);
        const file = await readModel(await bytesOf(quantized));
        for (const optimization of LEVELS) {
          const runner = await ortNode(file, { optimization });
          expect(sqnr(y, (await runner.run({ x })).y), `${name} ${optimization}`).toBeGreaterThan(LEAST_SQNR);
          await runner.dispose();
        }
      }
    },
  );

  const wide = onnxQConfig({ activationDType: 'uint16' });
  const x = random([2, 4, 8, 8], 21);
  const named = (model: Model, output: string): Node => {
    const node = model.graph.value(output)?.producer;
    if (node === undefined) throw new Error(`expected a node that gives ${output}`);
    return node;
  };
  const build = (graph: (b: GraphBuilder, x: Value) => Value): Model =>
    buildModel((b) => b.output(graph(b, b.input('x', 'float32', ['N', 4, 8, 8])), 'y', 'float32'));
  const worst = async (model: Model, quantized: Model): Promise<number> => worstSqnr(model, quantized, { x });

  it('an input of the model has a pair for each type; both are of the float values', async () => {
    const model = build((b, input) => b.op('Add', [conv(b, input, 'a'), conv(b, input, 'bb')]));
    const qconfigMapping = staticQConfigMapping().setModuleName(named(model, 'bb').name, wide);
    const { model: quantized, report } = await quantizeStatic(model, { batches: [{ x }], qconfigMapping });
    const pairs = [...(quantized.graph.value('x')?.consumers ?? [])];
    expect(pairs.map((node) => [node.opType, node.inputs[2]?.elementType])).toEqual([
      ['QuantizeLinear', 'uint8'],
      ['QuantizeLinear', 'uint16'],
    ]);
    expect(report.activations.filter(({ readers }) => readers)).toEqual([
      expect.objectContaining({ name: 'x', dtype: 'uint16', readers: [named(model, 'bb').label] }),
    ]);
    expect(await worst(model, quantized)).toBeGreaterThan(LEAST_SQNR);
  });

  it('a bias has the scale of what its node reads', async () => {
    const model = build((b, input) => {
      const bias = b.constant('bias', random([4], 3));
      return b.op('Conv', [conv(b, input, 'a'), b.constant('w', random([4, 4, 1, 1], 5)), bias]);
    });
    const qconfigMapping = staticQConfigMapping().setModuleName(named(model, 'y').name, wide);
    const { model: quantized } = await quantizeStatic(model, { batches: [{ x }], qconfigMapping });
    const { inputs } = [...quantized.graph.nodes].filter(({ opType }) => opType === 'Conv')[1];
    const scales = inputs.map((value) =>
      Array.from(value?.producer?.inputs[1]?.constant?.tensor?.data ?? [], Number),
    );
    expect(inputs[0]?.producer?.inputs[2]?.elementType).toBe('uint16');
    expect(scales[2]).toEqual(scales[1].map((weight) => Math.fround(scales[0][0] * weight)));
    expect(await worst(model, quantized)).toBeGreaterThan(LEAST_SQNR);
  });

  it('ops that move codes take them as they are, and what follows converts', async () => {
    const model = build((b, input) => {
      const turned = b.op('Transpose', [conv(b, input, 'a')], { perm: [0, 1, 3, 2] }, 'turned');
      return conv(b, turned, 'bb');
    });
    const qconfigMapping = staticQConfigMapping()
      .setModuleName(named(model, 'turned').name, onnxQConfig({ activationDType: 'int16' }))
      .setModuleName(named(model, 'y').name, wide);
    const { model: quantized, report } = await quantizeStatic(model, { batches: [{ x }], qconfigMapping });
    expect(report.activations.map(({ name, dtype }) => [name, dtype])).toEqual([
      ['x', 'uint8'],
      ['a', 'uint8'],
      ['y', 'uint16'],
      ['a', 'uint16'],
    ]);
    expect(await worst(model, quantized)).toBeGreaterThan(LEAST_SQNR);
  });

  it('a plan keeps the second range, also in parts that are merged', async () => {
    const model = build((b, input) => conv(b, conv(b, input, 'a'), 'bb'));
    const qconfigMapping = staticQConfigMapping().setModuleName(named(model, 'y').name, wide);
    const plan = prepare(model, qconfigMapping);
    expect(plan.activations['a as uint16']).toMatchObject({ value: 'a' });
    const runner = await createRunner(model);
    const half = async (seed: number): Promise<Plan> =>
      calibrate(plan, runner, [{ x: random([1, 4, 8, 8], seed) }]);
    const kept = planFromJSON(JSON.parse(JSON.stringify(mergePlans(await half(1), await half(2)))));
    await runner.dispose();
    const { model: quantized, report } = await convert(model, kept);
    const [narrow, other] = report.activations.filter(({ name }) => name === 'a');
    expect(other).toMatchObject({ dtype: 'uint16' });
    expect(other.scale).toBeCloseTo((narrow.scale * 255) / 65535, 7);
    expect(await worst(model, quantized)).toBeGreaterThan(20);
  });

  it('int8 beside uint8 in QOperator form', async () => {
    const model = build((b, input) => {
      const joined = b.op('Add', [conv(b, input, 'a'), conv(b, input, 'bb')], {}, 'joined');
      return conv(b, joined, 'ccc');
    });
    const int8 = onnxQConfig({ activationDType: 'int8' });
    const qconfigMapping = staticQConfigMapping().setModuleName(named(model, 'joined').name, int8);
    const options = { format: 'qoperator' } as const;
    const { model: quantized } = await quantizeStatic(model, { batches: [{ x }], qconfigMapping }, options);
    expect([...quantized.graph.nodes].map(({ opType }) => opType)).toEqual(
      expect.arrayContaining(['QLinearAdd', 'QLinearConv']),
    );
    expect(await worst(model, quantized)).toBeGreaterThan(LEAST_SQNR);
  });
});
