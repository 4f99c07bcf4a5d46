/** raiseOpset: each rule gives what the old node gave, in onnxruntime; and no change of an operator is without a row. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { MinMaxObserver, sqnr, tensor, type Tensor } from 'zeropoint';
import {
  attr,
  buildGraph,
  buildModel,
  ortNode,
  prepare,
  printModel,
  quantizeStatic,
  raiseOpset,
  readModel,
  staticQConfigMapping,
  type Graph,
  type GraphBuilder,
  type Model,
  type Value,
} from 'zeropoint/onnx';
import { bytesOf } from './support/graphs.ts';

const CHANGES = new URL('./fixtures/ort/ops/opset-changes.json', import.meta.url);

/** Seeded values in [-2, 2), the same in every run. */
function random(shape: readonly number[], seed = 1): Tensor<'float32'> {
  let state = seed;
  const count = shape.reduce((a, b) => a * b, 1);
  return tensor(
    Float32Array.from({ length: count }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state / 2 ** 30 - 2;
    }),
    shape,
  );
}

const ints = (...values: number[]): Tensor => tensor(BigInt64Array.from(values, BigInt));

interface RuleCase {
  /** The newest version that has the old meaning, and the one that is raised to. */
  readonly from: number;
  readonly to: number;
  /** Of x; default [2, 4, 3, 5]. */
  readonly shape?: readonly number[];
  readonly build: (b: GraphBuilder, x: Value) => Value | readonly Value[];
}

const reduction = (op: string): [string, RuleCase] => [
  `${op} 18`,
  {
    from: 13,
    to: 18,
    build: (b, x) => {
      const positive = b.op('Abs', [x]);
      return [
        b.op(op, [positive], { axes: [1, -1], keepdims: 0 }),
        b.op(op, [positive], { axes: [2] }),
        b.op(op, [positive]),
      ];
    },
  },
];

const rows = (b: GraphBuilder, x: Value, op: string): Value[] => [
  b.op(op, [x]),
  b.op(op, [x], { axis: 2 }),
  b.op(op, [b.op('Reshape', [x, b.constant(`${op}_s`, ints(2, 60))])], { axis: 1 }),
  b.op(op, [x], { axis: 0 }),
  b.op(op, [x], { axis: 3 }),
];

