/**
 * Local functions put where they are called: onnxruntime gives the same bits before and after. Models of
 * test/fixtures/functions, made by scripts/fixtures/onnx_functions.py, and small ones for what stays.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { tensor, type Tensor } from 'zeropoint';
import {
  attr,
  buildGraph,
  buildModel,
  clean,
  convertToFloat16,
  inlineFunctions,
  ortNode,
  quantizeDynamic,
  quantizeStatic,
  quantizeWeights,
  readModel,
  staticQConfigMapping,
  storeWeights,
  tensorType,
  type GraphBuilder,
  type Model,
  type ModelFunction,
  type Value,
} from 'zeropoint/onnx';
import { worstSqnr, type Feeds } from './support/dynamic.ts';
import { bytesOf, random } from './support/graphs.ts';

/** Least signal to noise of two layers with 8-bit weights and activations, in dB. */
const LEAST_SQNR = 20;
const SIZE = 16;
const FIXTURES = ['attributes', 'nested', 'optional', 'onnxscript'] as const;

const fixture = (name: string): Promise<Model> =>
  readModel(new Uint8Array(readFileSync(new URL(`fixtures/functions/${name}.onnx`, import.meta.url))));
const X = (seed: number): Feeds => ({ x: random([3, SIZE], seed) });

async function outputsOf(model: Model, feeds: Feeds): Promise<Record<string, Tensor>> {
  const runner = await ortNode(await readModel(await bytesOf(model)), { optimization: 'disabled' });
  const outputs = await runner.run(feeds);
  await runner.dispose();
  return outputs;
}

async function expectSameBits(model: Model, inlined: Model, feeds: Feeds): Promise<void> {
  const [expected, outputs] = [await outputsOf(model, feeds), await outputsOf(inlined, feeds)];
  expect(Object.keys(outputs)).toEqual(Object.keys(expected));
  for (const [name, { data }] of Object.entries(expected)) {
    expect([...new Uint8Array(outputs[name].data.buffer)]).toEqual([...new Uint8Array(data.buffer)]);
  }
}

const namesOf = ({ graph }: Model): string[] => Array.from(graph.allNodes(), ({ name }) => name);
const opsOf = ({ graph }: Model): string[] => Array.from(graph.allNodes(), ({ qualifiedOp }) => qualifiedOp);

describe('inlineFunctions', () => {
  it.each(FIXTURES)('%s: no function left, the same bits, and nothing for a second run', async (name) => {
    const model = await fixture(name);
    const before = await bytesOf(model);
    const { model: inlined, modified, skipped } = await inlineFunctions(model);
    expect({ modified, skipped, functions: inlined.functions }).toEqual({
      modified: true,
      skipped: [],
      functions: [],
    });
    expect(opsOf(inlined).filter((op) => /^(local|script)\./.test(op))).toEqual([]);
    for (const seed of [1, 2, 3]) await expectSameBits(model, inlined, X(seed));
    expect(await inlineFunctions(inlined)).toEqual({ model: inlined, modified: false, skipped: [] });
    expect(await bytesOf(model)).toEqual(before);
    expect(inlined.graph.outputs.map((value) => value.name)).toEqual(
      model.graph.outputs.map((value) => value.name),
    );
  });

  it('case 1: names begin with the call, what a call gave keeps its name, axes lose the names of functions', async () => {
    const { model } = await inlineFunctions(await fixture('nested'));
    expect(namesOf(model)).toContain('first/if');
    expect(namesOf(model)).toContain('first/linear/matmul');
    expect(namesOf(model)).toContain('block/linear/matmul');
    expect(namesOf(model)).toContain('first/scale/mul');
    expect(model.graph.value('h')?.producer?.name).toBe('first/linear/add');
    expect(model.graph.value('first/picked')?.type).toEqual(tensorType('float32', [undefined, SIZE]));
  });

  it('case 2: attributes of the call, by default, and none', async () => {
    const { model } = await inlineFunctions(await fixture('attributes'));
    const slopes = [...model.graph.nodes]
      .filter((node) => node.is('LeakyRelu'))
      .map((node) => node.float('alpha', undefined));
    expect(slopes).toEqual([0.25, undefined, 0.125, 0.25]);
  });

  it('cases 3 and 7: operator sets of the functions come, those that only they were of go', async () => {
    const { model } = await inlineFunctions(await fixture('optional'));
    expect([...model.opsetImports]).toEqual([
      ['', 21],
      ['com.microsoft', 1],
    ]);
  });
});

