/** Accuracy on labelled images, and latency side by side. */
import { tensor, type Tensor } from 'zeropoint';
import { measureLatency, openNpz, type ModelRunner } from 'zeropoint/onnx';

export interface Images {
  readonly count: number;
  readonly labels: ArrayLike<number>;
  /** `count` images from `start` as the model takes them: float32 [count, 1, 28, 28], x / 255. */
  batch(start: number, count: number): Tensor;
}

const PIXELS = 28 * 28;
const BATCH = 100;
/** Batch sizes whose latency is shown, and runs of each. */
const LATENCY_ROUNDS: ReadonlyMap<number, number> = new Map([
  [1, 300],
  [32, 60],
]);

/** Milliseconds a run, by batch size. */
export type Latencies = ReadonlyMap<number, number>;

/** Images and labels as bytes, in arrays of those names. */
export async function heldOut(path: string): Promise<Images> {
  const file = await openNpz(path);
  const images = await (await file.array('images')).load();
  const labels = await (await file.array('labels')).load();
  const bytes = images.data as Uint8Array;
  return {
    count: images.shape[0],
    labels: labels.data as Uint8Array,
    batch(start, count) {
      const part = bytes.subarray(start * PIXELS, (start + count) * PIXELS);
      return tensor(
        Float32Array.from(part, (byte) => byte / 255),
        [part.length / PIXELS, 1, 28, 28],
      );
    },
  };
}

/** Share of images whose greatest logit is that of their label. */
export async function accuracy(runner: ModelRunner, images: Images): Promise<number> {
  let correct = 0;
  for (let start = 0; start < images.count; start += BATCH) {
    const results = await runner.run({ input: images.batch(start, Math.min(BATCH, images.count - start)) });
    const [rows, classes] = results.logits.shape;
    const logits = results.logits.data as Float32Array;
    for (let row = 0; row < rows; row++) {
      const scores = logits.subarray(row * classes, (row + 1) * classes);
      if (scores.indexOf(Math.max(...scores)) === images.labels[start + row]) correct++;
    }
  }
  return correct / images.count;
}

/** Latency of each runner, measured in turns so that a busy machine slows all alike. */
export async function latency(runners: readonly ModelRunner[], images: Images): Promise<Latencies[]> {
  const result = runners.map(() => new Map<number, number>());
  for (const [batch, rounds] of LATENCY_ROUNDS) {
    const times = await measureLatency(runners, { input: images.batch(0, batch) }, { rounds, warmup: 10 });
    times.forEach(({ median }, i) => result[i].set(batch, median));
  }
  return result;
}
