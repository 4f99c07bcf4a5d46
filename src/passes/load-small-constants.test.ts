import { describe, expect, it } from 'vitest';
import { readModel } from '../formats/onnx/read-model.ts';
import { writeModel } from '../formats/onnx/write-model.ts';
import { MemorySink } from '../formats/sink.ts';
import { attr } from '../graph/attribute.ts';
import { buildModel } from '../graph/build.ts';
import type { Model } from '../graph/model.ts';
import { tensor } from '../tensor/tensor.ts';
import { present } from './access.ts';
import { loadSmallConstants } from './load-small-constants.ts';

async function bytesOf(model: Model): Promise<Uint8Array> {
  const sink = new MemorySink();
  await writeModel(model, sink);
  return sink.bytes;
}

/** A file with a scalar, a large constant, a Constant node, and a scalar inside a branch. */
async function file(): Promise<Model> {
  const model = buildModel((b) => {
    const x = b.input('x', 'float32', [17]);
    const sum = b.op('Add', [x, b.constant('scalar', tensor(-10000, []))]);
    const large = b.op('Mul', [sum, b.constant('large', tensor(new Float32Array(17)))]);
    const held = b.op('Sub', [large, b.op('Constant', [], { value: tensor([1]) }, 'held')]);
    const body = b.body('branch', (inner) =>
      inner.output(inner.op('Add', [held, inner.constant('inside', tensor([2]))], {}, 'inner')),
    );
    const yes = b.constant('yes', tensor(Uint8Array.of(1), [], 'bool'));
    b.output(b.op('If', [yes], { then_branch: attr.graph(body) }, 'y'), 'y', 'float32');
  });
  return readModel(await bytesOf(model));
}

describe('loadSmallConstants', () => {
  it('small constants can be looked at without waiting; large ones stay where they lie', async () => {
    const read = await file();
    expect(present(read.graph.value('scalar'), 'scalar').constant?.tensor).toBeUndefined();
    const { model, modified } = await loadSmallConstants(read);
    expect(modified).toBe(true);
    const dataOf = (name: string): unknown => model.graph.value(name)?.constant?.tensor?.data[0];
    expect(['scalar', 'held', 'large'].map(dataOf)).toEqual([-10000, 1, undefined]);
    const inside = [...model.graph.nodes].flatMap((node) => node.subgraphs)[0].value('inside');
    expect(inside?.constant?.tensor?.data[0]).toBe(2);
    expect(present(read.graph.value('scalar'), 'scalar').constant?.tensor).toBeUndefined();
  });

  it('a second run changes nothing, and neither changes what is written', async () => {
    const read = await file();
    const { model } = await loadSmallConstants(read);
    expect((await loadSmallConstants(model)).modified).toBe(false);
    const again = await readModel(await bytesOf(model));
    const facts = (m: Model): Promise<unknown[]> =>
      Promise.all(
        [...m.graph.initializers].map(async (v) => [v.name, (await v.constant?.load())?.toArray()]),
      );
    expect(await facts(again)).toEqual(await facts(read));
  });
});
