/** What each side does when nothing is said, on the models of bench/peer/models.py: time in onnxruntime-node, and error. */
import { join } from 'node:path';
import { buildModel, quantizeDynamic, quantizeStatic, readModel, type Model } from 'zeropoint/onnx';
import { random } from '../../test/support/graphs.ts';
import { fidelity, samplesOf, times, type Feeds, type Row, type Workshop } from './workshop.ts';

const SAMPLES = 16;

interface Opened {
  readonly source: string;
  readonly model: Model;
  /** Of a few samples, as an .npz file and as batches. */
  readonly data: string;
  readonly batches: readonly Feeds[];
  readonly held: readonly Feeds[];
}

async function open(shop: Workshop, name: string): Promise<Opened> {
  const source = join(shop.models, `${name}.onnx`);
  const model = await readModel(source);
  const path = join(shop.models, `${name}.npz`);
  const [all] = await samplesOf(model, path, { samples: SAMPLES, batchSize: SAMPLES });
  return {
    source,
    model,
    data: shop.saveData(`${name}.npz`, all),
    batches: await samplesOf(model, path, { samples: SAMPLES }),
    held: await samplesOf(model, join(shop.models, `${name}_held.npz`)),
  };
}

async function types(shop: Workshop): Promise<Row> {
  const { source, model, data, batches, held } = await open(shop, 'resnet18');
  const out = shop.path('resnet18.theirs.onnx');
  shop.done([{ kind: 'static', model: source, out, data }]);
  const { model: made } = await quantizeStatic(model, { batches });
  const path = await shop.save(made, 'resnet18.ours.onnx');
  const [float, ...each] = await times([source, out, path], held[0]);
  const errors = await fidelity(source, [out, path], held);
  return {
    what: `static, resnet18, default types (float: ${float})`,
    theirs: `int8 activations, per tensor: ${each[0]}, ${errors[0]}`,
    ours: `uint8 activations, by channel: ${each[1]}, ${errors[1]}`,
  };
}

async function dynamicExport(shop: Workshop): Promise<Row> {
  const { source, model, held } = await open(shop, 'resnet18');
  const [failure] = shop.peer([{ kind: 'dynamic', model: source, out: shop.path('dynamic.theirs.onnx') }]);
  const { model: made, report } = await quantizeDynamic(model);
  const [ours] = await fidelity(source, [made], held);
  const ops = report.quantized.map(({ opType }) => opType).join();
  return {
    what: "dynamic, resnet18 as torch's dynamo exporter writes it",
    theirs: failure ?? 'passes',
    ours: `${ops} in integers, ${ours}`,
  };
}

async function dynamicConv(shop: Workshop): Promise<Row> {
  const model = buildModel((b) => {
    let x = b.input('x', 'float32', ['N', 64, 28, 28]);
    for (const seed of [1, 2, 3])
      x = b.op('Relu', [b.op('Conv', [x, b.constant(`w${seed}`, random([64, 64, 3, 3], seed))])]);
    b.output(x, 'y', 'float32', ['N', 64, 22, 22]);
  });
  const source = await shop.save(model, 'convs.onnx');
  const theirs = ['QInt8', 'QUInt8'].map((weight_type) => {
    return {
      kind: 'dynamic',
      model: source,
      out: shop.path(`${weight_type}.onnx`),
      options: { weight_type },
    } as const;
  });
  shop.done(theirs);
  const { model: made } = await quantizeDynamic(model, { convolutions: true });
  const ours = await shop.save(made, 'uint8.ours.onnx');
  const all = [source, ...theirs.map(({ out }) => out), ours];
  const [float, int8, uint8, own] = await times(all, { x: random([1, 64, 28, 28], 4) });
  return {
    what: `dynamic, three Conv of 64 channels (float: ${float})`,
    theirs: `by default in int8: ${int8}; asked for uint8: ${uint8}`,
    ours: `by default in float; \`convolutions: true\`: ${own}`,
  };
}

async function transformer(shop: Workshop): Promise<Row> {
  const { source, model, data, batches, held } = await open(shop, 'minilm');
  const out = shop.path('minilm.theirs.onnx');
  const options = { activation_type: 'QUInt8', weight_type: 'QInt8', per_channel: true };
  shop.done([{ kind: 'static', model: source, out, data, options }]);
  const { model: made, report } = await quantizeStatic(model, { batches });
  const path = await shop.save(made, 'minilm.ours.onnx');
  const [float, ...each] = await times([source, out, path], held[0]);
  const errors = await fidelity(source, [out, path], held);
  const products = report.quantized.filter(({ opType }) => opType === 'MatMul').length;
  return {
    what: `static, a MiniLM-like encoder, uint8 and int8 by channel (float: ${float})`,
    theirs: `everything: ${each[0]}, ${errors[0]}`,
    ours: `${products} products and what lies between them: ${each[1]}, ${errors[1]}`,
  };
}

async function preProcess(shop: Workshop): Promise<Row> {
  const source = join(shop.models, 'minilm.onnx');
  const [failure] = shop.peer([{ kind: 'pre_process', model: source, out: shop.path('pre.onnx') }]);
  const { report } = await quantizeDynamic(await readModel(source));
  return {
    what: 'preparing the same encoder (`quant_pre_process`; here part of each call)',
    theirs: failure ?? 'passes',
    ours: `dynamic: ${report.quantized.length} nodes in integers`,
  };
}

export const DEFAULTS = [types, dynamicExport, dynamicConv, transformer, preProcess];
