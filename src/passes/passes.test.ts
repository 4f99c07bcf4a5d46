import { describe, expect, it } from 'vitest';
import { attr } from '../graph/attribute.ts';
import { buildModel } from '../graph/build.ts';
import type { Graph } from '../graph/graph.ts';
import { printGraph } from '../graph/print.ts';
import type { Model } from '../graph/model.ts';
import type { Value } from '../graph/value.ts';
import { tensor } from '../tensor/tensor.ts';
import { constantOf, inputOf, present } from './access.ts';
import { eliminateIdentity } from './eliminate-identity.ts';
import { foldBatchNormalization } from './fold-batch-normalization.ts';
import { inferElementTypes } from './infer-element-types.ts';
import { removeUnused } from './remove-unused.ts';
import type { Pass } from './pass.ts';

/** Runs a pass twice: the second run must change nothing, and the input must stay as it was. */
async function runPass(
  pass: Pass,
  model: Model,
): Promise<{ text: string; modified: boolean; skipped: string[] }> {
  const before = printGraph(model.graph);
  const first = await pass(model);
  const second = await pass(first.model);
  expect(second.modified).toBe(false);
  expect(printGraph(model.graph)).toBe(before);
  return {
    text: printGraph(first.model.graph),
    modified: first.modified,
    skipped: first.skipped.map(({ node, reason }) => `${node}: ${reason}`),
  };
}

interface BatchNormOptions {
  readonly outputConv?: boolean;
  readonly training?: boolean;
  readonly dynamicScale?: boolean;
  readonly bias?: boolean;
}

function convThenBatchNorm({ outputConv, training, dynamicScale, bias }: BatchNormOptions = {}): Model {
  return buildModel((b) => {
    const x = b.input('x', 'float32', ['N', 1, 2, 2]);
    const w = b.constant('w', tensor(Float32Array.of(2, -4), [2, 1, 1, 1]));
    const c = bias ? [b.constant('c', tensor([10, 20]))] : [];
    const y = b.op('Conv', [x, w, ...c], {}, 'y');
    const scale = dynamicScale ? b.input('scale', 'float32', [2]) : b.constant('scale', tensor([3, 1]));
    const rest = ['B', 'mean', 'var'].map((name, i) =>
      b.constant(
        name,
        tensor(
          [
            [0.5, -1],
            [1, 2],
            [4, 0.25],
          ][i],
        ),
      ),
    );
    b.output(
      b.op(
        'BatchNormalization',
        [y, scale, ...rest],
        { epsilon: 1e-30, ...(training && { training_mode: 1 }) },
        'z',
      ),
    );
    if (outputConv) b.output(y);
  });
}

describe('foldBatchNormalization', () => {
  it('case 1: scales weight and bias by channel, and the value keeps the name of the normalized one', async () => {
    const { model, modified } = await foldBatchNormalization(convThenBatchNorm({ bias: true }));
    expect(modified).toBe(true);
    const [conv, ...others] = model.graph.nodes;
    expect(others).toEqual([]);
    expect(conv.outputs[0]?.name).toBe('z');
    // k = 3 / sqrt(4), 1 / sqrt(0.25)
    expect([...(await constantOf(inputOf(conv, 1)).load()).data]).toEqual([2 * 1.5, -4 * 2]);
    expect([...(await constantOf(inputOf(conv, 2)).load()).data]).toEqual([
      (10 - 1) * 1.5 + 0.5,
      (20 - 2) * 2 - 1,
    ]);
  });

  it('case 1: a missing bias becomes one', async () => {
    const { model } = await foldBatchNormalization(convThenBatchNorm());
    const [conv] = model.graph.nodes;
    expect([...(await constantOf(inputOf(conv, 2)).load()).data]).toEqual([-1 * 1.5 + 0.5, -2 * 2 - 1]);
  });

  it('case 2: leaves a normalization whose input is also a graph output', async () => {
    const { modified, skipped } = await runPass(
      foldBatchNormalization,
      convThenBatchNorm({ outputConv: true }),
    );
    expect(modified).toBe(false);
    expect(skipped).toEqual(['batchnormalization: the output of conv is also read elsewhere']);
  });

  it('case 3: leaves training mode and computed statistics', async () => {
    expect((await runPass(foldBatchNormalization, convThenBatchNorm({ training: true }))).skipped[0]).toMatch(
      /training/,
    );
    expect(
      (await runPass(foldBatchNormalization, convThenBatchNorm({ dynamicScale: true }))).skipped[0],
    ).toMatch(/scale is not a constant/);
  });

  it('case 4: leaves a normalization behind another op', async () => {
    const model = buildModel((b) => {
      const x = b.op('Relu', [b.input('x', 'float32', ['N', 1])]);
      const one = b.constant('one', tensor([1]));
      b.output(b.op('BatchNormalization', [x, one, one, one, one]), 'y');
    });
    expect((await runPass(foldBatchNormalization, model)).skipped[0]).toMatch(/no Conv or Gemm/);
  });

  it('Gemm: channels follow transB', async () => {
    for (const transB of [0, 1]) {
      const model = buildModel((b) => {
        const x = b.input('x', 'float32', ['N', 2]);
        const w = b.constant(
          'w',
          tensor([
            [1, 2],
            [3, 4],
          ]),
        );
        const y = b.op('Gemm', [x, w], { transB });
        const [gamma, zero, one] = [
          [2, 10],
          [0, 0],
          [1, 1],
        ].map((v, i) => b.constant(`s${i}`, tensor(v)));
        b.output(b.op('BatchNormalization', [y, gamma, zero, zero, one], { epsilon: 1e-30 }), 'z');
      });
      const { model: folded } = await foldBatchNormalization(model);
      const [gemm] = folded.graph.nodes;
      const expected = transB === 1 ? [2, 4, 30, 40] : [2, 20, 6, 40];
      expect([...(await constantOf(inputOf(gemm, 1)).load()).data]).toEqual(expected);
    }
  });
});

