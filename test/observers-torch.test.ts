/**
 * Every case of test/fixtures/torch/observers, made by torch 2.13.0 and onnxruntime's quantization tool: equal in bits,
 * or named in test/deviations.ts.
 */
import * as zeropoint from 'zeropoint';
import {
  calculateQParams,
  chooseQParams,
  FakeQuantizeBase,
  getBackend,
  HistogramObserver,
  LearnableFakeQuantize,
  observerFromJSON,
  QConfig,
  QConfigMapping,
  setBackend,
  tensor,
  type Numerics,
  type Observer,
  type QParamsOptions,
} from 'zeropoint';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { deviationOf, type Deviation } from './deviations.ts';
import { firstDifference, loadStore } from './support/array-store.ts';

type Args = Readonly<Record<string, unknown>>;
type StoredTensor = readonly [array: number, shape: readonly number[]];

interface Step {
  readonly x: number;
  readonly shape: readonly number[];
  readonly y: number;
  readonly scale: number;
  readonly zero_point: number;
}

/** Fields as the script writes them; arrays by number. */
interface Case {
  readonly id: string;
  readonly kind: 'qparams' | 'observer' | 'fake_quantize' | 'learnable' | 'preset' | 'qconfig';
  readonly args: Args;
  readonly type: string;
  readonly batches: readonly StoredTensor[];
  readonly min: number;
  readonly max: number;
  readonly scale: number;
  readonly zero_point: number;
  readonly histogram?: number;
  readonly range: number;
  readonly preset: string;
  readonly steps: readonly Step[];
  readonly name: string;
  readonly call: readonly [name: string, backend: string, version?: number];
  readonly op_type?: string;
  readonly expected: Args;
  readonly shape: readonly number[];
  readonly [array: string]: unknown;
}

type Results = Readonly<Record<string, ArrayLike<unknown>>>;

const { about, cases, array } = await loadStore<Case>('torch/observers');

/** A public name of the package, looked up as a fixture spells it. */
const named = (name: string): unknown => (zeropoint as Readonly<Record<string, unknown>>)[name];

function make(type: string, args: Args): Observer {
  return observerFromJSON({
    version: 1,
    type,
    args,
    state: EMPTY_STATE[type] ?? { minVal: [], maxVal: [], infinities: 0 },
  });
}
const EMPTY_STATE: Readonly<Record<string, object>> = {
  HistogramObserver: { minVal: [null], maxVal: [null], histogram: [], infinities: 0 },
};

function differences(results: Results, c: Readonly<Record<string, unknown>>): readonly string[] {
  return Object.entries(results).flatMap(([field, actual]) => {
    const expected = array(c[field] as number);
    const i = firstDifference(actual, expected);
    return i < 0 ? [] : [`${field}[${i}]: expected ${String(expected[i])}, got ${String(actual[i])}`];
  });
}

/** -0 and 0 may stand for each other in extremes. */
const unsigned = (values: Float32Array): Float32Array => values.map((value) => value + 0);

function replayQParams(c: Case): Results {
  const options = c.args as QParamsOptions;
  const [min, max] = [array(c.min) as Float32Array, array(c.max) as Float32Array];
  if (options.rule !== 'aten') {
    const { scale, zeroPoint } = calculateQParams(min, max, options);
    return { scale, zero_point: zeroPoint };
  }
  const chosen = Array.from(min, (low, i) => chooseQParams(low, max[i], options));
  return { scale: chosen.map(({ scale }) => scale), zero_point: chosen.map(({ zeroPoint }) => zeroPoint) };
}

function replayObserver(c: Case): Results {
  const observer = make(c.type, c.args) as Observer & {
    minVal: number | Float32Array;
    maxVal: number | Float32Array;
  };
  for (const [x, shape] of c.batches) observer.observe(tensor(array(x), shape));
  const { scale, zeroPoint } = observer.calculateQParams();
  const list = (value: number | Float32Array): Float32Array =>
    unsigned(typeof value === 'number' ? Float32Array.of(value) : value);
  const results = { min: list(observer.minVal), max: list(observer.maxVal), scale, zero_point: zeroPoint };
  if (!(observer instanceof HistogramObserver)) return results;
  const { min, max } = observer.chooseRange();
  return {
    ...results,
    histogram: Float32Array.from(observer.histogram),
    range: [min, max].map((v) => v + 0),
  };
}

