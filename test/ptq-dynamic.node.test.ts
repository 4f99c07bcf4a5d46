/** Dynamic quantization: every form of MatMul and Gemm, run by onnxruntime at every level. */
import { describe, expect, it } from 'vitest';
import {
  MinMaxObserver,
  PlaceholderObserver,
  QConfig,
  QConfigMapping,
  tensor,
  type Tensor,
  UnsupportedError,
} from 'zeropoint';
import {
  buildModel,
  onnxQConfig,
  ortNode,
  quantizeDynamic,
  staticQConfigMapping,
  type GraphBuilder,
  type Model,
  type QuantizeDynamicOptions,
  type Value,
} from 'zeropoint/onnx';
import { zooInput, zooModel } from './support/zoo.ts';
import { worstSqnr } from './support/dynamic.ts';
import { bytesOf, random } from './support/graphs.ts';

/** Least signal to noise of one layer with 8-bit weights and activations on uniform data, in dB. */
const LEAST_SQNR = 34;
const K = 24;

type Build = (b: GraphBuilder, x: Value) => Value;

const gemm =
  (attributes: Record<string, number>, weight: readonly number[], bias?: readonly number[]): Build =>
  (b, x) => {
    const rest = bias === undefined ? [] : [b.constant('b', random(bias, 3))];
    return b.op('Gemm', [x, b.constant('w', random(weight, 2)), ...rest], attributes);
  };

const FORMS: Readonly<Record<string, Build>> = {
  MatMul: (b, x) => b.op('MatMul', [x, b.constant('w', random([K, 5], 2))]),
  'MatMul with Add': (b, x) =>
    b.op('Add', [b.op('MatMul', [x, b.constant('w', random([K, 5], 2))]), b.constant('b', random([5], 3))]),
  'two MatMul of one value': (b, x) =>
    b.op('Add', [
      b.op('MatMul', [x, b.constant('w', random([K, 5], 2))]),
      b.op('MatMul', [x, b.constant('v', random([K, 5], 4))]),
    ]),
  Gemm: gemm({}, [K, 5], [5]),
  'Gemm without bias': gemm({}, [K, 5]),
  'Gemm with transB': gemm({ transB: 1 }, [5, K], [5]),
  'Gemm with transB, alpha and beta': (b, x) => {
    const node = gemm({ transB: 1 }, [5, K], [1, 5])(b, x).producer;
    node?.setAttribute('alpha', 0.5);
    node?.setAttribute('beta', -1.5);
    return node?.outputs[0] as Value;
  },
};

const modelOf = (build: Build, opset?: number): Model =>
  buildModel((b) => b.output(build(b, b.input('x', 'float32', ['N', K])), 'y', 'float32'), { opset });

