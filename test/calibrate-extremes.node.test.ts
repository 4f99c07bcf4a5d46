/** Calibration with extremes that the runtime finds: the plan that whole values give, and the same errors. */
import { expect, it, onTestFinished } from 'vitest';
import { HistogramObserver, MovingAverageMinMaxObserver, type Tensor } from 'zeropoint';
import {
  buildModel,
  calibrate,
  createRunner,
  prepare,
  staticQConfigMapping,
  type DefaultQConfigOptions,
  type Model,
  type ModelRunner,
} from 'zeropoint/onnx';
import { random } from './support/graphs.ts';

/** y = sigmoid(x · w + m) · v, where m may hold infinities, as masks do. */
function model(): Model {
  return buildModel((b) => {
    const h = b.op('MatMul', [b.input('x', 'float32', ['N', 8]), b.constant('w', random([8, 16], 1))]);
    const sum = b.op('Add', [h, b.input('m', 'float32', ['N', 16])], {}, 'sum');
    const y = b.op('MatMul', [b.op('Sigmoid', [sum]), b.constant('v', random([16, 4], 2))]);
    b.output(y, 'y', 'float32', ['N', 4]);
  });
}

async function openRunner(of: Model): Promise<ModelRunner> {
  const runner = await createRunner(of);
  onTestFinished(() => runner.dispose());
  return runner;
}

/** A runner that can only give whole values. */
function plainRunner({ name, inputs, outputs, run }: ModelRunner, self: ModelRunner): ModelRunner {
  return { name, inputs, outputs, run: run.bind(self), dispose: () => self.dispose() };
}

function batches(odd?: number): Record<string, Tensor>[] {
  return [3, 4, 5].map((seed) => {
    const m = random([4, 16], seed + 10);
    if (odd !== undefined) m.data[seed] = odd;
    return { x: random([4, 8], seed), m };
  });
}

const MAPPINGS = {
  'min/max': {},
  'moving averages': { activation: MovingAverageMinMaxObserver.withArgs({ dtype: 'quint8' }) },
  histograms: { activation: HistogramObserver.withArgs({ dtype: 'quint8' }) },
} satisfies Record<string, DefaultQConfigOptions>;

const CASES = Object.entries(MAPPINGS).flatMap(([name, options]) =>
  [undefined, -Infinity].map((odd) => ({ name, options: options as DefaultQConfigOptions, odd })),
);

it.each(CASES)('$name, a mask of $odd: the plan that whole values give', async ({ options, odd }) => {
  const float = model();
  const plan = prepare(float, staticQConfigMapping(options));
  const runner = await openRunner(float);
  const reduced = await calibrate(plan, runner, batches(odd));
  const fetched = await calibrate(plan, plainRunner(runner, runner), batches(odd));
  expect(reduced).toEqual(fetched);
  expect(reduced.samples).toBe(12);
});

it('copies out nothing but what observers have to see', async () => {
  const float = model();
  const plan = prepare(float, staticQConfigMapping());
  const runner = await openRunner(float);
  const asked: { fetch: readonly string[]; extremesOf: readonly string[] }[] = [];
  const spy: ModelRunner = {
    ...plainRunner(runner, runner),
    runForExtremes: async (feeds, { fetch = [], extremesOf }) => {
      asked.push({ fetch, extremesOf });
      const found = await runner.runForExtremes?.(feeds, { fetch, extremesOf });
      if (found === undefined) throw new TypeError('expected extremes');
      return found;
    },
  };
  await calibrate(plan, spy, batches());
  expect(asked.map(({ fetch }) => fetch)).toEqual([[], [], []]);
  asked.length = 0;
  await calibrate(plan, spy, batches(-Infinity));
  // Only the sum holds an infinity: it is fetched from then on.
  expect(asked[0].fetch).toEqual([]);
  expect(asked.at(-1)?.fetch).toEqual(['sum']);
  expect(asked).toHaveLength(4);
});

it('names the value with NaN', async () => {
  const float = model();
  const plan = prepare(float, staticQConfigMapping());
  await expect(calibrate(plan, await openRunner(float), batches(NaN))).rejects.toMatchObject({
    code: 'CALIBRATION_NAN',
  });
});

const SHAPES = [
  [],
  [9],
  [20_000],
  [4, 5000],
  [9000, 1],
  [1, 3, 60, 60],
  [2, 12, 40, 40],
  [3, 40, 100],
  [2, 3, 4, 20, 30],
];

it.each(
  [7, 12, 13, 17, 18, 22].flatMap((opset) => SHAPES.map((shape) => ({ opset, shape: shape.join(' · ') }))),
)('opset $opset, $shape: extremes are those of the whole value', async ({ opset, shape }) => {
  const dims = shape === '' ? [] : shape.split(' · ').map(Number);
  for (const open of [false, true]) {
    const negated = buildModel(
      (b) => {
        // An axis of any length must do, too.
        const declared = open ? ['N', ...dims.slice(1)].slice(0, dims.length) : dims;
        b.output(b.op('Neg', [b.input('x', 'float32', declared)], {}, 'y'), 'y', 'float32');
      },
      { opset },
    );
    const runner = await openRunner(negated);
    const x = random(dims, 3);
    const values = Array.from(x.data, Number);
    const find = async (): Promise<unknown> =>
      (await runner.runForExtremes?.({ x }, { extremesOf: ['y'] }))?.extremes.y;
    expect(await find()).toEqual({ min: -Math.max(...values), max: -Math.min(...values) });
    for (const odd of [NaN, Infinity, -Infinity]) {
      const at = Math.floor(values.length * 0.7);
      x.data[at] = odd;
      expect(await find()).toBeUndefined();
      x.data[at] = values[at];
    }
  }
});
