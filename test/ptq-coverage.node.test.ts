/** `coverage: 'all'`: pairs around operators that onnxruntime computes in float. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { sqnr, tensor, type Tensor } from 'zeropoint';
import {
  buildModel,
  calibrate,
  convert,
  createRunner,
  ortNode,
  planFromJSON,
  prepare,
  quantizeStatic,
  readModel,
  staticQConfigMapping,
  type PrepareOptions,
} from 'zeropoint/onnx';
import { describeModel, type Described } from './support/describe-model.ts';
import { loadJson } from './support/fixtures.ts';
import { bytesOf, LEVELS, random } from './support/graphs.ts';
import { zooInput, zooModel } from './support/zoo.ts';

interface Case extends Partial<Described> {
  readonly op: string;
  /** The float model: ONNX in base64. */
  readonly model: string;
  readonly shape: readonly number[];
  /** Factor and offset of the data, so that they lie where the operator is defined. */
  readonly data: readonly [number, number];
  /** What came instead. */
  readonly error?: string;
}

const CASES = await loadJson<Record<string, Case>>('ort/coverage.json.gz');
const NAMES = Object.keys(CASES);

/** Of one operator on random data, in dB. */
const LEAST_SQNR = 28;
/** Steps: a value that is rounded across one is wrong by all of it. */
const STEPS: Readonly<Record<string, number>> = {
  Sign: 20,
  Floor: 20,
  Ceil: 20,
  Round: 15,
  Shrink: 20,
  ThresholdedRelu: 20,
};
/** Share of the positions that must be the same. */
const LEAST_EQUAL = 0.9;

interface Deviation {
  /** Values of which they say something else than we, or nothing. */
  readonly values: readonly string[];
  readonly why: string;
}

const CLAMP = 'they leave a Relu or Clip in float whose input has no pair, even where pairs are forced';
const CHOSEN = 'not in their registry: what is chosen from the input shares its grid, and keeps its codes';
const NORM =
  'not in their registry, so that their scale (and bias) has codes of activations; ours are a weight and int32';

const DEVIATIONS: Readonly<Record<string, Deviation>> = {
  Relu: { values: ['x', 'y0'], why: CLAMP },
  Clip: { values: ['x', 'y0'], why: CLAMP },
  ...Object.fromEntries(
    ['ReduceMax', 'ReduceMin', 'GatherND', 'Trilu'].map((op) => [op, { values: ['y0'], why: CHOSEN }]),
  ),
  AveragePool: {
    values: ['y0'],
    why: 'they take the grid of the input; an average spreads less than what it averages',
  },
  RMSNormalization: { values: ['c0'], why: NORM },
  GroupNormalization: { values: ['c0', 'c1'], why: NORM },
  'LayerNormalization over two axes': {
    values: ['x', 'y0', 'c0', 'c1'],
    why: 'by channel they fail: "The truth value of an array with more than one element is ambiguous"',
  },
};

const bytesOfBase64 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'));

function feedOf({ op, shape, data: [factor, offset] }: Case): Tensor {
  if (op === 'EmbedLayerNormalization')
    return tensor(
      Int32Array.from({ length: 12 }, (_, i) => i),
      shape,
    );
  const x = random(shape, 3);
  const { fround } = Math;
  return tensor(
    x.data.map((value) => fround(fround(value * factor) + offset)),
    shape,
  );
}

/** Signal to noise in dB; of positions, which are integers, the share that is the same in its place. */
function likeness(expected: Tensor, got: Tensor): { readonly dB?: number; readonly share?: number } {
  if (expected.dtype === 'float32') return { dB: sqnr(expected, got) };
  const same = Array.from<unknown>(expected.data).filter((at, i) => at === got.data[i]).length;
  return { share: same / expected.size };
}

