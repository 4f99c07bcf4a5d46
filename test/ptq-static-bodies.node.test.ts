/** Static quantization of models with bodies of If, Loop and Scan: they stay in float, and the report says so. */
import { describe, expect, it } from 'vitest';
import { tensor } from 'zeropoint';
import {
  attr,
  buildModel,
  prepare,
  quantizeDynamic,
  quantizeStatic,
  staticQConfigMapping,
  tensorType,
  type GraphBuilder,
  type Model,
  type SkippedNode,
  type Value,
} from 'zeropoint/onnx';
import { worstSqnr } from './support/dynamic.ts';
import { random } from './support/graphs.ts';

const K = 8;
/** Least signal to noise of one quantized layer, in dB. */
const LEAST_SQNR = 28;
const BODY =
  /^it lies in a body of If, Loop or Scan, and static quantization takes nodes of the main graph only$/;

const weight = (b: GraphBuilder, seed: number): Value => b.constant(`w${seed}`, random([K, K], seed));

/** Three turns of y = (relu(y · W) + x) · 2 · turn, the product counted in integers; `first`: what y is at the start. */
function loopModel(first: (b: GraphBuilder, x: Value) => Value = (_b, x) => x): Model {
  return buildModel((b) => {
    const x = b.input('x', 'float32', [K, K]);
    const start = first(b, x);
    const body = b.body('body', (t) => {
      const turn = t.input('turn', 'int64', []);
      const go = t.input('go', 'bool', []);
      const y = t.input('state', 'float32', [K, K]);
      const twice = t.op('Cast', [t.op('Add', [turn, turn])], { to: 1 });
      t.output(t.op('Identity', [go]), 'go_out', 'bool', []);
      const next = t.op('Relu', [t.op('MatMul', [y, weight(t, 4)])]);
      t.output(t.op('Mul', [t.op('Add', [next, x]), twice]), 'state_out', 'float32', [K, K]);
    });
    const turns = b.constant('turns', tensor(BigInt64Array.of(3n), []));
    const yes = b.constant('yes', tensor(Uint8Array.of(1), [], 'bool'));
    b.output(b.op('Loop', [turns, yes, start], { body: attr.graph(body) }), 'y', 'float32', [K, K]);
  });
}

function ifInIf(): Model {
  return buildModel((b) => {
    const x = b.input('x', 'float32', [K, K]);
    const taken = b.input('taken', 'bool', []);
    const branch = (t: GraphBuilder, name: string, build: (inner: GraphBuilder) => Value) =>
      attr.graph(
        t.body(name, (inner) => {
          const result = build(inner);
          result.type = tensorType('float32', [K, K]);
          inner.graph.addOutput(result);
        }),
      );
    const product = (t: GraphBuilder, seed: number): Value => t.op('MatMul', [x, weight(t, seed)]);
    const inner = (t: GraphBuilder): Value =>
      t.op('If', [taken], {
        then_branch: branch(t, 'then', (i) => product(i, 1)),
        else_branch: branch(t, 'else', (i) => product(i, 2)),
      });
    const y = b.op('If', [taken], {
      then_branch: branch(b, 'outer_then', inner),
      else_branch: branch(b, 'outer_else', (i) => i.op('Gemm', [x, weight(i, 3)])),
    });
    b.output(y, 'y', 'float32', [K, K]);
  });
}

const lines = (skipped: readonly SkippedNode[], reason: RegExp): string[] =>
  skipped.filter((node) => reason.test(node.reason)).map(({ opType }) => opType);

describe('static quantization and bodies', () => {
  it('leaves them in float, names each node with the reason, and quantizes around them', async () => {
    const model = loopModel((b, x) => b.op('MatMul', [x, weight(b, 3)]));
    const x = random([K, K], 9);
    const { model: quantized, report } = await quantizeStatic(model, { batches: [{ x }] });
    expect(report.quantized.map(({ opType }) => opType)).toEqual(['MatMul']);
    // The sum reads x, which has codes in the main graph.
    expect(lines(report.skipped, BODY)).toEqual(['MatMul', 'Add']);
    expect(lines(report.skipped, /^its data is int64, not float32$/)).toEqual(['Add']);
    expect(lines(report.skipped, /^its input is float$/)).toEqual(['Relu', 'Mul']);
    expect(await worstSqnr(model, quantized, { x })).toBeGreaterThan(LEAST_SQNR);
  });

  it("with coverage 'all' names what would have been quantized in the main graph", () => {
    const model = loopModel((b, x) => b.op('MatMul', [x, weight(b, 3)]));
    const { skipped } = prepare(model, undefined, { coverage: 'all' });
    expect(lines(skipped, BODY)).toEqual(['MatMul', 'Relu', 'Add', 'Mul']);
  });

  it('refuses a model whose products all lie in bodies, and says where they are and what to do', async () => {
    const refusal = {
      code: 'GRAPH_NOT_QUANTIZABLE',
      message: expect.stringMatching(
        /expected a node in the main graph .*got none; in bodies of If, Loop and Scan are MatMul \(2\), Gemm \(1\)/,
      ),
      hint: expect.stringMatching(/Use dynamic mode \(quantizeDynamic, --dynamic\)/),
    };
    const feeds = { x: random([K, K], 9), taken: tensor(Uint8Array.of(1), [], 'bool') };
    await expect(quantizeStatic(ifInIf(), { batches: [feeds] })).rejects.toMatchObject(refusal);
    // What the hint says is true.
    expect((await quantizeDynamic(ifInIf())).report.quantized).toHaveLength(3);
    expect(() => prepare(loopModel())).toThrow(/in bodies of If, Loop and Scan are MatMul \(1\)/);
  });

  it('a mapping that leaves them in float is the reason then', () => {
    const mapping = staticQConfigMapping().setObjectType('MatMul', null);
    expect(() => prepare(loopModel(), mapping)).toThrow(
      expect.objectContaining({
        message: expect.stringMatching(/expected a node that can be quantized, got none/),
        details: {
          skipped: expect.arrayContaining([
            expect.objectContaining({ opType: 'MatMul', reason: 'the QConfigMapping leaves it in float' }),
          ]),
        },
      }),
    );
  });
});
