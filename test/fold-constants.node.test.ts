/** Constants that are computed: what folding makes of them is what onnxruntime makes of the same values as inputs, bit for bit. */
import { describe, expect, it } from 'vitest';
import { tensor, type DType, type Tensor } from 'zeropoint';
import {
  attr,
  buildModel,
  clean,
  foldConstants,
  memorySource,
  ortNode,
  quantizeDynamic,
  quantizeStatic,
  quantizeWeights,
  readModel,
  type AttributeInput,
  type BuildOptions,
  type GraphBuilder,
  type Model,
  type OnnxDType,
  type TensorSource,
  type Value,
} from 'zeropoint/onnx';
import { worstSqnr } from './support/dynamic.ts';
import { bytesOf, random } from './support/graphs.ts';

/** Least signal to noise of one layer with 8-bit weights and activations, in dB. */
const LEAST_SQNR = 30;

type Attributes = Readonly<Record<string, AttributeInput>>;

const int64 = (values: readonly (number | bigint)[], shape: readonly number[] = [values.length]): Tensor =>
  tensor(BigInt64Array.from(values, BigInt), shape);

/** What the first input of the reader of `build` is after folding; undefined if it is computed still. */
async function folded(
  build: (b: GraphBuilder) => Value,
  options: BuildOptions = {},
): Promise<TensorSource | undefined> {
  const model = buildModel((b) => b.output(b.op('test.Reader', [build(b)]), 'y'), options);
  const result = await foldConstants(model);
  expect(await foldConstants(result.model)).toMatchObject({ modified: false });
  const reader = [...result.model.graph.nodes].find(({ opType }) => opType === 'Reader');
  const source = reader?.inputs[0]?.constant;
  expect(result.modified).toBe(source !== undefined);
  return source;
}

const named = (b: GraphBuilder, values: readonly Tensor[]): Value[] =>
  values.map((value, i) => b.constant(`c${i}`, value));

async function foldedOp(
  op: string,
  values: readonly Tensor[],
  attributes: Attributes = {},
): Promise<Tensor | undefined> {
  return (await folded((b) => b.op(op, named(b, values), attributes)))?.load();
}

async function computed(
  op: string,
  values: readonly Tensor[],
  attributes: Attributes,
  dtype: OnnxDType,
): Promise<Tensor> {
  const model = buildModel((b) => {
    const inputs = values.map(({ dtype, shape }, i) => b.input(`c${i}`, dtype as OnnxDType, shape));
    b.output(b.op(op, inputs, attributes), 'y', dtype);
  });
  const runner = await ortNode(await readModel(await bytesOf(model)), { optimization: 'disabled' });
  const feeds = Object.fromEntries(values.map((value, i) => [`c${i}`, value]));
  const { y } = await runner.run(feeds);
  await runner.dispose();
  return y;
}

/** NaN for NaN, the sign of a zero counts. */
async function expectEqual(
  op: string,
  values: readonly Tensor[],
  attributes: Attributes = {},
): Promise<void> {
  const ours = await foldedOp(op, values, attributes);
  expect(ours).toBeDefined();
  // onnxruntime refuses a model that declares another type than it computes.
  const theirs = await computed(op, values, attributes, ours?.dtype as OnnxDType);
  expect(ours?.dtype).toBe(theirs.dtype);
  expect(ours?.shape).toEqual(theirs.shape);
  expect(Array.from<unknown>(ours?.data ?? [])).toEqual(Array.from<unknown>(theirs.data));
}

const EDGES = [
  0,
  -0,
  1,
  -1,
  0.5,
  3,
  -7,
  1e-40,
  1.5e-45,
  3.4e38,
  -3.4e38,
  Infinity,
  -Infinity,
  NaN,
  1e-30,
  0.1,
];
const HALF_EDGES = [
  0x0000, 0x8000, 0x3c00, 0xbc00, 0x0001, 0x03ff, 0x7bff, 0xfbff, 0x7c00, 0x3555, 0x4200, 0xc700,
];

