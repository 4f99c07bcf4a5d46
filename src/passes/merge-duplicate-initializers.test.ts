import { describe, expect, it } from 'vitest';
import { attr } from '../graph/attribute.ts';
import { buildModel, type GraphBuilder } from '../graph/build.ts';
import type { Model } from '../graph/model.ts';
import { printGraph } from '../graph/print.ts';
import { memorySource, type TensorSource } from '../graph/tensor-source.ts';
import { tensor, type Tensor } from '../tensor/tensor.ts';
import { mergeDuplicateInitializers } from './merge-duplicate-initializers.ts';

/** 16 KiB, the least that is merged. */
const SIDE = 64;

function weight(change?: (data: Float32Array) => void, shape: number[] = [SIDE, SIDE]): Tensor {
  const data = Float32Array.from({ length: SIDE * SIDE }, (_, i) => Math.sin(i));
  change?.(data);
  return tensor(data, shape);
}

const product = (b: GraphBuilder, name: string, w: Tensor): ReturnType<GraphBuilder['op']> =>
  b.op('MatMul', [b.graph.resolve('x'), b.constant(name, w)]);

/** x·a and x·b, with whatever `edit` does on top. */
function two(second: Tensor, edit?: (b: GraphBuilder) => void, first = weight()): Model {
  return buildModel((b) => {
    b.input('x', 'float32', ['N', SIDE]);
    b.output(product(b, 'a', first), 'y');
    b.output(product(b, 'b', second), 'z');
    edit?.(b);
  });
}

/** Names of what is left, and the input of each product. */
async function merged(model: Model): Promise<{ names: string[]; read: (string | undefined)[] }> {
  const before = printGraph(model.graph);
  const first = await mergeDuplicateInitializers(model);
  expect((await mergeDuplicateInitializers(first.model)).modified).toBe(false);
  expect(printGraph(model.graph)).toBe(before);
  const names = [...first.model.graph.initializers].map(({ name }) => name);
  expect(first.modified).toBe(printGraph(first.model.graph) !== before);
  const products = [...first.model.graph.allNodes()].filter(({ opType }) => opType === 'MatMul');
  return { names, read: products.map(({ inputs }) => inputs[1]?.name) };
}

describe('mergeDuplicateInitializers', () => {
  it('case 1: the second of two equal ones goes', async () => {
    expect(await merged(two(weight()))).toEqual({ names: ['a'], read: ['a', 'a'] });
  });

  it.each<[string, Tensor]>([
    ['the last byte', weight((data) => (data[data.length - 1] += 1))],
    ['the sign of a zero', weight((data) => (data[0] = -0))],
    ['the shape', weight(undefined, [SIDE, SIDE, 1])],
    ['the element type', tensor(new Int32Array(weight().data.buffer as ArrayBuffer), [SIDE, SIDE])],
  ])('leaves two that differ in %s', async (_what, other) => {
    expect((await merged(two(other))).names).toEqual(['a', 'b']);
  });

  it('merges NaN of the same bits', async () => {
    const broken = (): Tensor => weight((data) => data.fill(NaN, 0, 9));
    expect((await merged(two(broken(), undefined, broken()))).names).toEqual(['a']);
  });

  it('case 1 and 2: a graph inside takes the outer one; two branches keep theirs', async () => {
    const branch = (b: GraphBuilder, name: string, w: Tensor): ReturnType<GraphBuilder['body']> =>
      b.body(name, (inner) => inner.output(product(inner, `w_${name}`, w)));
    const model = buildModel((b) => {
      const x = b.input('x', 'float32', ['N', SIDE]);
      b.output(b.op('MatMul', [x, b.constant('a', weight())]), 'y');
      for (const [i, inner] of [weight(), weight((data) => (data[5] = 5))].entries()) {
        const [t, e] = ['t', 'e'].map((name) => attr.graph(branch(b, `${name}${i}`, inner)));
        b.output(b.op('If', [b.input(`c${i}`, 'bool', [])], { then_branch: t, else_branch: e }), `z${i}`);
      }
    });
    const { read } = await merged(model);
    expect(read).toEqual(['a', 'a', 'a', 'w_t1', 'w_e1']);
  });

  it('case 3: overridable inputs stay, and what equals a graph output becomes it', async () => {
    const overridable = two(weight(), (b) => b.graph.addInput('b'));
    expect((await merged(overridable)).names).toEqual(['a', 'b']);
    const output = two(weight(), (b) => b.graph.addOutput(b.graph.value('b')!));
    expect(await merged(output)).toEqual({ names: ['b'], read: ['b', 'b'] });
  });

  it('case 4: small ones stay', async () => {
    const small = (): Tensor => tensor(new Float32Array(SIDE * SIDE - 1), [SIDE * SIDE - 1]);
    expect((await merged(two(small(), undefined, small()))).names).toEqual(['a', 'b']);
  });

  it('reads tiles of at most 1 MiB, and of weights that differ early only the first bytes', async () => {
    const lengths: number[] = [];
    const watched = (first: number): TensorSource => {
      const source = memorySource(tensor(new Float32Array(2 ** 20).fill(first, 0, 1), [2 ** 20]));
      const read = (offset: number, length: number): Promise<Uint8Array> => {
        lengths.push(length);
        return source.read(offset, length);
      };
      return { ...source, read };
    };
    const model = (second: number): Model =>
      buildModel((b) => {
        for (const [name, first] of Object.entries({ a: 1, b: second })) {
          b.output(b.op('Neg', [b.graph.addInitializer(name, watched(first))]), `y_${name}`);
        }
      });
    await mergeDuplicateInitializers(model(2));
    expect(Math.max(...lengths)).toBeLessThanOrEqual(256);
    expect((await mergeDuplicateInitializers(model(1))).modified).toBe(true);
    expect(Math.max(...lengths)).toBe(2 ** 20);
  });
});
