/** Weights stored as integers by channel, computed with in float. */
import { describe, expect, it } from 'vitest';
import { QConfigMapping, sqnr, type Tensor } from 'zeropoint';
import {
  buildModel,
  onnxQConfig,
  ortNode,
  ortWeb,
  readModel,
  storeWeights,
  type GraphBuilder,
  type Model,
  type Value,
} from 'zeropoint/onnx';
import { bytesOf, LEVELS, random } from './support/graphs.ts';
import { zooInput, zooModel } from './support/zoo.ts';

/** int8 by channel against float weights, in dB. */
const MIN_SQNR = 38;
/** Between optimization levels and runtimes only the order of additions differs. */
const SAME_WEIGHTS = 110;

type Values = Readonly<Record<string, Tensor>>;

async function outputs(model: Model, feeds: Values, open = ortNode): Promise<readonly Values[]> {
  const bytes = await bytesOf(model);
  const all: Values[] = [];
  for (const optimization of LEVELS) {
    const runner = await open(await readModel(bytes), { optimization });
    all.push(await runner.run(feeds));
    await runner.dispose();
  }
  return all;
}

function opTypes({ graph }: Model): readonly string[] {
  return [...graph.nodes].map(({ opType }) => opType);
}

describe('storeWeights', () => {
  it.each([
    ['digits_cnn', 0.7],
    ['fmnist_resdw', 0.4],
  ] as const)(`%s: SQNR ≥ ${MIN_SQNR} dB at every level, ≤ %f of the bytes, no data`, async (name, share) => {
    const model = await zooModel(name);
    const before = await bytesOf(model);
    const feeds = { input: zooInput(name) };
    const { model: small, report } = await storeWeights(model);
    expect(await bytesOf(model)).toEqual(before);
    expect((await bytesOf(small)).length).toBeLessThan(share * before.length);
    expect(report).toMatchObject({ mode: 'weight-only', activations: [], samples: 0 });
    expect(report.weights.every(({ dtype }) => dtype === 'int8')).toBe(true);
    expect(opTypes(small)).not.toContain('QuantizeLinear');
    const [reference] = await outputs(model, feeds);
    const [output] = Object.keys(reference);
    const [first, ...others] = [...(await outputs(small, feeds)), ...(await outputs(small, feeds, ortWeb))];
    expect(sqnr(reference[output], first[output])).toBeGreaterThan(MIN_SQNR);
    for (const other of others) expect(sqnr(first[output], other[output])).toBeGreaterThan(SAME_WEIGHTS);
  });

  const FORMS: Readonly<
    Record<string, readonly [scales: number, build: (b: GraphBuilder, x: Value) => Value]>
  > = {
    'Conv, by output channel': [4, (b, x) => b.op('Conv', [x, b.constant('w', random([4, 2, 3, 3]))])],
    'ConvTranspose, by axis 1': [
      3,
      (b, x) => b.op('ConvTranspose', [x, b.constant('w', random([2, 3, 2, 2]))]),
    ],
    'ConvTranspose in groups, one scale': [
      1,
      (b, x) => b.op('ConvTranspose', [x, b.constant('w', random([2, 3, 2, 2]))], { group: 2 }),
    ],
    'MatMul, by column': [5, (b, x) => b.op('MatMul', [x, b.constant('w', random([6, 5]))])],
  };
  it.each(Object.entries(FORMS))(`%s: SQNR ≥ ${MIN_SQNR} dB`, async (_, [scales, build]) => {
    const model = buildModel(
      (b) => b.output(build(b, b.input('x', 'float32', [1, 2, 6, 6])), 'y', 'float32'),
      {
        opset: 13,
      },
    );
    const feeds = { x: random([1, 2, 6, 6], 7) };
    const { model: small, report } = await storeWeights(model);
    expect(report.weights.map((weight) => weight.scales)).toEqual([scales]);
    const [reference] = await outputs(model, feeds);
    for (const { y } of await outputs(small, feeds)) expect(sqnr(reference.y, y)).toBeGreaterThan(MIN_SQNR);
  });

  it('stores a weight once that two nodes read, leaves what null says, and raises an old opset', async () => {
    const model = buildModel(
      (b) => {
        const x = b.input('x', 'float32', [1, 4]);
        const w = b.constant('w', random([4, 4]));
        const h = b.op('MatMul', [b.op('MatMul', [x, w], {}, 'a'), w], {}, 'b');
        b.output(b.op('MatMul', [h, b.constant('v', random([4, 2], 3))], {}, 'c'), 'y');
      },
      { opset: 11 },
    );
    const nodes = [...model.graph.nodes];
    const qconfigMapping = new QConfigMapping()
      .setGlobal(onnxQConfig())
      .setModuleNameObjectTypeOrder('', 'MatMul', 2, null);
    const { model: small, report } = await storeWeights(model, { qconfigMapping });
    expect(report.raisedOpset).toEqual({ from: 11, to: 13 });
    expect(report.quantized).toHaveLength(2);
    expect(report.skipped).toEqual([
      { node: nodes[2].label, opType: 'MatMul', reason: 'the QConfigMapping leaves it in float' },
    ]);
    expect(opTypes(small)).toEqual(['DequantizeLinear', 'MatMul', 'MatMul', 'MatMul']);
  });

  it('refuses what has no weight', async () => {
    const model = buildModel((b) => b.output(b.op('Relu', [b.input('x', 'float32', [1])]), 'y'));
    await expect(storeWeights(model)).rejects.toMatchObject({ code: 'GRAPH_NOT_QUANTIZABLE' });
  });
});