/** All pairs of edges, and random values beside them, as two operands. */
function operands(dtype: DType): [Tensor, Tensor] {
  const edges = edgesOf(dtype);
  const count = edges.length;
  const store = (values: ArrayLike<number | bigint>, shape: readonly number[]): Tensor => {
    const data = new (edges.constructor as Uint16ArrayConstructor)(values as ArrayLike<number>);
    return tensor(data, shape, dtype as 'uint16');
  };
  return [store(edges as never, [count, 1]), store(edges as never, [count])];
}

function edgesOf(dtype: DType): ArrayLike<number | bigint> & object {
  const noise = random([48], 3).data;
  switch (dtype) {
    case 'float32':
      return Float32Array.from([...EDGES, ...noise]);
    case 'float64':
      return Float64Array.from([...EDGES, 1e300, 1 / 3, ...noise]);
    case 'float16':
      return Uint16Array.from([
        ...HALF_EDGES,
        ...Array.from(noise, (value) => 0x3000 + Math.floor(value * 4000)),
      ]);
    case 'int32':
      return Int32Array.from([0, 1, -1, 7, -8, 2 ** 31 - 1, -(2 ** 31), 65_537, -65_536, 123_456_789]);
    case 'int64':
      return BigInt64Array.from([0n, 1n, -1n, 7n, -8n, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 33n + 1n]);
    default:
      return Uint8Array.from([0, 1]);
  }
}

const FLOATS = ['float32', 'float64', 'float16'] as const;
const INTS = ['int32', 'int64'] as const;
const cases = (ops: string, dtypes: readonly DType[]): [string, DType][] =>
  ops.split(' ').flatMap((op) => dtypes.map((dtype): [string, DType] => [op, dtype]));

describe('foldConstants: elementwise operators equal onnxruntime in bits', () => {
  it.each([
    ...cases('Add Sub Mul Div', FLOATS),
    ...cases('Add Sub Mul', INTS),
    ...cases('Equal Less Greater LessOrEqual GreaterOrEqual', ['float32', 'float64', ...INTS]),
    ...cases('And Or Xor Equal', ['bool']),
  ])('%s %s: all pairs, broadcast', async (op, dtype) => expectEqual(op, operands(dtype)));

  it.each([
    ...cases('Neg Abs', ['float32', 'float64', ...INTS]),
    ...cases('Sqrt Reciprocal Floor Ceil', ['float32', 'float64']),
    ...cases('Sqrt Reciprocal', ['float16']),
    ...cases('Not', ['bool']),
  ])('%s %s', async (op, dtype) => expectEqual(op, [operands(dtype)[1]]));

  it.each<readonly [string, readonly number[], readonly number[]]>([
    ['rows', [3, 4], [4]],
    ['both ways', [3, 1, 2], [4, 1]],
    ['a scalar', [], [2, 2]],
    ['nothing', [0, 3], [1]],
    ['long', [33, 1, 21], [17, 1]],
  ])('shapes: %s', async (_name, a, b) => {
    await expectEqual('Sub', [random(a, 1), random(b, 2)]);
    await expectEqual('Mul', [random(b, 1), random(a, 2)]);
  });

  it.each(['Reciprocal', 'Sqrt', 'Div'])('%s of 2^17 float32 of all magnitudes', async (op) => {
    const count = 2 ** 17;
    const bits = random([2 * count], 9).data as Float32Array;
    // Positive and finite, subnormals among them.
    const all = new Float32Array(Uint32Array.from(bits, (value) => (value + 1) * 0x3fc00000).buffer);
    const values = [tensor(all.slice(0, count)), tensor(all.slice(count))];
    await expectEqual(op, op === 'Div' ? values : values.slice(1));
  });

  it('Div of integers truncates; by zero it is left', async () => {
    const [a, b] = [int64([7, -7, 7, -7, 0]), int64([2, 2, -2, -2, 5])];
    await expectEqual('Div', [a, b]);
    expect(await foldedOp('Div', [a, int64([1, 2, 3, 0, 1])])).toBeUndefined();
  });

  it('Min and Max of several; what NaN and zeros of both signs give is left', async () => {
    for (const op of ['Min', 'Max']) {
      await expectEqual(op, [random([3, 2], 1), random([2], 2), random([1], 3)]);
      await expectEqual(op, [int64([3, -4, 5]), int64([4])]);
      expect(await foldedOp(op, [tensor([1, NaN]), tensor([0])])).toBeUndefined();
      expect(await foldedOp(op, [tensor([0]), tensor([-0])])).toBeUndefined();
    }
  });

  it('Pow by 1 and 2; what a library rounds is left', async () => {
    const base = operands('float32')[1];
    await expectEqual('Pow', [base, tensor([2])]);
    await expectEqual('Pow', [base, tensor(1, [])]);
    for (const power of [0.5, 3, -1]) expect(await foldedOp('Pow', [base, tensor([power])])).toBeUndefined();
    expect(await foldedOp('Exp', [base])).toBeUndefined();
  });

  it('bfloat16 rounds each step to nearest even', async () => {
    const [a, b] = [0x3f80, 0x3b80].map((bits) => tensor(Uint16Array.of(bits), [1], 'bfloat16'));
    // 1 + 2^-8 lies in the middle, 1 + 3·2^-8 too: the even one wins.
    expect((await foldedOp('Add', [a, b]))?.data[0]).toBe(0x3f80);
    const odd = tensor(Uint16Array.of(0x3f81), [1], 'bfloat16');
    expect((await foldedOp('Add', [odd, b]))?.data[0]).toBe(0x3f82);
  });

  it('types that do not fit, and attributes of old opsets: left', async () => {
    expect(await foldedOp('Add', [tensor([1]), int64([1])])).toBeUndefined();
    expect(await foldedOp('Add', [random([2, 3]), random([4])])).toBeUndefined();
    expect(
      await foldedOp('Add', [tensor(Int8Array.of(1), [1]), tensor(Int8Array.of(2), [1])]),
    ).toBeUndefined();
    expect(await foldedOp('Add', [random([2, 3]), random([2])], { broadcast: 1, axis: 0 })).toBeUndefined();
  });
});

