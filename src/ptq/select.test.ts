import { describe, expect, it } from 'vitest';
import { buildModel, type GraphBuilder } from '../graph/build.ts';
import type { Value } from '../graph/value.ts';
import type { Model } from '../graph/model.ts';
import { tensor } from '../tensor/tensor.ts';
import { selectNodes, type Wanted } from './select.ts';

const ALL: Wanted = () => true;

interface Summary {
  readonly nodes: string[];
  readonly grids: Record<string, string>;
  readonly fused: string[];
  readonly skipped: Record<string, string>;
}

function summary(model: Model, wanted: Wanted = ALL): Summary {
  const { nodes, grids, fused, skipped } = selectNodes(model, wanted);
  return {
    nodes: [...nodes.keys()].map((node) => node.opType),
    grids: Object.fromEntries([...grids].map(([value, root]) => [value.name, root.name])),
    fused: [...fused].map(([clamp, op]) => `${clamp.opType} into ${op.opType}`),
    skipped: Object.fromEntries(skipped.map(({ opType, reason }) => [opType, reason])),
  };
}

const image = (b: GraphBuilder): Value => b.input('x', 'float32', ['N', 2, 8, 8]);
const conv = (b: GraphBuilder, x: Value, output: string): Value =>
  b.op('Conv', [x, b.constant(`${output}_w`, tensor(new Float32Array(4), [2, 2, 1, 1]))], {}, output);
const gemm = (b: GraphBuilder, x: Value, output: string): Value =>
  b.op('Gemm', [x, b.constant(`${output}_w`, tensor(new Float32Array(4), [2, 2]))], {}, output);

describe('selectNodes', () => {
  it('a Relu that alone reads a convolution is its saturation: no grid between them', () => {
    const model = buildModel((b) => b.output(b.op('Relu', [conv(b, image(b), 'y')], {}, 'z')));
    expect(summary(model)).toEqual({
      nodes: ['Conv', 'Relu'],
      grids: { x: 'x', z: 'z' },
      fused: ['Relu into Conv'],
      skipped: {},
    });
  });

  it('a Relu that shares the convolution with another reader stays, with a grid before and behind it', () => {
    const model = buildModel((b) => {
      const y = conv(b, image(b), 'y');
      b.output(b.op('Add', [y, b.op('Relu', [y], {}, 'z')], {}, 'sum'));
    });
    expect(summary(model)).toMatchObject({ fused: [], grids: { y: 'y', z: 'z', sum: 'sum' } });
  });

  it('reshapes and max pooling share the grid of their input, averages have their own', () => {
    const model = buildModel((b) => {
      const y = conv(b, image(b), 'y');
      const pooled = b.op('MaxPool', [y], { kernel_shape: [2, 2] }, 'pooled');
      const mean = b.op('GlobalAveragePool', [pooled], {}, 'mean');
      b.output(b.op('Flatten', [mean], {}, 'flat'));
    });
    expect(summary(model).grids).toEqual({ x: 'x', y: 'y', pooled: 'y', mean: 'mean', flat: 'mean' });
  });

  it('the output of the last Gemm stays float, and so does what only reshapes it', () => {
    const model = buildModel((b) => {
      const hidden = b.op('Relu', [gemm(b, b.input('x', 'float32', ['N', 2]), 'hidden')], {}, 'active');
      b.output(b.op('Flatten', [gemm(b, hidden, 'logits')], {}, 'flat'));
    });
    expect(summary(model)).toEqual({
      nodes: ['Gemm', 'Relu', 'Gemm'],
      grids: { x: 'x', active: 'active' },
      fused: ['Relu into Gemm'],
      skipped: { Flatten: 'nothing after it computes in integers, and before it float is to be had' },
    });
  });

  it('an op that only carries integers is left alone behind a float value', () => {
    const model = buildModel((b) => {
      b.output(b.op('MaxPool', [image(b)], { kernel_shape: [2, 2] }));
    });
    expect(summary(model).skipped).toEqual({ MaxPool: 'its input is float' });
  });

  it('integer data, unknown ops, computed weights and unwanted nodes stay in float, each with the reason', () => {
    const model = buildModel((b) => {
      const x = image(b);
      const ids = b.input('ids', 'int64', [2]);
      b.output(b.op('Add', [ids, ids], {}, 'ids2'));
      b.output(b.op('Conv', [x, b.input('w', 'float32', [2, 2, 1, 1])], {}, 'dynamic'));
      b.output(b.op('Softmax', [x], {}, 'soft'));
      b.output(gemm(b, b.op('Flatten', [x]), 'unwanted'));
    });
    expect(summary(model, (node) => (node.is('Gemm') ? 'not today' : true)).skipped).toEqual({
      Add: 'its data is int64, not float32',
      Conv: 'its weight is not a constant',
      Softmax: 'no integer form of Softmax is known here',
      Flatten: 'its input is float',
      Gemm: 'not today',
    });
  });

  it('MaxPool before opset 12 and with positions stays in float', () => {
    const build = (b: GraphBuilder): void => {
      const [pooled] = b.ops('MaxPool', [conv(b, image(b), 'y')], ['pooled'], { kernel_shape: [2, 2] });
      b.output(pooled);
    };
    expect(summary(buildModel(build, { opset: 11 })).skipped.MaxPool).toBe(
      'MaxPool takes integers since opset 12',
    );
    expect(summary(buildModel(build, { opset: 12 })).skipped).toEqual({});
  });

  it('constants have no grid in the plan: they are quantized from their own elements', () => {
    const model = buildModel((b) => {
      b.output(b.op('Add', [conv(b, image(b), 'y'), b.constant('c', tensor([1]))], {}, 'sum'));
    });
    expect(Object.keys(summary(model).grids)).toEqual(['x', 'y', 'sum']);
  });
});
