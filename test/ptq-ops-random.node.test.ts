/**
 * Random graphs of every op family, quantized: whatever neighbours an op has, onnxruntime loads the result, and gives the
 * same with and without its fusions.
 */
import { expect, it } from 'vitest';
import { MinMaxObserver, sqnr, tensor, type Tensor } from 'zeropoint';
import {
  buildModel,
  ortNode,
  quantizeStatic,
  readModel,
  staticQConfigMapping,
  type GraphBuilder,
  type GraphOptimization,
  type Model,
  type Value,
} from 'zeropoint/onnx';
import { bytesOf } from './support/graphs.ts';

const GRAPHS = 24;
const SHAPE = [2, 4, 8, 8] as const;
/** Eighteen layers of 8 bits on random weights lose more than a trained net's. */
const LEAST_SQNR = 10;
/** Integer kernels may round a code otherwise than float ones. */
const LARGEST_SPREAD = 3;

/** Numerical Recipes' generator: the same graphs in every run. */
class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  next(): number {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0;
    return this.#state / 2 ** 32;
  }

  pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.next() * items.length)];
  }

  tensor(shape: readonly number[]): Tensor {
    const size = shape.reduce((a, b) => a * b, 1);
    return tensor(
      Float32Array.from({ length: size }, () => this.next() * 2 - 1),
      shape,
    );
  }
}

interface Site {
  readonly b: GraphBuilder;
  readonly random: Random;
  readonly x: Value;
  /** Any earlier value; all have the same shape. */
  readonly other: Value;
  readonly constant: (value: Tensor) => Value;
}

const ints = (...values: number[]): Tensor => tensor(BigInt64Array.from(values, BigInt));
const slice = ({ b, x, constant }: Site, from: number, to: number): Value =>
  b.op('Slice', [x, constant(ints(from)), constant(ints(to)), constant(ints(1))]);

/** Each gives a value of the shape that it takes. Opset 13. */
const OPS: Readonly<Record<string, (site: Site) => Value>> = {
  conv: ({ b, x, random, constant }) =>
    b.op('Conv', [x, constant(random.tensor([4, 4, 3, 3])), constant(random.tensor([4]))], {
      pads: [1, 1, 1, 1],
    }),
  convWithoutBias: ({ b, x, random, constant }) => b.op('Conv', [x, constant(random.tensor([4, 4, 1, 1]))]),
  convTranspose: ({ b, x, random, constant }) =>
    b.op('ConvTranspose', [x, constant(random.tensor([4, 4, 3, 3]))], { pads: [1, 1, 1, 1] }),
  matMul: ({ b, x, random, constant }) => b.op('MatMul', [x, constant(random.tensor([8, 8]))]),
  product: ({ b, x, other }) => b.op('MatMul', [x, b.op('Transpose', [other], { perm: [0, 1, 3, 2] })]),
  add: ({ b, x, other }) => b.op('Add', [x, other]),
  addConstant: ({ b, x, random, constant }) => b.op('Add', [x, constant(random.tensor([4, 1, 1]))]),
  mul: ({ b, x, other }) => b.op('Mul', [x, other]),
  sub: ({ b, x, random, constant }) => b.op('Sub', [constant(random.tensor([4, 1, 1])), x]),
  where: ({ b, x, other, constant }) =>
    b.op('Where', [b.op('Greater', [other, constant(tensor(0, []))]), x, other]),
  gate: ({ b, x }) => b.op('Mul', [x, b.op('Sigmoid', [b.op('GlobalAveragePool', [x])])]),
  relu: ({ b, x }) => b.op('Relu', [x]),
  clip: ({ b, x, random, constant }) =>
    b.op('Clip', [x, constant(tensor(random.pick([0, -1]), [])), constant(tensor(random.pick([1, 6]), []))]),
  leakyRelu: ({ b, x }) => b.op('LeakyRelu', [x], { alpha: 0.125 }),
  sigmoid: ({ b, x }) => b.op('Sigmoid', [x]),
  softmax: ({ b, x }) => b.op('Softmax', [x], { axis: 3 }),
  tanh: ({ b, x }) => b.op('Tanh', [x]),
  maxPool: ({ b, x }) => b.op('MaxPool', [x], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }),
  averagePool: ({ b, x }) => b.op('AveragePool', [x], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }),
  reduceMax: ({ b, x }) => b.op('Add', [x, b.op('ReduceMax', [x], { axes: [1] })]),
  transpose: ({ b, x }) => b.op('Transpose', [x], { perm: [0, 1, 3, 2] }),
  reshape: ({ b, x, constant }) =>
    b.op('Reshape', [b.op('Reshape', [x, constant(ints(2, -1))]), constant(ints(...SHAPE))]),
  gather: ({ b, x, constant }) => b.op('Gather', [x, constant(ints(3, 1, 0, 2))], { axis: 1 }),
  slices: (site) => site.b.op('Concat', [slice(site, 2, 4), slice(site, 0, 2)], { axis: 1 }),
  split({ b, x }) {
    const names = ['left', 'right'].map((name) => b.graph.freshName(name));
    const [left, right] = b.ops('Split', [x], names, { axis: 1 });
    return b.op('Concat', [right, left], { axis: 1 });
  },
  resize: ({ b, x, random, constant }) => {
    const scales = constant(tensor([1, 1, 2, 2]));
    const large = b.op('Resize', [x, undefined, scales], {
      mode: random.pick(['nearest', 'linear', 'cubic']),
    });
    return b.op('MaxPool', [large], { kernel_shape: [2, 2], strides: [2, 2] });
  },
  pad: ({ b, x, random, constant }) => {
    const inputs = [x, constant(ints(0, 0, 1, 1, 0, 0, 1, 1)), constant(tensor(random.pick([0, 2]), []))];
    const crop = [ints(0, 0), ints(8, 8), ints(2, 3)].map(constant);
    return b.op('Slice', [b.op('Pad', inputs), ...crop]);
  },
};

