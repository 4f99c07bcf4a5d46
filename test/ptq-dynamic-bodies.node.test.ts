/** Dynamic quantization inside bodies of If, Loop and Scan, run by onnxruntime at every level. */
import { describe, expect, it } from 'vitest';
import {
  attr,
  buildGraph,
  buildModel,
  quantizeDynamic,
  type Graph,
  type GraphBuilder,
  type Model,
  type Value,
} from 'zeropoint/onnx';
import { branch, condition, constantNode, ifModel, K, loopModel, scanModel } from './support/bodies.ts';
import { worstSqnr, type Feeds } from './support/dynamic.ts';
import { random } from './support/graphs.ts';

/** Least signal to noise of up to three layers with 8-bit weights and activations on uniform data, in dB. */
const LEAST_SQNR = 30;
const X = { x: random([K, K], 9) };

async function expectClose(float: Model, quantized: Model, feeds: readonly Feeds[]): Promise<void> {
  for (const feed of feeds) {
    const worst = await worstSqnr(float, quantized, feed);
    expect(worst).toBeGreaterThan(LEAST_SQNR);
    expect(worst).toBeLessThan(Infinity);
  }
}

/** How often an operator stands in a graph itself, not in the bodies inside it. */
const countIn = (graph: Graph, opType: string): number =>
  [...graph.nodes].filter((node) => node.is(opType)).length;

const bodiesOf = (model: Model): Graph[] => [...model.graph.allNodes()].flatMap((node) => node.subgraphs);

const dynamicIn = (model: Model): number[] =>
  [model.graph, ...bodiesOf(model)].map((graph) => countIn(graph, 'DynamicQuantizeLinear'));

describe(`bodies: SQNR > ${LEAST_SQNR} dB at every level`, () => {
  const both = [true, false].map((value) => ({ ...X, condition: condition(value) }));

  it('If: each branch quantizes what comes from outside, so that only the one that is taken does', async () => {
    const float = ifModel(false);
    const { model, report } = await quantizeDynamic(float);
    expect(dynamicIn(model)).toEqual([0, 1, 2]);
    expect(report.quantized).toHaveLength(3);
    await expectClose(float, model, both);
  });

  it('If: a reader outside quantizes for the branches too', async () => {
    const float = ifModel(true);
    const { model } = await quantizeDynamic(float);
    expect(dynamicIn(model)).toEqual([1, 0, 1]);
    await expectClose(float, model, both);
  });

  it('stores a weight once for all who read it, and takes Constant nodes out of bodies', async () => {
    const { model, report } = await quantizeDynamic(ifModel(true));
    expect(report.weights.map(({ elements }) => elements)).toEqual([K * K, K * K]);
    const matrices = [...model.graph.initializers].filter((value) => value.dims?.length === 2);
    expect(matrices.map((value) => value.elementType)).toEqual(['int8', 'int8']);
    expect(bodiesOf(model).map((body) => countIn(body, 'Constant'))).toEqual([0, 0]);
  });

  it('Loop: what does not change is quantized in front of it, once', async () => {
    const float = loopModel();
    const { model } = await quantizeDynamic(float);
    expect(dynamicIn(model)).toEqual([1, 1]);
    await expectClose(float, model, [X]);
  });

  it('Scan', async () => {
    const float = scanModel();
    const { model } = await quantizeDynamic(float);
    expect(dynamicIn(model)).toEqual([0, 1]);
    await expectClose(float, model, [X]);
  });

  it('If in an If: the inner branches use what the outer one has quantized', async () => {
    const float = buildModel((b) => {
      const x = b.input('x', 'float32', [K, K]);
      const taken = b.input('condition', 'bool', []);
      const product = (t: GraphBuilder, seed: number): Value => t.op('MatMul', [x, constantNode(t, seed)]);
      const inner = (t: GraphBuilder): Value =>
        t.op('If', [taken], {
          then_branch: attr.graph(branch(t, 'inner_then', (i) => product(i, 11))),
          else_branch: attr.graph(branch(t, 'inner_else', (i) => product(i, 12))),
        });
      const y = b.op('If', [taken], {
        then_branch: attr.graph(branch(b, 'then', (t) => t.op('Add', [inner(t), product(t, 13)]))),
        else_branch: attr.graph(branch(b, 'else', inner)),
      });
      b.output(y, 'y', 'float32', [K, K]);
    });
    const { model, report } = await quantizeDynamic(float);
    expect(dynamicIn(model).reduce((a, b) => a + b)).toBe(3);
    expect(report.quantized).toHaveLength(5);
    await expectClose(float, model, both);
  });
});

describe('local functions', () => {
  it('of another opset stay in float, node by node with the reason', async () => {
    const model = buildModel(
      (b) => {
        const product = b.op('MatMul', [b.input('x', 'float32', [K, K]), b.constant('w', random([K, K]))]);
        b.output(b.op('test.twice', [product]), 'y');
      },
      { opsets: { test: 1 } },
    );
    const body = buildGraph((b) => {
      b.output(b.op('MatMul', [b.op('Relu', [b.input('x', 'float32')], {}, 'r'), constantNode(b, 2)]), 'y');
    });
    const shared = { overload: '', attributes: [], attributeDefaults: new Map(), origin: undefined };
    model.functions.push({
      ...shared,
      domain: 'test',
      name: 'twice',
      body,
      opsetImports: new Map([['', 20]]),
    });
    const { report } = await quantizeDynamic(model);
    expect(report.quantized).toHaveLength(1);
    expect(report.skipped.map(({ opType, reason }) => `${opType}: ${reason}`)).toEqual([
      'test.twice: test.twice has no dynamic integer form here',
      'Relu: it lies in the local function twice',
      'MatMul: it lies in the local function twice',
    ]);
  });
});
