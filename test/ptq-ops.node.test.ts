/**
 * One small graph for each family of ops: against onnxruntime's Python quantizer (scripts/fixtures/ort_ops.py), and run by
 * onnxruntime at every optimization level. What its optimized graphs hold stands in docs/ops.md.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { HistogramObserver, MinMaxObserver, sqnr, tensor, type Tensor } from 'zeropoint';
import {
  attr,
  buildModel,
  calibrate,
  clean,
  convert,
  createRunner,
  mergePlans,
  onnxQConfig,
  ortNode,
  prepare,
  quantizeStatic,
  readModel,
  STATIC_OP_TYPES,
  staticQConfigMapping,
  type GraphBuilder,
  type AttributeInput,
  type Model,
  type Value,
} from 'zeropoint/onnx';
import { describeModel, type Described } from './support/describe-model.ts';
import { bytesOf, LEVELS, random } from './support/graphs.ts';

const FIXTURES = new URL('./fixtures/ort/ops/', import.meta.url);
/** Least signal to noise of three quantized layers on random data, in dB. */
const LEAST_SQNR = 28;
/** Positions: an equal pair of codes moves one by a whole step. */
const LEAST_SQNR_POSITIONS = 23;

const ints = (...values: number[]): Tensor => tensor(BigInt64Array.from(values, BigInt));

const CASES = JSON.parse(readFileSync(new URL('families.json', FIXTURES), 'utf8')) as Record<
  string,
  Described
>;
const FAMILIES = [...new Set(Object.keys(CASES).map((name) => name.split(' ')[0]))];

/** Values, by family, that have another grid here than there, and the biases at their scale; and why. */
const DEVIATIONS: Readonly<Record<string, { readonly values: readonly string[]; readonly why: string }>> = {
  pad_value: {
    values: ['value'],
    why: 'they store the value as an integer; Pad is computed in float, where it is exact as it is',
  },
  resize_cubic: {
    values: ['y', 'z_b'],
    why: 'they share the grid of the input, beyond which cubic interpolation goes',
  },
  reduce_max: {
    values: ['y', 'z_b'],
    why: 'not in their registry: a maximum is one of its inputs, so we share their grid',
  },
  average_pool: {
    values: ['y', 'z_b'],
    why: 'they take the grid of the input; an average spreads less than what it averages',
  },
  gemm: { values: ['z'], why: 'nobody reads it in integers: QGemm gives float, without a rounding' },
  expand: { values: ['e'], why: 'not in their registry: copies have the grid of what is copied' },
};

function feeds(family: string): Record<string, Tensor> {
  if (family !== 'gather_table') return { x: random([3, 4, 8, 8], 3) };
  return {
    ids: tensor(
      BigInt64Array.from({ length: 18 }, (_, i) => BigInt(i)),
      [3, 6],
    ),
  };
}

const family = (name: string): Promise<Model> => readModel(new URL(`${name}.onnx`, FIXTURES));

async function throughFile(model: Model): Promise<Model> {
  return readModel(await bytesOf(model));
}

/** Runs both models at every level; the worst signal to noise of an output. */
async function worstSqnr(model: Model, quantized: Model, inputs: Record<string, Tensor>): Promise<number> {
  const float = await ortNode(model, { optimization: 'disabled' });
  const expected = await float.run(inputs);
  await float.dispose();
  const written = await throughFile(quantized);
  let worst = Infinity;
  for (const optimization of LEVELS) {
    const runner = await ortNode(written, { optimization });
    const outputs = await runner.run(inputs);
    await runner.dispose();
    for (const [name, value] of Object.entries(expected)) worst = Math.min(worst, sqnr(value, outputs[name]));
  }
  return worst;
}

const without = (row: Readonly<Record<string, unknown>>, names: readonly string[]): Record<string, unknown> =>
  Object.fromEntries(Object.entries(row).filter(([name]) => !names.includes(name)));