/** A function y = f(a, w), by default of one MatMul. */
function functionOf(
  name: string,
  change: Partial<ModelFunction> = {},
  build = (b: GraphBuilder, a: Value, w: Value): Value => b.op('MatMul', [a, w], {}, 'product'),
): ModelFunction {
  const body = buildGraph((b) => {
    b.output(build(b, b.graph.addInput('a'), b.graph.addInput('w')));
  });
  const opsetImports = new Map([
    ['', 21],
    ['local', 1],
  ]);
  const shared = {
    domain: 'local',
    overload: '',
    attributes: [],
    attributeDefaults: new Map(),
    origin: undefined,
  };
  return { ...shared, name, body, opsetImports, ...change };
}

function callerOf(
  op: string,
  functions: readonly ModelFunction[],
  build = (b: GraphBuilder, x: Value, w: Value): Value => b.op(op, [x, w]),
): Model {
  const model = buildModel(
    (b) => {
      const w = b.constant('w', random([SIZE, SIZE], 7));
      b.output(build(b, b.input('x', 'float32', [3, SIZE]), w), 'y', 'float32', [3, SIZE]);
    },
    { opsets: { local: 1 } },
  );
  model.functions.push(...functions);
  return model;
}

const reasons = async (model: Model): Promise<string[]> =>
  (await inlineFunctions(model)).skipped.map(({ node, opType, reason }) => `${node} ${opType}: ${reason}`);

describe('inlineFunctions: what stays, with the reason', () => {
  it('case 3: another version of an operator set, and with it the function that is called', async () => {
    const older = functionOf('Old', { opsetImports: new Map([['', 18]]) });
    const outer = functionOf('Outer', {}, (b, a, w) => b.op('local.Old', [b.op('Relu', [a]), w]));
    const model = callerOf('local.Outer', [outer, older]);
    const result = await inlineFunctions(model);
    expect(result.skipped).toEqual([
      {
        node: 'outer/old',
        opType: 'local.Old',
        reason: 'its function is of version 18 of operator set ai.onnx, the model of version 21',
      },
    ]);
    expect(result.modified).toBe(true);
    expect(result.model.functions.map(({ name }) => name)).toEqual(['Old']);
    expect(opsOf(result.model)).toEqual(['Relu', 'local.Old']);
    await expectSameBits(model, result.model, X(4));
  });

  it('case 3: a version that no node of the function is of does not matter', async () => {
    const inner = functionOf('Inner');
    const outer = functionOf(
      'Outer',
      {
        opsetImports: new Map([
          ['', 18],
          ['local', 1],
        ]),
      },
      (b, a, w) => b.op('local.Inner', [a, w]),
    );
    const { model, skipped } = await inlineFunctions(callerOf('local.Outer', [inner, outer]));
    expect(skipped).toEqual([]);
    expect(opsOf(model)).toEqual(['MatMul']);
  });

  it('case 4: functions that call themselves, at once or by way of another', async () => {
    const ping = functionOf('Ping', {}, (b, a, w) => b.op('local.Pong', [a, w]));
    const pong = functionOf('Pong', {}, (b, a, w) => b.op('local.Ping', [a, w]));
    const outer = functionOf('Outer', {}, (b, a, w) => b.op('local.Ping', [b.op('Relu', [a]), w]));
    expect(await reasons(callerOf('local.Outer', [outer, ping, pong]))).toEqual([
      'outer/ping local.Ping: its function calls itself',
    ]);
    const own = functionOf('Own', {}, (b, a, w) => b.op('local.Own', [a, w]));
    expect(await reasons(callerOf('local.Own', [own]))).toEqual(['own local.Own: its function calls itself']);
  });

  it('case 5: an operator of the runtime, and one that has no function', async () => {
    const model = callerOf('com.microsoft.FusedMatMul', [
      functionOf('FusedMatMul', { domain: 'com.microsoft' }),
    ]);
    expect(await reasons(model)).toEqual([
      'fusedmatmul com.microsoft.FusedMatMul: its function stands for an operator of runtimes',
    ]);
    const custom = callerOf('custom.MatMul', []);
    expect(await inlineFunctions(custom)).toEqual({ model: custom, modified: false, skipped: [] });
  });

  it('case 6: more inputs or outputs than the function has, and an absent input that it gives', async () => {
    const many = callerOf('local.F', [functionOf('F')], (b, x, w) => b.op('local.F', [x, w, x]));
    expect(await reasons(many)).toEqual(['f local.F: it has 3 inputs, its function 2']);
    const two = callerOf('local.F', [functionOf('F')], (b, x, w) => b.ops('local.F', [x, w], ['p', 'q'])[1]);
    expect(await reasons(two)).toEqual(['f local.F: it has 2 outputs, its function 1']);
    const through = functionOf('F', {}, (_b, _a, w) => w);
    expect(await reasons(callerOf('local.F', [through], (b, x) => b.op('local.F', [x])))).toEqual([
      'f local.F: its function gives input w as it came, and it came as none',
    ]);
  });

  it('case 6: calls that multiply beyond all bounds end, with less nodes than the limit', async () => {
    const levels = Array.from({ length: 30 }, (_, level) =>
      functionOf(`F${level}`, {}, (b, a, w) => {
        if (level === 29) return b.op('MatMul', [a, w]);
        const next = `local.F${level + 1}`;
        return b.op(next, [b.op(next, [b.op(next, [a, w]), w]), w]);
      }),
    );
    const { model, skipped } = await inlineFunctions(callerOf('local.F0', levels));
    expect(skipped.length).toBeGreaterThan(0);
    expect(skipped[0].reason).toContain('more than');
    expect(model.graph.nodes.size).toBeLessThan(500_000);
  }, 60_000);

  it('case 7: a function that nothing calls goes', async () => {
    const model = callerOf('MatMul', [functionOf('Unused')]);
    const result = await inlineFunctions(model);
    expect(result).toMatchObject({ modified: true, skipped: [] });
    expect(result.model.functions).toEqual([]);
    expect([...result.model.opsetImports.keys()]).toEqual(['']);
  });
});

