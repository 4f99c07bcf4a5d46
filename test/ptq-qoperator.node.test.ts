/** QOperator form: which operators stand in the graph, and that onnxruntime computes with them what QDQ form computes. */
import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { MinMaxObserver, tensor, type Tensor } from 'zeropoint';
import {
  buildModel,
  check,
  ortNode,
  quantizeStatic,
  readModel,
  staticQConfigMapping,
  toQOperator,
  type GraphBuilder,
  type Model,
  type QuantizationReport,
  type Value,
} from 'zeropoint/onnx';
import { bytesOf, LEVELS, random } from './support/graphs.ts';

const FIXTURES = new URL('./fixtures/ort/ops/', import.meta.url);
const FAMILIES = readdirSync(FIXTURES)
  .filter((name) => name.endsWith('.onnx'))
  .map((name) => name.replace('.onnx', ''));

/** Families in which something stays between its pairs. */
const KEPT: Readonly<Record<string, readonly string[]>> = {
  conv_transpose: ['ConvTranspose'],
  pad_value: ['Pad'],
  resize_cubic: ['Resize'],
  resize_linear: ['Resize'],
};

const ids = tensor(
  BigInt64Array.from({ length: 18 }, (_, i) => BigInt(i)),
  [3, 6],
);
const feeds = (family: string): Record<string, Tensor> =>
  family === 'gather_table' ? { ids } : { x: random([3, 4, 8, 8], 3) };
const ops = (model: Model): string[] => [...model.graph.nodes].map(({ opType }) => opType);

/** Largest difference of outputs in steps of the grid of the output, over all levels. */
async function codesApart(
  qdq: Model,
  integer: Model,
  inputs: Record<string, Tensor>,
  scale: number,
): Promise<number> {
  const reference = await ortNode(await readModel(await bytesOf(qdq)), { optimization: 'disabled' });
  const expected = await reference.run(inputs);
  await reference.dispose();
  const written = await readModel(await bytesOf(integer));
  let worst = 0;
  for (const optimization of LEVELS) {
    const runner = await ortNode(written, { optimization });
    const outputs = await runner.run(inputs);
    await runner.dispose();
    for (const [name, { data }] of Object.entries(expected)) {
      const values = outputs[name].data;
      data.forEach((value, i) => {
        worst = Math.max(worst, Math.abs(Number(value) - Number(values[i])) / scale);
      });
    }
  }
  return worst;
}

/** What a code of the output is worth: of float products, one of what they read. No position may differ. */
function stepOf(family: string, { activations }: QuantizationReport): number {
  if (family === 'arg_max') return 1 / 2;
  const last = activations.find(({ name }) => name.startsWith('z')) ?? activations.at(-1);
  return last?.scale ?? NaN;
}

const MAPPINGS = {
  'by channel': staticQConfigMapping(),
  'per tensor': staticQConfigMapping({ perChannel: false }),
  'int8 activations': staticQConfigMapping({
    activation: MinMaxObserver.withArgs({ dtype: 'qint8', qscheme: 'per_tensor_affine', rule: 'onnx' }),
  }),
  'symmetric int8 activations': staticQConfigMapping({
    activation: MinMaxObserver.withArgs({ dtype: 'qint8', qscheme: 'per_tensor_symmetric', rule: 'onnx' }),
  }),
};
const CASES = FAMILIES.flatMap((family) =>
  (Object.keys(MAPPINGS) as (keyof typeof MAPPINGS)[]).map((mapping) => [family, mapping] as const),
);

/** They move or compare codes, which onnxruntime does and the probe did not try. */
const NOT_PROBED = new Set(['GatherElements', 'Pad', 'ReduceMax']);