const TYPES = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int16: 5,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  float64: 11,
};

describe('foldConstants: Cast equals onnxruntime in bits', () => {
  const near = [
    2n ** 53n + 2n ** 29n + 1n,
    2n ** 62n + 2n ** 38n,
    2n ** 62n + 2n ** 38n + 1n,
    -(2n ** 62n) - 1n,
    2n ** 24n + 1n,
  ];

  it.each(Object.entries(TYPES))('to %s', async (name, to) => {
    const isInt = /int/.test(name);
    const wholes = tensor(Float32Array.of(0, -0, 1.9, -1.9, 100.5, -100.5, 127), [7]);
    if (isInt && name !== 'uint8') await expectEqual('Cast', [wholes], { to });
    for (const dtype of ['float32', 'float64', 'float16'] as const) {
      if (!isInt) await expectEqual('Cast', [operands(dtype)[1]], { to });
    }
    await expectEqual('Cast', [int64([...near, ...near.map((value) => -value), 0, 1, 70_000, 255])], { to });
    await expectEqual('Cast', [operands('int32')[1]], { to });
    await expectEqual('Cast', [tensor(Uint8Array.of(0, 1), [2], 'bool')], { to });
  });

  it('floats that an integer cannot hold, types of 4 bits and text are left', async () => {
    for (const value of [NaN, Infinity, 300, -129])
      expect(await foldedOp('Cast', [tensor([value])], { to: TYPES.int8 })).toBeUndefined();
    expect(await foldedOp('Cast', [tensor([1])], { to: 22 })).toBeUndefined();
    expect(await foldedOp('Cast', [tensor([1])], { to: 8 })).toBeUndefined();
    expect(await foldedOp('Cast', [tensor([1])], { to: 'FLOAT' })).toBeUndefined();
  });

  it('CastLike takes the type that the other value has', async () => {
    const like = await folded((b) =>
      b.op('CastLike', [b.constant('c', int64([3])), b.input('x', 'float16', ['N'])]),
    );
    expect(like?.elementType).toBe('float16');
    const unknown = (b: GraphBuilder): Value => b.op('test.Other', [b.input('x', 'float32', ['N'])]);
    expect(await folded((b) => b.op('CastLike', [b.constant('c', int64([3])), unknown(b)]))).toBeUndefined();
  });
});