describe('inlineFunctions: names and graphs', () => {
  it('a graph that is an attribute of the call sees what is around the call', async () => {
    const choose = functionOf('Choose', { attributes: ['otherwise'] }, (b, a, w) => {
      const product = b.op('MatMul', [a, w], {}, 'product');
      const zero = b.op('Constant', [], { value_float: attr.float(0) });
      const positive = b.op('Greater', [b.op('ReduceSum', [product], { keepdims: 0 }), zero]);
      const then = b.body('then', (t) => t.output(t.op('Relu', [product], {}, 'picked')));
      return b.op('If', [positive], {
        then_branch: attr.graph(then),
        else_branch: { kind: 'reference', value: 'otherwise' },
      });
    });
    const model = callerOf('', [choose], (b, x, w) => {
      const shift = b.op('Mul', [x, x], {}, 'product');
      const otherwise = b.body('otherwise', (t) =>
        t.output(t.op('Neg', [shift], {}, 'picked'), undefined, 'float32'),
      );
      const first = b.op('local.Choose', [x, w], { otherwise: attr.graph(otherwise) });
      return b.op('Add', [first, shift]);
    });
    const { model: inlined, skipped } = await inlineFunctions(model);
    expect(skipped).toEqual([]);
    const values = Array.from(inlined.graph.allNodes()).flatMap(({ outputs }) =>
      outputs.map((value) => value?.name),
    );
    expect(new Set(values).size).toBe(values.length);
    // onnxruntime 1.30 takes no graph for a reference, so the expression is written out.
    const written = callerOf('', [], (b, x, w) => {
      const product = b.op('MatMul', [x, w]);
      const shift = b.op('Mul', [x, x]);
      const positive = b.op('Greater', [
        b.op('ReduceSum', [product], { keepdims: 0 }),
        b.constant('zero', tensor(0, [])),
      ]);
      const then = b.body('then', (t) => t.output(t.op('Relu', [product])));
      const otherwise = b.body('otherwise', (t) => t.output(t.op('Neg', [shift])));
      const picked = b.op('If', [positive], {
        then_branch: attr.graph(then),
        else_branch: attr.graph(otherwise),
      });
      return b.op('Add', [picked, shift]);
    });
    for (const seed of [1, 2, 3, 4]) await expectSameBits(written, inlined, X(seed));
  });

  it('results that are inputs, constants, or given twice keep the names of outputs', async () => {
    const body = buildGraph((b) => {
      const a = b.graph.addInput('a');
      const relu = b.op('Relu', [a], {}, 'r');
      const c = b.op('Constant', [], { value_floats: attr.floats([1, 2]) }, 'c');
      for (const value of [a, relu, relu, c]) b.graph.addOutput(value);
    });
    const model = buildModel(
      (b) => {
        const x = b.input('x', 'float32', [3, SIZE]);
        for (const value of b.ops('local.F', [x], ['same', 'one', 'two', 'fixed']))
          b.output(value, undefined, 'float32');
      },
      { opsets: { local: 1 } },
    );
    model.functions.push(functionOf('F', { body }));
    const { model: inlined } = await inlineFunctions(model);
    // onnxruntime 1.30 takes no function that gives an input as it came.
    const outputs = await outputsOf(inlined, X(5));
    const { data } = X(5).x;
    const relu = Array.from(data as Float32Array, (value) => Math.max(value, 0));
    expect(Object.keys(outputs)).toEqual(['same', 'one', 'two', 'fixed']);
    expect(Object.values(outputs).map((value) => [...value.data])).toEqual([[...data], relu, relu, [1, 2]]);
  });

  it('nodes of a function that come in another order are sorted', async () => {
    const body = buildGraph((b) => {
      const [a, w] = [b.graph.addInput('a'), b.graph.addInput('w')];
      const late = b.op('MatMul', [a, w], {}, 'm');
      const early = b.op('Relu', [a], {}, 'r');
      late.producer?.setInput(0, early);
      b.output(late);
    });
    const { model } = await inlineFunctions(callerOf('local.F', [functionOf('F', { body })]));
    expect(opsOf(model)).toEqual(['Relu', 'MatMul']);
  });
});