const CASES: Readonly<Record<string, RuleCase>> = {
  'BatchNormalization 9, 14': {
    from: 8,
    to: 14,
    build: (b, x) => {
      const parameters = ['s', 'b', 'm', 'v'].map((name, i) => b.constant(name, random([4], i + 2)));
      const variance = b.op('Abs', [parameters[3]]);
      return b.op('BatchNormalization', [x, ...parameters.slice(0, 3), variance], { spatial: 1 });
    },
  },
  'Clip 11': {
    from: 10,
    to: 11,
    build: (b, x) => [
      b.op('Clip', [x], { min: attr.float(-1), max: attr.float(0.5) }),
      b.op('Clip', [x], { max: attr.float(1) }),
      b.op('Clip', [x], { min: attr.float(0) }),
      b.op('Clip', [x]),
      b.op('Cast', [b.op('Clip', [b.op('Cast', [x], { to: 10 })], { max: attr.float(1) })], { to: 1 }),
    ],
  },
  'DFT 20': {
    from: 17,
    to: 20,
    shape: [2, 4, 3, 1],
    build: (b, x) => [b.op('DFT', [x]), b.op('DFT', [x], { axis: 2 })],
  },
  'Dropout 10, 12': { from: 9, to: 13, build: (b, x) => b.op('Dropout', [x], { ratio: attr.float(0.3) }) },
  'GridSample 20': {
    from: 16,
    to: 20,
    build: (b, x) => {
      const grid = b.constant(
        'grid',
        tensor(
          random([2, 2, 3, 2]).data.map((v) => v / 2),
          [2, 2, 3, 2],
        ),
      );
      return [
        b.op('GridSample', [x, grid]),
        b.op('GridSample', [x, grid], { mode: 'bicubic' }),
        b.op('GridSample', [x, grid], { mode: 'nearest' }),
      ];
    },
  },
  'Hardmax 13': { from: 11, to: 13, build: (b, x) => rows(b, x, 'Hardmax') },
  'LogSoftmax 13': { from: 11, to: 13, build: (b, x) => rows(b, x, 'LogSoftmax') },
  'Softmax 13': { from: 11, to: 13, build: (b, x) => rows(b, x, 'Softmax') },
  'Softmax 13 of a value of unknown rank': {
    from: 11,
    to: 13,
    build: (b, x) => {
      const shape = b.op('Concat', [b.constant('two', ints(2)), b.constant('rest', ints(12, 5))], {
        axis: 0,
      });
      return b.op(
        'Softmax',
        [b.op('Squeeze', [b.op('Unsqueeze', [b.op('Reshape', [x, shape])], { axes: [0] })], { axes: [0] })],
        { axis: 2 },
      );
    },
  },
  'Pad 11': {
    from: 10,
    to: 13,
    build: (b, x) => [
      b.op('Pad', [x], { pads: [0, 0, 1, 2, 0, 1, 0, 1] }),
      b.op('Pad', [x], { pads: [0, 0, 1, 1, 0, 0, 1, 1], value: attr.float(1.5) }),
      b.op('Pad', [x], { pads: [0, 0, 1, 1, 0, 0, 1, 1], mode: 'reflect' }),
    ],
  },
  ...Object.fromEntries(
    ['L1', 'L2', 'LogSum', 'LogSumExp', 'Max', 'Mean', 'Min', 'Prod', 'SumSquare'].map((name) =>
      reduction(`Reduce${name}`),
    ),
  ),
  'ReduceSum 13': {
    from: 12,
    to: 13,
    build: (b, x) => [
      b.op('ReduceSum', [x], { axes: [1, -1], keepdims: 0 }),
      b.op('ReduceSum', [x], { axes: [2] }),
      b.op('ReduceSum', [x]),
    ],
  },
  'Resize 11, 13': {
    from: 10,
    to: 13,
    build: (b, x) => {
      const [up, odd, down] = [
        [1, 1, 2, 3],
        [1, 1, 1.5, 1.7],
        [1, 1, 0.6, 0.45],
      ].map((scales, i) => b.constant(`scales${i}`, tensor(scales)));
      return [
        b.op('Resize', [x, up]),
        b.op('Resize', [x, odd], { mode: 'nearest' }),
        b.op('Resize', [x, down], { mode: 'nearest' }),
        b.op('Resize', [x, odd], { mode: 'linear' }),
        b.op('Resize', [x, down], { mode: 'linear' }),
      ];
    },
  },
  'Resize 13 with sizes': {
    from: 11,
    to: 13,
    build: (b, x) => {
      const none = b.constant('none', tensor(new Float32Array(0)));
      return b.op('Resize', [x, none, none, b.constant('sizes', ints(2, 4, 6, 7))], { mode: 'linear' });
    },
  },
  'RoiAlign 16': {
    from: 15,
    to: 16,
    build: (b, x) => {
      const rois = b.constant(
        'rois',
        tensor([
          [0, 0, 2.3, 1.9],
          [0.4, 0.6, 3.1, 2],
        ]),
      );
      const size = { output_height: 2, output_width: 2, sampling_ratio: 2 };
      return b.op('RoiAlign', [x, rois, b.constant('batch', ints(0, 1))], size);
    },
  },
  'Scatter 11': {
    from: 10,
    to: 11,
    shape: [3, 3],
    build: (b, x) =>
      b.op(
        'Scatter',
        [x, b.constant('at', tensor(BigInt64Array.of(1n, 0n), [1, 2])), b.constant('u', tensor([[7, 8]]))],
        {
          axis: 1,
        },
      ),
  },
  'Slice 10': {
    from: 9,
    to: 13,
    build: (b, x) => [
      b.op('Slice', [x], { starts: [1, 0], ends: [9223372036854775807n, -1], axes: [1, 3] }),
      b.op('Slice', [x], { starts: [0, 1], ends: [1, 3] }),
    ],
  },
  'Split 13, 18': {
    from: 11,
    to: 18,
    build: (b, x) => [
      ...b.ops('Split', [x], ['a1', 'a2'], { split: [1, 3], axis: 1 }),
      ...b.ops('Split', [x], ['b1', 'b2'], { axis: 1 }),
    ],
  },
  'Squeeze 13': {
    from: 12,
    to: 13,
    shape: [2, 1, 3, 1],
    build: (b, x) => [b.op('Squeeze', [x], { axes: [1] }), b.op('Squeeze', [x])],
  },
  'TopK 10': {
    from: 9,
    to: 13,
    build: (b, x) => b.ops('TopK', [x], ['best', 'where'], { k: 2, axis: 1 })[0],
  },
  'Unsqueeze 13': { from: 12, to: 13, build: (b, x) => b.op('Unsqueeze', [x], { axes: [0, -1] }) },
  'Upsample 9, 10': {
    from: 8,
    to: 13,
    build: (b, x) => [
      b.op('Upsample', [x], { scales: attr.floats([1, 1, 2, 3]), mode: 'nearest' }),
      b.op('Upsample', [x], { scales: attr.floats([1, 1, 1.6, 2.5]), mode: 'linear' }),
    ],
  },
  'Upsample 9 to opset 10': {
    from: 9,
    to: 10,
    build: (b, x) => b.op('Upsample', [x, b.constant('scales', tensor([1, 1, 2, 3]))], { mode: 'nearest' }),
  },
};

