/** Ranges of activations, and what becomes of bad data, odd models and typos. */
import { statSync } from 'node:fs';
import { EntropyObserver, tensor, type Tensor } from 'zeropoint';
import {
  buildModel,
  quantizeDynamic,
  quantizeStatic,
  quantizeWeights,
  readModel,
  staticQConfigMapping,
  type GraphBuilder,
  type Model,
  type Value,
} from 'zeropoint/onnx';
import { random } from '../../test/support/graphs.ts';
import { unbalanced } from '../../test/support/unbalanced.ts';
import { zooInput, zooModel } from '../../test/support/zoo.ts';
import { constantsOf, fidelity, loadError, refusal, share, type Row, type Workshop } from './workshop.ts';

/** The types that both sides have by default on an x64, here. */
const U8S8 = { activation_type: 'QUInt8', weight_type: 'QInt8', per_channel: true } as const;
const CHANNELS = 8;

function convolutions(weight: (b: GraphBuilder, value: Tensor) => Value, opset: number): Model {
  return buildModel(
    (b) => {
      let x = b.input('x', 'float32', ['N', CHANNELS, 12, 12]);
      for (const seed of [2, 3]) {
        const kernel = weight(b, random([CHANNELS, CHANNELS, 3, 3], seed));
        x = b.op('Relu', [b.op('Conv', [x, kernel], { kernel_shape: [3, 3] }, `conv_${seed}`)]);
      }
      b.output(x, 'y', 'float32', ['N', CHANNELS, 8, 8]);
    },
    { opset, irVersion: 8 },
  );
}

const data = { x: random([16, CHANNELS, 12, 12], 4) };
const batches = [data];
const constant = (b: GraphBuilder, value: Tensor): Value => b.constant(b.graph.freshName('w'), value);

/** How many grids are another than with min/max. */
async function movedGrids(one: string, other: string): Promise<string> {
  const [a, b] = [await constantsOf(one), await constantsOf(other)];
  const grids = [...a.keys()].filter((name) => /_(scale|zero_point)$/.test(name));
  const moved = grids.filter((name) => String(a.get(name)?.data) !== String(b.get(name)?.data));
  return `${moved.length} of ${grids.length} scales and zero points are others than with MinMax`;
}

async function entropy(shop: Workshop): Promise<Row> {
  const model = await zooModel('fmnist_resdw');
  const input = zooInput('fmnist_resdw');
  const source = await shop.save(model, 'resdw.onnx');
  const job = { kind: 'static', model: source, data: shop.saveData('resdw.npz', { input }) } as const;
  const methods = ['MinMax', 'Entropy'].map((calibrate_method) => {
    const out = shop.path(`resdw.${calibrate_method}.onnx`);
    return { ...job, out, options: { ...U8S8, calibrate_method } };
  });
  shop.done(methods);
  const ours = [];
  for (const [name, Observer] of [['minmax'], ['entropy', EntropyObserver]] as const) {
    const activation = Observer?.withArgs({ dtype: 'quint8', rule: 'onnx' });
    const qconfigMapping = staticQConfigMapping({ ...(activation && { activation }) });
    const { model: made } = await quantizeStatic(
      model,
      { batches: [{ input }], qconfigMapping },
      { names: 'onnxruntime' },
    );
    ours.push(await shop.save(made, `ours.${name}.onnx`));
  }
  return {
    what: 'Entropy calibration, a residual net of the demo, 32 samples',
    theirs: await movedGrids(methods[0].out, methods[1].out),
    ours: await movedGrids(ours[0], ours[1]),
  };
}

/** Ten samples, each quieter than the one before, of which no more than three are to be held. */
async function bounded(shop: Workshop): Promise<Row> {
  const model = buildModel((b) => {
    const x = b.input('x', 'float32', ['N', 16]);
    b.output(b.op('Gemm', [x, b.constant('w', random([16, 8], 2))]), 'y', 'float32', ['N', 8]);
  });
  const x = random([10, 16], 5);
  const quieter = tensor(
    x.data.map((value, i) => Math.fround(value * 2 ** -Math.floor(i / 16))),
    x.shape,
  );
  const [source, out] = [await shop.save(model, 'gemm.onnx'), shop.path('gemm.theirs.onnx')];
  const npz = shop.saveData('gemm.npz', { x: quieter });
  const options = { ...U8S8, extra_options: { CalibMaxIntermediateOutputs: 3 } };
  shop.done([{ kind: 'static', model: source, out, data: npz, options }]);
  const { model: made } = await quantizeStatic(model, { batches: [{ x: quieter }] });
  const [theirs, ours] = await fidelity(model, [out, made], [{ x: quieter }]);
  return {
    what: 'ten samples in bounded memory (`CalibMaxIntermediateOutputs: 3`; here always one batch)',
    theirs: `ranges of the last sample alone, ${theirs}`,
    ours: `ranges of all, ${ours}`,
  };
}

