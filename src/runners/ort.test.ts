import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { CalibrationError, UnsupportedError } from '../errors.ts';
import { writeModel } from '../formats/onnx/write-model.ts';
import { MemorySink } from '../formats/sink.ts';
import { buildModel } from '../graph/build.ts';
import { attr } from '../graph/attribute.ts';
import type { Model } from '../graph/model.ts';
import { tensor, type Tensor } from '../tensor/tensor.ts';
import { createRunner } from './create-runner.ts';
import { ortNode } from './ort-node.ts';
import { ortWeb } from './ort-web.ts';
import type { RunnerSource } from './runner-source.ts';
import { withTemporaryModel } from './temporary-model.ts';
import type { ExtremesResult, Feeds, ModelRunner, RunnerOptions } from './types.ts';

/** y = relu(x · w); x is [N, 2]. Inner values have no type, as in many files. */
function mlp(): Model {
  return buildModel((b) => {
    const x = b.input('x', 'float32', ['N', 2]);
    const w = b.constant('w', tensor([[1], [-2]]));
    b.output(b.op('Relu', [b.op('MatMul', [x, w], {}, 'h')]), 'y', 'float32', ['N', 1]);
  });
}

const X = tensor([
  [1, 2],
  [5, 1],
]);

async function open(
  make: (source: RunnerSource, options?: RunnerOptions) => Promise<ModelRunner>,
  source: RunnerSource,
  options: RunnerOptions = { threads: 1 },
): Promise<ModelRunner> {
  const runner = await make(source, options);
  onTestFinished(() => runner.dispose());
  return runner;
}

async function bytesOf(model: Model): Promise<Uint8Array> {
  const sink = new MemorySink();
  await writeModel(model, sink);
  return sink.bytes;
}

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'zeropoint-runner-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

function runForExtremes(
  runner: ModelRunner,
  feeds: Feeds,
  extremesOf: readonly string[],
  fetch: readonly string[] = [],
): Promise<ExtremesResult> {
  if (runner.runForExtremes === undefined) throw new TypeError('expected a runner that finds extremes');
  return runner.runForExtremes(feeds, { extremesOf, fetch });
}

const numbers = (t: Tensor): number[] => Array.from(t.data as Float32Array);

/** Statistics of a batch, updated in place if the runtime may: the casts around cancel. */
function trainingNormalization(): Model {
  return buildModel(
    (b) => {
      const names = ['scale', 'bias', 'mean', 'variance'];
      const inputs = [
        b.input('x', 'float32', ['N', 2]),
        ...names.map((name) => b.input(name, 'float32', [2])),
      ];
      const halves = inputs.map((input) => b.op('Cast', [input], { to: 10 }));
      const outputs = ['y16', 'mean16', 'variance16'];
      const results = b.ops('BatchNormalization', halves, outputs, { training_mode: 1 });
      const [y, mean, variance] = results.map((output) => b.op('Cast', [output], { to: 1 }));
      b.output(y, 'y', 'float32', ['N', 2]);
      b.output(mean, 'new_mean', 'float32', [2]);
      b.output(variance, 'new_variance', 'float32', [2]);
    },
    { opset: 15, irVersion: 8 },
  );
}

