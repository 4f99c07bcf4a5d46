import { describe, expect, it } from 'vitest';
import { attr } from '../graph/attribute.ts';
import { buildModel, type GraphBuilder } from '../graph/build.ts';
import type { Graph } from '../graph/graph.ts';
import type { Model } from '../graph/model.ts';
import type { Value } from '../graph/value.ts';
import { tensor, type Tensor } from '../tensor/tensor.ts';
import { foldRecurrentWeights } from './fold-recurrent-weights.ts';
import { removeUnused } from './remove-unused.ts';

const HIDDEN = 1;
const ints = (...values: number[]): Tensor => tensor(BigInt64Array.from(values, BigInt));
const rows = (count: number, cols: number): Tensor =>
  tensor(
    Float32Array.from({ length: count * cols }, (_, i) => i),
    [count, cols],
  );

const part = (b: GraphBuilder, w: Value, ...range: number[]): Value =>
  b.op('Slice', [w, ...range.map((at) => b.constant(b.graph.freshName('at'), ints(at)))]);
const stacked = (b: GraphBuilder, value: Value): Value =>
  b.op('Unsqueeze', [value, b.constant(b.graph.freshName('axes'), ints(0))]);

/** Gates i, f, c, o of PyTorch as i, o, f, c of ONNX. */
const reordered = (b: GraphBuilder, w: Value): Value =>
  stacked(
    b,
    b.op('Concat', [part(b, w, 0, 1, 0), part(b, w, -1, 9, 0), part(b, w, 1, 3, 0, 1)], { axis: 0 }),
  );

function modelOf(weight: (b: GraphBuilder, w: Value) => Value): Model {
  return buildModel((b) => {
    const x = b.input('x', 'float32', [2, 1, 3]);
    const r = b.constant('r', tensor(new Float32Array(4 * HIDDEN), [1, 4 * HIDDEN, HIDDEN]));
    const y = b.op('LSTM', [x, weight(b, b.constant('w', rows(4, 3))), r], { hidden_size: HIDDEN });
    b.output(y, 'y', 'float32');
  });
}

async function foldedWeight(model: Model): Promise<unknown> {
  const first = await foldRecurrentWeights(model);
  const second = await foldRecurrentWeights(first.model);
  expect(second.modified).toBe(false);
  const lstm = [...first.model.graph.nodes].find((node) => node.is('LSTM'));
  const source = lstm?.inputs[1]?.constant;
  expect(first.modified).toBe(source !== undefined);
  return source && (await source.load()).toArray();
}

describe('foldRecurrentWeights', () => {
  it('case 1: gates in another order, by Slice, Concat and Unsqueeze', async () => {
    const expected = [
      [0, 1, 2],
      [9, 10, 11],
      [3, 4, 5],
      [6, 7, 8],
    ];
    const model = modelOf(reordered);
    expect(await foldedWeight(model)).toEqual([expected]);
    const { model: result } = await removeUnused((await foldRecurrentWeights(model)).model);
    expect([...result.graph.nodes].map((node) => node.opType)).toEqual(['LSTM']);
    expect([...result.graph.initializers].map((value) => value.dims)).toEqual([
      [1, 4, 1],
      [1, 4, 3],
    ]);
  });

  it('case 1: along other axes than the first', async () => {
    const model = modelOf((b, w) =>
      stacked(b, b.op('Concat', [part(b, w, 2, 3, 1), part(b, w, 0, 2, -1)], { axis: -1 })),
    );
    expect(await foldedWeight(model)).toEqual([
      [
        [2, 0, 1],
        [5, 3, 4],
        [8, 6, 7],
        [11, 9, 10],
      ],
    ]);
  });

  it('case 1: one constant for equal expressions in two branches', async () => {
    const model = buildModel((b) => {
      const [x, w] = [b.input('x', 'float32', [2, 1, 3]), b.constant('w', rows(4, 3))];
      const r = b.constant('r', tensor(new Float32Array(4), [1, 4, 1]));
      const branch = (name: string): Graph =>
        b.body(name, (body) => body.output(body.op('LSTM', [x, reordered(body, w), r], { hidden_size: 1 })));
      const branches = { then_branch: attr.graph(branch('then')), else_branch: attr.graph(branch('else')) };
      b.output(b.op('If', [b.input('taken', 'bool', [])], branches), 'y');
    });
    const { model: result } = await removeUnused((await foldRecurrentWeights(model)).model);
    expect([...result.graph.allNodes()].map((node) => node.opType)).toEqual(['If', 'LSTM', 'LSTM']);
    expect([...result.graph.initializers]).toHaveLength(2);
  });

  it.each<[string, (b: GraphBuilder, w: Value) => Value]>([
    ['another operator', (b, w) => stacked(b, b.op('Relu', [w]))],
    [
      'a computed bound',
      (b, w) => stacked(b, b.op('Slice', [w, b.input('from', 'int64', [1]), b.constant('to', ints(4))])),
    ],
    ['steps of 2', (b, w) => stacked(b, part(b, w, 0, 4, 0, 2))],
    ['shapes that do not fit', (b, w) => stacked(b, b.op('Concat', [w, part(b, w, 0, 1, 1)], { axis: 0 }))],
    ['a weight that is an input', (b) => b.input('computed', 'float32', [1, 4, 3])],
  ])('case 2: leaves %s', async (_, weight) => {
    expect(await foldedWeight(modelOf(weight))).toBeUndefined();
  });
});
