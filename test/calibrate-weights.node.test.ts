/** NaN that a weight brings into calibration is that weight's fault: prepare, calibrate and convert name it. */
import { expect, it, onTestFinished } from 'vitest';
import { HistogramObserver, tensor, type Tensor } from 'zeropoint';
import {
  attr,
  buildModel,
  calibrate,
  createRunner,
  prepare,
  quantizeStatic,
  staticQConfigMapping,
  type CalibrateOptions,
  type Model,
  type ModelRunner,
  type Plan,
} from 'zeropoint/onnx';
import { random } from './support/graphs.ts';

type Name = 'first' | 'second' | 'gain' | 'inner' | 'last' | 'aside';

/**
 * z = x · aside (not observed); y = If(flag, g + inner, g) · last with g = gain * (x · first · second). The constants in `bad` have that
 * value as their first element. What `second` gives is not observed, `inner` lies in a body.
 */
function model(bad: Partial<Record<Name, number>>): Model {
  const weight = (name: Name, seed: number): Tensor => {
    const made = random([8, 8], seed);
    made.data[0] = bad[name] ?? 0.5;
    return made;
  };
  return buildModel((b) => {
    const x = b.input('x', 'float32', ['N', 8]);
    const equation = attr.string('ij,jk->ik');
    const z = b.op('Einsum', [x, b.constant('aside', weight('aside', 6))], { equation });
    b.output(z, 'z', 'float32', ['N', 8]);
    const h = b.op('MatMul', [x, b.constant('first', weight('first', 1))]);
    const e = b.op('Einsum', [h, b.constant('second', weight('second', 2))], { equation });
    const gain = random([8]);
    gain.data[0] = bad.gain ?? 0.5;
    const g = b.op('Mul', [e, b.constant('gain', gain)]);
    const add = b.body('add', (t) => {
      const sum = t.op('Add', [g, t.constant('inner', weight('inner', 4))]);
      t.output(sum, 'sum', 'float32', ['N', 8]);
    });
    const same = b.body('same', (t) => t.output(t.op('Identity', [g]), 'same', 'float32', ['N', 8]));
    const chosen = b.op('If', [b.input('flag', 'bool', [])], {
      then_branch: attr.graph(add),
      else_branch: attr.graph(same),
    });
    const y = b.op('MatMul', [chosen, b.constant('last', weight('last', 7))]);
    b.output(y, 'y', 'float32', ['N', 8]);
  });
}

const batches = [{ x: random([8, 8], 9), flag: tensor(Uint8Array.of(1), [], 'bool') }];

async function runnerOf(of: Model): Promise<ModelRunner> {
  const runner = await createRunner(of);
  onTestFinished(() => runner.dispose());
  return runner;
}

/** A runner that does not know what it runs. */
function anonymous(runner: ModelRunner): ModelRunner {
  const { name, inputs, outputs } = runner;
  return { name, inputs, outputs, run: runner.run.bind(runner), dispose: () => runner.dispose() };
}

async function calibrated(of: Model, options?: CalibrateOptions): Promise<Plan> {
  return calibrate(prepare(of), await runnerOf(of), batches, options);
}

it.each<[Name, RegExp]>([
  ['first', /^first: expected finite weights, got NaN \(matmul reads it\)$/],
  ['second', /^second: expected numbers in a constant operand, got NaN \(einsum_1 reads it\)$/],
  ['gain', /^gain: expected numbers in a constant operand, got NaN \(mul reads it\)$/],
  ['inner', /^inner: expected numbers in a constant operand, got NaN \(add reads it\)$/],
])('calibrate traces NaN to %s', async (name, message) => {
  const job = calibrated(model({ [name]: NaN }));
  await expect(job).rejects.toMatchObject({
    name: 'GraphError',
    code: 'GRAPH_INVALID',
    details: { value: name },
  });
  await expect(job).rejects.toThrow(message);
});

it('the first of several, and none that the value does not come from', async () => {
  const several = calibrated(model({ aside: NaN, second: NaN, gain: NaN }));
  await expect(several).rejects.toMatchObject({ details: { value: 'second' } });
  await expect(calibrated(model({ aside: NaN }))).resolves.toMatchObject({ samples: 8 });
});

it('an infinity in a weight is found where it became NaN; one in an operand is not blamed', async () => {
  await expect(calibrated(model({ first: Infinity }))).rejects.toThrow(
    'first: expected finite weights, got an inf',
  );
  await expect(calibrated(model({ gain: -Infinity }))).resolves.toMatchObject({ samples: 8 });
});

it('NaN in the data stays the fault of the data', async () => {
  const of = model({});
  const x = random([8, 8]);
  x.data[3] = NaN;
  const job = calibrate(prepare(of), await runnerOf(of), [{ ...batches[0], x }]);
  await expect(job).rejects.toMatchObject({ code: 'CALIBRATION_NAN' });
  await expect(job).rejects.toThrow(/tensor 'x': expected numbers, got NaN at element 3/);
});

it('a runner that does not know its model needs to be told', async () => {
  const bad = model({ gain: NaN });
  const runner = anonymous(await runnerOf(bad));
  await expect(calibrate(prepare(bad), runner, batches)).rejects.toMatchObject({ code: 'CALIBRATION_NAN' });
  const told = { details: { value: 'gain' } };
  await expect(calibrate(prepare(bad), runner, batches, { model: bad })).rejects.toMatchObject(told);
  await expect(quantizeStatic(bad, { batches, runner })).rejects.toMatchObject(told);
});

it('histograms name it too', async () => {
  const bad = model({ second: NaN });
  const plan = prepare(
    bad,
    staticQConfigMapping({ activation: HistogramObserver.withArgs({ dtype: 'quint8' }) }),
  );
  const named = { details: { value: 'second' } };
  await expect(calibrate(plan, await runnerOf(bad), batches)).rejects.toMatchObject(named);
});
