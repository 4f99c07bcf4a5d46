/** Weights alone, in 4 bits. */
import { tensor, type Tensor } from 'zeropoint';
import { buildModel, quantizeWeights, readModel, type Model } from 'zeropoint/onnx';
import { normal } from '../../test/support/block-data.ts';
import { constantsOf, count, fidelity, share, times, type Row, type Workshop } from './workshop.ts';

const [K, N, ROWS] = [256, 128, 512];
const WIDE = 2048;

/** Inputs that go together: each has nine tenths of its neighbour. */
function correlated(seed: number): Tensor {
  const x = normal(ROWS * K, seed);
  for (let i = 0; i < x.length; i++) if (i % K > 0) x[i] += 0.9 * x[i - 1];
  return tensor(x, [ROWS, K]);
}

const product = (rows: number, cols: number): Model =>
  buildModel((b) => {
    const x = b.input('x', 'float32', ['M', rows]);
    const w = b.constant('W', tensor(normal(rows * cols, 11), [rows, cols]));
    b.output(b.op('MatMul', [x, w]), 'y', 'float32', ['M', cols]);
  });

/** How many bytes of codes differ. */
async function differingCodes(one: string, other: string): Promise<string> {
  const [a, b] = [await constantsOf(one), await constantsOf(other)];
  const codes = [...a.values()].find(({ dtype, shape }) => dtype === 'uint8' && shape.length === 3);
  const others = [...b.values()].find(({ dtype, shape }) => dtype === 'uint8' && shape.length === 3);
  const differing = Array.from<unknown>(codes?.data ?? []).filter((code, i) => code !== others?.data[i]);
  return `${differing.length} of ${codes?.data.length} bytes of codes differ`;
}

async function gptq(shop: Workshop): Promise<Row> {
  const model = product(K, N);
  const [seen, fresh] = [correlated(3), correlated(9)];
  const job = { kind: 'weights', model: await shop.save(model, 'product.onnx') } as const;
  const data = shop.saveData('product.npz', { x: seen });
  const theirs = ['rtn', 'gptq'].map((algorithm) => shop.path(`theirs.${algorithm}.onnx`));
  shop.done(theirs.map((out, i) => ({ ...job, out, data, options: { algorithm: ['rtn', 'gptq'][i] } })));
  const ours = [];
  for (const algorithm of ['rtn', 'gptq'] as const) {
    const { model: made } = await quantizeWeights(model, { algorithm, batches: [{ x: seen }] });
    ours.push(await shop.save(made, `ours.${algorithm}.onnx`));
  }
  const [r, g, rtn, best] = await fidelity(model, [...theirs, ...ours], [{ x: fresh }]);
  return {
    what: `GPTQ beside round to nearest, MatMul of ${K} × ${N} with correlated inputs`,
    theirs: `${await differingCodes(theirs[0], theirs[1])}; ${r} → ${g}`,
    ours: `${await differingCodes(ours[0], ours[1])}; ${rtn} → ${best}`,
  };
}

async function hqq(shop: Workshop): Promise<Row> {
  const model = product(WIDE, WIDE);
  const out = shop.path('theirs.hqq.onnx');
  shop.done([
    { kind: 'weights', model: await shop.save(model, 'wide.onnx'), out, options: { algorithm: 'hqq' } },
  ]);
  const { model: made } = await quantizeWeights(model, { algorithm: 'hqq' });
  const path = await shop.save(made, 'ours.hqq.onnx');
  const row = { x: tensor(normal(WIDE, 5), [1, WIDE]) };
  const [float, theirs, ours] = await times([model, out, path], row);
  const zeros = async (file: string): Promise<string> => {
    const node = [...(await readModel(file)).graph.nodes].find(({ opType }) => opType === 'MatMulNBits');
    return node?.inputs[3]?.elementType ?? 'no';
  };
  const errors = await fidelity(model, [out, path], [{ x: tensor(normal(32 * WIDE, 6), [32, WIDE]) }]);
  return {
    what: `HQQ, one row times ${WIDE} × ${WIDE} (float: ${float})`,
    theirs: `${await zeros(out)} zero points, ${theirs}, ${errors[0]}`,
    ours: `${await zeros(path)} zero points, ${ours}, ${errors[1]}`,
  };
}

async function gemm(shop: Workshop): Promise<Row> {
  const model = buildModel((b) => {
    let x = b.input('x', 'float32', ['M', K]);
    for (const seed of [1, 2]) {
      const weight = b.constant(`w${seed}`, tensor(normal(K * K, seed), [K, K]));
      x = b.op('Gemm', [x, weight, b.constant(`b${seed}`, tensor(normal(K, seed + 5), [K]))]);
    }
    b.output(x, 'y', 'float32', ['M', K]);
  });
  const [source, out] = [await shop.save(model, 'gemm.onnx'), shop.path('theirs.gemm.onnx')];
  shop.done([{ kind: 'weights', model: source, out }]);
  const { model: made } = await quantizeWeights(model);
  const path = await shop.save(made, 'ours.gemm.onnx');
  const side = async (file: string): Promise<string> =>
    `${await count(file, 'MatMulNBits')} of 2, ${share(file, source)} of float`;
  return { what: 'Gemm in 4 bits', theirs: await side(out), ours: await side(path) };
}

export const WEIGHTS = [gptq, hqq, gemm];