/** What `check` finds of a file, except that these three read codes. */
async function typesOutOfPlace(model: Model, codes: 'int8' | 'uint8'): Promise<string[]> {
  const { targets } = await check(await readModel(await bytesOf(model)), { targets: ['ort-node-cpu'] });
  return targets[0].findings
    .filter(({ op, types }) => !NOT_PROBED.has(op) || types.split('/')[0] !== codes)
    .map(({ op, support, types }) => `${op} ${support} ${types}`);
}

describe('each family', () => {
  it.each(CASES)('%s, %s: within one code of QDQ form at every level', async (family, mapping) => {
    const model = await readModel(new URL(`${family}.onnx`, FIXTURES));
    const options = { batches: [feeds(family)], qconfigMapping: MAPPINGS[mapping] };
    const { model: qdq, report } = await quantizeStatic(model, options);
    const { model: integer, report: written } = await quantizeStatic(model, options, { format: 'qoperator' });
    expect(written.keptPairs?.map(({ opType }) => opType)).toEqual(KEPT[family] ?? []);
    expect(integer.graph.outputs.map(({ name }) => name)).toEqual(
      model.graph.outputs.map(({ name }) => name),
    );
    expect(await codesApart(qdq, integer, feeds(family), stepOf(family, report))).toBeLessThan(1.001);
    expect(await typesOutOfPlace(integer, mapping.includes('int8') ? 'int8' : 'uint8')).toEqual([]);
    // One pair at each border with float, and one on either side of what was kept.
    const borders = 1 + (KEPT[family]?.length ?? 0);
    const list = ops(integer);
    expect(list.filter((op) => op === 'QuantizeLinear').length).toBeLessThanOrEqual(borders);
    expect(
      list.some((op) =>
        /^(Conv|MatMul|Gemm|Add|Mul|Concat|Where|Sigmoid|Softmax|LeakyRelu|Relu|AveragePool|GlobalAveragePool)$/.test(
          op,
        ),
      ),
    ).toBe(false);
  });
});

/** MatMul → Add → Relu → Gemm, the product of which is float. */
function dense(): Model {
  return buildModel((b) => {
    const x = b.input('x', 'float32', [6, 8]);
    const hidden = b.op('Add', [
      b.op('MatMul', [x, b.constant('w', random([8, 8], 5))]),
      b.constant('k', random([8], 6)),
    ]);
    const weights = [b.constant('v', random([3, 8], 7)), b.constant('c', random([3], 8))];
    b.output(b.op('Gemm', [b.op('Relu', [hidden]), ...weights], { transB: 1 }), 'y', 'float32');
  });
}
const batches = [{ x: random([6, 8], 9) }];

it('MatMul, Add, Gemm: QLinearMatMul, QLinearAdd, and QGemm with float output', async () => {
  const { model, report } = await quantizeStatic(dense(), { batches }, { format: 'qoperator' });
  expect(ops(model)).toEqual(['QuantizeLinear', 'QLinearMatMul', 'QLinearAdd', 'QGemm']);
  expect(report.keptPairs).toEqual([]);
  expect(model.opsetImports.get('com.microsoft')).toBe(1);
  const gemm = [...model.graph.nodes].at(-1);
  expect(gemm?.inputs).toHaveLength(7);
  const { model: qdq } = await quantizeStatic(dense(), { batches });
  const codes = await codesApart(qdq, model, batches[0], report.activations.at(-1)?.scale ?? NaN);
  expect(codes).toBeLessThan(1.001);
});

it('toQOperator does the same to a QDQ model, leaves its input alone, and a second run changes nothing', async () => {
  const { model: qdq } = await quantizeStatic(dense(), { batches });
  const before = ops(qdq);
  const first = await toQOperator(qdq);
  expect(first).toMatchObject({ modified: true, skipped: [] });
  expect(ops(first.model)).toEqual(['QuantizeLinear', 'QLinearMatMul', 'QLinearAdd', 'QGemm']);
  expect(ops(qdq)).toEqual(before);
  const second = await toQOperator(first.model);
  expect(second).toEqual({ model: first.model, modified: false, skipped: [] });
});