async function notANumber(shop: Workshop): Promise<Row> {
  const model = convolutions(constant, 17);
  const values = random([2, CHANNELS, 12, 12], 4);
  values.data[7] = Number.NaN;
  const npz = shop.saveData('nan.npz', { x: values });
  const [source, out] = [await shop.save(model, 'convs.onnx'), shop.path('nan.onnx')];
  const [failure] = shop.peer([{ kind: 'static', model: source, out, data: npz, options: U8S8 }]);
  return {
    what: 'one NaN in the data',
    theirs: failure ?? `passes; on data without it ${(await fidelity(model, [out], batches))[0]}`,
    ours: await refusal(quantizeStatic(model, { batches: [{ x: values }] })),
  };
}

async function mask(shop: Workshop): Promise<Row> {
  const model = buildModel((b) => {
    const x = b.input('x', 'float32', ['N', 8, 16]);
    const product = (name: string, seed: number): Value =>
      b.op('MatMul', [x, b.constant(name, random([16, 16], seed))]);
    const scores = b.op('MatMul', [
      product('q', 2),
      b.op('Transpose', [product('k', 3)], { perm: [0, 2, 1] }),
    ]);
    const values = Float32Array.from({ length: 64 }, (_, i) =>
      i % 8 > Math.floor(i / 8) ? -3.4028234663852886e38 : 0,
    );
    const masked = b.op('Add', [scores, b.constant('mask', tensor(values, [8, 8]))]);
    const mixed = b.op('MatMul', [b.op('Softmax', [masked]), product('v', 4)]);
    b.output(b.op('MatMul', [mixed, b.constant('o', random([16, 4], 5))]), 'y', 'float32', ['N', 8, 4]);
  });
  const feeds = { x: random([16, 8, 16], 6) };
  const source = await shop.save(model, 'mask.onnx');
  const npz = shop.saveData('mask.npz', feeds);
  const jobs = ['MinMax', 'Entropy'].map((calibrate_method) => {
    const options = { ...U8S8, calibrate_method };
    return {
      kind: 'static',
      model: source,
      out: shop.path(`mask.${calibrate_method}.onnx`),
      data: npz,
      options,
    } as const;
  });
  const [, failure] = shop.peer(jobs);
  const { model: made } = await quantizeStatic(model, { batches: [feeds] });
  const [theirs, ours] = await fidelity(model, [jobs[0].out, made], [feeds]);
  return {
    what: 'attention with a mask of -3.4e38',
    theirs: `MinMax ${theirs}; Entropy ${failure ?? 'passes'}`,
    ours: `the masked sum stays in float, ${ours}`,
  };
}

async function oldOpset(shop: Workshop): Promise<Row> {
  const model = convolutions(constant, 11);
  const [source, out] = [await shop.save(model, 'opset11.onnx'), shop.path('opset11.theirs.onnx')];
  shop.done([{ kind: 'static', model: source, out, data: shop.saveData('x.npz', data), options: U8S8 }]);
  const { model: made, report } = await quantizeStatic(model, { batches });
  const [ours] = await fidelity(model, [made], batches);
  return {
    what: 'weights by channel at opset 11',
    theirs: `does not load: ${(await loadError(out)) ?? 'it loads'}`,
    ours: `opset ${report.raisedOpset?.from} → ${report.raisedOpset?.to}, ${ours}`,
  };
}