function modelOf({ from, shape = [2, 4, 3, 5], build }: RuleCase): Model {
  return buildModel(
    (b) => {
      const built = build(b, b.input('x', 'float32', shape));
      // Behind an Identity, so that the node's own output is a value inside.
      const values = Array.isArray(built) ? (built as readonly Value[]) : [built as Value];
      values.forEach((value, i) => b.output(b.op('Identity', [value]), `y${i}`, 'float32'));
    },
    { opset: from },
  );
}

async function run(model: Model, x: Tensor): Promise<Record<string, Tensor>> {
  const runner = await ortNode(await readModel(await bytesOf(model)), { optimization: 'disabled' });
  try {
    return await runner.run({ x });
  } finally {
    await runner.dispose();
  }
}

describe('raiseOpset', () => {
  it.each(Object.keys(CASES))('%s: equal results, and a second run changes nothing', async (name) => {
    const { to, shape = [2, 4, 3, 5] } = CASES[name];
    const model = modelOf(CASES[name]);
    const before = printModel(model);
    const { model: raised, modified } = await raiseOpset(model, to);
    expect([modified, raised.opset, printModel(model)]).toEqual([true, to, before]);
    const x = random(shape, 5);
    expect(await run(raised, x)).toEqual(await run(model, x));
    expect(await raiseOpset(raised, to)).toEqual({ model: raised, modified: false, skipped: [] });
  });

  it('every rule has a case above, and every operator that changed has a rule', () => {
    const { changes, opset } = JSON.parse(readFileSync(CHANGES, 'utf8')) as {
      opset: number;
      changes: Record<string, Record<string, string>>;
    };
    const REFUSED = ['GroupNormalization 21', 'Scan 9'];
    const tested = Object.keys(CASES).flatMap((name) => {
      const [op, ...versions] = name.split(/[ ,]+/);
      return versions.filter((version) => /^\d+$/.test(version)).map((version) => `${op} ${version}`);
    });
    const changed = Object.entries(changes).flatMap(([op, versions]) =>
      Object.keys(versions)
        .filter((version) => versions[version] === 'changed')
        .map((version) => `${op} ${version}`),
    );
    expect(changed.filter((row) => ![...tested, ...REFUSED].includes(row))).toEqual([]);
    expect(changed.length).toBeGreaterThan(30);
    expect(opset).toBe(28);
  });

  it('Softmax on the last axis stays one node; on another it keeps its output name', async () => {
    const build = (axis: number): Model =>
      buildModel(
        (b) => {
          const turned = b.op('Transpose', [b.input('x', 'float32')], { perm: [0, 2, 1] });
          b.output(b.op('Relu', [b.op('Softmax', [turned], { axis }, 'soft')]), 'y');
        },
        { opset: 11 },
      );
    const last = await raiseOpset(build(2));
    expect([...last.model.graph.nodes].map((node) => node.opType)).toEqual(['Transpose', 'Softmax', 'Relu']);
    const sum = buildModel(
      (b) => {
        const mask = b.op('Unsqueeze', [b.op('Squeeze', [b.input('m', 'float32', [2, 1])], { axes: [1] })], {
          axes: [0, 1],
        });
        b.output(b.op('Softmax', [b.op('Add', [b.op('Sigmoid', [mask]), mask])], { axis: 2 }), 'y');
      },
      { opset: 11 },
    );
    expect((await raiseOpset(sum)).model.graph.outputs[0].producer?.opType).toBe('Softmax');
    const rest = await raiseOpset(build(1));
    expect(rest.model.graph.value('soft')?.producer?.opType).toBe('Reshape');
  });

  it('graphs inside If are raised, and constants are shared with the graph around', async () => {
    const branch = (b: GraphBuilder, name: string, x: Value): Graph =>
      b.body(name, (inner) => inner.output(inner.op('Unsqueeze', [x], { axes: [0] }, `${name}_y`)));
    const model = buildModel(
      (b) => {
        const x = b.input('x', 'float32', [2]);
        const positive = b.op('Greater', [
          b.op('ReduceSum', [x], { keepdims: 0 }),
          b.constant('zero', tensor(0, [])),
        ]);
        const then = branch(b, 'then', x);
        const other = branch(b, 'else', x);
        const [y] = b.ops('If', [positive], ['y'], {
          then_branch: attr.graph(then),
          else_branch: attr.graph(other),
        });
        b.output(y, 'y', 'float32');
      },
      { opset: 11 },
    );
    const { model: raised } = await raiseOpset(model, 13);
    expect([...raised.graph.initializers].map((value) => value.name)).toEqual(['zero', 'raised']);
    expect(await run(raised, tensor([1, 2]))).toEqual(await run(model, tensor([1, 2])));
  });

  it('a local function is raised from its own version, with Constant nodes', async () => {
    const body = buildGraph((b) => {
      const x = b.graph.addInput('X');
      b.output(b.op('ReduceMax', [x], { axes: [1] }, 'Y'));
    });
    const model = buildModel(
      (b) => b.output(b.op('local.Peak', [b.input('x', 'float32', [2, 3])]), 'y', 'float32'),
      {
        opset: 17,
        opsets: { local: 1 },
      },
    );
    model.functions.push({
      domain: 'local',
      name: 'Peak',
      overload: '',
      body,
      opsetImports: new Map([['', 17]]),
      attributes: [],
      attributeDefaults: new Map(),
      origin: undefined,
    });
    const { model: raised } = await raiseOpset(model, 18);
    const [peak] = raised.functions;
    expect(peak.opsetImports.get('')).toBe(18);
    expect([...peak.body.nodes].map((node) => node.opType)).toEqual(['Constant', 'ReduceMax']);
    expect(await run(raised, random([2, 3]))).toEqual(await run(model, random([2, 3])));
  });

  it('IR version 3: initializers leave the list of inputs', async () => {
    const model = buildModel(
      (b) => {
        const w = b.constant('w', random([3, 2]));
        b.graph.setInputs([b.input('x', 'float32', [1, 3]), w]);
        b.output(b.op('MatMul', [b.graph.inputs[0], w]), 'y', 'float32');
      },
      { opset: 8, irVersion: 3 },
    );
    const { model: raised } = await raiseOpset(model, 13);
    expect(raised.irVersion).toBe(7);
    expect(raised.graph.inputs.map((value) => value.name)).toEqual(['x']);
    expect(raised.graph.value('w')?.constant).toBeDefined();
    expect(await run(raised, random([1, 3]))).toEqual(await run(model, random([1, 3])));
  });

  it('what cannot be said in the newer version is refused, with the operator, the versions and a way out', async () => {
    const refused: readonly [Model, number, RegExp][] = [
      [
        buildModel((b) => b.output(b.op('Upsample', [b.input('x', 'float32')])), { opset: 6 }),
        13,
        /operator set 7 or newer, got 6/,
      ],
      [
        modelOf({ from: 8, to: 13, build: (b, x) => b.op('Scan', [undefined, x]) }),
        13,
        /opset 13 can say, got Scan of opset 8: .*batch axis/,
      ],
      [
        modelOf({ from: 18, to: 21, build: (b, x) => b.op('GroupNormalization', [x, x, x]) }),
        21,
        /GroupNormalization of opset 18: .*count groups/,
      ],
      [
        modelOf({ from: 7, to: 9, build: (b, x) => b.op('BatchNormalization', [x], { spatial: 0 }) }),
        9,
        /spatial = 0/,
      ],
      [
        modelOf({ from: 9, to: 14, build: (b, x) => b.ops('BatchNormalization', [x], ['n', 'mean'])[1] }),
        14,
        /it trains: its statistics mean are read/,
      ],
      [
        modelOf({ from: 9, to: 10, build: (b, x) => b.ops('Dropout', [x], ['d', 'mask'])[1] }),
        10,
        /its mask mask is read/,
      ],
      [
        modelOf({ from: 10, to: 11, build: (b, x) => b.op('Resize', [x, b.op('Abs', [x])]) }),
        11,
        /its scales are computed/,
      ],
      [
        modelOf({
          from: 10,
          to: 11,
          build: (b, x) => b.op('Resize', [x, b.constant('s', tensor([1, 1, 2, 0.5]))]),
        }),
        11,
        /enlarges one axis and shrinks another/,
      ],
      [
        modelOf({
          from: 10,
          to: 11,
          build: (b, x) => b.op('Clip', [b.op('custom.F', [x])], { min: attr.float(0) }),
        }),
        11,
        /the type of .* is unknown/,
      ],
      [
        modelOf({
          from: 12,
          to: 13,
          build: (b, x) => b.op('Squeeze', [x], { axes: { kind: 'reference', value: 'axes' } }),
        }),
        13,
        /its attribute axes is the caller's/,
      ],
    ];
    for (const [model, to, message] of refused) {
      const error: unknown = await raiseOpset(model, to).catch((caught: unknown) => caught);
      expect(error).toMatchObject({ name: 'UnsupportedError', hint: expect.any(String) });
      expect((error as Error).message).toMatch(message);
    }
    await expect(raiseOpset(modelOf(CASES['Clip 11']), 99)).rejects.toThrow(RangeError);
  });
});