describe('against onnxruntime 1.30, Python quantizer', () => {
  it.each(Object.keys(CASES))('%s: equal scales, zero points and integers', async (name) => {
    const [op, , granularity] = name.split(' ');
    const { model, report } = await quantizeStatic(
      await family(op),
      {
        batches: [feeds(op)],
        qconfigMapping: staticQConfigMapping({ perChannel: granularity === 'channel' }),
      },
      { names: 'onnxruntime' },
    );
    const ours = await describeModel(model);
    const theirs = CASES[name];
    const differing = DEVIATIONS[op]?.values ?? [];
    expect(without(ours.activations, differing)).toEqual(without(theirs.activations, differing));
    expect(without(ours.constants, differing)).toEqual(without(theirs.constants, differing));
    const facts = (row: Described, value: string): unknown => [row.activations[value], row.constants[value]];
    for (const value of differing) expect(facts(ours, value)).not.toEqual(facts(theirs, value));
    expect(report.quantized.length).toBeGreaterThanOrEqual(op === 'arg_max' ? 1 : 3);
  });
});

describe('each family', () => {
  it.each(FAMILIES)(`%s: SQNR ≥ ${LEAST_SQNR} dB in onnxruntime at every level`, async (name) => {
    const model = await family(name);
    const { model: quantized } = await quantizeStatic(model, { batches: [feeds(name)] });
    const worst = await worstSqnr(model, quantized, feeds(name));
    expect(worst).toBeGreaterThan(name === 'arg_max' ? LEAST_SQNR_POSITIONS : LEAST_SQNR);
    expect(worst).toBeLessThan(Infinity);
  });

  it.each(FAMILIES)(
    '%s: int8 activations ≥ 25 dB, uint16 ≥ 40 dB (by opset 21), at every level',
    async (name) => {
      const model = await family(name);
      const types = [
        ['qint8', 'per_tensor_symmetric', 25, undefined],
        ['uint16', 'per_tensor_affine', 40, { from: 17, to: 21 }],
      ] as const;
      for (const [dtype, qscheme, least, raisedOpset] of types) {
        const qconfigMapping = staticQConfigMapping({
          activation: MinMaxObserver.withArgs({ dtype, qscheme, rule: 'onnx' }),
        });
        const { model: quantized, report } = await quantizeStatic(model, {
          batches: [feeds(name)],
          qconfigMapping,
        });
        expect(report.raisedOpset).toEqual(raisedOpset);
        expect(await worstSqnr(model, quantized, feeds(name))).toBeGreaterThan(least);
      }
    },
  );
});

it('weights behind Transpose and Reshape, as exporters without folding write them, are stored as integers', async () => {
  const model = buildModel((b) => {
    const kernel = b.op('Reshape', [b.constant('k', random([4, 36], 4)), b.constant('s', ints(4, 4, 3, 3))]);
    const y = b.op('Flatten', [b.op('Conv', [b.input('x', 'float32', [3, 4, 8, 8]), kernel])]);
    b.output(b.op('MatMul', [y, b.op('Transpose', [b.constant('w', random([5, 144], 5))])]), 'y', 'float32');
  });
  const file = await throughFile(model);
  const { model: quantized, report } = await quantizeStatic(file, { batches: [feeds('')] });
  expect(report.weights.map(({ dtype, scales, elements }) => [dtype, scales, elements])).toEqual([
    ['int8', 4, 144],
    ['int8', 5, 720],
  ]);
  expect([...quantized.graph.nodes].map(({ opType }) => opType)).not.toContain('Transpose');
  expect(await worstSqnr(model, quantized, feeds(''))).toBeGreaterThan(LEAST_SQNR);
});

it('docs/ops.md has every operator that static quantization knows', () => {
  const page = readFileSync(new URL('../docs/ops.md', import.meta.url), 'utf8');
  const kinds = page.slice(0, page.indexOf('## What stays in float'));
  expect(STATIC_OP_TYPES.filter((op) => !new RegExp(`\\b${op}\\b`).test(kinds))).toEqual([]);
  expect(STATIC_OP_TYPES.length).toBeGreaterThan(30);
});

