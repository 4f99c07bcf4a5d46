/** Conversion to float16: constants bit for bit, and every rule on a small graph that onnxruntime runs at every level. */
import { describe, expect, it } from 'vitest';
import { GraphError, sqnr, tensor, toFloat32, UnsupportedError, type Tensor } from 'zeropoint';
import {
  attr,
  buildGraph,
  buildModel,
  convertToFloat16,
  createRunner,
  findOverflows,
  KEEP_PRESETS,
  Model,
  ortNode,
  printModel,
  quantizeWeights,
  quantizeStatic,
  raiseOpset,
  storeWeights,
  readModel,
  type BuildOptions,
  type Feeds,
  type Float16Options,
  type Float16Report,
  type Graph,
  type GraphBuilder,
  type GraphOptimization,
  tensorType,
  type Value,
} from 'zeropoint/onnx';
import { loadJson } from './support/fixtures.ts';
import { zooInput, zooModel } from './support/zoo.ts';
import { bytesOf, LEVELS, random } from './support/graphs.ts';

/** Largest error over the largest output: a few roundings to 11 bits. */
const BOUND = 2 ** -8;
/** Signal to noise of whole trained nets, in dB. */
const LEAST_SQNR = 50;
const FLOAT = 1;
const FLOAT16 = 10;

const numbers = (x: Tensor): number[] => Array.from(toFloat32(x).data, Number);

/** Largest difference of any output at any level, over the largest expected magnitude. NaN and infinities must be equal. */
async function worstError(float: Model, half: Model, feeds: Feeds, halfFeeds = feeds): Promise<number> {
  const bytes = await bytesOf(half);
  const reference = await ortNode(float, { optimization: 'disabled' });
  const expected = await reference.run(feeds);
  await reference.dispose();
  let worst = 0;
  for (const optimization of LEVELS) {
    const runner = await ortNode(await readModel(bytes), { optimization });
    const outputs = await runner.run(halfFeeds);
    await runner.dispose();
    for (const [name, value] of Object.entries(expected)) {
      worst = Math.max(worst, difference(numbers(value), numbers(outputs[name])));
    }
  }
  return worst;
}

function difference(expected: readonly number[], got: readonly number[]): number {
  expect(got.length).toBe(expected.length);
  const largest = Math.max(...expected.map(Math.abs).filter(Number.isFinite), 2 ** -14);
  return Math.max(0, ...expected.map((x, i) => (Object.is(x, got[i]) ? 0 : Math.abs(x - got[i]) / largest)));
}

const opsOf = (graph: Graph): string[] => [...graph.allNodes()].map((node) => node.opType);
const countOf = (model: Model, op: string): number => opsOf(model.graph).filter((name) => name === op).length;
const typeOf = (model: Model, name: string): string | undefined =>
  [...model.graph.allNodes()]
    .flatMap((node) => node.outputs)
    .concat([...model.graph.values])
    .find((value) => value?.name === name)?.elementType;

interface Checked {
  readonly model: Model;
  readonly report: Float16Report;
}

/** Converts, runs, and holds the result to {@link BOUND}. */
async function converted(
  float: Model,
  feeds: Feeds = { x: random([2, 4]) },
  options: Float16Options = {},
): Promise<Checked> {
  const before = printModel(float);
  const result = await convertToFloat16(float, options);
  expect(printModel(float)).toBe(before);
  expect(await worstError(float, result.model, feeds)).toBeLessThanOrEqual(BOUND);
  return result;
}

type Build = (b: GraphBuilder, x: Value) => Value;

const modelOf = (build: Build, options?: BuildOptions): Model =>
  buildModel((b) => b.output(build(b, b.input('x', 'float32', [2, 4])), 'y', 'float32'), options);

const weight = (b: GraphBuilder, name = 'w', shape: readonly number[] = [4, 4]): Value =>
  b.constant(name, random(shape, 5));

interface Bits {
  readonly values: string;
  readonly bits: Readonly<Record<'onnxruntime' | 'transformersjs-3', string>>;
  readonly digits_cnn: Readonly<Record<'onnxruntime' | 'transformersjs-3', Readonly<Record<string, string>>>>;
}

// Written by scripts/fixtures/ort_float16.py.
const fixture = await loadJson<Bits>('ort/float16/bits.json.gz');
const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'));
const bits16 = (text: string): Uint16Array => new Uint16Array(bytes(text).buffer);

async function constantOf(model: Model, name: string): Promise<Tensor> {
  const source = model.graph.value(name)?.constant;
  if (source === undefined) throw new RangeError(`expected a constant ${name}`);
  return source.load();
}