async function constantNodes(shop: Workshop): Promise<Row> {
  const model = convolutions((b, value) => b.op('Constant', [], { value }), 17);
  const [source, out] = [await shop.save(model, 'constants.onnx'), shop.path('constants.theirs.onnx')];
  shop.done([{ kind: 'static', model: source, out, data: shop.saveData('x.npz', data), options: U8S8 }]);
  const { model: made } = await quantizeStatic(model, { batches });
  const path = await shop.save(made, 'constants.ours.onnx');
  const [theirs, ours] = await fidelity(model, [out, path], batches);
  return {
    what: 'weights in Constant nodes, size and error',
    theirs: `${share(out, source)} of float, ${theirs}`,
    ours: `${share(path, source)} of float, ${ours}`,
  };
}

async function twice(shop: Workshop): Promise<Row> {
  const model = convolutions(constant, 17);
  const [source, once, again] = [
    await shop.save(model, 'convs.onnx'),
    shop.path('once.onnx'),
    shop.path('again.onnx'),
  ];
  const job = { kind: 'static', data: shop.saveData('x.npz', data), options: U8S8 } as const;
  const [, second] = shop.peer([
    { ...job, model: source, out: once },
    { ...job, model: once, out: again },
  ]);
  return {
    what: 'quantizing what is quantized',
    theirs: second ?? `passes; ${statSync(once).size} → ${statSync(again).size} bytes`,
    ours: await refusal(quantizeDynamic(await readModel(once))),
  };
}

async function typos(shop: Workshop): Promise<Row> {
  const model = convolutions(constant, 17);
  const source = await shop.save(model, 'convs.onnx');
  const job = { kind: 'static', model: source, data: shop.saveData('x.npz', data) } as const;
  const [plain, odd] = [shop.path('plain.onnx'), shop.path('odd.onnx')];
  const wrong = { nodes_to_exclude: ['cov_1'], extra_options: { ActivationSymetric: true } };
  const [, failure] = shop.peer([
    { ...job, out: plain, options: U8S8 },
    { ...job, out: odd, options: { ...U8S8, ...wrong } },
  ]);
  const equal = failure === null && statSync(plain).size === statSync(odd).size;
  const qconfigMapping = staticQConfigMapping().setModuleName('cov_1', null);
  const name = await refusal(quantizeStatic(model, { batches, qconfigMapping }));
  // The typo is the point.
  const option = await refusal(quantizeWeights(model, { blokSize: 64 } as never));
  return {
    what: 'a node name (`cov_1`) and an option that do not exist',
    theirs: failure ?? `both pass${equal ? ', and change nothing' : ''}`,
    ours: `${name}; ${option}`,
  };
}

async function unequal(shop: Workshop): Promise<Row> {
  const healthy = await zooModel('digits_cnn');
  const sick = await unbalanced(healthy);
  const input = zooInput('digits_cnn');
  const [source, out] = [await shop.save(sick, 'unequal.onnx'), shop.path('unequal.theirs.onnx')];
  shop.done([
    { kind: 'static', model: source, out, data: shop.saveData('digits.npz', { input }), options: U8S8 },
  ]);
  const { model: made } = await quantizeStatic(sick, { batches: [{ input }] });
  const [theirs, ours] = await fidelity(sick, [out, made], [{ input }]);
  return {
    what: 'a conv net with unequal channels (digits, the same function)',
    theirs,
    ours: `layers are equalized, ${ours}`,
  };
}

async function pad(shop: Workshop): Promise<Row> {
  const source = new URL('../../test/fixtures/ort/ops/pad_value.onnx', import.meta.url);
  const model = await readModel(source);
  const feeds = { x: random([3, 4, 8, 8], 3) };
  const out = shop.path('pad.theirs.onnx');
  const options = { ...U8S8, quant_format: 'QOperator' };
  const npz = shop.saveData('pad.npz', feeds);
  shop.done([{ kind: 'static', model: await shop.save(model, 'pad.onnx'), out, data: npz, options }]);
  const { model: made } = await quantizeStatic(model, { batches: [feeds] }, { format: 'qoperator' });
  const [theirs, ours] = await fidelity(model, [out, made], [feeds]);
  return {
    what: 'QOperator form: Pad with 9, beyond the range of what is padded',
    theirs: `the nearest code, ${theirs}`,
    ours: `in float, ${ours}`,
  };
}

export const RANGES = [
  entropy,
  bounded,
  notANumber,
  mask,
  oldOpset,
  constantNodes,
  unequal,
  pad,
  twice,
  typos,
];