function replayFakeQuantize(c: Case, numerics: Numerics): readonly string[] {
  const module = (named(c.preset) as (args: Args) => FakeQuantizeBase)({ numerics });
  return c.steps.flatMap((step, i) => {
    if (i === 3) module.disableObserver();
    if (i === 4) module.enableObserver().disableFakeQuant();
    const y = module.forward(tensor(array(step.x), step.shape)).data;
    const results = { y, scale: module.scale, zero_point: module.zeroPoint };
    return differences(results, { ...step }).map((text) => `step ${i}: ${text}`);
  });
}

/** torch sums gradients in float32, we in double (deviation `sums-in-double`): equal within SUM_ERROR. */
function expectSums(actual: Float32Array, expected: Float32Array, id: string): void {
  expect(actual, id).toHaveLength(expected.length);
  expected.forEach((sum, i) =>
    expect(Math.abs(actual[i] - sum), id).toBeLessThanOrEqual(Math.abs(sum) * SUM_ERROR),
  );
}
const SUM_ERROR = 2 ** -20;

function replayLearnable(c: Case): Results {
  const observer = named(c.args.observer as string) as ConstructorParameters<
    typeof LearnableFakeQuantize
  >[0]['observer'];
  const module = new LearnableFakeQuantize({ ...c.args, observer, numerics: 'torch-2.13' });
  const firstY = module.forward(tensor(array(c.first as number), c.shape)).data;
  module.enableParamLearning();
  module.scale = module.scale.map((scale) => scale * 1.25);
  if (!c.id.endsWith('symmetric')) module.zeroPoint = module.zeroPoint.map((zeroPoint) => zeroPoint + 0.75);
  const x = tensor(array(c.x as number), c.shape);
  const y = module.forward(x).data;
  const { dX, dScale, dZeroPoint } = module.backward(x, tensor(array(c.dy as number), c.shape));
  const { scale, zeroPoint } = module.calculateQParams();
  for (const [name, sums] of Object.entries({ dscale: dScale, dzero_point: dZeroPoint })) {
    expectSums(sums, array(c[name] as number) as Float32Array, `${c.id}: ${name}`);
  }
  return { first_y: firstY, y, dx: dX.data, scale, zero_point: zeroPoint };
}

const FIELDS = [
  'dtype', 'qscheme', 'quantMin', 'quantMax', 'eps', 'reduceRange', 'averagingConstant', 'chAxis', 'isDynamic', 'bins',
] as const; // prettier-ignore

/** What torch_observers_names.py calls `describe`. */
function settings(instance: Observer): Record<string, unknown> {
  const fields = instance as unknown as Readonly<Record<string, unknown>>;
  const result: Record<string, unknown> = { type: instance.type };
  for (const field of FIELDS) if (fields[field] !== undefined) result[field] = fields[field];
  if (instance.type === 'FixedQParamsObserver') {
    result.scale = fields.scale;
    result.zeroPoint = fields.zeroPoint;
  }
  if (instance instanceof FakeQuantizeBase) result.observer = settings(instance.observer);
  return result;
}

/** The fields that torch's object has; ours may say more (markers have a qscheme). */
function expectSettings(instance: Observer, expected: Args, id: string): void {
  const actual = settings(instance);
  const shown = (value: Args, of: Args): Record<string, unknown> =>
    Object.fromEntries(
      Object.entries(of).map(([key, item]) => [
        key,
        typeof item === 'object' && item !== null ? shown(value[key] as Args, item as Args) : value[key],
      ]),
    );
  expect(shown(actual, expected), id).toEqual(expected);
}

