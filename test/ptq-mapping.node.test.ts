/** Mappings with names and patterns, and with several types in one model. */
import { describe, expect, it } from 'vitest';
import { sqnr, type QConfigMapping } from 'zeropoint';
import {
  buildModel,
  onnxQConfig,
  ortNode,
  prepare,
  quantizeDynamic,
  quantizeStatic,
  quantizeWeights,
  readModel,
  staticQConfigMapping,
  storeWeights,
  type ActivationDType,
  type GraphBuilder,
  type Value,
} from 'zeropoint/onnx';
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
});