describe('foldConstants: moves and shapes equal onnxruntime', () => {
  const w = random([2, 3, 4], 5);

  it.each<[op: string, values: readonly Tensor[], attributes?: Attributes]>([
    ['Slice', [w, int64([1, 0]), int64([9, -1]), int64([1, -1])]],
    ['Slice', [w, int64([-1]), int64([2n ** 63n - 1n])]],
    ['Slice', [operands('int32')[1], int64([2]), int64([5])]],
    ['Concat', [w, random([2, 1, 4], 6)], { axis: -2 }],
    ['Concat', [int64([1, 2]), int64([3])], { axis: 0 }],
    ['Expand', [random([3, 1], 1), int64([2, 1, 4])]],
    ['Expand', [int64([5]), int64([3])]],
    ['Where', [tensor(Uint8Array.of(1, 0, 1), [3], 'bool'), random([2, 1], 1), random([3], 2)]],
    ['Where', [tensor(Uint8Array.of(1), [], 'bool'), int64([1, 2]), int64([3])]],
    ['ConstantOfShape', [int64([2, 3])]],
    ['ConstantOfShape', [int64([4])], { value: int64([-7]) }],
    ['Gather', [int64([4, 5, 6]), int64([-1, 0])]],
    ['Gather', [tensor([4, 5, 6]), int64([1], [])]],
    ['Shape', [w]],
    ['Shape', [w], { start: 1, end: -1 }],
    ['Size', [w]],
    ['Identity', [w]],
    ['Transpose', [w], { perm: [2, 0, 1] }],
  ])('%s %#', async (op, values, attributes) => expectEqual(op, values, attributes));

  it('a shape as exporters compute it, with one axis that is not known', async () => {
    const shape = await folded((b) => {
      const x = b.input('x', 'float32', ['N', 12, 64]);
      const at = (index: number): Value =>
        b.op('Unsqueeze', [
          b.op('Gather', [b.op('Shape', [x]), b.constant(b.graph.freshName('i'), int64([index], []))]),
          b.constant(b.graph.freshName('a'), int64([0])),
        ]);
      const half = b.op('Div', [at(2), b.constant('two', int64([2]))]);
      return b.op('Concat', [b.constant('rest', int64([-1])), at(1), half], { axis: 0 });
    });
    expect(shape?.tensor?.toArray()).toEqual([-1n, 12n, 32n]);
  });

  it('sizes that are unknown, and those of bodies, which may change from turn to turn, are left', async () => {
    for (const dims of [
      ['N', 3],
      [0, 3],
      [-1, 3],
    ] as const) {
      expect(await folded((b) => b.op('Shape', [b.input('x', 'float32', dims)]))).toBeUndefined();
      expect(await folded((b) => b.op('Size', [b.input('x', 'float32', dims)]))).toBeUndefined();
    }
    expect(await folded((b) => b.op('Shape', [b.op('test.Any', [])]))).toBeUndefined();
    const model = buildModel((b) => {
      const body = b.body('body', (t) => {
        const state = t.input('state', 'float32', [2, 3]);
        t.output(t.op('Identity', [state]), 'next');
        t.output(t.op('test.Reader', [t.op('Shape', [state])]), 'seen');
      });
      b.output(
        b.ops('Scan', [b.input('x', 'float32', [2, 3])], ['last', 'all'], { body: attr.graph(body) })[1],
      );
    });
    expect((await foldConstants(model)).modified).toBe(false);
  });

  it('indices and axes that do not fit are left', async () => {
    expect(await foldedOp('Gather', [int64([4, 5]), int64([2])])).toBeUndefined();
    expect(await foldedOp('Gather', [random([4, 4]), int64([0])])).toBeUndefined();
    expect(await foldedOp('Concat', [int64([4]), tensor([5])], { axis: 0 })).toBeUndefined();
    expect(await foldedOp('Slice', [w, int64([0]), int64([2]), int64([7])])).toBeUndefined();
    expect(await foldedOp('Slice', [w, int64([0]), int64([2]), int64([0]), int64([2])])).toBeUndefined();
    expect(await foldedOp('Expand', [w, int64([5])])).toBeUndefined();
  });
});

