/**
 * Accuracy of every mode on trained models with held-out labels. The models are not all in this repository: pass the
 * folder that has them (NAME.onnx and NAME_test.npz, fmnist and digits each with one file of data).
 * Run after a build: `npx tsx --tsconfig tsconfig.run.json bench/accuracy.ts FOLDER [SAMPLES]`.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { sqnr, tensor, type Tensor } from 'zeropoint';
import {
  convertToFloat16,
  MemorySink,
  openNpz,
  ortNode,
  quantizeDynamic,
  quantizeStatic,
  quantizeWeights,
  readModel,
  staticQConfigMapping,
  writeModel,
  type Converted,
  type Model,
} from 'zeropoint/onnx';

type Feeds = Record<string, Tensor>;

interface Data {
  readonly labels: ArrayLike<number>;
  readonly count: number;
  readonly calibrationCount: number;
  feeds(part: 'test' | 'calibration', start: number, count: number): Feeds;
}

const CALIBRATION = 256;
const BATCH = 50;

const MODELS: readonly { readonly name: string; readonly data: () => Promise<Data> }[] = [
  { name: 'digits_cnn', data: () => images('digits_test.npz', 16, [1, 8, 8]) },
  { name: 'digits_mlp', data: () => images('digits_test.npz', 16, [64]) },
  { name: 'fmnist_resdw', data: () => images('fmnist_test.npz', 255, [1, 28, 28]) },
  { name: 'fmnist_vit', data: () => images('fmnist_test.npz', 255, [1, 28, 28]) },
  { name: 'fmnist_vit_dynamo', data: () => images('fmnist_test.npz', 255, [1, 28, 28]) },
  { name: 'fmnist_vit_outlier', data: () => images('fmnist_test.npz', 255, [1, 28, 28]) },
  { name: 'spam_bert_tiny', data: () => tokens('spam_bert_tiny_test.npz') },
];

const [folder, limit = '5000'] = process.argv.slice(2);
if (folder === undefined || !existsSync(folder)) {
  console.error('accuracy: expected the folder of the models, got ' + String(folder));
  process.exit(2);
}

async function arrays(file: string, names: readonly string[]): Promise<Tensor[]> {
  const npz = await openNpz(join(folder, file));
  return Promise.all(names.map(async (name) => (await npz.array(name)).load()));
}

const total = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

async function images(file: string, divisor: number, shape: readonly number[]): Promise<Data> {
  const [x, y, calibration] = await arrays(file, ['x', 'y', 'calib_x']);
  const size = total(shape);
  const parts = { test: x.data, calibration: calibration.data } as const;
  return {
    labels: y.data as Uint8Array,
    count: x.size / size,
    calibrationCount: calibration.size / size,
    feeds(part, start, count) {
      const pixels = parts[part].subarray(start * size, (start + count) * size) as Uint8Array;
      return {
        input: tensor(
          Float32Array.from(pixels, (pixel) => pixel / divisor),
          [count, ...shape],
        ),
      };
    },
  };
}

async function tokens(file: string): Promise<Data> {
  const [x, y, calibration] = await arrays(file, ['input_ids', 'labels', 'calib_input_ids']);
  const length = x.shape[1];
  const parts = { test: x.data, calibration: calibration.data } as const;
  return {
    labels: Array.from(y.data as ArrayLike<number>, Number),
    count: x.shape[0],
    calibrationCount: calibration.shape[0],
    feeds(part, start, count) {
      const slice = parts[part].subarray(start * length, (start + count) * length) as Uint16Array;
      const ids = BigInt64Array.from(slice, BigInt);
      return {
        input_ids: tensor(ids, [count, length]),
        attention_mask: tensor(
          ids.map((id) => (id > 0n ? 1n : 0n)),
          [count, length],
        ),
      };
    },
  };
}

function calibration(data: Data): Feeds[] {
  const count = Math.min(CALIBRATION, data.calibrationCount);
  return Array.from({ length: Math.floor(count / BATCH) }, (_, i) =>
    data.feeds('calibration', i * BATCH, BATCH),
  );
}

const MODES: Readonly<Record<string, (model: Model, data: Data) => Promise<Pick<Converted, 'model'>>>> = {
  'static, by channel': (model, data) => quantizeStatic(model, { batches: calibration(data) }),
  'static, per tensor': (model, data) =>
    quantizeStatic(model, {
      batches: calibration(data),
      qconfigMapping: staticQConfigMapping({ perChannel: false }),
    }),
  "static, by channel, onnxruntime's names": (model, data) =>
    quantizeStatic(model, { batches: calibration(data) }, { names: 'onnxruntime' }),
  dynamic: (model) => quantizeDynamic(model),
  'weights, 8 bit': (model) => quantizeWeights(model, { bits: 8 }),
  'weights, 4 bit': (model) => quantizeWeights(model, { bits: 4 }),
  float16: (model) => convertToFloat16(model),
};

interface Run {
  readonly accuracy: number;
  readonly logits: Tensor;
}

async function run(bytes: Uint8Array, data: Data, count: number): Promise<Run> {
  const runner = await ortNode(await readModel(bytes), { optimization: 'all' });
  const [output] = runner.outputs;
  const all: number[] = [];
  let correct = 0;
  for (let start = 0; start < count; start += BATCH) {
    const results = await runner.run(data.feeds('test', start, Math.min(BATCH, count - start)));
    const { data: values, shape } = results[output.name];
    for (let row = 0; row < shape[0]; row++) {
      const scores = values.subarray(row * shape[1], (row + 1) * shape[1]) as Float32Array;
      if (scores.indexOf(Math.max(...scores)) === data.labels[start + row]) correct++;
      all.push(...scores);
    }
  }
  await runner.dispose();
  return { accuracy: correct / count, logits: tensor(all) };
}

async function bytesOf(model: Model): Promise<Uint8Array> {
  const sink = new MemorySink();
  await writeModel(model, sink);
  return sink.bytes;
}

console.log('| model | mode | size | accuracy | SQNR of the logits |\n|---|---|--:|--:|--:|');
for (const { name, data: open } of MODELS) {
  const path = join(folder, `${name}.onnx`);
  if (!existsSync(path)) continue;
  const data = await open();
  const count = Math.min(data.count, Number(limit));
  const model = await readModel(path);
  const original = await bytesOf(model);
  const float = await run(original, data, count);
  console.log(
    `| ${name} | float32 | ${(original.length / 1000).toFixed(1)} KB | ${(100 * float.accuracy).toFixed(2)} % | |`,
  );
  for (const [mode, quantize] of Object.entries(MODES)) {
    const converted = await quantize(model, data).catch((error: unknown) => error);
    if (converted instanceof Error) {
      const reason =
        'code' in converted && converted.code === 'GRAPH_NOT_QUANTIZABLE'
          ? 'does not apply'
          : converted.message;
      console.log(`| ${name} | ${mode} | | | ${reason} |`);
      continue;
    }
    const bytes = await bytesOf((converted as Converted).model);
    const result = await run(bytes, data, count);
    const ratio = sqnr(float.logits, result.logits).toFixed(1);
    console.log(
      `| ${name} | ${mode} | ${((100 * bytes.length) / original.length).toFixed(1)} % | ${(100 * result.accuracy).toFixed(2)} % | ${ratio} dB |`,
    );
  }
}