it('a value that is also read in float, and a MatMul with a float output, keep their pairs, with the reason', async () => {
  const model = buildModel((b) => {
    const grid = [b.constant('s', tensor(0.1, [])), b.constant('z', tensor(Uint8Array.of(128), []))];
    const pair = (x: Value): Value =>
      b.op('DequantizeLinear', [b.op('QuantizeLinear', [x, ...grid]), ...grid]);
    const x = pair(b.input('x', 'float32', [4, 4]));
    const sum = b.op('Add', [x, x]);
    b.output(b.op('MatMul', [pair(sum), x]), 'y', 'float32');
    b.output(b.op('Neg', [sum]), 'n', 'float32');
  });
  const result = await toQOperator(model);
  expect(result.modified).toBe(false);
  expect(result.skipped.map(({ opType, reason }) => [opType, reason])).toEqual([
    ['Add', 'its output is also read in float'],
    ['MatMul', 'its output stays float, which the integer operator cannot give'],
  ]);
});

/** Conv → Clip or Relu → Conv, on int8 codes with zero point 0. */
async function clamped(clamp: (b: GraphBuilder, x: Value) => Value, format: 'qdq' | 'qoperator', opset = 17) {
  const model = buildModel(
    (b) => {
      const weights = (seed: number): Value[] => [
        b.constant(`w${seed}`, random([4, 4, 3, 3], seed)),
        b.constant(`b${seed}`, random([4], seed + 1)),
      ];
      const x = b.op('Conv', [b.input('x', 'float32', [3, 4, 8, 8]), ...weights(7)]);
      b.output(b.op('Conv', [clamp(b, x), ...weights(21)]), 'y', 'float32');
    },
    { opset },
  );
  const options = {
    batches: [{ x: random([3, 4, 8, 8], 3) }],
    qconfigMapping: MAPPINGS['symmetric int8 activations'],
  };
  return quantizeStatic(model, options, { format });
}