describe('quantizeStatic of an old opset', () => {
  const old = (opset: number): Model =>
    buildModel(
      (b) => {
        const x = b.input('x', 'float32', ['N', 4, 6, 6]);
        const y = b.op('Conv', [x, b.constant('w', random([4, 4, 3, 3], 3))]);
        b.output(b.op('Clip', [y], { min: attr.float(0), max: attr.float(6) }), 'y', 'float32');
      },
      { opset },
    );
  const batches = [{ x: random([2, 4, 6, 6]) }];
  const wide = MinMaxObserver.withArgs({ dtype: 'uint16', rule: 'onnx' });

  it.each([
    ['by channel', staticQConfigMapping(), 13],
    ['per tensor', staticQConfigMapping({ perChannel: false }), 10],
    ['16-bit', staticQConfigMapping({ activation: wide }), 21],
  ])(
    '%s: is raised to the oldest opset with that form, and the report says so',
    async (_name, mapping, to) => {
      const model = old(9);
      const { model: quantized, report } = await quantizeStatic(model, { batches, qconfigMapping: mapping });
      expect(report.raisedOpset).toEqual({ from: 9, to });
      expect(quantized.opset).toBe(to);
      const [{ x }] = batches;
      const [expected, got] = [(await run(model, x)).y, (await run(quantized, x)).y];
      expect(sqnr(expected, got)).toBeGreaterThan(28);
    },
  );

  it('a model that is new enough is not raised', async () => {
    const { report, model } = await quantizeStatic(old(10), {
      batches,
      qconfigMapping: staticQConfigMapping({ perChannel: false }),
    });
    expect([report.raisedOpset, model.opset]).toEqual([undefined, 10]);
  });

  it('prepare raises nothing: it refuses, and names raiseOpset', () => {
    expect(() => prepare(old(9))).toThrow(
      expect.objectContaining({
        code: 'UNSUPPORTED_OPSET',
        hint: expect.stringContaining('raiseOpset(model, 13)'),
      }),
    );
  });
});