describe.each([
  ['onnxruntime-node', ortNode],
  ['onnxruntime-web', ortWeb],
])('%s', (name, make) => {
  it('gives outputs, and says what it is and takes', async () => {
    const runner = await open(make, mlp());
    expect(runner.name).toMatch(new RegExp(`^${name} \\d+\\.\\d+\\.\\d+ \\((cpu|wasm)\\)$`));
    expect(runner.inputs).toEqual([{ name: 'x', dtype: 'float32', shape: ['N', 2] }]);
    expect(runner.outputs).toEqual([{ name: 'y', dtype: 'float32', shape: ['N', 1] }]);
    const { y } = await runner.run({ x: X });
    expect(y.shape).toEqual([2, 1]);
    expect(numbers(y)).toEqual([0, 3]);
  });

  it('gives any value of the graph by name, an input too, and outputs again afterwards', async () => {
    const runner = await open(make, mlp());
    const inner = await runner.run({ x: X }, { fetch: ['h', 'y', 'x', 'h'] });
    expect(Object.keys(inner).sort()).toEqual(['h', 'x', 'y']);
    expect(numbers(inner.h)).toEqual([-3, 3]);
    expect(inner.x).toBe(X);
    expect(Object.keys(await runner.run({ x: X }))).toEqual(['y']);
  });

  it('finds extremes of values where they are, beside what is fetched', async () => {
    const runner = await open(make, mlp());
    const { results, extremes } = await runForExtremes(runner, { x: X }, ['h'], ['y']);
    expect(extremes).toEqual({ h: { min: -3, max: 3 } });
    expect(numbers(results.y)).toEqual([0, 3]);
    expect(Object.keys(results)).toEqual(['y']);
    expect(Object.keys(await runner.run({ x: X }))).toEqual(['y']);
  });

  it.each([
    ['NaN', NaN],
    ['an infinity', -Infinity],
  ])('has no extremes of a value with %s', async (_what, odd) => {
    const runner = await open(make, mlp());
    const x = tensor([
      [odd, 0],
      [5, 1],
    ]);
    expect((await runForExtremes(runner, { x }, ['h', 'x'])).extremes).toEqual({});
    expect((await runForExtremes(runner, { x: X }, ['h'])).extremes).toEqual({ h: { min: -3, max: 3 } });
  });

  it('has no extremes of other dtypes and of values that the runtime cannot reduce', async () => {
    const model = buildModel((b) => {
      const x = b.input('x', 'float32', ['N', 2]);
      b.output(b.op('Cast', [x], { to: 7 }, 'whole'), 'whole', 'int64', ['N', 2]);
    });
    const runner = await open(make, model);
    expect((await runForExtremes(runner, { x: X }, ['whole', 'x'])).extremes).toEqual({
      x: { min: 1, max: 5 },
    });
    const none = tensor(new Float32Array(0), [0, 2]);
    expect((await runForExtremes(runner, { x: none }, ['x'], ['whole'])).results.whole.shape).toEqual([0, 2]);
  });

  it('gives the same from bytes, a Blob and a path with external data', async () => {
    const bytes = await bytesOf(mlp());
    const path = join(temporaryFolder(), 'model.onnx');
    await writeModel(mlp(), path, { externalData: { threshold: 0 } });
    for (const source of [bytes, new Blob([bytes.slice()]), path]) {
      const runner = await open(make, source);
      expect(numbers((await runner.run({ x: X }, { fetch: ['h'] })).h)).toEqual([-3, 3]);
      expect(numbers((await runner.run({ x: X })).y)).toEqual([0, 3]);
    }
  });

  it('leaves what it is fed as it is, where operators may work in place', async () => {
    const pair = () => tensor([0.5, 2]);
    const feeds = { x: X, scale: pair(), bias: pair(), mean: pair(), variance: pair() };
    const runner = await open(make, trainingNormalization(), { threads: 1, optimization: 'all' });
    const first = await runner.run(feeds);
    expect(feeds).toEqual({ x: X, scale: pair(), bias: pair(), mean: pair(), variance: pair() });
    expect(numbers(first.new_mean)).not.toEqual([0.5, 2]);
  });

  it('carries float16, bool and int64 without a change of bits', async () => {
    const model = buildModel((b) => {
      const names = { half: 'float16', flag: 'bool', id: 'int64' } as const;
      for (const [input, dtype] of Object.entries(names)) {
        const value = b.input(input, dtype, [2]);
        b.output(b.op('Identity', [value]), `${input}_out`, dtype, [2]);
      }
    });
    const feeds = {
      half: tensor(Uint16Array.of(0x3c01, 0x8000), [2], 'float16'),
      flag: tensor(Uint8Array.of(1, 0), [2], 'bool'),
      id: tensor(BigInt64Array.of(-(2n ** 62n), 7n)),
    };
    const results = await (await open(make, model)).run(feeds);
    for (const [input, fed] of Object.entries(feeds)) {
      const { dtype, data } = results[`${input}_out`];
      expect([dtype, Array.from(data as Uint16Array)]).toEqual([
        fed.dtype,
        Array.from(fed.data as Uint16Array),
      ]);
    }
  });

  it('runs one after the other what is asked for at once', async () => {
    const runner = await open(make, mlp());
    const results = await Promise.all([
      runner.run({ x: X }, { fetch: ['h'] }),
      runner.run({ x: X }),
      runner.run({ x: tensor([[4, 1]]) }),
    ]);
    expect(results.map((result) => numbers(Object.values(result)[0]))).toEqual([[-3, 3], [0, 3], [2]]);
  });

  it('refuses feeds that do not fit, before it runs', async () => {
    const runner = await open(make, mlp());
    await expect(runner.run({})).rejects.toThrow("run: expected inputs 'x', got none");
    await expect(runner.run({ x: X, z: X })).rejects.toThrow("run: expected inputs 'x', got 'x', 'z'");
    const wrong = tensor(Uint8Array.of(1, 2, 3));
    await expect(runner.run({ x: wrong })).rejects.toThrow(
      "run: input 'x': expected float32 [N, 2], got uint8 [3]",
    );
    await expect(runner.run({ x: tensor([[1, 2, 3]]) })).rejects.toThrow(CalibrationError);
    await expect(runner.run({ x: X }, { fetch: ['nothing'] })).rejects.toThrow(RangeError);
  });

  it('gives what the runtime says against a model as RUNTIME_FAILED, with the cause', async () => {
    const model = buildModel((b) => {
      b.output(b.op('NoSuchOp', [b.input('x', 'float32', [1])]), 'y', 'float32', [1]);
    });
    const error: unknown = await make(await bytesOf(model)).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(UnsupportedError);
    expect(error).toMatchObject({ code: 'RUNTIME_FAILED', cause: expect.any(Error) });
    expect(String(error)).toContain('NoSuchOp');
  });

  it('stops when the signal says so, and cannot be used once disposed', async () => {
    const runner = await make(mlp());
    const reason = new Error('enough');
    await expect(runner.run({ x: X }, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    await runner.dispose();
    await expect(runner.run({ x: X })).rejects.toThrow(/disposed/);
  });
});

describe('createRunner', () => {
  it('takes onnxruntime-node where it is installed', async () => {
    expect((await open(createRunner, mlp())).name).toMatch(/^onnxruntime-node /);
  });

  it('leaves inputs with a default to the model', async () => {
    const model = buildModel((b) => {
      const x = b.input('x', 'float32', [2]);
      const bias = b.constant('bias', tensor([1, 2]));
      b.input('bias', 'float32', [2]);
      b.output(b.op('Add', [x, bias]), 'y', 'float32', [2]);
    });
    const runner = await open(createRunner, model);
    expect(runner.inputs.map((input) => input.name)).toEqual(['x']);
    expect(numbers((await runner.run({ x: tensor([1, 1]) })).y)).toEqual([2, 3]);
  });

  it('refuses inputs that are no tensors', async () => {
    const model = buildModel((b) => {
      const x = b.graph.addInput('x', { kind: 'sequence', element: undefined });
      b.output(b.op('SequenceLength', [x]), 'y', 'int64', []);
    });
    await expect(createRunner(model)).rejects.toThrow("input 'x' to be a tensor of numbers, got sequence(?)");
  });

  it('exposes values around inner graphs', async () => {
    const model = buildModel((b) => {
      const x = b.input('x', 'float32', [1]);
      const cond = b.input('cond', 'bool', []);
      const h = b.op('Neg', [x], {}, 'h');
      const branches = {
        then_branch: attr.graph(b.body('then', (t) => t.output(t.op('Relu', [h]), 'a'))),
        else_branch: attr.graph(b.body('else', (e) => e.output(e.op('Abs', [h]), 'b'))),
      };
      b.output(b.op('If', [cond], branches), 'y', 'float32', [1]);
    });
    const runner = await open(createRunner, model);
    const feeds = { x: tensor([2]), cond: tensor(Uint8Array.of(0), [], 'bool') };
    const { h, y } = await runner.run(feeds, { fetch: ['h', 'y'] });
    expect([numbers(h), numbers(y)]).toEqual([[-2], [2]]);
  });

  it('keeps what it has loaded from a temporary file after the file is gone', async () => {
    let path = '';
    const runner = await withTemporaryModel(mlp(), (given) => {
      path = given;
      return open(ortNode, given);
    });
    expect(existsSync(path)).toBe(false);
    expect(numbers((await runner.run({ x: X })).y)).toEqual([0, 3]);
  });

  it('reads a file that is no model as readModel does', async () => {
    const path = join(temporaryFolder(), 'model.onnx');
    writeFileSync(path, '');
    await expect(createRunner(path)).rejects.toMatchObject({ code: 'FORMAT_EMPTY' });
  });
});
