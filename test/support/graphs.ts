/** What tests of small graphs share: seeded data, models as bytes, and the levels at which onnxruntime must agree. */
import { tensor, type Tensor } from 'zeropoint';
import { MemorySink, writeModel, type GraphOptimization, type Model } from 'zeropoint/onnx';

export const LEVELS: readonly GraphOptimization[] = ['disabled', 'basic', 'extended', 'all'];

/** Seeded values in [-1, 1), the same in every run. */
export function random(shape: readonly number[], seed = 1): Tensor<'float32'> {
  let state = seed;
  const count = shape.reduce((a, b) => a * b, 1);
  const values = Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
  return tensor(values, shape);
}

/** The file that a model becomes. */
export async function bytesOf(model: Model): Promise<Uint8Array> {
  const sink = new MemorySink();
  await writeModel(model, sink);
  return sink.bytes;
}