/** A convolution, some ops on it or on earlier values, and a product. */
function randomModel(random: Random): Model {
  return buildModel(
    (b) => {
      const values = [b.input('x', 'float32', SHAPE)];
      const constant = (value: Tensor): Value => b.constant(b.graph.freshName('k'), value);
      const put = (op: string, x: Value): void => {
        values.push(OPS[op]({ b, random, x, other: random.pick(values), constant }));
      };
      put('conv', values[0]);
      for (let i = 0; i < 12; i++) {
        const last = values[values.length - 1];
        put(random.pick(Object.keys(OPS)), random.next() < 0.75 ? last : random.pick(values));
      }
      put('matMul', values[values.length - 1]);
      b.output(values[values.length - 1], 'y', 'float32');
      const early = values[values.length - 4];
      if (!early.isInput) b.output(b.op('Identity', [early]), 'early', 'float32');
    },
    { opset: 13 },
  );
}

async function run(
  model: Model,
  x: Tensor,
  optimization: GraphOptimization,
): Promise<Readonly<Record<string, Tensor>>> {
  const runner = await ortNode(model, { optimization });
  try {
    return await runner.run({ x });
  } finally {
    await runner.dispose();
  }
}

it.each(Array.from({ length: GRAPHS }, (_, i) => i + 1))(
  `random graph %i: SQNR ≥ ${LEAST_SQNR} dB, within ${LARGEST_SPREAD} dB with and without fusions`,
  async (seed) => {
    const random = new Random(seed * 7919);
    const model = randomModel(random);
    const x = random.tensor(SHAPE);
    const signed = seed % 4 === 0;
    const qconfigMapping = staticQConfigMapping({
      perChannel: seed % 2 === 0,
      activation: MinMaxObserver.withArgs({
        dtype: signed ? 'qint8' : 'quint8',
        qscheme: signed ? 'per_tensor_symmetric' : 'per_tensor_affine',
        rule: 'onnx',
      }),
    });
    const { model: quantized } = await quantizeStatic(model, { batches: [{ x }], qconfigMapping });
    const written = await readModel(await bytesOf(quantized));
    const expected = await run(model, x, 'disabled');
    const noise: number[] = [];
    for (const optimization of ['disabled', 'all'] as const) {
      const outputs = await run(written, x, optimization);
      noise.push(Math.min(...Object.entries(expected).map(([name, value]) => sqnr(value, outputs[name]))));
    }
    expect(Math.min(...noise)).toBeGreaterThan(LEAST_SQNR);
    expect(Math.abs(noise[0] - noise[1])).toBeLessThan(LARGEST_SPREAD);
  },
);