describe('quantizeDynamic', () => {
  for (const options of [{}, { perChannel: false }] satisfies QuantizeDynamicOptions[]) {
    const granularity = options.perChannel === false ? 'per tensor' : 'per channel';
    it.each(Object.keys(FORMS))(
      `%s, ${granularity}: SQNR ≥ ${LEAST_SQNR} dB at every level`,
      async (name) => {
        const float = modelOf(FORMS[name]);
        const { model, report } = await quantizeDynamic(float, options);
        const worst = await worstSqnr(float, model, { x: random([7, K], 9) });
        expect(worst).toBeGreaterThan(LEAST_SQNR);
        expect(worst).toBeLessThan(Infinity);
        expect(report.mode).toBe('dynamic');
        expect(report.weights.every(({ dtype }) => dtype === 'int8')).toBe(true);
        expect(report.weights[0].scales).toBe(options.perChannel === false ? 1 : 5);
        expect(model.graph.outputs.map((value) => value.name)).toEqual(['y']);
      },
    );
  }

  it('quantizes a value once, whoever reads it', async () => {
    const { model } = await quantizeDynamic(modelOf(FORMS['two MatMul of one value']));
    const ops = [...model.graph.nodes].map((node) => node.opType);
    expect(ops.filter((op) => op === 'DynamicQuantizeLinear')).toHaveLength(1);
    expect(ops.filter((op) => op === 'MatMulInteger')).toHaveLength(2);
  });

  it('leaves in float, with the reason: computed and higher-rank weights, transposed inputs, other ops, unwanted nodes', async () => {
    const model = buildModel((b) => {
      const x = b.input('x', 'float32', [K, K]);
      b.output(b.op('MatMul', [x, x], {}, 'a'));
      b.output(b.op('MatMul', [x, b.constant('w3', random([2, K, 3]))], {}, 'b'));
      b.output(b.op('Gemm', [x, b.constant('w2', random([K, 3]))], { transA: 1 }, 'c'));
      b.output(b.op('Sigmoid', [x], {}, 'd'));
      b.output(b.op('MatMul', [x, b.constant('w1', random([K, 3]))], {}, 'e'));
    });
    const unwanted = [...model.graph.nodes].at(-1)?.name ?? '';
    model.graph.addNode({
      opType: 'MatMul',
      inputs: [model.graph.value('x'), model.graph.value('w1')],
      outputs: ['f'],
    });
    model.graph.addOutput(model.graph.value('f') as Value);
    const mapping = staticQConfigMapping().setModuleName(unwanted, null);
    const { report } = await quantizeDynamic(model, { qconfigMapping: mapping });
    expect(report.quantized).toEqual([{ node: 'MatMul(f)', opType: 'MatMul' }]);
    expect(report.skipped.map(({ reason }) => reason)).toEqual([
      'its second operand is computed',
      'its weight has 3 axes, not 2',
      'it transposes its first operand',
      'Sigmoid has no dynamic integer form here',
      'the QConfigMapping leaves it in float',
    ]);
  });

  it('digits_mlp: size below 45 %, at most 1 of 32 digits read differently', async () => {
    const float = await zooModel('digits_mlp');
    const { model } = await quantizeDynamic(float);
    const [small, large] = [(await bytesOf(model)).length, (await bytesOf(float)).length];
    expect(small / large).toBeLessThan(0.45);
    const input = zooInput('digits_mlp');
    const answers = await Promise.all(
      [float, model].map(async (m) => {
        const runner = await ortNode(m, { optimization: 'all' });
        const { logits } = await runner.run({ input });
        await runner.dispose();
        return argmax(logits);
      }),
    );
    const differing = answers[0].filter((digit, i) => digit !== answers[1][i]);
    expect(differing.length).toBeLessThanOrEqual(1);
  });

  it('raises opset 10, and says so', async () => {
    const { model, report } = await quantizeDynamic(modelOf(FORMS.MatMul, 10));
    expect(model.opset).toBe(11);
    expect(report.raisedOpset).toEqual({ from: 10, to: 11 });
    expect(await worstSqnr(modelOf(FORMS.MatMul, 10), model, { x: random([7, K], 9) })).toBeGreaterThan(
      LEAST_SQNR,
    );
  });

  it('refuses a model that is quantized already, and one without a node to quantize', async () => {
    const relu = modelOf((b, x) => b.op('Relu', [x]));
    await expect(quantizeDynamic(relu)).rejects.toThrow(
      /got none. Relu: Relu has no dynamic integer form here \(1\)/,
    );
    const { model } = await quantizeDynamic(modelOf(FORMS.MatMul));
    await expect(quantizeDynamic(model)).rejects.toMatchObject({ code: 'GRAPH_NOT_QUANTIZABLE' });
  });

  it('refuses weights that MatMulInteger does not take: 4 and 16 bits, observers without a range', async () => {
    const { activation } = onnxQConfig();
    const refused = [
      MinMaxObserver.withArgs({ dtype: 'int16' }),
      MinMaxObserver.withArgs({ dtype: 'int4' }),
      PlaceholderObserver.withArgs({ dtype: 'quint8' }),
    ];
    for (const weight of refused) {
      const qconfigMapping = new QConfigMapping().setGlobal(new QConfig({ activation, weight }));
      await expect(quantizeDynamic(modelOf(FORMS.MatMul), { qconfigMapping })).rejects.toThrow(
        UnsupportedError,
      );
    }
  });

  it('leaves a product with an empty weight in float, with the reason', async () => {
    const model = modelOf((b, x) => {
      const none = b.op('MatMul', [x, b.constant('w', tensor(new Float32Array(0), [K, 0]))]);
      return b.op('Concat', [none, b.op('MatMul', [x, b.constant('v', random([K, 5]))])], { axis: -1 });
    });
    const { report } = await quantizeDynamic(model);
    expect(report.weights.map(({ name }) => name)).toEqual(['v']);
    expect(report.skipped[0]).toMatchObject({ opType: 'MatMul', reason: "its constant 'w' is empty" });
  });

  it.each([
    ['NaN', [NaN]],
    ['an infinity', [-Infinity]],
    ['an infinity', Array<number>(K).fill(Infinity)],
  ])('refuses a weight with %s by name, as weight-only quantization does', async (text, bad) => {
    const weight = random([K, 5]);
    bad.forEach((value, row) => (weight.data[row * 5 + 3] = value));
    const model = modelOf((b, x) => b.op('MatMul', [x, b.constant('w', weight)]));
    await expect(quantizeDynamic(model)).rejects.toMatchObject({
      message: `w: expected finite weights, got ${text} (matmul reads it)`,
      code: 'GRAPH_INVALID',
    });
  });

  it('counts nodes of a type for the fifth level of a QConfigMapping', async () => {
    const model = modelOf((b, x) => {
      const weight = (name: string): Value => b.constant(name, random([K, K]));
      const first = b.op('Relu', [b.op('MatMul', [x, weight('w0')])]);
      return b.op('MatMul', [first, weight('w1')]);
    });
    const qconfigMapping = staticQConfigMapping().setModuleNameObjectTypeOrder('', 'MatMul', 1, null);
    const { report } = await quantizeDynamic(model, { qconfigMapping });
    expect(report.weights.map(({ name }) => name)).toEqual(['w0']);
  });

  it('does not change the model', async () => {
    const float = modelOf(FORMS.Gemm);
    await quantizeDynamic(float);
    expect([...float.graph.nodes].map((node) => node.opType)).toEqual(['Gemm']);
  });
});

function argmax({ data, shape }: Tensor): number[] {
  const [rows, cols] = shape;
  return Array.from({ length: rows }, (_, row) => {
    const values = Array.from(data.subarray(row * cols, (row + 1) * cols) as Float32Array);
    return values.indexOf(Math.max(...values));
  });
}