describe('a MatMul inside a function is quantized', () => {
  const feeds = [X(11), X(12), X(13)];
  const ops = {
    dynamic: 'MatMulInteger',
    static: 'QuantizeLinear',
    weights: 'com.microsoft.MatMulNBits',
  } as const;

  it('dynamically', async () => {
    const float = await fixture('onnxscript');
    const { model, report } = await quantizeDynamic(float);
    expect(report.quantized.map(({ opType }) => opType)).toEqual(['MatMul', 'MatMul']);
    expect(opsOf(model).filter((op) => op === ops.dynamic)).toHaveLength(2);
    expect(await worstSqnr(float, model, feeds[0])).toBeGreaterThan(LEAST_SQNR);
  });

  it('statically', async () => {
    const float = await fixture('onnxscript');
    const { model, report } = await quantizeStatic(float, { batches: feeds });
    expect(report.quantized.filter(({ opType }) => opType === 'MatMul')).toHaveLength(2);
    expect(opsOf(model)).toContain(ops.static);
    expect(await worstSqnr(float, model, feeds[0])).toBeGreaterThan(LEAST_SQNR);
  });

  it('by weights alone, and for storage', async () => {
    const float = await fixture('onnxscript');
    const { model } = await quantizeWeights(float, { bits: 8, blockSize: 16 });
    expect(opsOf(model).filter((op) => op === ops.weights)).toHaveLength(2);
    expect(await worstSqnr(float, model, feeds[0])).toBeGreaterThan(LEAST_SQNR);
    const { report } = await storeWeights(float);
    expect(report.quantized.map(({ opType }) => opType)).toEqual(['MatMul', 'MatMul']);
  });

  it('a name in a mapping can be that of a call, or of a node inside', async () => {
    const float = await fixture('nested');
    const none = async (name: string): Promise<string[]> => {
      const qconfigMapping = staticQConfigMapping().setModuleName(name, null);
      return (await quantizeDynamic(float, { qconfigMapping })).report.quantized.map(({ node }) => node);
    };
    const all = ['first/linear/matmul', 'block/linear/matmul', 'last/linear/matmul'];
    expect(await none('first')).toEqual(all.slice(1));
    expect(await none('block/linear/matmul')).toEqual([all[0], all[2]]);
    await expect(none('first/linear/matmull')).rejects.toThrow('expected setModuleName to be about a node');
  });

  it('float16 keeps what the name of a call means', async () => {
    const float = await fixture('nested');
    const { report } = await convertToFloat16(float, { keep: { names: ['last', 'first/linear/matmul'] } });
    const kept = report.skipped.map(({ node }) => node);
    expect(kept).toContain('first/linear/matmul');
    expect(kept).toContain('last/linear/matmul');
    expect(kept).not.toContain('block/linear/matmul');
  });

  it('a function that holds integer arithmetic makes a model that is quantized', async () => {
    const { model } = await quantizeDynamic(callerOf('MatMul', []));
    const quantized = functionOf('Q', {}, (b, a) => b.ops('DynamicQuantizeLinear', [a], ['q', 's', 'z'])[1]);
    const float = callerOf('local.Q', [quantized]);
    for (const given of [model, float]) await expect(quantizeDynamic(given)).rejects.toThrow('is quantized');
  });

  it('clean puts functions in their place before it looks for identities and constants', async () => {
    const identity = functionOf('F', {}, (b, a, w) =>
      b.op('MatMul', [b.op('Identity', [a]), b.op('Transpose', [w])]),
    );
    const { model } = await clean(callerOf('local.F', [identity]));
    expect(opsOf(model)).toEqual(['MatMul']);
    const [product] = model.graph.nodes;
    expect(product.inputs[1]?.constant?.shape).toEqual([SIZE, SIZE]);
  });
});
