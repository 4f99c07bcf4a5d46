import { describe, expect, it } from 'vitest';
import { buildModel, type GraphBuilder } from '../graph/build.ts';
import type { TensorSource } from '../graph/tensor-source.ts';
import type { Value } from '../graph/value.ts';
import { tensor, type Tensor } from '../tensor/tensor.ts';
import { inputOf } from './access.ts';
import { foldConstants } from './fold-constants.ts';

const range = (...shape: number[]): Tensor => {
  const size = shape.reduce((a, b) => a * b, 1);
  return tensor(
    Float32Array.from({ length: size }, (_, i) => i),
    shape,
  );
};
const ints = (...values: number[]): Tensor => tensor(BigInt64Array.from(values, BigInt));

/** x · op(w): what the second operand is after the pass; undefined if the op stayed. */
async function folded(
  build: (b: GraphBuilder, w: Value) => Value,
  weight: Tensor,
  opset = 13,
): Promise<TensorSource | undefined> {
  const model = buildModel(
    (b) => b.output(b.op('MatMul', [b.input('x', 'float32'), build(b, b.constant('w', weight))])),
    { opset },
  );
  const before = [...model.graph.nodes].length;
  const first = await foldConstants(model);
  expect((await foldConstants(first.model)).modified).toBe(false);
  expect([...model.graph.nodes]).toHaveLength(before);
  const product = [...first.model.graph.nodes].find((node) => node.opType === 'MatMul')!;
  expect(first.modified).toBe([...first.model.graph.nodes].length === 1);
  return inputOf(product, 1).constant;
}

describe('foldConstants', () => {
  it('case 1: Transpose moves the elements, by perm or to the reverse', async () => {
    const turned = await folded((b, w) => b.op('Transpose', [w]), range(2, 3));
    expect((await turned?.load())?.toArray()).toEqual([
      [0, 3],
      [1, 4],
      [2, 5],
    ]);
    const moved = await (
      await folded((b, w) => b.op('Transpose', [w], { perm: [1, 2, 0] }), range(2, 3, 4))
    )?.load();
    expect(moved?.shape).toEqual([3, 4, 2]);
    for (let i = 0; i < 24; i++) {
      const [a, b, c] = [Math.floor(i / 8), Math.floor(i / 2) % 4, i % 2];
      expect(moved?.data[i]).toBe(c * 12 + a * 4 + b);
    }
  });

  it('case 1: bytes can be read in pieces, as the writer does', async () => {
    const turned = await folded((b, w) => b.op('Transpose', [w]), range(2, 3));
    expect(turned?.byteLength).toBe(24);
    const bytes = await turned!.read(4, 8);
    expect([...new Float32Array(bytes.slice().buffer)]).toEqual([3, 1]);
    const flat = await folded((b, w) => b.op('Flatten', [w], { axis: 2 }), range(2, 3, 2));
    expect([...new Float32Array((await flat!.read(40, 8)).slice().buffer)]).toEqual([10, 11]);
  });

  it.each<[string, number[], (b: GraphBuilder, w: Value) => Value]>([
    ['Reshape with 0 and -1', [2, 12], (b, w) => b.op('Reshape', [w, b.constant('s', ints(0, -1))])],
    ['Flatten at a negative axis', [6, 4], (b, w) => b.op('Flatten', [w], { axis: -1 })],
    ['Unsqueeze', [2, 1, 3, 4, 1], (b, w) => b.op('Unsqueeze', [w, b.constant('a', ints(1, -1))])],
    ['a chain', [24], (b, w) => b.op('Reshape', [b.op('Flatten', [w]), b.constant('s', ints(-1))])],
  ])('case 1: %s keeps the order of the elements', async (_name, shape, build) => {
    const result = await (await folded(build, range(2, 3, 4)))?.load();
    expect(result?.shape).toEqual(shape);
    expect([...(result?.data ?? [])].map(Number)).toEqual(Array.from({ length: 24 }, (_, i) => i));
  });

  it('case 1: Squeeze by attribute, by input, and of everything', async () => {
    const weight = range(1, 2, 1, 3);
    const shapes = await Promise.all([
      folded((b, w) => b.op('Squeeze', [w], { axes: [2] }), weight, 11),
      folded((b, w) => b.op('Squeeze', [w, b.constant('a', ints(0))]), weight),
      folded((b, w) => b.op('Squeeze', [w]), weight),
    ]);
    expect(shapes.map((source) => source?.shape)).toEqual([
      [1, 2, 3],
      [2, 1, 3],
      [2, 3],
    ]);
  });

  it('case 2: a table that others read is copied for a product, and for nothing else', async () => {
    const build = (reader: string): ReturnType<typeof buildModel> =>
      buildModel((b) => {
        const table = b.constant('table', range(4, 5));
        const turned = b.op('Transpose', [table]);
        b.output(b.op('Gather', [table, b.input('ids', 'int64', ['N'])]), 'rows');
        b.output(b.op(reader, [b.input('x', 'float32'), turned]), 'y');
      });
    expect((await foldConstants(build('MatMul'))).modified).toBe(true);
    expect((await foldConstants(build('Add'))).modified).toBe(false);
  });

  it('case 3: outputs, packed elements and arguments that do not fit or are computed are left', async () => {
    const output = buildModel((b) => b.output(b.op('Transpose', [b.constant('w', range(2, 3))]), 'y'));
    expect((await foldConstants(output)).modified).toBe(false);
    const packed = tensor([1, 2, 3, 4], [2, 2], 'int4');
    expect(await folded((b, w) => b.op('Transpose', [w]), packed)).toBeUndefined();
    const wrong: ((b: GraphBuilder, w: Value) => Value)[] = [
      (b, w) => b.op('Transpose', [w], { perm: [0, 0] }),
      (b, w) => b.op('Reshape', [w, b.constant('s', ints(4, -1))]),
      (b, w) => b.op('Reshape', [w, b.input('s', 'int64', [2])]),
      (b, w) => b.op('Squeeze', [w, b.constant('a', ints(1))]),
      (b, w) => b.op('Unsqueeze', [w, b.input('a', 'int64', [1])]),
    ];
    for (const build of wrong) expect(await folded(build, range(2, 3))).toBeUndefined();
  });
});