describe('Relu and Clip that saturation does not replace', () => {
  it('Relu: the op before it gives codes on its grid, and a Clip of codes follows', async () => {
    const relu = (b: GraphBuilder, x: Value): Value => b.op('Relu', [x]);
    const { model, report } = await clamped(relu, 'qoperator');
    expect(ops(model)).toEqual(['QuantizeLinear', 'QLinearConv', 'Clip', 'QLinearConv', 'DequantizeLinear']);
    expect([report.keptPairs, report.absorbed]).toEqual([[], []]);
    const [, conv, clip] = model.graph.nodes;
    expect(await Promise.all(clip.inputs.slice(1).map((bound) => bound?.constant?.load()))).toMatchObject([
      { dtype: 'int8', shape: [], data: Int8Array.of(0) },
    ]);
    const reluGrid = report.activations.find(({ name }) => name.startsWith('relu'));
    expect((await conv.inputs[6]?.constant?.load())?.data).toEqual(Float32Array.of(reluGrid?.scale ?? NaN));
  });

  it('QDQ form: a pair on either side, of the same grid, so that the Conv can be fused', async () => {
    const relu = (b: GraphBuilder, x: Value): Value => b.op('Relu', [x]);
    const { model } = await clamped(relu, 'qdq');
    const list = [...model.graph.nodes];
    const at = list.findIndex(({ opType }) => opType === 'Relu');
    expect(list.slice(at - 3, at + 2).map(({ opType }) => opType)).toEqual([
      'Conv',
      'QuantizeLinear',
      'DequantizeLinear',
      'Relu',
      'QuantizeLinear',
    ]);
    expect(list[at + 1].inputs.slice(1)).toEqual(list[at - 2].inputs.slice(1));
  });

  it('Clip: bounds become codes, the open end none; at each level the codes of QDQ form', async () => {
    const bounds = [
      ['both', -0.25, 0.5],
      ['low', -0.25, undefined],
      ['high', undefined, 0.5],
    ] as const;
    for (const [name, low, high] of bounds) {
      const clip = (b: GraphBuilder, x: Value): Value => {
        const value = (bound: number | undefined, at: string): Value | undefined =>
          bound === undefined ? undefined : b.constant(at, tensor(bound, []));
        const inputs = [x, value(low, 'low'), value(high, 'high')];
        return b.op('Clip', inputs.at(-1) === undefined ? inputs.slice(0, 2) : inputs);
      };
      const { model, report } = await clamped(clip, 'qoperator');
      expect(ops(model), name).toContain('Clip');
      expect(report.keptPairs, name).toEqual([]);
      const { model: qdq } = await clamped(clip, 'qdq');
      const step = report.activations.at(-1)?.scale ?? NaN;
      expect(await codesApart(qdq, model, { x: random([3, 4, 8, 8], 3) }, step), name).toBeLessThan(1.001);
    }
  });

  it('between their pairs, with the reason: bounds that are computed', async () => {
    const clip = (b: GraphBuilder, x: Value): Value =>
      b.op('Clip', [x, b.input('low', 'float32', []), b.constant('high', tensor(0.5, []))]);
    const model = buildModel((b) => {
      const grid = [b.constant('s', tensor(0.1, [])), b.constant('z', tensor(Int8Array.of(0), []))];
      const pair = (x: Value): Value =>
        b.op('DequantizeLinear', [b.op('QuantizeLinear', [x, ...grid]), ...grid]);
      b.output(pair(clip(b, pair(b.input('x', 'float32', [4])))), 'y', 'float32');
    });
    const { skipped } = await toQOperator(model);
    expect(skipped.map(({ opType, reason }) => [opType, reason])).toEqual([
      ['Clip', 'its bounds are computed'],
    ]);
  });

  it('before opset 12 there is no Clip of codes', async () => {
    const relu = (b: GraphBuilder, x: Value): Value => b.op('Relu', [x]);
    const model = buildModel(
      (b) => {
        const grid = [b.constant('s', tensor(0.1, [])), b.constant('z', tensor(Int8Array.of(0), []))];
        const pair = (x: Value): Value =>
          b.op('DequantizeLinear', [b.op('QuantizeLinear', [x, ...grid]), ...grid]);
        b.output(pair(relu(b, pair(b.input('x', 'float32', [4])))), 'y', 'float32');
      },
      { opset: 11 },
    );
    const { skipped } = await toQOperator(model);
    expect(skipped.map(({ reason }) => reason)).toEqual(['Clip takes codes since opset 12']);
  });
});

/** Nothing may look at it. */
const unread = {
  [Symbol.iterator]: (): never => {
    throw new Error('calibration has begun');
  },
};

it.each([
  ['codes of 16 bits', { activationDType: 'uint16' }, /8 bits for QOperator form, got uint16/],
  ['codes of 4 bits', { weightDType: 'int4' }, /8 bits for QOperator form, got int4/],
  [
    'int8 activations with uint8 weights',
    { activationDType: 'int8', weightDType: 'uint8' },
    /int8 weights beside int8 activations for QOperator form, got uint8 at/,
  ],
] as const)('%s are refused before calibration', async (_, types, message) => {
  const qconfigMapping = staticQConfigMapping(types);
  const attempt = quantizeStatic(dense(), { batches: unread, qconfigMapping }, { format: 'qoperator' });
  await expect(attempt).rejects.toMatchObject({
    code: 'UNSUPPORTED_DTYPE',
    message,
    hint: expect.stringMatching(/format 'qdq'/),
  });
});

it('dedicated pairs are refused before calibration', async () => {
  const options = { format: 'qoperator', dedicatedPairs: true } as const;
  const attempt = quantizeStatic(dense(), { batches: unread }, options);
  await expect(attempt).rejects.toThrow(/expected format 'qdq' for dedicatedPairs, got 'qoperator'/);
});