describe("coverage: 'all', each operator alone", () => {
  it.each(NAMES)('%s: scales, zero points and integers of onnxruntime’s quantizer', async (name) => {
    const fixture = CASES[name];
    const { model } = await quantizeStatic(
      await readModel(bytesOfBase64(fixture.model)),
      { batches: [{ x: feedOf(fixture) }], coverage: 'all' },
      { names: 'onnxruntime' },
    );
    const ours = await describeModel(model);
    const facts = (described: Partial<Described>, value: string): unknown => [
      described.activations?.[value],
      described.constants?.[value],
    ];
    const { values: differing = [], why = '' } = DEVIATIONS[name] ?? {};
    if (fixture.error !== undefined) expect(why).toContain(fixture.error.slice(0, 50));
    for (const value of differing) expect(facts(ours, value)).not.toEqual(facts(fixture, value));
    const { activations, constants } = without(ours, differing);
    expect({ activations, constants }).toEqual(without(fixture, differing));
  });

  it.each(NAMES)(`%s: pairs around it, SQNR ≥ ${LEAST_SQNR} dB at every level`, async (name) => {
    const fixture = CASES[name];
    const model = await readModel(bytesOfBase64(fixture.model));
    const x = feedOf(fixture);
    const result = await quantizeStatic(model, { batches: [{ x }], coverage: 'all' });
    expect(result.report.quantized.map(({ opType }) => opType)).toEqual([fixture.op]);
    const float = await ortNode(model, { optimization: 'disabled' });
    const expected = await float.run({ x });
    await float.dispose();
    const file = await readModel(await bytesOf(result.model));
    for (const optimization of LEVELS) {
      const runner = await ortNode(file, { optimization });
      const outputs = await runner.run({ x });
      await runner.dispose();
      for (const [output, value] of Object.entries(expected)) {
        const { dB, share } = likeness(value, outputs[output]);
        if (dB !== undefined) expect(dB).toBeGreaterThan(STEPS[name] ?? LEAST_SQNR);
        else expect(share).toBeGreaterThan(LEAST_EQUAL);
      }
    }
  });

  it('the fixture has every operator of the table in docs/ops.md', () => {
    const page = readFileSync(new URL('../docs/ops.md', import.meta.url), 'utf8');
    const all = page.slice(page.indexOf('## More than onnxruntime has kernels for'));
    const rows = all.slice(0, all.indexOf('\n## ')).match(/^\| [A-Z].*?\|/gm) ?? [];
    const listed = rows.join().match(/\b[A-Z]\w+/g) ?? [];
    expect(listed.filter((op) => !NAMES.includes(op))).toEqual([]);
    expect(listed.length).toBeGreaterThan(70);
  });
});

/** Without the facts of some values. */
function without(described: Partial<Described>, values: readonly string[]): Described {
  const rest = <T>(row: Readonly<Record<string, T>> = {}): Record<string, T> =>
    Object.fromEntries(Object.entries(row).filter(([name]) => !values.includes(name)));
  return { activations: rest(described.activations), constants: rest(described.constants) };
}

describe("coverage: 'all'", () => {
  it('stands in the plan: a kept one converts to the same; the logits have codes too', async () => {
    const model = await zooModel('digits_mlp');
    const plan = prepare(model, staticQConfigMapping(), { coverage: 'all' });
    expect(plan.coverage).toBe('all');
    expect(prepare(model).coverage).toBeUndefined();
    const runner = await createRunner(model);
    const calibrated = await calibrate(plan, runner, [{ input: zooInput('digits_mlp') }]);
    await runner.dispose();
    const kept = planFromJSON(JSON.parse(JSON.stringify(calibrated)));
    const { report } = await convert(model, kept);
    expect(report.activations.map(({ name }) => name)).toContain('logits');
    expect(report).toEqual((await convert(model, calibrated)).report);
  });

  it('an exponent of integers stays as it is', async () => {
    const model = buildModel(
      (b) => {
        const inputs = [b.input('x', 'float32', ['N', 4]), b.input('n', 'int64', ['N', 4])];
        b.output(b.op('Pow', inputs), 'y', 'float32', ['N', 4]);
      },
      { opset: 17 },
    );
    const n = tensor(BigInt64Array.of(0n, 1n, 2n, 3n), [1, 4]);
    const batches = [{ x: random([1, 4], 2), n }];
    const result = await quantizeStatic(model, { batches, coverage: 'all' });
    const pow = [...result.model.graph.nodes].find(({ opType }) => opType === 'Pow');
    expect(pow?.inputs[0]?.producer?.opType).toBe('DequantizeLinear');
    expect(pow?.inputs[1]?.name).toBe('n');
  });

  it('a model of an opset that cannot be raised, and need not be', async () => {
    const model = buildModel(
      (b) => b.output(b.op('Sigmoid', [b.input('x', 'float32', [4])]), 'y', 'float32', [4]),
      { opset: 6, irVersion: 3 },
    );
    await expect(quantizeStatic(model, { batches: [{ x: random([4], 1) }] })).rejects.toMatchObject({
      message: expect.stringContaining('expected a node that can be quantized'),
    });
  });

  it('refuses other words', async () => {
    const options = { coverage: 'some' } as unknown as PrepareOptions;
    const model = await zooModel('digits_mlp');
    expect(() => prepare(model, undefined, options)).toThrow(
      /expected coverage one of kernels, all, got 'some'/,
    );
  });
});
