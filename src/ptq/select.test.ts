import { describe, expect, it } from 'vitest';
import { buildModel, type GraphBuilder } from '../graph/build.ts';
import type { Value } from '../graph/value.ts';
import type { Model } from '../graph/model.ts';
import { tensor } from '../tensor/tensor.ts';
import type { Wishes } from './consider.ts';
import { selectNodes } from './select.ts';

const ALL: Wishes = { wants: () => true, insists: () => false };

interface Summary {
  readonly nodes: string[];
  readonly grids: Record<string, string>;
  readonly fused: string[];
  readonly skipped: Record<string, string>;
}

function summary(model: Model, wishes: Wishes = ALL): Summary {
  const { nodes, grids, fused, skipped } = selectNodes(model, wishes);
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
      const sum = b.op('Add', [y, b.op('Relu', [y], {}, 'z')], {}, 'sum');
      b.output(gemm(b, b.op('Flatten', [sum]), 'logits'));
    });
    expect(summary(model)).toMatchObject({ fused: [], grids: { y: 'y', z: 'z', sum: 'sum' } });
  });

  it('reshapes and max pooling share the grid of their input, averages have their own', () => {
    const model = buildModel((b) => {
      const y = conv(b, image(b), 'y');
      const pooled = b.op('MaxPool', [y], { kernel_shape: [2, 2] }, 'pooled');
      const mean = b.op('GlobalAveragePool', [pooled], {}, 'mean');
      b.output(gemm(b, b.op('Flatten', [mean], {}, 'flat'), 'logits'));
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
      skipped: { Flatten: 'nothing after it computes in integers' },
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
      b.output(b.op('Tanh', [x], {}, 'tanh'));
      b.output(b.op('NonZero', [x], {}, 'positions'));
      b.output(gemm(b, b.op('Flatten', [x]), 'unwanted'));
    });
    expect(
      summary(model, { ...ALL, wants: (node) => (node.is('Gemm') ? 'not today' : true) }).skipped,
    ).toEqual({
      Add: 'its data is int64, not float32',
      Conv: 'its weight is not a constant',
      Tanh: 'onnxruntime has no integer kernel for it',
      NonZero: 'no integer form of NonZero is known here',
      Flatten: 'its input is float',
      Gemm: 'not today',
    });
  });

  it('MaxPool before opset 12 and with positions stays in float', () => {
    const build = (b: GraphBuilder): void => {
      const [pooled] = b.ops('MaxPool', [conv(b, image(b), 'y')], ['pooled'], { kernel_shape: [2, 2] });
      b.output(gemm(b, b.op('Flatten', [pooled]), 'logits'));
    };
    expect(summary(buildModel(build, { opset: 11 })).skipped.MaxPool).toBe(
      'MaxPool takes integers since opset 12',
    );
    expect(summary(buildModel(build, { opset: 12 })).skipped).toEqual({});
  });

  it('constants have no grid in the plan: they are quantized from their own elements', () => {
    const model = buildModel((b) => {
      const sum = b.op('Add', [conv(b, image(b), 'y'), b.constant('c', tensor([1]))], {}, 'sum');
      b.output(conv(b, sum, 'z'));
    });
    expect(Object.keys(summary(model).grids)).toEqual(['x', 'y', 'sum', 'z']);
  });

  it('carriers whose codes nobody reads stay in float, and what only they read loses its grid', () => {
    const model = buildModel((b) => {
      const sine = b.op('Sin', [image(b)], {}, 'sine');
      const sum = b.op('Add', [conv(b, b.op('Cos', [sine], {}, 'cosine'), 'y'), sine], {}, 'sum');
      b.output(b.op('Sigmoid', [b.op('Slice', [sum, b.constant('at', tensor([0]))])], {}, 'z'));
    });
    const { nodes, grids, skipped } = summary(model);
    expect(nodes).toEqual(['Conv']);
    expect(grids).toEqual({ cosine: 'cosine', y: 'y' });
    for (const op of ['Add', 'Slice', 'Sigmoid'])
      expect(skipped[op]).toBe('nothing after it computes in integers');
  });

  it('every output of a Split has the grid of what is split', () => {
    const model = buildModel((b) => {
      const [left, right] = b.ops('Split', [conv(b, image(b), 'y')], ['left', 'right'], { num_outputs: 2 });
      b.output(conv(b, b.op('Add', [left, right], {}, 'sum'), 'z'));
    });
    expect(summary(model).grids).toEqual({ x: 'x', y: 'y', left: 'y', right: 'y', sum: 'sum', z: 'z' });
  });

  it('rows of a constant table are codes wherever they are read, and not calibrated', () => {
    const model = buildModel((b) => {
      const table = b.constant('table', tensor(new Float32Array(8), [4, 2]));
      const row = b.op('Gather', [table, b.input('ids', 'int64', ['N'])], {}, 'row');
      b.output(b.op('Tanh', [b.op('Reshape', [row, b.constant('s', tensor([2]))], {}, 'flat')], {}, 'z'));
    });
    const { tables, grids } = selectNodes(model, ALL);
    expect([...tables].map((value) => value.name)).toEqual(['row']);
    expect([...grids.keys()].map((value) => value.name)).toEqual(['row']);
  });

  it('a Relu behind a Softmax is not fused: the grid of [0, 1] is the one that its kernel is made for', () => {
    const model = buildModel((b) => {
      const soft = b.op('Softmax', [gemm(b, b.input('x', 'float32', ['N', 2]), 'y')], {}, 'soft');
      b.output(gemm(b, b.op('Relu', [soft], {}, 'active'), 'z'));
    });
    expect(summary(model)).toMatchObject({ fused: [], grids: { soft: 'soft', active: 'active' } });
  });

  describe('advice', () => {
    const scores = (b: GraphBuilder): Value => gemm(b, b.input('x', 'float32', ['N', 2]), 'scores');
    const masked = (bring: (b: GraphBuilder, y: Value) => Value): Model =>
      buildModel((b) => {
        const soft = b.op('Softmax', [bring(b, scores(b))], {}, 'soft');
        b.output(gemm(b, soft, 'z'));
      });
    const low = (b: GraphBuilder): Value => b.constant('low', tensor(-10000, []));
    const ADVICE = 'attention-mask values (-1000 and below) would leave no codes for the scores';

    it.each<[string, (b: GraphBuilder, y: Value) => Value]>([
      ['Add', (b, y) => b.op('Add', [y, b.op('Mul', [b.input('m', 'float32', [2]), low(b)])])],
      ['Where', (b, y) => b.op('Where', [b.input('m', 'bool', [2]), y, low(b)])],
    ])('%s of an attention mask, and its Softmax, stay in float', (op, bring) => {
      const model = masked(bring);
      expect(summary(model).skipped).toMatchObject({ [op]: ADVICE, Softmax: ADVICE });
      expect(summary(model).nodes).toEqual(['Gemm', 'Gemm']);
      expect(summary(model, { ...ALL, insists: () => true }).nodes).toEqual(['Gemm', op, 'Softmax', 'Gemm']);
    });

    it('a sum with other constants before a Softmax is quantized', () => {
      const model = masked((b, y) => b.op('Add', [y, b.constant('c', tensor([-3, 2]))]));
      expect(summary(model).nodes).toEqual(['Gemm', 'Add', 'Softmax', 'Gemm']);
    });

    it('the product inside a Gelu stays in float', () => {
      const model = buildModel((b) => {
        const y = scores(b);
        const one = b.constant('one', tensor(1, []));
        const gelu = b.op('Mul', [y, b.op('Add', [b.op('Erf', [y]), one])], {}, 'gelu');
        b.output(gemm(b, gelu, 'z'));
      });
      expect(summary(model).skipped.Mul).toMatch(/fuses it with Erf or Tanh into Gelu/);
      expect(summary(model).nodes).toEqual(['Gemm', 'Gemm']);
    });
  });
});
