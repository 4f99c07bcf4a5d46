/** The algorithms of quantizeWeights in whole models, run by onnxruntime. */
import { describe, expect, it } from 'vitest';
import { sqnr, tensor, type Tensor } from 'zeropoint';
import {
  buildModel,
  ortNode,
  quantizeWeights,
  type Graph,
  type Model,
  type QuantizeWeightsOptions,
  type WeightAlgorithm,
} from 'zeropoint/onnx';
import { normal } from './support/block-data.ts';
import { bytesOf, random } from './support/graphs.ts';

const K = 96;
const N = 40;
const ROWS = 64;
/** What gptq gains over the others in these models, in dB of the output. */
const GAIN = 3;

type Feeds = Readonly<Record<string, Tensor>>;

/** Inputs that go together: each has nine tenths of its neighbour. */
function correlated(seed: number): Feeds {
  const x = normal(ROWS * K, seed);
  for (let i = 0; i < x.length; i++) if (i % K > 0) x[i] += 0.9 * x[i - 1];
  return { x: tensor(x, [ROWS, K]) };
}

const batches = [1, 2, 3, 4].map(correlated);
const weight = (seed: number): Tensor => tensor(normal(K * N, seed), [K, N]);

/** A Gemm with bias and a MatMul that read the same input; the MatMul through a third axis. */
const twoProducts = (opset?: number): Model =>
  buildModel(
    (b) => {
      const x = b.input('x', 'float32', ['M', K]);
      const gemm = b.op('Gemm', [x, b.constant('v', weight(11)), b.constant('c', random([N], 5))]);
      const deep = b.op('Reshape', [x, b.constant('shape', tensor(BigInt64Array.of(1n, -1n, BigInt(K))))]);
      const product = b.op('MatMul', [deep, b.constant('w', weight(12))]);
      b.output(b.op('Add', [product, gemm]), 'y', 'float32');
    },
    { opset },
  );

// gptq's own products are of the model's opset, where a Gemm had to have three inputs.
it.each([7, 10, 11])('gptq in opset %i', async (opset) => {
  const { report } = await quantizeWeights(twoProducts(opset), { algorithm: 'gptq', batches });
  expect(report.weights).toHaveLength(2);
});

async function run(model: Model, feeds: Feeds): Promise<Tensor> {
  const runner = await ortNode(model, { optimization: 'disabled' });
  const { y } = await runner.run(feeds);
  await runner.dispose();
  return y;
}

async function fidelity(options: QuantizeWeightsOptions): Promise<number> {
  const [model, fresh] = [twoProducts(), correlated(9)];
  // Level 1 computes in float32, so that only the weights differ.
  const { model: small } = await quantizeWeights(model, { accuracyLevel: 1, ...options });
  return sqnr(await run(model, fresh), await run(small, fresh));
}