describe('constants', () => {
  const rules = ['onnxruntime', 'transformersjs-3'] as const;
  const special = tensor(new Float32Array(bytes(fixture.values).buffer));
  const added = (): Model =>
    buildModel((b) => {
      const x = b.input('x', 'float32', [special.data.length]);
      b.output(b.op('Add', [x, b.constant('W', special)]), 'y', 'float32');
    });

  it.each(rules)("%s: the bits of onnxruntime's converter, NaN, ±Inf and ±0 included", async (clampRule) => {
    const { model } = await convertToFloat16(added(), { clampRule });
    expect((await constantOf(model, 'W')).data).toEqual(bits16(fixture.bits[clampRule]));
  });

  it.each(rules)('%s: the bits of all constants of a trained net', async (clampRule) => {
    const { model } = await convertToFloat16(await zooModel('digits_cnn'), { clampRule });
    const theirs = Object.entries(fixture.digits_cnn[clampRule]);
    expect(theirs.length).toBeGreaterThan(10);
    for (const [name, text] of theirs) expect((await constantOf(model, name)).data).toEqual(bits16(text));
  });

  it('saturate and round differ from the nearest float16 only beyond its range', async () => {
    const x = [1e5, -3.4e38, 65519, 65520, Infinity, -Infinity, 2 ** -25, 2 ** -24, -1e-30, 0.1];
    const values = async (clampRule: 'saturate' | 'round'): Promise<number[]> => {
      const float = buildModel((b) =>
        b.output(b.op('Add', [b.input('x', 'float32', [10]), b.constant('W', tensor(x))]), 'y', 'float32'),
      );
      const { data } = await constantOf((await convertToFloat16(float, { clampRule })).model, 'W');
      return Array.from(data, Number);
    };
    const rounded = [0x7c00, 0xfc00, 0x7bff, 0x7c00, 0x7c00, 0xfc00, 0, 1, 0x8000, 0x2e66];
    expect(await values('round')).toEqual(rounded);
    expect(await values('saturate')).toEqual([0x7bff, 0xfbff, 0x7bff, 0x7bff, ...rounded.slice(4)]);
  });

  it('bfloat16 saturates: the most negative float32 is not -Inf', async () => {
    const float = buildModel((b) =>
      b.output(
        b.op('Add', [
          b.input('x', 'float32', [4]),
          b.constant('W', tensor([-3.4028234e38, 1, -Infinity, NaN])),
        ]),
        'y',
        'float32',
      ),
    );
    const { model } = await convertToFloat16(float, { dtype: 'bfloat16' });
    const { dtype, data } = await constantOf(model, 'W');
    expect(dtype).toBe('bfloat16');
    expect(Array.from(data, Number)).toEqual([0xff7f, 0x3f80, 0xff80, 0x7fc0]);
  });

  it('are read in pieces, at any offset, with the same bits', async () => {
    const size = 1_100_001;
    const float = buildModel((b) =>
      b.output(
        b.op('Add', [b.input('x', 'float32', [size]), b.constant('W', random([size]))]),
        'y',
        'float32',
      ),
    );
    const { model } = await convertToFloat16(float);
    const source = model.graph.value('W')?.initializer;
    const { data } = await constantOf(model, 'W');
    const all = new Uint8Array(data.buffer);
    expect(source?.byteLength).toBe(2 * size);
    for (const [offset, length] of [
      [0, 5],
      [1, 4],
      [2 * 1_048_576 - 3, 9],
      [2 * size - 1, 1],
    ]) {
      expect(await source?.read(offset, length)).toEqual(all.slice(offset, offset + length));
    }
  });

  it('that do not fit are listed, with counts and the largest magnitude', async () => {
    const float = modelOf((b, x) => b.op('Add', [x, b.constant('W', tensor([1e6, -1e5, 1e-9, 1]))]));
    const { report } = await convertToFloat16(float);
    expect(report.outOfRange).toEqual([{ name: 'W', elements: 4, clamped: 2, underflowed: 1, largest: 1e6 }]);
  });

  it('that several nodes read are converted once', async () => {
    const float = modelOf((b, x) => {
      const w = weight(b);
      return b.op('MatMul', [b.op('MatMul', [x, w]), w]);
    });
    const { report } = await converted(float);
    expect(report.constants).toEqual({ count: 1, bytesBefore: 64, bytesAfter: 32 });
  });
});

describe('values', () => {
  it('all become float16 but inputs and outputs, with one Cast each', async () => {
    const float = modelOf((b, x) => b.op('Relu', [b.op('MatMul', [x, weight(b)], {}, 'm')]));
    const { model, report } = await converted(float);
    expect(opsOf(model.graph)).toEqual(['Cast', 'MatMul', 'Relu', 'Cast']);
    expect(report).toMatchObject({
      mode: 'float16',
      converted: 2,
      skipped: [],
      casts: { inserted: 2, removed: 0 },
    });
    expect(typeOf(model, 'w')).toBe('float16');
    expect([model.graph.inputs[0], model.graph.outputs[0]].map((value) => value.elementType)).toEqual([
      'float32',
      'float32',
    ]);
  });

  it('keepIO false: inputs and outputs too; a list keeps those named', async () => {
    const float = modelOf((b, x) => b.op('MatMul', [x, weight(b)]));
    const all = await convertToFloat16(float, { keepIO: false });
    expect(opsOf(all.model.graph)).toEqual(['MatMul']);
    const x = random([2, 4]);
    const { model } = await convertToFloat16(float, { keepIO: ['x'] });
    expect(opsOf(model.graph)).toEqual(['Cast', 'MatMul']);
    expect(model.graph.outputs[0].elementType).toBe('float16');
    expect(await worstError(float, model, { x })).toBeLessThanOrEqual(BOUND);
  });

  it('an input that is an output stays what it is', async () => {
    const float = buildModel((b) => {
      const x = b.input('x', 'float32', [2, 4]);
      b.output(x);
      b.output(b.op('Relu', [x]), 'y', 'float32');
    });
    const { model } = await converted(float);
    expect(model.graph.outputs[0]).toBe(model.graph.inputs[0]);
  });

  it('a value that is read and given: one Cast for all that want it in float32', async () => {
    const float = buildModel((b) => {
      const x = b.input('x', 'float32', [2, 4]);
      const y = b.op('Relu', [x]);
      b.output(b.op('CumSum', [y, b.constant('axis', tensor(BigInt64Array.of(1n), []))]), 'sum', 'float32');
      b.output(b.op('ReduceL2', [y]), 'norm', 'float32');
      b.output(y, 'y', 'float32');
    });
    const { model, report } = await converted(float);
    expect(report.casts.inserted).toBe(2);
    expect(countOf(model, 'Cast')).toBe(2);
    expect(report.skipped.map(({ opType }) => opType)).toEqual(['CumSum', 'ReduceL2']);
  });

  it('two inputs of one kept node take one Cast', async () => {
    const float = modelOf((b, x) => {
      const relu = b.op('Relu', [x]);
      return b.op('Max', [relu, relu]);
    });
    const { report } = await converted(float, undefined, { keep: { opTypes: ['Max'] } });
    expect(report.casts.inserted).toBe(2);
    expect(report.skipped).toEqual([{ node: 'max', opType: 'Max', reason: 'the options list its operator' }]);
  });
});

