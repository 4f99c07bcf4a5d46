/** Trained models with held-out labels, for benches: NAME.onnx and the data's NAME_test.npz in one folder. */
import { join } from 'node:path';
import { openNpz, MemorySink, ortNode, readModel, writeModel, type Model } from 'zeropoint/onnx';
import { tensor, type Tensor } from 'zeropoint';

type Feeds = Record<string, Tensor>;

export interface TrainedData {
  readonly labels: ArrayLike<number>;
  readonly count: number;
  readonly calibrationCount: number;
  feeds(part: 'test' | 'calibration', start: number, count: number): Feeds;
}

const CALIBRATION = 256;
const BATCH = 50;

export const TRAINED: readonly {
  readonly name: string;
  readonly data: (folder: string) => Promise<TrainedData>;
}[] = [
  { name: 'digits_cnn', data: (folder) => images(folder, 'digits_test.npz', 16, [1, 8, 8]) },
  { name: 'digits_mlp', data: (folder) => images(folder, 'digits_test.npz', 16, [64]) },
  { name: 'fmnist_resdw', data: (folder) => images(folder, 'fmnist_test.npz', 255, [1, 28, 28]) },
  { name: 'fmnist_vit', data: (folder) => images(folder, 'fmnist_test.npz', 255, [1, 28, 28]) },
  { name: 'fmnist_vit_dynamo', data: (folder) => images(folder, 'fmnist_test.npz', 255, [1, 28, 28]) },
  { name: 'fmnist_vit_outlier', data: (folder) => images(folder, 'fmnist_test.npz', 255, [1, 28, 28]) },
  { name: 'spam_bert_tiny', data: (folder) => tokens(folder, 'spam_bert_tiny_test.npz') },
];

async function arrays(folder: string, file: string, names: readonly string[]): Promise<Tensor[]> {
  const npz = await openNpz(join(folder, file));
  return Promise.all(names.map(async (name) => (await npz.array(name)).load()));
}

const total = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

async function images(
  folder: string,
  file: string,
  divisor: number,
  shape: readonly number[],
): Promise<TrainedData> {
  const [x, y, calibration] = await arrays(folder, file, ['x', 'y', 'calib_x']);
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

async function tokens(folder: string, file: string): Promise<TrainedData> {
  const [x, y, calibration] = await arrays(folder, file, ['input_ids', 'labels', 'calib_input_ids']);
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

export function calibration(data: TrainedData): Feeds[] {
  const count = Math.min(CALIBRATION, data.calibrationCount);
  return Array.from({ length: Math.floor(count / BATCH) }, (_, i) =>
    data.feeds('calibration', i * BATCH, BATCH),
  );
}

export interface Run {
  readonly accuracy: number;
  readonly logits: Tensor;
}

export async function run(bytes: Uint8Array, data: TrainedData, count: number): Promise<Run> {
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

export async function bytesOf(model: Model): Promise<Uint8Array> {
  const sink = new MemorySink();
  await writeModel(model, sink);
  return sink.bytes;
}
