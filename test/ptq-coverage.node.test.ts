/** `coverage: 'all'`: pairs around operators that onnxruntime computes in float. */
import { describe, expect, it } from 'vitest';
import { sqnr, tensor } from 'zeropoint';
import {
  buildModel,
  calibrate,
  convert,
  createRunner,
  ortNode,
  planFromJSON,
  prepare,
  quantizeStatic,
  readModel,
  staticQConfigMapping,
  type GraphBuilder,
  type Model,
  type PrepareOptions,
  type Value,
} from 'zeropoint/onnx';
import { bytesOf, LEVELS, random } from './support/graphs.ts';
import { zooInput, zooModel } from './support/zoo.ts';

/** Of one operator on random data, in dB. */
const LEAST_SQNR = 28;

const vector = (b: GraphBuilder, name: string, seed: number): Value => b.constant(name, random([4], seed));

const GRAPHS: Readonly<Record<string, (b: GraphBuilder, x: Value) => Value>> = {
  LayerNormalization: (b, x) =>
    b.op('LayerNormalization', [x, b.constant('s', random([8], 3)), b.constant('t', random([8], 4))]),
  InstanceNormalization: (b, x) => b.op('InstanceNormalization', [x, vector(b, 's', 3), vector(b, 't', 4)]),
  BatchNormalization: (b, x) =>
    b.op('BatchNormalization', [
      x,
      vector(b, 's', 3),
      vector(b, 't', 4),
      vector(b, 'm', 5),
      b.constant('v', tensor([0.5, 1, 2, 3])),
    ]),
  Sub: (b, x) => b.op('Sub', [x, b.constant('k', random([4, 1, 1], 6))]),
  Tanh: (b, x) => b.op('Tanh', [x]),
  ReduceMean: (b, x) => b.op('ReduceMean', [x], { keepdims: 1 }),
  'Reshape at the edge': (b, x) =>
    b.op('Reshape', [x, b.constant('shape', tensor(BigInt64Array.of(0n, -1n)))]),
};

const modelOf = (name: string): Model =>
  buildModel((b) => b.output(GRAPHS[name](b, b.input('x', 'float32', ['N', 4, 8, 8])), 'y', 'float32'), {
    opset: 17,
  });

describe("coverage: 'all'", () => {
  it('an exponent of integers stays as it is', async () => {
    const model = buildModel(
      (b) => {
        const inputs = [b.input('x', 'float32', ['N', 4]), b.input('n', 'int64', ['N', 4])];
        b.output(b.op('Pow', inputs), 'y', 'float32', ['N', 4]);
      },
      { opset: 17 },
    );
    const n = tensor(BigInt64Array.of(0n, 1n, 2n, 3n), [1, 4]);
    const batches = [{ x: random([1, 4], 2), n }];
    const result = await quantizeStatic(model, { batches, coverage: 'all' });
    const pow = [...result.model.graph.nodes].find(({ opType }) => opType === 'Pow');
    expect(pow?.inputs[0]?.producer?.opType).toBe('DequantizeLinear');
    expect(pow?.inputs[1]?.name).toBe('n');
  });

  it('a model of an opset that cannot be raised, and need not be', async () => {
    const model = buildModel(
      (b) => b.output(b.op('Sigmoid', [b.input('x', 'float32', [4])]), 'y', 'float32', [4]),
      { opset: 6, irVersion: 3 },
    );
    await expect(quantizeStatic(model, { batches: [{ x: random([4], 1) }] })).rejects.toMatchObject({
      message: expect.stringContaining('expected a node that can be quantized'),
    });
  });

  it.each(Object.keys(GRAPHS))(`%s alone: a pair on both sides, SQNR ≥ ${LEAST_SQNR} dB`, async (name) => {
    const model = modelOf(name);
    const x = random([3, 4, 8, 8], 9);
    expect(() => prepare(model)).toThrow(/expected a node that can be quantized/);
    const result = await quantizeStatic(model, { batches: [{ x }], coverage: 'all' });
    const types = [...result.model.graph.nodes].map(({ opType }) => opType);
    expect(types.filter((op) => op === 'QuantizeLinear')).toHaveLength(2);
    expect(result.report.quantized).toHaveLength(1);
    const float = await ortNode(model, { optimization: 'disabled' });
    const { y } = await float.run({ x });
    await float.dispose();
    const file = await readModel(await bytesOf(result.model));
    for (const optimization of LEVELS) {
      const runner = await ortNode(file, { optimization });
      expect(sqnr(y, (await runner.run({ x })).y)).toBeGreaterThan(LEAST_SQNR);
      await runner.dispose();
    }
  });

  it('stands in the plan: a kept one converts to the same; the logits have codes too', async () => {
    const model = await zooModel('digits_mlp');
    const plan = prepare(model, staticQConfigMapping(), { coverage: 'all' });
    expect(plan.coverage).toBe('all');
    expect(prepare(model).coverage).toBeUndefined();
    const runner = await createRunner(model);
    const calibrated = await calibrate(plan, runner, [{ input: zooInput('digits_mlp') }]);
    await runner.dispose();
    const kept = planFromJSON(JSON.parse(JSON.stringify(calibrated)));
    const { report } = await convert(model, kept);
    expect(report.activations.map(({ name }) => name)).toContain('logits');
    expect(report).toEqual((await convert(model, calibrated)).report);
  });

  it('refuses other words', async () => {
    const options = { coverage: 'some' } as unknown as PrepareOptions;
    const model = await zooModel('digits_mlp');
    expect(() => prepare(model, undefined, options)).toThrow(/expected coverage kernels or all, got some/);
  });
});