/** A constant that says how often it was read. */
function watched(value: Tensor): { source: TensorSource; reads: () => number } {
  const { elementType, shape, byteLength, read } = memorySource(value);
  let loads = 0;
  const load = async (): Promise<Tensor> => {
    loads++;
    return value;
  };
  return { source: { elementType, shape, byteLength, where: 'test', load, read }, reads: () => loads };
}

describe('foldConstants: limits', () => {
  it('weights are not read before the result is', async () => {
    const [a, b] = [watched(random([8, 8], 1)), watched(random([8], 2))];
    const source = await folded((g) =>
      g.op('Mul', [g.graph.addInitializer('a', a.source), g.graph.addInitializer('b', b.source)]),
    );
    expect([a.reads(), b.reads()]).toEqual([0, 0]);
    const bytes = await source!.read(4, 8);
    expect([a.reads(), b.reads()]).toEqual([1, 1]);
    const { data } = (await foldedOp('Mul', [random([8, 8], 1), random([8], 2)]))!;
    expect([...new Float32Array(bytes.slice().buffer)]).toEqual(Array.from(data.slice(1, 3), Number));
  });

  it('case 2: a weight that others read is not stored twice, but for a product', async () => {
    const build = (reader: string): Model =>
      buildModel((b) => {
        const table = b.constant('table', random([32, 32]));
        b.output(b.op('Gather', [table, b.input('ids', 'int64', ['N'])]), 'rows');
        const scaled = b.op('Mul', [table, b.constant('s', tensor([2]))]);
        b.output(b.op(reader, [b.input('x', 'float32', ['N', 32]), scaled]), 'y');
      });
    expect((await foldConstants(build('MatMul'))).modified).toBe(true);
    expect((await foldConstants(build('Add'))).modified).toBe(false);
  });

  it('case 3: copies of more than 1 KiB are left unless a product reads them, those of 64 KiB in any case', async () => {
    const isFolded = async (reader: 'MatMul' | 'Add', ...shape: number[]): Promise<boolean> => {
      const model = buildModel((b) => {
        const filled = b.op('ConstantOfShape', [b.constant('s', int64(shape))]);
        b.output(b.op(reader, [b.input('x', 'float32', ['N', shape[0]]), filled]), 'y');
      });
      return (await foldConstants(model)).modified;
    };
    expect(await isFolded('Add', 16, 16)).toBe(true);
    expect(await isFolded('Add', 16, 17)).toBe(false);
    expect(await isFolded('MatMul', 128, 128)).toBe(true);
    expect(await isFolded('MatMul', 128, 129)).toBe(false);
  });

  it('case 3: what grows beyond 64 KiB is left, whatever its shape says', async () => {
    const fill = (...shape: number[]): Promise<TensorSource | undefined> =>
      folded((b) => b.op('ConstantOfShape', [b.constant('s', int64(shape))]));
    expect((await foldedOp('Mul', [random([128, 1]), random([1, 128])]))?.shape).toEqual([128, 128]);
    expect(await fill(1e6, 1e6, 1e6)).toBeUndefined();
    expect(await foldedOp('Mul', [random([256, 1]), random([1, 256])])).toBeUndefined();
    expect(await foldedOp('Expand', [random([1, 4]), int64([1e9, 4])])).toBeUndefined();
    expect((await foldedOp('Mul', [random([256, 256]), random([256, 1])]))?.shape).toEqual([256, 256]);
  });

  it('case 3: a float16 weight may double for a product, a table of bytes may not become four times as large', async () => {
    const build = (dtype: 'float16' | 'int8'): Model =>
      buildModel((b) => {
        const values = dtype === 'int8' ? new Int8Array(65_536) : new Uint16Array(65_536);
        const w = b.constant('w', tensor(values, [256, 256], dtype as 'int8'));
        b.output(b.op('MatMul', [b.input('x', 'float32', ['N', 256]), b.op('Cast', [w], { to: 1 })]), 'y');
      });
    expect((await foldConstants(build('float16'))).modified).toBe(true);
    expect((await foldConstants(build('int8'))).modified).toBe(false);
  });

  it('case 4: outputs, packed elements and DequantizeLinear are left', async () => {
    const output = buildModel((b) => b.output(b.op('Neg', [b.constant('w', random([3]))]), 'y'));
    expect((await foldConstants(output)).modified).toBe(false);
    expect(await foldedOp('Identity', [tensor([1, 2], [2], 'int4')])).toBeUndefined();
    const codes = tensor(Int8Array.of(1, 2), [2]);
    expect(await foldedOp('DequantizeLinear', [codes, tensor(0.5, [])])).toBeUndefined();
  });

  it('nodes in any order', async () => {
    const model = buildModel((b) => {
      const late = b.op('Neg', [b.constant('w', random([3]))], {}, 'late');
      const early = b.op('Abs', [b.constant('v', random([3]))], {}, 'early');
      late.producer?.setInput(0, early);
      b.output(b.op('Add', [b.input('x', 'float32', [3]), late]), 'y');
    });
    expect(Array.from((await foldConstants(model)).model.graph.nodes, ({ opType }) => opType)).toEqual([
      'Add',
    ]);
  });
});

