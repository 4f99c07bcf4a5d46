/** Int8 activations in front of operators that only move data and stay in float: onnxruntime loads the file at every level. */
import { describe, expect, it } from 'vitest';
import { tensor } from 'zeropoint';
import {
  buildModel,
  compareOutputs,
  ortNode,
  quantizeStatic,
  readModel,
  staticQConfigMapping,
  type AttributeInput,
  type GraphBuilder,
  type Model,
  type Value,
} from 'zeropoint/onnx';
import { bytesOf, LEVELS, random } from './support/graphs.ts';

type Mover = (b: GraphBuilder, x: Value) => Value;

const ints = (...values: number[]): ReturnType<typeof tensor> =>
  tensor(BigInt64Array.from(values, BigInt), [values.length]);

function mover(
  op: string,
  attributes: Record<string, AttributeInput> = {},
  constants: Record<string, number[]> = {},
): Mover {
  return (b, x) => {
    const inputs = Object.entries(constants).map(([name, values]) => b.constant(name, ints(...values)));
    return b.op(op, [x, ...inputs], attributes, op.toLowerCase());
  };
}

/** Of [2, 1, 6, 8]. */
const MOVERS: Readonly<Record<string, Mover>> = {
  Transpose: mover('Transpose', { perm: [0, 1, 3, 2] }),
  Reshape: mover('Reshape', {}, { shape: [2, 48] }),
  Squeeze: mover('Squeeze', {}, { axes: [1] }),
  Unsqueeze: mover('Unsqueeze', {}, { axes: [0] }),
  Slice: mover('Slice', {}, { starts: [1], ends: [5], axes: [2] }),
  MaxPool: mover('MaxPool', { kernel_shape: [2, 2] }),
};

/** What comes behind it. */
const READERS: Readonly<Record<string, (b: GraphBuilder, moved: Value) => readonly Value[]>> = {
  'a float operator': (b, moved) => [b.op('Erf', [moved])],
  'the output': (_b, moved) => [moved],
  'an operator, and the output': (b, moved) => [b.op('Erf', [moved]), moved],
  'another one': (b, moved) => [b.op('Erf', [b.op('Unsqueeze', [moved, b.constant('front', ints(0))])])],
};

function model(move: Mover, read: (typeof READERS)[string], opset: number): Model {
  return buildModel(
    (b) => {
      const x = b.input('x', 'float32', [2, 1, 6, 16]);
      const product = b.op('MatMul', [x, b.constant('w', random([16, 8], 2))]);
      for (const [i, value] of read(b, move(b, product)).entries()) b.output(value, `y${i}`, 'float32');
    },
    { opset },
  );
}

const feeds = (seed: number): { x: ReturnType<typeof random> } => ({ x: random([2, 1, 6, 16], seed) });

async function quantized(float: Model, exclude?: string): Promise<Model> {
  const qconfigMapping = staticQConfigMapping({ activationDType: 'int8' });
  if (exclude !== undefined) qconfigMapping.setModuleName(exclude, null);
  return (await quantizeStatic(float, { batches: [feeds(1), feeds(2)], qconfigMapping })).model;
}

async function checkEveryLevel(float: Model, int8: Model): Promise<void> {
  const bytes = await bytesOf(int8);
  const reference = await ortNode(float);
  for (const optimization of LEVELS) {
    const runner = await ortNode(await readModel(bytes), { optimization });
    const { outputs } = await compareOutputs(reference, runner, [feeds(1)]);
    for (const { sqnr } of outputs) expect(sqnr, optimization).toBeGreaterThan(28);
    await runner.dispose();
  }
  await reference.dispose();
}

describe.each(Object.keys(MOVERS))('%s in front of', (op) => {
  it.each(Object.keys(READERS))('%s', async (reader) => {
    for (const opset of [21, 23]) {
      const float = model(MOVERS[op], READERS[reader], opset);
      await checkEveryLevel(float, await quantized(float));
    }
  });

  it('a product, where it is to stay in float itself', async () => {
    const read = (b: GraphBuilder, moved: Value): readonly Value[] => {
      const flat = b.op('Reshape', [moved, b.constant('rows', ints(-1, 2))]);
      return [b.op('MatMul', [flat, b.constant('v', random([2, 4], 3))])];
    };
    const float = model(MOVERS[op], read, 21);
    await checkEveryLevel(float, await quantized(float, op.toLowerCase()));
  });
});

it('nothing is added where nothing is wrong: before opset 21, and for uint8', async () => {
  const count = ({ graph }: Model): number =>
    [...graph.nodes].filter((node) => node.is('QuantizeLinear')).length;
  const float = (opset: number): Model => model(MOVERS.Transpose, READERS['a float operator'], opset);
  const batches = [feeds(1)];
  expect(count(await quantized(float(21)))).toBe(3);
  expect(count(await quantized(float(20)))).toBe(2);
  expect(count((await quantizeStatic(float(21), { batches })).model)).toBe(2);
});
