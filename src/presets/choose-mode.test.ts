import { expect, it } from 'vitest';
import { tensor, type Tensor } from 'zeropoint';
import {
  buildModel,
  chooseMode,
  findTarget,
  TARGETS,
  type GraphBuilder,
  type Model,
  type Value,
} from 'zeropoint/onnx';

const modelOf = (build: (b: GraphBuilder) => void): Model => buildModel(build);
const zeros = (...shape: number[]): Tensor =>
  tensor(new Float32Array(shape.reduce((a, b) => a * b, 1)), shape);

/** The same in both branches of an If, and `after` it. */
function inBranches(
  inside: (b: GraphBuilder, x: Value) => Value,
  after: (b: GraphBuilder, y: Value) => Value = (_, y) => y,
): Model {
  return modelOf((b) => {
    const x = b.input('x', 'float32', ['N', 1, 8, 8]);
    const branch = (name: string) =>
      ({
        kind: 'graph',
        value: b.body(name, (inner) => inner.output(inside(inner, x), name, 'float32')),
      }) as const;
    const branches = { then_branch: branch('then'), else_branch: branch('else') };
    b.output(after(b, b.op('If', [b.input('go', 'bool', [])], branches)), 'y', 'float32');
  });
}

const MODELS = {
  conv: modelOf((b) => {
    const x = b.input('x', 'float32', ['N', 1, 8, 8]);
    b.output(b.op('Conv', [x, b.constant('w', zeros(4, 1, 3, 3))]), 'y');
  }),
  depthwise: modelOf((b) => {
    const x = b.input('x', 'float32', ['N', 4, 8, 8]);
    b.output(b.op('Conv', [x, b.constant('w', zeros(4, 1, 3, 3))], { group: 4 }), 'y');
  }),
  /** One convolution, and most weights behind it. */
  convThenProducts: modelOf((b) => {
    const x = b.input('x', 'float32', ['N', 1, 8, 8]);
    const features = b.op('Flatten', [b.op('Conv', [x, b.constant('w', zeros(1, 1, 3, 3))])]);
    b.output(b.op('Gemm', [features, b.constant('v', zeros(36, 5))]), 'y');
  }),
  /** A patch embedding by Conv, and attention spelt out. */
  transformer: modelOf((b) => {
    const x = b.input('x', 'float32', ['N', 1, 8, 8]);
    const h = b.op('Conv', [x, b.constant('w', zeros(1, 1, 1, 1))]);
    const q = b.op('MatMul', [h, b.constant('q', zeros(8, 8))]);
    b.output(b.op('MatMul', [b.op('Softmax', [b.op('MatMul', [q, h])]), h]), 'y');
  }),
  /** Convolutions with one block of attention between them, as detectors have. */
  convWithAttention: modelOf((b) => {
    const x = b.input('x', 'float32', ['N', 1, 8, 8]);
    const h = b.op('Conv', [x, b.constant('w', zeros(16, 1, 3, 3))]);
    b.output(b.op('MatMul', [b.op('Softmax', [b.op('MatMul', [h, h])]), h]), 'y');
  }),
  recurrent: modelOf((b) => {
    const w = b.constant('w', zeros(1, 4, 1));
    b.output(b.ops('LSTM', [b.input('x', 'float32', [1, 1, 1]), w, w], ['y'])[0]);
  }),
  products: modelOf((b) => {
    b.output(b.op('MatMul', [b.input('x', 'float32', ['N', 2]), b.constant('w', zeros(2, 2))]), 'y');
  }),
  /** An LSTM and nothing that multiplies; what follows it can be float16. */
  recurrentThenSqueeze: modelOf((b) => {
    const w = b.constant('w', zeros(1, 4, 1));
    b.output(b.op('Squeeze', [b.ops('LSTM', [b.input('x', 'float32', [1, 1, 1]), w, w], ['h'])[0]]), 'y');
  }),
  recurrentThenProduct: modelOf((b) => {
    const w = b.constant('w', zeros(1, 4, 1));
    const [h] = b.ops('LSTM', [b.input('x', 'float32', [1, 1, 1]), w, w], ['h']);
    const v = b.op('Mul', [b.constant('v', zeros(1, 2)), b.constant('two', zeros(1))]);
    b.output(b.op('MatMul', [h, v]), 'y');
  }),
  gru: modelOf((b) => {
    const w = b.constant('w', zeros(1, 3, 1));
    b.output(b.ops('GRU', [b.input('x', 'float32', [1, 1, 1]), w, w], ['y'])[0]);
  }),
  rnn: modelOf((b) => {
    const w = b.constant('w', zeros(1, 1, 1));
    b.output(b.ops('RNN', [b.input('x', 'float32', [1, 1, 1]), w, w], ['y'])[0]);
  }),
  productsInBodies: inBranches((b, x) => b.op('MatMul', [x, b.constant('w', zeros(8, 8))])),
  convInBodies: inBranches((b, x) => b.op('Conv', [x, b.constant('w', zeros(4, 1, 3, 3))])),
  productsInBodiesAndOutside: inBranches(
    (b, x) => b.op('MatMul', [x, b.constant('w', zeros(8, 8))]),
    (b, y) => b.op('MatMul', [y, b.constant('v', zeros(8, 8))]),
  ),
  tables: modelOf((b) => {
    b.output(b.op('Gather', [b.constant('table', zeros(9, 32)), b.input('x', 'int64', ['N'])]), 'y');
  }),
} as const satisfies Record<string, Model>;

