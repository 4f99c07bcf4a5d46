/** A calibration that keeps its state after each batch, and goes on from it. */
import { describe, expect, it } from 'vitest';
import {
  HistogramObserver,
  MovingAverageMinMaxObserver,
  QConfig,
  QConfigMapping,
  tensor,
  type Tensor,
} from 'zeropoint';
import { buildModel, calibrate, onnxQConfig, prepare, type ModelRunner, type Plan } from 'zeropoint/onnx';

const BATCHES = 7;
const batch = (i: number): { x: Tensor } => ({
  x: tensor(
    Float32Array.from({ length: 8 }, (_, k) => Math.sin(i * 8 + k) * (i + 1)),
    [2, 4],
  ),
});

async function* batches(from = 0): AsyncGenerator<{ x: Tensor }> {
  for (let i = from; i < BATCHES; i++) yield batch(i);
}

const model = buildModel(
  (b) => {
    const weight = b.constant(
      'w',
      tensor(
        Float32Array.from({ length: 16 }, (_, i) => i / 16 - 0.5),
        [4, 4],
      ),
    );
    b.output(b.op('MatMul', [b.input('x', 'float32', ['N', 4]), weight]), 'y', 'float32', ['N', 4]);
  },
  { opset: 17, irVersion: 8 },
);

/** Stands in for a runtime: every value is twice the input. */
const runner: ModelRunner = {
  name: 'double',
  inputs: [{ name: 'x', dtype: 'float32', shape: ['N', 4] }],
  outputs: [],
  run: async (feeds, { fetch = [] } = {}) => {
    const { data } = feeds.x as Tensor;
    const doubled = tensor(
      Float32Array.from(data as Float32Array, (value) => 2 * value),
      [2, 4],
    );
    return Object.fromEntries(fetch.map((name) => [name, doubled]));
  },
  dispose: async () => undefined,
};

const ARGS = { dtype: 'quint8' } as const;
const OBSERVERS = {
  minmax: onnxQConfig().activation,
  histogram: HistogramObserver.withArgs(ARGS),
  'moving average': MovingAverageMinMaxObserver.withArgs(ARGS),
};

describe.each(Object.entries(OBSERVERS))('%s', (_, activation) => {
  const qconfig = new QConfig({ activation, weight: onnxQConfig().weight });
  const plan = prepare(model, new QConfigMapping().setGlobal(qconfig));

  it('the state after each batch is whole, survives JSON, and leads to the plan without a stop', async () => {
    const whole = await calibrate(plan, runner, batches());
    const states: string[] = [];
    await calibrate(plan, runner, batches(), {
      checkpoint: (soFar, seen) => {
        expect(seen).toBe(states.length + 1);
        states.push(JSON.stringify(soFar()));
      },
    });
    expect(states).toHaveLength(BATCHES);
    for (const [i, state] of states.slice(0, -1).entries()) {
      expect(await calibrate(JSON.parse(state) as Plan, runner, batches(i + 1))).toEqual(whole);
    }
    expect(JSON.parse(states[BATCHES - 1])).toEqual(JSON.parse(JSON.stringify(whole)));
  });

  it('an abort loses no batch that was seen', async () => {
    const stop = new AbortController();
    let last: (() => Plan) | undefined;
    const stopped = calibrate(plan, runner, batches(), {
      signal: stop.signal,
      checkpoint: (soFar, seen) => {
        last = soFar;
        if (seen === 3) stop.abort(new Error('stop'));
      },
    });
    await expect(stopped).rejects.toThrow('stop');
    const kept = (last as () => Plan)();
    expect(kept.samples).toBe(6);
    expect(await calibrate(kept, runner, batches(3))).toEqual(await calibrate(plan, runner, batches()));
  });
});

it('a state that cannot be kept stops the calibration', async () => {
  const failing = calibrate(prepare(model), runner, batches(), {
    checkpoint: () => Promise.reject(new Error('disk full')),
  });
  await expect(failing).rejects.toThrow('disk full');
});