describe('eliminateIdentity', () => {
  it('case 1: removes Identity and Dropout in a chain', async () => {
    const model = buildModel((b) => {
      const x = b.input('x', 'float32', [1]);
      const d = b.op('Dropout', [b.op('Identity', [x])]);
      b.output(b.op('Relu', [b.op('Identity', [d])]), 'y');
    });
    const { model: result } = await eliminateIdentity(model);
    expect([...result.graph.nodes].map((node) => node.opType)).toEqual(['Relu']);
    expect((await runPass(eliminateIdentity, model)).modified).toBe(true);
  });

  it('case 1: an output behind an Identity keeps its name', async () => {
    const model = buildModel((b) => {
      b.output(b.op('Identity', [b.op('Relu', [b.input('x', 'float32', [1])])]), 'y');
    });
    const { model: result } = await eliminateIdentity(model);
    expect(result.graph.outputs.map((value) => value.name)).toEqual(['y']);
    expect([...result.graph.nodes]).toHaveLength(1);
  });

  it('case 2: leaves a Dropout whose mask is read', async () => {
    const model = buildModel((b) => {
      const [y, mask] = b.ops('Dropout', [b.input('x', 'float32', [1])], ['y', 'mask']);
      b.output(y);
      b.output(mask);
    });
    expect((await runPass(eliminateIdentity, model)).modified).toBe(false);
  });

  it('case 3: leaves an Identity from an input to an output', async () => {
    const model = buildModel((b) => b.output(b.op('Identity', [b.input('x', 'float32', [1])]), 'y'));
    expect((await runPass(eliminateIdentity, model)).modified).toBe(false);
  });
});

describe('removeUnused', () => {
  it('removes a chain that ends nowhere, with its constants, and keeps graph inputs', async () => {
    const model = buildModel((b) => {
      const x = b.input('x', 'float32', [1]);
      b.op('Relu', [b.op('Add', [b.input('unread', 'float32', [1]), b.constant('c', tensor([1]))])]);
      b.output(b.op('Neg', [x]), 'y');
    });
    const { model: result } = await removeUnused(model);
    expect([...result.graph.nodes].map((node) => node.opType)).toEqual(['Neg']);
    expect([...result.graph.initializers]).toEqual([]);
    expect(result.graph.inputs.map((value) => value.name)).toEqual(['x', 'unread']);
    await runPass(removeUnused, model);
  });

  it('removes what a body does not need, and what only that needed outside', async () => {
    const model = buildModel((b) => {
      const [x, c] = [b.input('x', 'float32', [1]), b.constant('c', tensor([1]))];
      const branch = (name: string): Graph =>
        b.body(name, (body) => {
          body.op('Add', [body.op('Constant', [], { value: tensor([2]) }), c]);
          body.output(body.op('Neg', [x]));
        });
      b.output(
        b.op('If', [b.input('taken', 'bool', [])], {
          then_branch: attr.graph(branch('then')),
          else_branch: attr.graph(branch('else')),
        }),
        'y',
      );
    });
    const { model: result } = await removeUnused(model);
    expect([...result.graph.allNodes()].map((node) => node.opType)).toEqual(['If', 'Neg', 'Neg']);
    expect([...result.graph.initializers]).toEqual([]);
    await runPass(removeUnused, model);
  });
});

describe('inferElementTypes', () => {
  it('follows the first input, with the exceptions of the table', () => {
    const model = buildModel((b) => {
      const x = b.input('x', 'float32', ['N', 4]);
      const shape = b.op('Shape', [x], {}, 'shape');
      const picked = b.op('Gather', [shape, b.constant('i', tensor(BigInt64Array.of(0n), []))], {}, 'picked');
      const half = b.op('Cast', [x], { to: 10 }, 'half');
      b.op('Relu', [half], {}, 'relu');
      b.op('Where', [b.op('Greater', [x, x], {}, 'mask'), x, x], {}, 'where');
      b.op('custom.Thing', [x], {}, 'thing');
      b.output(b.op('Add', [picked, picked], {}, 'sum'));
    });
    const types = inferElementTypes(model.graph);
    const typeOf = (name: string): string | undefined => types.get(present(model.graph.value(name), name));
    expect(['shape', 'picked', 'half', 'relu', 'mask', 'where', 'thing', 'sum'].map(typeOf)).toEqual([
      'int64',
      'int64',
      'float16',
      'float16',
      'bool',
      'float32',
      undefined,
      'int64',
    ]);
  });

  it('QLinearConv and QLinearMatMul give the type of the zero point of their output', () => {
    const model = buildModel((b) => {
      const scale = b.input('scale', 'float32', []);
      const code = (name: string, type: 'uint8' | 'int8'): Value[] => [
        b.input(name, type, [1, 1, 2, 2]),
        scale,
        b.input(`${name}z`, type, []),
      ];
      const operands = [...code('a', 'uint8'), ...code('w', 'int8'), scale, b.input('z', 'int8', [])];
      b.output(b.op('QLinearConv', operands, {}, 'conv'));
      b.output(b.op('QLinearMatMul', operands, {}, 'product'));
    });
    const types = inferElementTypes(model.graph);
    const typeOf = (name: string): string | undefined => types.get(present(model.graph.value(name), name));
    expect(['conv', 'product'].map(typeOf)).toEqual(['int8', 'int8']);
  });
});