describe('quantizeWeights', () => {
  it.each([
    ['matmul-nbits', 4],
    ['matmul-nbits', 2],
    ['dequantize-linear', 4],
  ] as const)(
    `%s, %i bits: gptq ≥ ${GAIN} dB over rtn, mse and hqq where inputs go together`,
    async (format, bits) => {
      const of = async (algorithm: WeightAlgorithm): Promise<number> =>
        fidelity({ format, bits, algorithm, batches });
      const [rtn, mse, hqq, gptq] = [await of('rtn'), await of('mse'), await of('hqq'), await of('gptq')];
      expect(gptq).toBeGreaterThan(Math.max(rtn, mse, hqq) + GAIN);
      expect(mse).toBeGreaterThan(rtn);
    },
  );

  it('reports the algorithm of each weight and the samples seen; the default is rtn', async () => {
    const model = twoProducts();
    const algorithms = async (options: QuantizeWeightsOptions): Promise<unknown> => {
      const { report } = await quantizeWeights(model, options);
      return [report.weights.map(({ algorithm }) => algorithm), report.samples];
    };
    expect(await algorithms({})).toEqual([['rtn', 'rtn'], 0]);
    expect(await algorithms({ format: 'bnb4' })).toEqual([['rtn', 'rtn'], 0]);
    const overrides = [{ nodes: 'gemm', algorithm: 'gptq' }] as const;
    expect(await algorithms({ algorithm: 'hqq', overrides, batches })).toEqual([['gptq', 'hqq'], 4 * ROWS]);
  });

  it('gptq: the same bytes in each run, from a function that gives batches too', async () => {
    const options = { algorithm: 'gptq', batches: () => batches.values() } as const;
    const files = [
      await bytesOf((await quantizeWeights(twoProducts(), options)).model),
      await bytesOf((await quantizeWeights(twoProducts(), { ...options, batches })).model),
    ];
    expect(Buffer.compare(files[0], files[1])).toBe(0);
  });

  it('gptq: embeddings, which are not multiplied, get rtn', async () => {
    const model = buildModel((b) => {
      const rows = b.op('Gather', [b.constant('table', random([40, K], 3)), b.input('ids', 'int64', ['T'])]);
      b.output(b.op('MatMul', [rows, b.constant('w', weight(3))]), 'y', 'float32');
    });
    const ids = [{ ids: tensor(BigInt64Array.from([1n, 39n, 5n]), [3]) }];
    const { report } = await quantizeWeights(model, { algorithm: 'gptq', batches: ids });
    expect(report.weights.map(({ algorithm }) => algorithm)).toEqual(['rtn', 'gptq']);
  });

  it('gptq: leaves a product in the body of an If in float, with the reason', async () => {
    const model = buildModel((b) => {
      const x = b.input('x', 'float32', ['M', K]);
      const w = b.constant('w', weight(3));
      const body = (name: string): Graph =>
        b.body(name, (inner) => inner.output(inner.op('MatMul', [x, w]), `${name}_y`, 'float32'));
      const attributes = {
        then_branch: { kind: 'graph', value: body('then') },
        else_branch: { kind: 'graph', value: body('else') },
      } as const;
      b.output(b.op('If', [b.input('condition', 'bool', [])], attributes), 'y', 'float32');
      b.output(b.op('MatMul', [x, b.constant('v', weight(4))]), 'z', 'float32');
    });
    const feeds = batches.map((batch) => ({ ...batch, condition: tensor(Uint8Array.of(1), [], 'bool') }));
    const { report } = await quantizeWeights(model, { algorithm: 'gptq', batches: feeds });
    expect(report.quantized).toHaveLength(1);
    expect(
      report.skipped.filter(({ reason }) => reason.startsWith('gptq cannot see what it reads')),
    ).toHaveLength(2);
  });

  it('gptq without batches, or with empty ones, is refused with what would work', async () => {
    const overrides = [{ nodes: 'gemm', algorithm: 'gptq' }] as const;
    for (const options of [{ algorithm: 'gptq' }, { overrides }] as const) {
      await expect(quantizeWeights(twoProducts(), options)).rejects.toThrow(
        /expected batches of calibration data beside algorithm 'gptq', got none; 'mse' needs no data/,
      );
    }
    const empty = quantizeWeights(twoProducts(), { algorithm: 'gptq', batches: [] });
    await expect(empty).rejects.toMatchObject({ code: 'CALIBRATION_EMPTY' });
  });

  it('gptq of 16,385 inputs is refused before data is read, with what would work; that works', async () => {
    const wide = tensor(new Float32Array(16_385 * 16).fill(0.5), [16_385, 16]);
    const model = buildModel((b) => {
      const x = b.input('x', 'float32', ['M', 16_385]);
      b.output(b.op('MatMul', [x, b.constant('w', wide)]), 'y', 'float32');
    });
    const unread = (): never => {
      throw new Error('data is read');
    };
    const refused = quantizeWeights(model, { algorithm: 'gptq', batches: unread });
    await expect(refused).rejects.toMatchObject({
      code: 'UNSUPPORTED_FEATURE',
      message: 'quantizeWeights: expected at most 16384 inputs of a product for gptq, got 16385 at matmul',
      hint: expect.stringContaining("overrides: [{ nodes: 'matmul', algorithm: 'mse' }]"),
    });
    const overrides = [{ nodes: 'matmul', algorithm: 'mse' }] as const;
    const { report } = await quantizeWeights(model, { algorithm: 'gptq', batches: unread, overrides });
    expect(report.weights.map(({ algorithm }) => algorithm)).toEqual(['mse']);
  });

  it.each<[string, QuantizeWeightsOptions]>([
    ['options.algorithm one of rtn, mse, hqq, gptq', { algorithm: 'awq' as never }],
    ['options.algorithm one of rtn with bnb4', { format: 'bnb4', algorithm: 'mse' }],
  ])('refuses with a RangeError: expected %s', async (message, options) => {
    const job = quantizeWeights(twoProducts(), options);
    await expect(job).rejects.toThrow(RangeError);
    await expect(job).rejects.toThrow(message);
  });

  it('gptq in DequantizeLinear of a model below opset 21: raised, and as good', async () => {
    const { model, report } = await quantizeWeights(twoProducts(13), {
      format: 'dequantize-linear',
      algorithm: 'gptq',
      batches,
    });
    expect(report.raisedOpset).toEqual({ from: 13, to: 21 });
    const fresh = correlated(9);
    expect(sqnr(await run(twoProducts(), fresh), await run(model, fresh))).toBeGreaterThan(26);
  });
});