describe('what says its own type', () => {
  it('Cast to float32 becomes a Cast to float16', async () => {
    const float = buildModel((b) => {
      const x = b.input('x', 'int64', [4]);
      b.output(
        b.op('Mul', [b.op('Cast', [x], { to: FLOAT }), b.constant('s', tensor([0.5]))]),
        'y',
        'float32',
      );
    });
    const x = tensor(BigInt64Array.of(1n, -2n, 300n, 0n), [4]);
    const { model, report } = await converted(float, { x });
    expect([...model.graph.nodes][0].int('to', 0)).toBe(FLOAT16);
    expect(report.casts.inserted).toBe(1);
  });

  it('Cast to float32 stays where only float32 is wanted', async () => {
    const float = buildModel((b) => {
      const x = b.input('x', 'int64', [4]);
      const cast = b.op('Cast', [x], { to: FLOAT });
      b.output(b.op('CumSum', [cast, b.constant('axis', tensor(BigInt64Array.of(0n), []))]), 'y', 'float32');
      b.output(b.op('Relu', [b.input('z', 'float32', [4])]), 'r', 'float32');
    });
    const x = tensor(BigInt64Array.of(2049n, 1n, 1n, 1n), [4]);
    const { model } = await converted(float, { x, z: random([4]) });
    expect([...model.graph.nodes].find((node) => node.inputs[0]?.name === 'x')?.int('to', 0)).toBe(FLOAT);
  });

  it('Cast to float16 and back of a model that is float16 in parts disappear', async () => {
    const float = modelOf((b, x) => {
      const half = b.op('Cast', [b.op('MatMul', [x, weight(b)])], { to: FLOAT16 });
      const back = b.op('Cast', [b.op('Relu', [half])], { to: FLOAT });
      return b.op('Add', [back, x]);
    });
    const { model, report } = await converted(float);
    expect(opsOf(model.graph).toSorted()).toEqual(['Add', 'Cast', 'Cast', 'MatMul', 'Relu']);
    expect(report.casts).toEqual({ inserted: 2, removed: 2 });
  });

  it('a Cast of the model that equals one of ours is ours', async () => {
    const float = modelOf((b, x) => {
      const half = b.op('Cast', [x], { to: FLOAT16 });
      return b.op('Add', [b.op('Cast', [b.op('Relu', [half])], { to: FLOAT }), b.op('Neg', [x])]);
    });
    const { model } = await converted(float);
    expect(countOf(model, 'Cast')).toBe(2);
  });

  it('CastLike of float16 to float16 disappears', async () => {
    const float = modelOf((b, x) => b.op('CastLike', [b.op('Relu', [x]), b.op('MatMul', [x, weight(b)])]));
    const { model } = await converted(float);
    expect(countOf(model, 'CastLike')).toBe(0);
  });

  it('Constant in all its forms', async () => {
    const float = modelOf((b, x) => {
      const scalar = b.op('Constant', [], { value_float: attr.float(0.5) });
      const list = b.op('Constant', [], { value_floats: attr.floats([1, 2, 3, 4]) });
      const whole = b.op('Constant', [], { value: tensor([0.25], []) });
      const shape = b.op('Constant', [], { value_ints: [2, 4] });
      return b.op('Reshape', [b.op('Mul', [b.op('Mul', [b.op('Add', [x, list]), scalar]), whole]), shape]);
    });
    const { model, report } = await converted(float);
    const kinds = [...model.graph.nodes]
      .filter((node) => node.is('Constant'))
      .map((node) => node.outputs[0]?.elementType);
    expect(kinds.toSorted()).toEqual(['float16', 'float16', 'float16', 'int64']);
    expect(report.skipped).toEqual([]);
  });

  it('ConstantOfShape with and without a value, and Range', async () => {
    const float = modelOf((b, x) => {
      // Of a value whose shape the file does not say: else they would be constants.
      const shape = b.op('Shape', [b.op('Relu', [x])]);
      const ones = b.op('ConstantOfShape', [shape], { value: tensor([1]) });
      const zeros = b.op('ConstantOfShape', [shape]);
      const [from, to, step] = [0, 4, 1].map((value, i) => b.constant(`r${i}`, tensor([value], [])));
      return b.op('Add', [b.op('Add', [ones, zeros]), b.op('Mul', [x, b.op('Range', [from, to, step])])]);
    });
    const { model, report } = await converted(float);
    expect(report.skipped.map(({ opType }) => opType)).toEqual(['Range']);
    expect(countOf(model, 'ConstantOfShape')).toBe(2);
    expect(typeOf(model, 'r0')).toBe('float32');
    // The input, the output and the Range.
    expect(report.casts.inserted).toBe(3);
  });

  it('RandomNormalLike says that it is float16 now; RandomNormal stays', async () => {
    const float = modelOf((b, x) => {
      const like = b.op('RandomNormalLike', [x], { seed: attr.float(1) });
      const free = b.op('RandomNormal', [], { shape: [2, 4], seed: attr.float(1) });
      const row = b.op('Unsqueeze', [
        b.op('Shape', [free]),
        b.constant('axes', tensor(BigInt64Array.of(0n))),
      ]);
      const eye = b.op('EyeLike', [row], { dtype: FLOAT });
      const noise = b.op('Add', [b.op('Add', [like, free]), b.op('ReduceSum', [eye])]);
      return b.op('Mul', [noise, b.constant('zero', tensor([0]))]);
    });
    const { model } = await converted(float);
    const find = (op: string): number | undefined =>
      [...model.graph.nodes].find((node) => node.is(op))?.int('dtype', undefined);
    expect([find('RandomNormalLike'), find('RandomNormal')]).toEqual([FLOAT16, undefined]);
  });
});