describe('scaled weights are quantized', () => {
  const K = 32;
  /** x · (W · s) + relu(x) · ((V − m) / √v), W · s as exporters of equalized layers write it. */
  const scaled = (): Model =>
    buildModel((b) => {
      const x = b.input('x', 'float32', ['N', K]);
      const w = b.op('Mul', [b.constant('w', random([K, K], 1)), b.constant('s', random([K, 1], 2))]);
      const deviation = b.op('Sqrt', [
        b.constant(
          'v',
          tensor(
            random([K], 4).data.map((value) => Math.abs(Number(value)) + 0.5),
            [K],
          ),
        ),
      ]);
      const centered = b.op('Sub', [
        b.constant('weight', random([K, K], 3)),
        b.constant('m', random([K], 5)),
      ]);
      const v = b.op('Div', [b.op('Transpose', [centered]), deviation]);
      b.output(b.op('Add', [b.op('MatMul', [x, w]), b.op('MatMul', [b.op('Relu', [x]), v])]), 'y', 'float32');
    });
  const feeds = [1, 2, 3].map((seed) => ({ x: random([5, K], seed + 20) }));
  const ops = ({ graph }: Model): string[] => Array.from(graph.nodes, ({ opType }) => opType);

  it('clean leaves two products with constant weights, and the same bits', async () => {
    const { model } = await clean(scaled());
    expect(ops(model).toSorted()).toEqual(['Add', 'MatMul', 'MatMul', 'Relu']);
    const outputs = await Promise.all(
      [scaled(), model].map(async (each) => {
        const runner = await ortNode(await readModel(await bytesOf(each)), { optimization: 'disabled' });
        const { y } = await runner.run(feeds[0]);
        await runner.dispose();
        return [...y.data];
      }),
    );
    expect(outputs[1]).toEqual(outputs[0]);
  });

  it(`dynamically, statically and by weights: SQNR > ${LEAST_SQNR} dB`, async () => {
    const float = scaled();
    const results = [
      await quantizeDynamic(float),
      await quantizeStatic(float, { batches: feeds }),
      await quantizeWeights(float, { bits: 8, blockSize: 32 }),
    ];
    for (const { model, report } of results) {
      expect(report.quantized.filter(({ opType }) => opType === 'MatMul')).toHaveLength(2);
      expect(await worstSqnr(float, model, feeds[0])).toBeGreaterThan(LEAST_SQNR);
    }
  });
});
