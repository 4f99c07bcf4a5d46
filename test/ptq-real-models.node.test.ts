/** What real exports hold that small graphs for tests do not: static quantization must leave it whole, and run. */
import { expect, it } from 'vitest';
import { sqnr, tensor } from 'zeropoint';
import {
  attr,
  buildGraph,
  buildModel,
  ortNode,
  printGraph,
  quantizeStatic,
  readModel,
  staticQConfigMapping,
  type Feeds,
  type GraphBuilder,
  type Model,
  type QuantizeStaticOptions,
  type Value,
} from 'zeropoint/onnx';
import { bytesOf, random } from './support/graphs.ts';

/** Least signal to noise in dB of a quantized convolution on random data, and most of one that is broken. */
const GOOD = 28;
const BROKEN = 12;
const SHAPE = [1, 4, 8, 8] as const;
const x = random(SHAPE, 3);

const conv = (b: GraphBuilder, input: Value, seed: number, output?: string): Value =>
  b.op('Conv', [input, b.constant(`w${seed}`, random([4, 4, 1, 1], seed))], {}, output);

/** Quantizes, writes, reads and runs: the model that was read, and the signal to noise of its worst output. */
async function tried(
  model: Model,
  feeds: Feeds = { x },
  options: Partial<QuantizeStaticOptions> = {},
): Promise<{ quantized: Model; worst: number; skipped: Record<string, string> }> {
  const { model: converted, report } = await quantizeStatic(model, { batches: [feeds], ...options });
  expect(report.quantized.length).toBeGreaterThan(0);
  const quantized = await readModel(await bytesOf(converted));
  const [expected, actual] = [await outputs(model, feeds), await outputs(quantized, feeds)];
  expect(Object.keys(actual)).toEqual(Object.keys(expected));
  return {
    quantized,
    worst: Math.min(...Object.keys(expected).map((name) => sqnr(expected[name], actual[name]))),
    skipped: Object.fromEntries(report.skipped.map(({ opType, reason }) => [opType, reason])),
  };
}

async function outputs(model: Model, feeds: Feeds): ReturnType<Awaited<ReturnType<typeof ortNode>>['run']> {
  const runner = await ortNode(model, { optimization: 'all' });
  const results = await runner.run(feeds);
  await runner.dispose();
  return results;
}

it('odd names, pixels last, a batch of 1 and two outputs are kept', async () => {
  const names = { input: 'input:0', first: '{"1": "one", "2": "two"}', second: 'a/b c' };
  const model = buildModel((b) => {
    const image = b.op('Transpose', [b.input(names.input, 'float32', [1, 8, 8, 4])], { perm: [0, 3, 1, 2] });
    const y = conv(b, image, 1);
    b.output(b.op('Transpose', [y], { perm: [0, 2, 3, 1] }, names.first), names.first, 'float32');
    b.output(conv(b, b.op('Relu', [y]), 2, names.second), names.second, 'float32');
  });
  const { quantized, worst } = await tried(model, { [names.input]: random([1, 8, 8, 4], 5) });
  expect(worst).toBeGreaterThan(GOOD);
  expect(quantized.graph.inputs.map(({ name }) => name)).toEqual([names.input]);
  expect(quantized.graph.outputs.map(({ name }) => name)).toEqual([names.first, names.second]);
});

it('a batch normalization that cannot be folded stays in float', async () => {
  const model = buildModel((b) => {
    const pooled = b.op('MaxPool', [conv(b, b.input('x', 'float32', SHAPE), 1)], { kernel_shape: [2, 2] });
    const statistics = [1, 0.5, -0.5, 2].map((value, i) =>
      b.constant(`s${i}`, tensor(Float32Array.of(value, value, 1, 1), [4])),
    );
    b.output(conv(b, b.op('BatchNormalization', [pooled, ...statistics]), 2), 'y', 'float32');
  });
  const { worst, skipped } = await tried(model);
  expect(skipped.BatchNormalization).toBeDefined();
  expect(worst).toBeGreaterThan(GOOD);
});

it('bodies of an If are the same to the letter, but for the name of what they read from outside', async () => {
  const model = buildModel((b) => {
    const y = conv(b, b.input('x', 'float32', SHAPE), 1);
    const body = (name: string, op: string) =>
      attr.graph(b.body(name, (inner) => inner.output(conv(inner, inner.op(op, [y]), name.length))));
    const branches = { then_branch: body('then', 'Relu'), else_branch: body('otherwise', 'Sigmoid') };
    b.output(b.op('If', [b.input('taken', 'bool', [])], branches), 'y', 'float32');
  });
  const bodies = (of: Model): string[] =>
    [...of.graph.nodes].flatMap(({ attributes }) =>
      [...attributes.values()].flatMap((value) => (value.kind === 'graph' ? [printGraph(value.value)] : [])),
    );
  const { quantized, worst } = await tried(model, { x, taken: tensor(Uint8Array.of(1), [], 'bool') });
  expect(bodies(quantized).map((text) => text.replace(/\(d\d+\)/, '(conv)'))).toEqual(bodies(model));
  expect(worst).toBeGreaterThan(GOOD);
});

it('a local function of another opset is kept, and its call stays in float', async () => {
  const model = buildModel(
    (b) => {
      const y = conv(b, b.input('x', 'float32', SHAPE), 1);
      b.output(conv(b, b.op('test.Halve', [y]), 2), 'y', 'float32');
    },
    { opsets: { test: 1 } },
  );
  model.functions.push({
    domain: 'test',
    name: 'Halve',
    overload: '',
    attributes: [],
    attributeDefaults: new Map(),
    origin: undefined,
    opsetImports: new Map([['', 20]]),
    body: buildGraph((b) => {
      const input = b.input('a', 'float32');
      const half = b.op('Constant', [], { value: attr.tensor(tensor(0.5, [])) });
      b.output(b.op('Mul', [input, half], {}, 'b'), 'b');
    }),
  });
  const { quantized, worst } = await tried(model);
  expect(quantized.functions.map(({ name }) => name)).toEqual(['Halve']);
  expect(worst).toBeGreaterThan(GOOD);
});

it(`columns of very different size: ${GOOD} dB by channel, below ${BROKEN} with one scale a tensor`, async () => {
  const [rows, columns] = [16, 4];
  const values = Float32Array.from(random([rows, columns]).data, (value, i) => value / 8 ** (i % columns));
  const model = buildModel((b) => {
    const w = b.constant('w', tensor(values, [rows, columns]));
    const y = b.op('Gemm', [b.input('x', 'float32', [32, rows]), w]);
    const names = ['y0', 'y1', 'y2', 'y3'];
    const parts = b.ops('Split', [y], names, { axis: 1, num_outputs: columns });
    parts.forEach((part, i) => b.output(part, names[i], 'float32'));
  });
  const feeds = { x: random([32, rows], 7) };
  const worst = async (perChannel: boolean): Promise<number> =>
    (await tried(model, feeds, { qconfigMapping: staticQConfigMapping({ perChannel }) })).worst;
  expect(await worst(true)).toBeGreaterThan(GOOD);
  expect(await worst(false)).toBeLessThan(BROKEN);
});