describe('operators', () => {
  it('Resize: roi and scales stay float32', async () => {
    const float = buildModel(
      (b) => {
        const x = b.input('x', 'float32', [1, 1, 4, 4]);
        const roi = b.constant('roi', tensor(new Float32Array(0)));
        const scales = b.constant('scales', tensor([1, 1, 2, 2]));
        b.output(b.op('Resize', [x, roi, scales], { mode: 'linear' }), 'y', 'float32');
      },
      { opset: 11 },
    );
    const { model, report } = await converted(float, { x: random([1, 1, 4, 4]) });
    expect([typeOf(model, 'roi'), typeOf(model, 'scales')]).toEqual(['float32', 'float32']);
    expect(report.converted).toBe(1);
  });

  it('a constant that a float32 and a float16 node read stays float32', async () => {
    const float = modelOf((b, x) => {
      const w = weight(b, 'w', [2, 4]);
      return b.op('Add', [b.op('Max', [x, w]), b.op('Mul', [x, w])]);
    });
    const { model } = await converted(float, undefined, { keep: { opTypes: ['Max'] } });
    expect(typeOf(model, 'w')).toBe('float32');
  });

  it('an additive mask of -3.4e38 is clamped, and Softmax still gives 0 there', async () => {
    const float = buildModel((b) => {
      const x = b.input('x', 'float32', [2, 4]);
      const mask = b.input('mask', 'bool', [2, 4]);
      const lowest = b.constant('lowest', tensor([-3.4028234663852886e38]));
      const bias = b.op('Where', [mask, b.constant('none', tensor([0])), lowest]);
      b.output(b.op('Softmax', [b.op('Add', [x, bias])]), 'y', 'float32');
    });
    const mask = tensor(Uint8Array.of(1, 1, 0, 0, 1, 0, 1, 1), [2, 4], 'bool');
    const { report } = await converted(float, { x: random([2, 4]), mask });
    expect(report.outOfRange).toMatchObject([{ name: 'lowest', clamped: 1 }]);
  });

  it('LayerNormalization: its statistics are float32', async () => {
    const float = buildModel((b) => {
      const x = b.input('x', 'float32', [2, 4]);
      const [y, mean] = b.ops('LayerNormalization', [x, weight(b, 'scale', [4])], ['n', 'mean']);
      b.output(b.op('Mul', [y, mean]), 'y', 'float32');
    });
    const { report } = await converted(float);
    expect(report.casts.inserted).toBe(3);
  });

  it('forms that onnxruntime refuses in float16 stay: scatter with a reduction, attention with an additive mask', async () => {
    const float = buildModel(
      (b) => {
        const x = b.input('x', 'float32', [1, 2, 4, 4]);
        const index = b.constant('index', tensor(BigInt64Array.of(0n, 0n), [2, 1]));
        const twice = b.op('Concat', [x, x], { axis: 0 });
        b.output(b.op('ScatterND', [x, index, twice], { reduction: 'add' }), 'sum', 'float32');
        b.output(b.op('ScatterND', [x, index, twice]), 'last', 'float32');
        b.output(b.op('Attention', [x, x, x, b.constant('mask', random([4, 4], 8))]), 'masked', 'float32');
        b.output(b.op('Attention', [x, x, x]), 'plain', 'float32');
        b.output(b.op('RMSNormalization', [x, weight(b, 'scale', [4])]), 'norm', 'float32');
      },
      { opset: 23, irVersion: 11 },
    );
    const { report } = await converted(float, { x: random([1, 2, 4, 4]) });
    expect(report.skipped.map(({ node }) => node)).toEqual(['scatternd', 'attention']);
  });

  it.each(Object.keys(KEEP_PRESETS))('keep preset %s: a net still runs', async (opTypes) => {
    const float = modelOf((b, x) => {
      const [top] = b.ops(
        'TopK',
        [b.op('Relu', [x]), b.constant('k', tensor(BigInt64Array.of(2n)))],
        ['t', 'i'],
      );
      return b.op('Min', [b.op('MatMul', [top, weight(b, 'w', [2, 4])]), x]);
    });
    // A key of the table.
    await converted(float, undefined, { keep: { opTypes: opTypes as keyof typeof KEEP_PRESETS } });
  });

  it('keep.compute: float32 arithmetic, float16 constants behind Casts, in bodies too', async () => {
    const float = buildModel((b) => {
      const x = b.input('x', 'float32', [2, 1, 4]);
      const weights = [weight(b, 'w', [1, 12, 4]), weight(b, 'r', [1, 12, 3])];
      const lstm = (inner: GraphBuilder, name: string): Value =>
        inner.ops('LSTM', [x, ...weights], [name], { hidden_size: 3 })[0];
      const branch = (name: string, op: string): Graph =>
        b.body(name, (inner) => inner.output(inner.op(op, [lstm(inner, `${name}_y`)])));
      const y = b.op('If', [b.input('c', 'bool', [])], {
        then_branch: attr.graph(branch('then', 'Sigmoid')),
        else_branch: attr.graph(branch('else', 'Abs')),
      });
      b.output(b.op('Add', [lstm(b, 'outer'), y]), 'sum', 'float32');
    });
    const feeds = { x: random([2, 1, 4]), c: tensor(Uint8Array.of(1), [], 'bool') };
    const { model, report } = await converted(float, feeds, { keep: { compute: ['LSTM'] } });
    expect(report.skipped.map(({ opType, reason }) => [opType, reason])).toEqual(
      Array.from({ length: 3 }, () => ['LSTM', 'the options let its operator compute in float32']),
    );
    for (const name of ['w', 'r']) expect(typeOf(model, name)).toBe('float16');
    const types = [...model.graph.allNodes()]
      .filter(({ opType }) => opType === 'LSTM')
      .flatMap(({ inputs }) => inputs.map((input) => input && typeOf(model, input.name)));
    expect(new Set(types)).toEqual(new Set(['float32']));
  });

  it('keep by name and by pattern; a node without a name goes by operator and output', async () => {
    const float = modelOf((b, x) => {
      const y = b.op('Relu', [b.op('MatMul', [x, weight(b)])], {}, 'inner');
      return b.graph.addNode({ opType: 'Neg', inputs: [y], outputs: ['n'] }).outputs[0] as Value;
    });
    const { report } = await converted(float, undefined, { keep: { names: ['matmul', /^Neg\(/] } });
    expect(report.skipped.map(({ opType }) => opType)).toEqual(['MatMul', 'Neg']);
  });
});

describe('graphs inside', () => {
  it('If: branches take outer values and give float16', async () => {
    const float = buildModel((b) => {
      const x = b.input('x', 'float32', [2, 4]);
      const outer = b.op('MatMul', [x, weight(b)], {}, 'outer');
      outer.type = tensorType('float32', [2, 4]);
      const branch = (name: string, op: string): Graph =>
        b.body(name, (inner) =>
          inner.output(inner.op(op, [outer, inner.constant(`${name}_c`, tensor([2]))])),
        );
      const condition = b.input('c', 'bool', []);
      const y = b.op('If', [condition], {
        then_branch: attr.graph(branch('then', 'Add')),
        else_branch: attr.graph(b.body('else', (inner) => inner.output(inner.op('Identity', [outer])))),
      });
      b.output(b.op('Relu', [y]), 'y', 'float32');
    });
    const c = (value: number): Tensor => tensor(Uint8Array.of(value), [], 'bool');
    const { model } = await converted(float, { x: random([2, 4]), c: c(1) });
    expect(await worstError(float, model, { x: random([2, 4]), c: c(0) })).toBeLessThanOrEqual(BOUND);
    expect(typeOf(model, 'outer')).toBe('float16');
    expect(countOf(model, 'Cast')).toBe(2);
  });

  it('If: a branch whose last node is kept casts its output inside', async () => {
    const float = buildModel((b) => {
      const x = b.input('x', 'float32', [2, 4]);
      const relu = b.op('Relu', [x]);
      const axis = b.constant('axis', tensor(BigInt64Array.of(1n), []));
      const y = b.op('If', [b.input('c', 'bool', [])], {
        then_branch: attr.graph(b.body('t', (inner) => inner.output(inner.op('CumSum', [relu, axis])))),
        else_branch: attr.graph(b.body('e', (inner) => inner.output(inner.op('Neg', [relu])))),
      });
      b.output(b.op('Relu', [y]), 'y', 'float32');
    });
    for (const c of [0, 1]) {
      await converted(float, { x: random([2, 4]), c: tensor(Uint8Array.of(c), [], 'bool') });
    }
  });

  const loop = (): Model =>
    buildModel((b) => {
      const x = b.input('x', 'float32', [2, 4]);
      const body = b.body('body', (inner) => {
        inner.input('i', 'int64', []);
        const condition = inner.input('cond', 'bool', []);
        const carried = inner.input('carried', 'float32', [2, 4]);
        inner.output(inner.op('Identity', [condition], {}, 'cond_out'), undefined, 'bool', []);
        const next = inner.op('Mul', [carried, inner.op('Constant', [], { value: tensor([0.5], []) })]);
        inner.output(next, 'next', 'float32', [2, 4]);
        inner.output(inner.op('Neg', [next]), 'scanned', 'float32', [2, 4]);
      });
      const trips = b.constant('trips', tensor(BigInt64Array.of(3n), []));
      const [last, all] = b.ops('Loop', [trips, undefined, b.op('Relu', [x])], ['last', 'all'], {
        body: attr.graph(body),
      });
      b.output(b.op('Add', [last, x]), 'y', 'float32');
      b.output(all, 'all', 'float32');
    });

  it('Loop: what is carried and collected is float16', async () => {
    const { model } = await converted(loop());
    expect(typeOf(model, 'next')).toBe('float16');
    expect(countOf(model, 'Cast')).toBe(3);
  });

  it('a Loop that is kept stays float32 with everything inside', async () => {
    const { model, report } = await converted(loop(), undefined, { keep: { opTypes: ['Loop'] } });
    expect(typeOf(model, 'next')).toBe('float32');
    expect(report.skipped.map(({ opType }) => opType)).toEqual(['Loop', 'Mul', 'Neg']);
  });

  it('Scan: states and slices are float16', async () => {
    const float = buildModel((b) => {
      const x = b.input('x', 'float32', [2, 4]);
      const body = b.body('body', (inner) => {
        const state = inner.input('state', 'float32', [4]);
        const slice = inner.input('slice', 'float32', [4]);
        const sum = inner.op('Add', [state, slice]);
        inner.output(sum, 'sum', 'float32', [4]);
        inner.output(inner.op('Relu', [sum]), 'out', 'float32', [4]);
      });
      const [last, all] = b.ops('Scan', [b.constant('start', tensor([1, 2, 3, 4])), x], ['last', 'all'], {
        body: attr.graph(body),
        num_scan_inputs: 1,
      });
      b.output(b.op('Add', [last, all]), 'y', 'float32');
    });
    const { model } = await converted(float);
    expect(typeOf(model, 'sum')).toBe('float16');
    expect(countOf(model, 'Cast')).toBe(2);
  });

  const calling = (build: Build): Model => {
    const body = buildGraph((b) => {
      const x = b.graph.addInput('a');
      const half = b.op('Constant', [], { value_float: attr.float(0.5) });
      b.output(b.op('Mul', [x, b.op('CastLike', [half, x])], {}, 'b'));
    }, 'halve');
    const graph = modelOf(build).graph;
    return new Model(graph, {
      irVersion: 10,
      opsetImports: [
        ['', 21],
        ['local', 1],
      ],
      functions: [
        {
          domain: 'local',
          name: 'halve',
          overload: '',
          body,
          // Of another version than the model: it cannot be put where it is called.
          opsetImports: new Map([['', 20]]),
          attributes: [],
          attributeDefaults: new Map(),
          origin: undefined,
        },
      ],
    });
  };

  it('a local function becomes float16', async () => {
    const float = calling((b, x) => b.op('local.halve', [b.op('local.halve', [x])]));
    const { model, report } = await converted(float);
    expect(report).toMatchObject({ skipped: [], casts: { inserted: 2 } });
    const forms = [...model.functions[0].body.nodes].map((node) => [...node.attributes.keys()].join());
    expect(forms).toContain('value');
  });

  it('a local function that is called with other types stays as it is, and so do its calls', async () => {
    const float = calling((b, x) => {
      const whole = b.op('Cast', [x], { to: 7 });
      const twice = b.op('local.halve', [b.op('local.halve', [whole])]);
      const count = b.op('Cast', [twice], { to: FLOAT });
      return b.op('Add', [b.op('local.halve', [x]), b.op('Relu', [count])]);
    });
    const { report } = await converted(float);
    expect(report.skipped).toEqual([
      { node: 'halve_2', opType: 'local.halve', reason: 'the function halve stays in float32' },
    ]);
  });
});

describe('quantized models', () => {
  const K = 64;
  const net = (): Model =>
    buildModel((b) => {
      const ids = b.input('ids', 'int64', [2]);
      const rows = b.op('Gather', [b.constant('table', random([32, K], 3)), ids]);
      b.output(b.op('MatMul', [rows, b.constant('w', random([K, 32], 4))]), 'y', 'float32');
    });
  const feeds = { ids: tensor(BigInt64Array.of(3n, 17n), [2]) };

  it.each(['matmul-nbits', 'bnb4', 'dequantize-linear'] as const)(
    '%s: codes stay, scales become float16',
    async (format) => {
      const { model: q4 } = await quantizeWeights(net(), { format, accuracyLevel: 0 });
      const { model } = await convertToFloat16(q4);
      const before = [...q4.graph.initializers].filter((value) => value.elementType !== 'float32');
      expect(before.length).toBeGreaterThan(0);
      for (const value of before) {
        const same = await constantOf(model, value.name);
        expect(same).toEqual(await value.initializer?.load());
      }
      expect([...model.graph.initializers].map((value) => value.elementType)).not.toContain('float32');
      expect(await worstError(q4, model, feeds)).toBeLessThanOrEqual(BOUND);
    },
  );

  it.each([
    ['blocks', (model: Model) => quantizeWeights(model, { format: 'dequantize-linear' })],
    ['8-bit blocks', (model: Model) => quantizeWeights(model, { format: 'dequantize-linear', bits: 8 })],
    ['channels', (model: Model) => storeWeights(model)],
  ] as const)(
    'weights stored by %s: products in float32, in bodies too, where float16 gives zeros',
    async (_, store) => {
      const float = buildModel((b) => {
        const x = b.input('x', 'float32', [3, K]);
        const branch = (name: string, seed: number): Graph =>
          b.body(name, (inner) => {
            const w = inner.constant(`${name}_w`, random([K, K], seed));
            inner.output(inner.op('MatMul', [x, w], {}, `${name}_y`));
          });
        const chosen = b.op('If', [b.input('c', 'bool', [])], {
          then_branch: attr.graph(branch('then', 3)),
          else_branch: attr.graph(branch('else', 4)),
        });
        const relu = b.op('Relu', [b.op('MatMul', [chosen, b.constant('v', random([K, K], 5))])]);
        b.output(b.op('MatMul', [relu, b.constant('w', random([K, 32], 6))]), 'y', 'float32');
      });
      const { model: stored } = await store(float);
      const { model, report } = await convertToFloat16(stored);
      expect([...model.graph.initializers].map((value) => value.elementType)).not.toContain('float32');
      expect(report.skipped.map(({ opType }) => opType)).toContain('MatMul');
      const bytes = await bytesOf(model);
      const feeds = { x: random([3, K], 8), c: tensor(Uint8Array.of(1), [], 'bool') };
      const reference = await ortNode(stored, { optimization: 'disabled' });
      const { y: expected } = await reference.run(feeds);
      for (const optimization of LEVELS) {
        const runner = await ortNode(await readModel(bytes), { optimization });
        const { y } = await runner.run(feeds);
        // Level 4 rounds activations to 8 bits.
        expect(sqnr(expected, y), optimization).toBeGreaterThan(30);
        await runner.dispose();
      }
      await reference.dispose();
    },
  );

  it('4 bits and float16: the integers of the one, scales and all else of the other, bit for bit', async () => {
    const float = buildModel((b) => {
      const ids = b.input('ids', 'int64', [2]);
      const rows = b.op('Gather', [b.constant('table', random([32, K], 3)), ids]);
      const sum = b.op('Add', [
        b.op('MatMul', [rows, b.constant('w', random([K, 32], 4))]),
        b.constant('c', random([32], 5)),
      ]);
      b.output(b.op('Mul', [b.op('Tanh', [sum]), b.constant('k', random([32], 6))]), 'y', 'float32');
    });
    const { model: q4 } = await quantizeWeights(float);
    const { model: both } = await convertToFloat16(q4);
    const { model: half } = await convertToFloat16(float);
    const seen = { integers: 0, scales: 0, rest: 0 };
    for (const { name, initializer } of q4.graph.initializers) {
      const before = await initializer?.load();
      const after = await constantOf(both, name);
      if (before?.dtype !== 'float32') {
        expect(after, name).toEqual(before);
        seen.integers++;
      } else if (half.graph.value(name) !== undefined) {
        expect(after, name).toEqual(await constantOf(half, name));
        seen.rest++;
      } else {
        // What the conversion makes of any constant with these values.
        const alone = buildModel((b) => {
          const x = b.input('x', 'float32', [...before.shape]);
          b.output(b.op('Add', [x, b.constant('s', before)]), 'y', 'float32');
        });
        expect(after, name).toEqual(await constantOf((await convertToFloat16(alone)).model, 's'));
        seen.scales++;
      }
    }
    // Codes and zero points of both, scales of both, the two constants beside them.
    expect(seen).toEqual({ integers: 4, scales: 2, rest: 2 });
    const ops = (model: Model): string[] =>
      [...model.graph.nodes].map(({ opType }) => opType).filter((opType) => opType !== 'Cast');
    expect(ops(both)).toEqual(ops(q4));
  });

  // Neighbours without float16 kernels: onnxruntime runs the product in float32, behind Casts.
  const between = (): Model =>
    buildModel((b) => {
      const w = b.constant('w', random([64, 48], 5));
      const x = b.op('Sqrt', [b.op('Abs', [b.input('x', 'float32', [2, 64])])]);
      b.output(b.op('Sqrt', [b.op('Abs', [b.op('MatMul', [x, w])])]), 'y', 'float32');
    });
  const row = { x: random([2, 64]) };

  it('accuracy level 4 of MatMulNBits is taken, and the result right at every level', async () => {
    const { model: q4 } = await quantizeWeights(between());
    const { model, report } = await convertToFloat16(q4);
    expect(report.integerProductsUnset).toBe(1);
    expect(await worstError(q4, model, row)).toBeLessThanOrEqual(4 * BOUND);
  });

  it('kept on request; if this fails, onnxruntime no longer gives zeros there: keep it by default', async () => {
    const { model: q4 } = await quantizeWeights(between());
    const { model, report } = await convertToFloat16(q4, { keepIntegerProducts: true });
    expect(report.integerProductsUnset).toBe(0);
    const runner = await ortNode(model, { optimization: 'basic' });
    expect(numbers((await runner.run(row)).y)).toEqual(Array.from({ length: 96 }, () => 0));
    await runner.dispose();
  });

  it('in bodies accuracy level 4 is taken in any case: there the CPU gives zeros at every level', async () => {
    const float = buildModel((b) => {
      const w = b.constant('w', random([64, 48], 5));
      const x = b.input('x', 'float32', [2, 64]);
      const positive = b.op('Greater', [
        b.op('ReduceSum', [x], { keepdims: 0 }),
        b.constant('zero', tensor([0], [])),
      ]);
      const branch = (name: string): ReturnType<typeof attr.graph> => {
        const graph = b.body(name, (inner) => {
          const product = inner.op('MatMul', [inner.op('Sqrt', [inner.op('Abs', [x])]), w]);
          inner.output(inner.op('Sqrt', [inner.op('Abs', [product])]), `${name}_y`, 'float32');
        });
        return attr.graph(graph);
      };
      const attributes = { then_branch: branch('then'), else_branch: branch('else') };
      b.output(b.op('If', [positive], attributes), 'y', 'float32');
    });
    const { model: q4 } = await quantizeWeights(float);
    const { model, report } = await convertToFloat16(q4, { keepIntegerProducts: true });
    expect(report.integerProductsUnset).toBe(2);
    expect(await worstError(q4, model, row)).toBeLessThanOrEqual(4 * BOUND);
  });

  it('DequantizeLinear with a scale below 2^-17 stays float32', async () => {
    const float = modelOf((b, x) => {
      const bias = b.constant('codes', tensor(Int32Array.of(700_000, -300_001, 5, 123_457)));
      const scale = b.constant('scale', tensor([1.3e-6], []));
      return b.op('Add', [b.op('Relu', [x]), b.op('DequantizeLinear', [bias, scale])]);
    });
    const { model, report } = await converted(float);
    expect(report.skipped).toMatchObject([{ opType: 'DequantizeLinear' }]);
    expect(report.skipped[0].reason).toContain('too small for float16');
    expect(typeOf(model, 'scale')).toBe('float32');
  });

  it.each([17, 21])(
    'a static model of opset %i: SQNR ≥ 25 dB against its own float32 form',
    async (opset) => {
      const { model: float } = await raiseOpset(await zooModel('digits_cnn'), opset);
      const batch = { [float.graph.inputs[0].name]: zooInput('digits_cnn') };
      const runner = await createRunner(float);
      const { model: int8 } = await quantizeStatic(float, { runner, batches: [batch] });
      await runner.dispose();
      const { model } = await convertToFloat16(int8);
      expect(await worstSqnr(int8, model, batch)).toBeGreaterThan(25);
    },
  );
});

async function worstSqnr(float: Model, half: Model, feeds: Feeds): Promise<number> {
  const run = async (model: Model, optimization: GraphOptimization): Promise<Tensor> => {
    const runner = await ortNode(model, { optimization });
    const outputs = await runner.run(feeds);
    await runner.dispose();
    return Object.values(outputs)[0];
  };
  const expected = await run(float, 'disabled');
  const read = await readModel(await bytesOf(half));
  let worst = Infinity;
  for (const level of LEVELS) worst = Math.min(worst, sqnr(expected, await run(read, level)));
  return worst;
}

describe('trained nets', () => {
  it.each(['digits_cnn', 'digits_mlp', 'fmnist_resdw'] as const)(
    `%s: SQNR ≥ ${LEAST_SQNR} dB at every level, about half the bytes`,
    async (name) => {
      const float = await zooModel(name);
      const { model, report } = await convertToFloat16(float);
      expect(report.skipped).toEqual([]);
      const feeds = { [float.graph.inputs[0].name]: zooInput(name) };
      expect(await worstSqnr(float, model, feeds)).toBeGreaterThan(LEAST_SQNR);
      const [before, after] = [await bytesOf(float), await bytesOf(model)];
      expect(after.length / before.length).toBeLessThan(0.6);
    },
  );
});

describe('findOverflows', () => {
  /** Squares of 1000 in the middle, roots at the end, as a normalization by hand has them. */
  const norm = (): Model =>
    modelOf((b, x) => {
      const large = b.op('Mul', [x, b.constant('k', tensor([1000]))], {}, 'large');
      const square = b.op('Mul', [large, large], {}, 'square');
      return b.op('Div', [b.op('Sqrt', [square], {}, 'root'), b.constant('c', tensor([1000]))]);
    });
  const batches = [{ x: tensor([1, -1, 0.5, 0.25, 0.3, 0.7, 0.9, 0.1], [2, 4]) }];

  it('lists values beyond 65504; what gives or reads them stays float32, and the result is right', async () => {
    const float = norm();
    const runner = await createRunner(float);
    const overflows = await findOverflows(float, runner, batches);
    await runner.dispose();
    expect(overflows).toEqual([{ value: 'square', largest: 1e6 }]);
    const { report } = await converted(float, batches[0], { overflows });
    expect(report.skipped.map(({ opType }) => opType)).toEqual(['Mul', 'Sqrt']);
    expect(report.hints).toEqual([]);
  });

  it('without it the report names the tool', async () => {
    const { report } = await convertToFloat16(norm());
    expect(report.skipped).toEqual([]);
    expect(report.hints.join()).toContain('findOverflows');
  });

  it('no batch: CALIBRATION_EMPTY', async () => {
    const runner = await createRunner(norm());
    await expect(findOverflows(norm(), runner, [])).rejects.toMatchObject({ code: 'CALIBRATION_EMPTY' });
    await runner.dispose();
  });
});

describe('bfloat16', () => {
  it('narrow where the opset has it, float32 elsewhere, with a hint about runtimes', async () => {
    const float = buildModel(
      (b) => {
        const x = b.input('x', 'float32', [1, 1, 4, 4]);
        const y = b.op('Conv', [x, weight(b, 'w', [1, 1, 2, 2])]);
        b.output(b.op('Mul', [y, b.constant('s', tensor([2]))]), 'y', 'float32');
      },
      { opset: 21 },
    );
    const { model, report } = await convertToFloat16(float, { dtype: 'bfloat16' });
    expect([typeOf(model, 'w'), typeOf(model, 's')]).toEqual(['float32', 'bfloat16']);
    expect(report.skipped).toMatchObject([
      { opType: 'Conv', reason: 'its operator has no bfloat16 in this opset' },
    ]);
    expect(report.hints.join()).toContain('CPU');
  });

  it('below opset 13, and with rules made for float16: refused', async () => {
    const old = modelOf((b, x) => b.op('Relu', [x]), { opset: 12, irVersion: 7 });
    await expect(convertToFloat16(old, { dtype: 'bfloat16' })).rejects.toMatchObject({
      code: 'UNSUPPORTED_OPSET',
    });
    const float = modelOf((b, x) => b.op('Relu', [x]));
    const options = { dtype: 'bfloat16', clampRule: 'onnxruntime' } as const;
    await expect(convertToFloat16(float, options)).rejects.toThrow(RangeError);
  });
});

describe('refusals and names', () => {
  const relu = (): Model => modelOf((b, x) => b.op('Relu', [b.op('MatMul', [x, weight(b)])]));

  it('nothing to convert, all of it kept, converted already: GRAPH_NOT_QUANTIZABLE says which', async () => {
    const integers = buildModel((b) => b.output(b.op('Abs', [b.input('x', 'int64', [4])]), 'y', 'int64'));
    await expect(convertToFloat16(integers)).rejects.toThrow(/without float32 values/);
    await expect(convertToFloat16(relu(), { keep: { names: [/./] } })).rejects.toThrow(/must all stay/);
    const { model: half } = await convertToFloat16(relu(), { keepIO: false });
    await expect(convertToFloat16(half)).rejects.toThrow(/float16 already/);
    await expect(convertToFloat16(half)).rejects.toBeInstanceOf(GraphError);
  });

  it('an unknown operator stays float32 if the file says its types; else UnsupportedError names it', async () => {
    const custom = (typed: boolean): Model =>
      modelOf(
        (b, x) => {
          const y = b.op('custom.Magic', [b.op('MatMul', [x, weight(b)])], {}, 'magic');
          if (typed) y.type = { kind: 'tensor', elementType: 'float32', dims: [2, 4] };
          return b.op('Relu', [y]);
        },
        { opsets: { custom: 1 } },
      );
    const { model, report } = await convertToFloat16(custom(true));
    expect(report.skipped).toMatchObject([{ opType: 'custom.Magic' }]);
    expect(opsOf(model.graph)).toEqual(['Cast', 'MatMul', 'Cast', 'Magic', 'Cast', 'Relu', 'Cast']);
    await expect(convertToFloat16(custom(false))).rejects.toThrow(/magic.*in the file/);
    await expect(convertToFloat16(custom(false))).rejects.toBeInstanceOf(UnsupportedError);
  });

  it.each([
    ['dtype', { dtype: 'float8' }],
    ['clampRule', { clampRule: 'saturated' }],
    ['magnitudes', { clampRule: { least: 1, greatest: 1 } }],
    ['preset', { keep: { opTypes: 'transformers' } }],
    ['operator', { keep: { opTypes: ['Matmul'] } }],
    ['name', { keep: { names: ['nowhere'] } }],
    ['operator that computes', { keep: { compute: ['LSTM'] } }],
    ['keepIO', { keepIO: ['z'] }],
    ['overflows', { overflows: [{ value: 'nothing', largest: 1e5 }] }],
  ])('a wrong %s: RangeError', async (_, options) => {
    // What a program without types can pass.
    await expect(convertToFloat16(relu(), options as Float16Options)).rejects.toThrow(RangeError);
  });

  it("names 'onnxruntime': the suffixes of its converter", async () => {
    const { model } = await convertToFloat16(relu(), {}, { names: 'onnxruntime' });
    expect([...model.graph.nodes].map((node) => node.outputs[0]?.name)).toContain('x_cast_to_fp16');
  });

  it('an aborted signal stops it', async () => {
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(convertToFloat16(relu(), {}, { signal })).rejects.toThrow('enough');
  });
});