function checkPreset(c: Case): void {
  expectSettings((named(c.name) as () => Observer)(), c.expected, c.id);
}

function checkQConfig(c: Case): void {
  const made =
    c.call === undefined
      ? named(c.name)
      : (named(c.call[0]) as (...args: unknown[]) => unknown)(...c.call.slice(1));
  const qconfig =
    made instanceof QConfigMapping ? made.resolve({ opType: c.op_type ?? '', name: 'node' }) : made;
  if (!(qconfig instanceof QConfig)) throw new Error(`${c.id}: expected a QConfig, got ${String(qconfig)}`);
  const { activation, weight } = c.expected as Readonly<Record<'activation' | 'weight', Args>>;
  expectSettings(qconfig.activation(), activation, `${c.id}: activation`);
  expectSettings(qconfig.weight(), weight, `${c.id}: weight`);
}

interface Replay {
  /** The numerics a kind is replayed in. */
  readonly numerics: readonly Numerics[];
  readonly run: (c: Case, numerics: Numerics) => readonly string[];
}

const REPLAYS: Readonly<Record<Exclude<Case['kind'], 'preset' | 'qconfig'>, Replay>> = {
  qparams: { numerics: ['default'], run: (c) => differences(replayQParams(c), c) },
  observer: { numerics: ['default'], run: (c) => differences(replayObserver(c), c) },
  fake_quantize: { numerics: ['default', 'torch-2.13'], run: replayFakeQuantize },
  learnable: { numerics: ['torch-2.13'], run: (c) => differences(replayLearnable(c), c) },
};

/** True if a line of {@link differences} speaks of a result that the deviation covers. */
function mayDiffer(text: string, deviation: Deviation | undefined): boolean {
  if (deviation?.results === undefined) return deviation !== undefined;
  return deviation.results.some((field) => text.startsWith(`${field}[`));
}

/** How far torch's float32 counts are from exact ones after 24 batches, relative. */
const COUNT_ERROR = 2 ** -20;

describe.each(['reference', 'wasm'] as const)(
  `%s: observers equal torch ${about.torch} in bits`,
  (backend) => {
    const before = getBackend();
    beforeAll(() => setBackend(backend));
    afterAll(() => setBackend(before));

    test.each(Object.entries(REPLAYS))('%s', (kind, { numerics, run }) => {
      const own = cases.filter((c) => c.kind === kind);
      const wrong: string[] = [];
      for (const mode of numerics) {
        for (const c of own) {
          const found = run(c, mode);
          const deviation = deviationOf(mode, c.id);
          const others = found.filter((text) => !mayDiffer(text, deviation));
          wrong.push(...others.map((text) => `${mode}: ${c.id}: ${text}`));
          if (deviation !== undefined && found.length === 0)
            wrong.push(`${mode}: ${c.id}: equal, so '${deviation.id}' is not needed`);
        }
      }
      expect(own.length).toBeGreaterThan(0);
      expect(wrong).toEqual([]);
    });

    test('counts of 24 growing batches are within 2^-20 of float32 counts', () => {
      const own = cases.filter(({ id }) => deviationOf('default', id)?.id === 'histogram-counts-in-float64');
      expect(own).toHaveLength(4);
      for (const c of own) {
        const counts = replayObserver(c).histogram as Float32Array;
        const expected = array(c.histogram ?? -1) as Float32Array;
        const far = counts.filter((count, k) => Math.abs(count - expected[k]) > expected[k] * COUNT_ERROR);
        expect(far, c.id).toHaveLength(0);
      }
    });

    test('every preset has the settings of torch', () => {
      const own = cases.filter((c) => c.kind === 'preset');
      expect(own).toHaveLength(32);
      for (const c of own) checkPreset(c);
    });

    test('every QConfig, default and mapping has the settings of torch', () => {
      const own = cases.filter((c) => c.kind === 'qconfig');
      expect(own).toHaveLength(22 + 12 + 72);
      for (const c of own) checkQConfig(c);
    });
  },
);