const CASES: readonly (readonly [
  model: keyof typeof MODELS,
  data: boolean,
  target: keyof typeof TARGETS,
  what: string,
])[] = [
  ['conv', true, 'onnxruntime-cpu', 'static'],
  ['conv', false, 'onnxruntime-cpu', 'float16'],
  ['conv', true, 'onnxruntime-web', 'static'],
  ['conv', false, 'onnxruntime-web', 'weight-only by channels'],
  ['conv', true, 'webgpu', 'weight-only by channels'],
  ['depthwise', true, 'onnxruntime-arm', 'static'],
  ['depthwise', true, 'onnxruntime-web', 'weight-only by channels'],
  ['convThenProducts', true, 'onnxruntime-cpu', 'static'],
  ['convThenProducts', false, 'onnxruntime-cpu', 'dynamic'],
  ['transformer', true, 'onnxruntime-cpu', 'dynamic'],
  ['transformer', false, 'onnxruntime-web', 'dynamic'],
  ['transformer', true, 'webgpu', 'weight-only'],
  ['convWithAttention', true, 'onnxruntime-cpu-avx2', 'static'],
  ['recurrent', true, 'onnxruntime-cpu', 'dynamic'],
  ['products', true, 'onnxruntime-cpu', 'static'],
  ['products', false, 'onnxruntime-cpu', 'dynamic'],
  ['products', false, 'webgpu', 'weight-only'],
  ['tables', false, 'onnxruntime-cpu', 'weight-only'],
  ['recurrentThenSqueeze', true, 'onnxruntime-cpu', 'dynamic'],
  ['recurrentThenSqueeze', false, 'webgpu', 'float16'],
  ['recurrentThenProduct', false, 'webgpu', 'weight-only'],
  ['gru', true, 'onnxruntime-cpu', 'float16'],
  ['gru', false, 'onnxruntime-web', 'float16'],
  ['rnn', false, 'webgpu', 'float16'],
  ['productsInBodies', true, 'onnxruntime-cpu', 'dynamic'],
  ['productsInBodies', true, 'onnxruntime-web', 'dynamic'],
  ['productsInBodies', true, 'webgpu', 'weight-only'],
  ['productsInBodiesAndOutside', true, 'onnxruntime-cpu', 'static'],
  ['convInBodies', true, 'onnxruntime-cpu', 'float16'],
  ['convInBodies', true, 'onnxruntime-web', 'weight-only by channels'],
];

it.each(CASES)('%s, data: %s, for %s: %s', (name, hasData, target, what) => {
  const { mode, weights, reason } = chooseMode(MODELS[name], { hasData, target });
  expect(mode + (weights === undefined ? '' : ` by ${weights}`)).toBe(what);
  expect(reason).toMatch(/^[^\n]+$/);
});

it('without facts: no data, onnxruntime-cpu; the reason names what was found', () => {
  expect(chooseMode(MODELS.conv)).toEqual({
    mode: 'float16',
    reason: 'a conv net: 1 convolution, and no data to measure ranges on, which integers need',
  });
});

it('the reason says why the usual way would do nothing', () => {
  expect(chooseMode(MODELS.productsInBodies, { hasData: true }).reason).toBe(
    'no convolutions, all products in bodies of If, Loop or Scan, which static mode leaves in float',
  );
  expect(chooseMode(MODELS.recurrentThenSqueeze, { target: 'webgpu' }).reason).toBe(
    '1 recurrent node, and LSTM has no form with weights alone: float16',
  );
});

it.each(['recurrent', 'gru'] as const)('%s alone for WebGPU: refused, with what would work', (name) => {
  const choose = (): unknown => chooseMode(MODELS[name], { target: 'webgpu' });
  expect(choose).toThrow(
    /for webgpu, got recurrent nodes alone \(1\): (LSTM|GRU) has no form with weights alone/,
  );
  expect(choose).toThrow(
    expect.objectContaining({ code: 'GRAPH_NOT_QUANTIZABLE', hint: expect.stringContaining('--dynamic') }),
  );
});

it('targets are found by name and alias', () => {
  expect(Object.keys(TARGETS).map(findTarget)).toEqual(Object.keys(TARGETS));
  expect(['web-wasm', 'web-webgpu', 'ort-node-cpu', 'nowhere'].map(findTarget)).toEqual([
    'onnxruntime-web',
    'webgpu',
    'onnxruntime-cpu',
    undefined,
  ]);
});