describe('attention masks', () => {
  const SHAPE = [2, 5, 8] as const;
  const linear = (b: GraphBuilder, x: Value, name: string): Value =>
    b.op('MatMul', [x, b.constant(`${name}_w`, random([8, 8], name.length * 7))], {}, name);

  /** One head of attention over x; `mask` brings the mask into the scores. */
  function attention(mask: (b: GraphBuilder, scores: Value) => Value): Model {
    return buildModel((b) => {
      const x = b.input('x', 'float32', SHAPE);
      const keys = b.op('Transpose', [linear(b, x, 'keys')], { perm: [0, 2, 1] });
      const scores = b.op('MatMul', [linear(b, x, 'queries'), keys], {}, 'scores');
      const weights = b.op('Softmax', [mask(b, scores)], {}, 'weights');
      b.output(linear(b, b.op('MatMul', [weights, linear(b, x, 'values')]), 'out'), 'y', 'float32');
    });
  }

  const x = random(SHAPE, 17);
  const keep = (count: number): Tensor =>
    tensor(
      Float32Array.from({ length: 5 }, (_, i) => Number(i < count)),
      [1, 5],
    );
  const inputs = { x, keep: keep(3) };
  const low = (value: number) => (b: GraphBuilder, scores: Value) => {
    const dropped = b.op('Sub', [b.constant('one', tensor(1, [])), b.input('keep', 'float32', [1, 5])]);
    return b.op('Add', [scores, b.op('Mul', [dropped, b.constant('low', tensor(value, []))])], {}, 'masked');
  };
  /** Causal: in a file too large to be looked at while planning, so that only calibration shows it. */
  const causal = (fill: number) => (b: GraphBuilder, scores: Value) => {
    const at = (i: number): number => (i % 5 > Math.floor(i / 5) ? fill : 0);
    const mask = b.constant(
      'causal',
      tensor(
        Float32Array.from({ length: 25 }, (_, i) => at(i)),
        [5, 5],
      ),
    );
    return b.op('Add', [scores, b.op('Identity', [mask])], {}, 'masked');
  };
  const given = (b: GraphBuilder, scores: Value): Value =>
    b.op('Add', [scores, b.input('bias', 'float32', [1, 5])], {}, 'masked');

  const FORMS: Readonly<Record<string, [Model, Record<string, Tensor>]>> = {
    'padding, -10000 in the graph': [attention(low(-10000)), inputs],
    'padding, the lowest float32': [attention(low(-3.4028234663852886e38)), inputs],
    'causal, -1e9 in a large constant': [attention(causal(-1e9)), { x }],
    'causal, -Infinity': [attention(causal(-Infinity)), { x }],
    'given as an input': [attention(given), { x, bias: tensor([0, 0, 0, -65504, -65504], [1, 5]) }],
  };

  it.each(Object.keys(FORMS))(
    `%s: the sum and its Softmax stay in float, SQNR ≥ ${LEAST_SQNR} dB`,
    async (name) => {
      const [built, feed] = FORMS[name];
      const model = await throughFile(built);
      const { model: quantized, report } = await quantizeStatic(model, { batches: [feed] });
      const reasons = Object.fromEntries(report.skipped.map(({ opType, reason }) => [opType, reason]));
      expect(reasons.Softmax).toMatch(/attention-mask values/);
      expect(reasons.Add).toMatch(/attention-mask values/);
      expect(report.quantized.map(({ opType }) => opType).filter((op) => op === 'MatMul')).toHaveLength(6);
      expect(await worstSqnr(model, quantized, feed)).toBeGreaterThan(LEAST_SQNR);
    },
  );

  it('what shared the grid of a Softmax that stays in float gets the same grid by itself', async () => {
    const model = buildModel((b) => {
      const x = b.input('x', 'float32', SHAPE);
      const scores = b.op('MatMul', [x, b.op('Transpose', [x], { perm: [0, 2, 1] })]);
      const weights = b.op('Softmax', [given(b, scores)], {}, 'weights');
      const turned = b.op('Transpose', [weights], { perm: [0, 2, 1] }, 'turned');
      b.output(b.op('MatMul', [turned, x]), 'y', 'float32');
    });
    expect(prepare(model).shared).toMatchObject({ turned: 'weights' });
    const feed = { x, bias: tensor([0, 0, 0, -65504, -65504], [1, 5]) };
    const { model: quantized, report } = await quantizeStatic(model, { batches: [feed] });
    expect(report.quantized.map(({ opType }) => opType)).toEqual(['MatMul', 'MatMul']);
    const grid = { name: 'turned', scale: Math.fround(1 / 255), zeroPoint: 0 };
    expect(report.activations).toContainEqual(expect.objectContaining(grid));
    expect(await worstSqnr(model, quantized, feed)).toBeGreaterThan(LEAST_SQNR);
  });

  it('a mapping that names them has them quantized all the same, whatever it costs', async () => {
    for (const [model, feed] of Object.values(FORMS).slice(0, 3)) {
      const qconfig = onnxQConfig();
      const mapping = staticQConfigMapping().setModuleName('add', qconfig).setModuleName('softmax', qconfig);
      const { model: quantized, report } = await quantizeStatic(model, {
        batches: [feed],
        qconfigMapping: mapping,
      });
      expect(report.quantized.map(({ opType }) => opType)).toEqual(
        expect.arrayContaining(['Add', 'Softmax']),
      );
      expect(await worstSqnr(model, quantized, feed)).toBeLessThan(LEAST_SQNR);
    }
  });

  it('without a mask the Softmax is quantized, on the grid of [0, 1]', async () => {
    const model = attention((b, scores) => b.op('Mul', [scores, b.constant('s', tensor(0.35, []))]));
    const { model: quantized, report } = await quantizeStatic(model, { batches: [{ x }] });
    expect(report.activations.find(({ name }) => name === 'weights')).toMatchObject({
      scale: Math.fround(1 / 255),
      zeroPoint: 0,
    });
    expect(await worstSqnr(model, quantized, { x })).toBeGreaterThan(LEAST_SQNR);
  });

  it('the range of a Softmax needs no data: no observer looks, and merged plans keep it', async () => {
    const { model } = await clean(
      attention((b, scores) => b.op('Mul', [scores, b.constant('s', tensor(0.35, []))])),
    );
    const plan = prepare(model);
    expect(plan.activations.weights).toEqual({ spec: plan.activations.weights.spec, range: [0, 1] });
    const runner = await createRunner(model);
    const calibrated = await calibrate(plan, runner, [{ x }]);
    await runner.dispose();
    expect(calibrated.activations.weights).toEqual(plan.activations.weights);
    const merged = mergePlans(calibrated, calibrated);
    expect(merged.activations.weights).toEqual(plan.activations.weights);
    expect((await convert(model, merged)).report.samples).toBe(4);
  });

  it('histograms see a mask too', async () => {
    const histogram = HistogramObserver.withArgs({ dtype: 'quint8', bins: 64 });
    const mapping = staticQConfigMapping({ activation: histogram });
    const [model, feed] = FORMS['given as an input'];
    const { report } = await quantizeStatic(model, { batches: [feed], qconfigMapping: mapping });
    expect(report.skipped.filter(({ reason }) => reason.startsWith('attention-mask'))).toHaveLength(2);
  });
});

describe('Gemm', () => {
  const build = (attributes: Record<string, AttributeInput>, bias: Tensor): Model =>
    buildModel((b) => {
      const x = b.input('x', 'float32', ['N', 16]);
      const inputs = [x, b.constant('w', random([16, 8], 2)), b.constant('c', bias)];
      b.output(b.op('Gemm', inputs, attributes), 'y', 'float32', ['N', 8]);
    });
  const x = random([5, 16], 3);

  it.each([[], [1], [1, 1], [8], [1, 8]])('with C of shape [%s, %s]: at every level', async (...shape) => {
    const model = build(
      {},
      tensor(random(shape.filter(Number.isFinite), 4).data, shape.filter(Number.isFinite)),
    );
    const { model: quantized } = await quantizeStatic(model, { batches: [{ x }] });
    expect(await worstSqnr(model, quantized, { x })).toBeGreaterThan(30);
  });

  it('with alpha 0: left in float', async () => {
    await expect(
      quantizeStatic(build({ alpha: attr.float(0) }, random([8])), { batches: [{ x }] }),
    ).rejects.toThrow(/alpha is 0/);
  });
});
