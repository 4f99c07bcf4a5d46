import {
  defaultFakeQuant,
  defaultPerChannelWeightObserver,
  EntropyObserver,
  FakeQuantize,
  FixedQParamsFakeQuantize,
  FixedQParamsObserver,
  FormatError,
  FusedMovingAvgObsFakeQuantize,
  HistogramObserver,
  LearnableFakeQuantize,
  MinMaxObserver,
  MovingAverageMinMaxObserver,
  MovingAveragePerChannelMinMaxObserver,
  MSEObserver,
  NoopObserver,
  observerFromJSON,
  PerChannelMinMaxObserver,
  PercentileObserver,
  PlaceholderObserver,
  RecordingObserver,
  ReuseInputObserver,
  tensor,
  type Observer,
  type Tensor,
} from 'zeropoint';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

/** Seeded standard normal values. */
function normals(count: number, seed = 1): Float32Array {
  let state = seed;
  const uniform = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
  return Float32Array.from(
    { length: count },
    () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()),
  );
}

const float = fc.float({ noNaN: true, noDefaultInfinity: true });
const row = fc.array(float, { minLength: 4, maxLength: 4 });
const batches = fc.array(fc.array(row, { minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 4 });

function observeAll<T extends Observer>(observer: T, data: readonly number[][][]): T {
  for (const batch of data) observer.observe(tensor(batch));
  return observer;
}

describe('the tutorial: three observers on three batches (reference figures of torch 2.13)', () => {
  // prettier-ignore
  const BATCHES = [
    [[1.5409960746765137, -0.293428897857666, -2.1787893772125244, 0.5684312582015991], [-1.0845223665237427, -1.3985954523086548, 0.40334683656692505, 0.8380263447761536], [-0.7192575931549072, -0.40334352850914, -0.5966353416442871, 0.18203648924827576]],
    [[-0.8566746115684509, 1.1006041765213013, -1.0711873769760132, 0.1227012425661087], [-0.5663174986839294, 0.3731146454811096, -0.8919953107833862, -1.5091077089309692], [0.3703935444355011, 1.4565025568008423, 0.9398099184036255, 0.7748488187789917]],
    [[0.19186942279338837, 1.2637947797775269, -1.2904350757598877, -0.7911027073860168], [-0.02087947353720665, -0.7184800505638123, 0.5186367630958557, -1.3125219345092773], [0.1919950693845749, 0.5427713394165039, -2.2187793254852295, 0.2589845359325409]],
  ];
  test.each([
    [new MovingAverageMinMaxObserver({ qscheme: 'per_tensor_affine' }), [0.014548812061548233], [149]],
    [new HistogramObserver({ qscheme: 'per_tensor_affine' }), [0.014737018384039402], [151]],
    [
      new MovingAveragePerChannelMinMaxObserver({ qscheme: 'per_channel_symmetric' }),
      [0.016932867467403412, 0.010971206240355968, 0.005674237385392189],
      [128, 128, 128],
    ],
  ])('%s', (observer: Observer, scale, zeroPoint) => {
    observeAll(observer, BATCHES);
    const qparams = observer.calculateQParams();
    expect([...qparams.scale]).toEqual(scale);
    expect([...qparams.zeroPoint]).toEqual(zeroPoint);
  });
});

describe('merge', () => {
  const exact = [
    () => new MinMaxObserver(),
    () => new PerChannelMinMaxObserver({ chAxis: 1 }),
    () => new PerChannelMinMaxObserver({ chAxis: -1, blockSize: 3 }),
  ];
  test.each(exact.map((make) => ({ name: String(make()), make })))(
    '$name: the states of two halves give the whole exactly, in either order',
    ({ make }: { make: () => Observer }) => {
      // Blocks of unequal batches would not be the same blocks.
      const equal = batches.map((all) => all.map((batch) => [batch[0], batch[0]]));
      fc.assert(
        fc.property(equal, equal, (a, b) => {
          const whole = observeAll(make(), [...a, ...b]).toJSON();
          const [first, second] = [observeAll(make(), a), observeAll(make(), b)];
          expect(observerFromJSON(first.toJSON()).merge(second).toJSON()).toEqual(whole);
          expect(observerFromJSON(second.toJSON()).merge(first).toJSON()).toEqual(whole);
        }),
        { seed: 1, numRuns: 100 },
      );
    },
  );

  test('min/max: the order of the batches does not matter', () => {
    fc.assert(
      fc.property(batches, (data) => {
        const forward = observeAll(new MinMaxObserver(), data);
        const backward = observeAll(new MinMaxObserver(), data.toReversed());
        expect(backward.toJSON()).toEqual(forward.toJSON());
      }),
      { seed: 2 },
    );
  });

  test('histogram: two halves give the whole within one bin', () => {
    const halves = fc.tuple(
      fc.integer({ min: 1, max: 1e6 }),
      fc.float({ min: Math.fround(0.1), max: 20, noNaN: true }),
    );
    fc.assert(
      fc.property(halves, ([seed, spread]) => {
        const [a, b] = [normals(500, seed), normals(500, seed + 1).map((v) => v * spread + 1)];
        const make = (): HistogramObserver => new HistogramObserver({ bins: 64 });
        const [whole, first, second] = [make(), make(), make()];
        whole.observe(tensor(Float32Array.of(...a, ...b)));
        first.observe(tensor(a));
        second.observe(tensor(b));
        const merged = first.merge(second);
        expect([merged.minVal, merged.maxVal]).toEqual([whole.minVal, whole.maxVal]);
        const [expected, actual] = [cumulative(whole.histogram), cumulative(merged.histogram)];
        for (let k = 1; k <= 64; k++) {
          expect(actual[k]).toBeGreaterThanOrEqual(expected[k - 1]);
          expect(actual[k]).toBeLessThanOrEqual(expected[Math.min(k + 1, 64)]);
        }
        expect(actual[64]).toBe(1000);
      }),
      { seed: 3, numRuns: 50 },
    );
  });

  test('histograms of one range add exactly; an empty side changes nothing', () => {
    const [a, b] = [new HistogramObserver(), new HistogramObserver()];
    for (const observer of [a, b]) observer.observe(tensor([-1, 0, 0.5, 1]));
    const once = a.histogram;
    a.merge(b).merge(new HistogramObserver());
    expect(a.histogram).toEqual(once.map((count) => 2 * count));
    expect(new HistogramObserver().merge(b).toJSON()).toEqual(b.toJSON());
  });

  test.each([new MovingAverageMinMaxObserver(), new MovingAveragePerChannelMinMaxObserver()])(
    '%s refuses, because the order matters',
    (observer: Observer) => {
      expect(() => observer.merge(observer)).toThrow(/moving average depends on the order/);
    },
  );

  test('observers with other options or of another class refuse; the name is no such option', () => {
    const observer: Observer = new MinMaxObserver({ name: 'a' });
    expect(() => observer.merge(new MinMaxObserver({ dtype: 'qint8' }))).toThrow(
      'expected an equal observer',
    );
    expect(() => observer.merge(new HistogramObserver())).toThrow('expected an equal observer');
    expect(observer.merge(new MinMaxObserver({ name: 'b' }))).toBe(observer);
  });

  test('a changed number of channels is refused', () => {
    const observer = new PerChannelMinMaxObserver();
    observer.observe(tensor([[1], [2]]));
    expect(() => observer.observe(tensor([[1], [2], [3]]))).toThrow(
      'expected 2 channels as in the batches before, got 3',
    );
    const other = new PerChannelMinMaxObserver();
    other.observe(tensor([[1]]));
    expect(() => observer.merge(other)).toThrow('expected 2 channels on both sides, got 1');
  });

  test('recordings are appended; fake-quantizes merge their observers', () => {
    const [a, b] = [new RecordingObserver(), new RecordingObserver()];
    a.observe(tensor([1]));
    b.observe(tensor([2, 3]));
    expect(a.merge(b).tensorValues.map(String)).toEqual(['tensor([1.])', 'tensor([2., 3.])']);
    const [c, d] = [1, 2].map(() => new FakeQuantize({ observer: MinMaxObserver }));
    c.forward(tensor([-1, 1]));
    d.forward(tensor([-1, 3]));
    expect(c.merge(d).scale).toEqual(Float32Array.of(4 / 255));
  });
});

function cumulative(counts: Float64Array): readonly number[] {
  const sums = [0];
  for (const count of counts) sums.push((sums.at(-1) ?? 0) + count);
  return sums;
}

describe('state', () => {
  const x = tensor([[1, -2, 3], [0.1, 5, -6]]); // prettier-ignore
  const observers: readonly Observer[] = [
    new MinMaxObserver({
      dtype: 'qint8',
      qscheme: 'per_tensor_symmetric',
      symmetric: 'restricted',
      name: 'x',
    }),
    new MovingAverageMinMaxObserver({ averagingConstant: 0.5 }),
    new PerChannelMinMaxObserver({ chAxis: -1, quantMin: 0, quantMax: 15 }),
    new PerChannelMinMaxObserver({ chAxis: 1, blockSize: 2 }),
    new MovingAveragePerChannelMinMaxObserver({ qscheme: 'per_channel_affine_float_qparams' }),
    new HistogramObserver({ bins: 16, reduceRange: true }),
    new PercentileObserver({ percentile: 90, bins: 100 }),
    new EntropyObserver({ dtype: 'qint8', qscheme: 'per_tensor_symmetric' }),
    new MSEObserver({ rule: 'onnx' }),
    new FixedQParamsObserver({ scale: 0.5, zeroPoint: 3 }),
    new PlaceholderObserver({ dtype: 'float16', isDynamic: true }),
    new NoopObserver({ dtype: 'float32' }),
    new RecordingObserver(),
    new ReuseInputObserver(),
    new FakeQuantize({ quantMin: 0, quantMax: 127 }),
    new FakeQuantize({
      observer: MovingAveragePerChannelMinMaxObserver.withArgs({ chAxis: 1 }),
      qscheme: 'per_channel_affine_float_qparams',
    }),
    new FixedQParamsFakeQuantize({
      observer: FixedQParamsObserver.withArgs({ scale: 1 / 256, zeroPoint: 0 }),
    }),
    new FusedMovingAvgObsFakeQuantize().disableFakeQuant(),
    new LearnableFakeQuantize({ observer: MinMaxObserver }).enableStaticObservation(),
  ];

  test.each(observers.map((observer) => ({ type: observer.type, observer })))(
    '$type: empty, filled and filled further survive JSON',
    ({ observer }) => {
      const copy = (): Observer => observerFromJSON(JSON.parse(JSON.stringify(observer)));
      expect(String(copy())).toBe(String(observer));
      observer.observe(x);
      const restored = copy();
      for (const one of [observer, restored]) one.observe(tensor([[2, 2, 9], [-9, 2, 2]])); // prettier-ignore
      expect(restored.toJSON()).toEqual(observer.toJSON());
      expect(String(restored)).toBe(String(observer));
    },
  );

  const good = JSON.parse(JSON.stringify(new MinMaxObserver()));
  const histogram = new HistogramObserver({ bins: 2 });
  histogram.observe(tensor([1, 2]));
  const filled = JSON.parse(JSON.stringify(histogram));
  const fake = JSON.parse(JSON.stringify(new FakeQuantize()));
  test.each([
    ['null', null],
    ['a number', 3],
    ['an array', []],
    ['another version', { ...good, version: 2 }],
    ['no type', { ...good, type: undefined }],
    ['an unknown type', { ...good, type: 'Object' }],
    ['no args', { ...good, args: undefined }],
    ['an unknown option', { ...good, args: { dtypes: 'qint8' } }],
    ['an option of a wrong value', { ...good, args: { dtype: 'complex64' } }],
    ['no state', { ...good, state: undefined }],
    ['a minimum without maximum', { ...good, state: { minVal: [1], maxVal: [], infinities: 0 } }],
    ['a minimum above the maximum', { ...good, state: { minVal: [2], maxVal: [1], infinities: 0 } }],
    ['two minima per tensor', { ...good, state: { minVal: [1, 1], maxVal: [2, 2], infinities: 0 } }],
    ['a minimum that is no float32', { ...good, state: { minVal: [0.1], maxVal: [1], infinities: 0 } }],
    ['text for a minimum', { ...good, state: { minVal: ['1'], maxVal: [1], infinities: 0 } }],
    ['a count below 0', { ...good, state: { ...good.state, infinities: -1 } }],
    ['too few bins', { ...filled, state: { ...filled.state, histogram: [1] } }],
    ['bins below 0', { ...filled, state: { ...filled.state, histogram: [1, -1] } }],
    ['an empty histogram with a range', { ...filled, state: { ...filled.state, histogram: [0, 0] } }],
    ['the state of another observer inside', { ...fake, state: { ...fake.state, observer: filled } }],
    ['an observer that is none', { ...good, type: 'FakeQuantize', args: { observer: 'MinMaxObserver' } }],
  ])('%s: FormatError STATE_INVALID', (_, state) => {
    const read = (): Observer => observerFromJSON(state);
    expect(read).toThrow(FormatError);
    expect(read).toThrow(expect.objectContaining({ code: 'STATE_INVALID' }));
  });
});

describe('printing', () => {
  const seen = new MinMaxObserver({ dtype: 'qint8', qscheme: 'per_tensor_symmetric' });
  seen.observe(tensor([-2.1, 1.5]));
  const channels = new PerChannelMinMaxObserver({ chAxis: 1 });
  channels.observe(tensor(Float32Array.from({ length: 12 }, (_, i) => i / 10), [1, 12])); // prettier-ignore
  test.each([
    [new MinMaxObserver(), 'new MinMaxObserver() // nothing observed'],
    [new MinMaxObserver({ dtype: 'quint8', reduceRange: false }), 'new MinMaxObserver() // nothing observed'],
    [
      seen,
      "new MinMaxObserver({ dtype: 'qint8', qscheme: 'per_tensor_symmetric' }) // minVal: -2.1, maxVal: 1.5",
    ],
    [
      channels,
      'new PerChannelMinMaxObserver({ chAxis: 1 }) // ' +
        'minVal: [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, /* 4 more */ 1.1], ' +
        'maxVal: [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, /* 4 more */ 1.1]',
    ],
    [new PlaceholderObserver({ dtype: 'float16' }), "new PlaceholderObserver({ dtype: 'float16' })"],
    [new RecordingObserver(), 'new RecordingObserver() // tensors: 0'],
    [new MinMaxObserver({ name: "it's" }), "new MinMaxObserver({ name: 'it\\'s' }) // nothing observed"],
    [
      MinMaxObserver.withArgs({ quantMin: 0, quantMax: 127 }),
      'MinMaxObserver.withArgs({ quantMin: 0, quantMax: 127 })',
    ],
    [HistogramObserver.withArgs({}), 'HistogramObserver'],
    [
      defaultPerChannelWeightObserver,
      "PerChannelMinMaxObserver.withArgs({ dtype: 'qint8', qscheme: 'per_channel_symmetric' })",
    ],
    [
      defaultFakeQuant,
      'FakeQuantize.withArgs({\n  observer: MovingAverageMinMaxObserver,\n  quantMin: 0,\n  quantMax: 255,\n' +
        "  dtype: 'quint8',\n  qscheme: 'per_tensor_affine',\n  reduceRange: true,\n})",
    ],
  ] as const)('case %#', (value, text) => {
    expect(String(value)).toBe(text);
  });
});

describe('factories', () => {
  test('make a new observer each time; a later withArgs wins', () => {
    const factory = MinMaxObserver.withArgs({ dtype: 'qint8' }).withArgs({ dtype: 'quint8', eps: 1 });
    const [a, b] = [factory(), factory({ eps: 2 })];
    expect([a.dtype, a.eps, b.eps]).toEqual(['quint8', 1, 2]);
    expect(a).toBeInstanceOf(MinMaxObserver);
    expect(a).not.toBe(b);
  });

  test('an option that the class does not have is refused, with those it has', () => {
    expect(() => MinMaxObserver.withArgs({ chAxis: 1 } as object)).toThrow(
      /expected options dtype, .*, got chAxis/,
    );
    expect(() => new MinMaxObserver({ quantmin: 0 } as object)).toThrow(TypeError);
  });

  test.each([
    () => new MinMaxObserver({ qscheme: 'per_channel_affine' }),
    () => new PerChannelMinMaxObserver({ qscheme: 'per_tensor_affine' }),
    () => new HistogramObserver({ isDynamic: true }),
    () => new PerChannelMinMaxObserver({ isDynamic: true }),
    () => new MovingAverageMinMaxObserver({ isDynamic: true }),
    () => new MinMaxObserver({ dtype: 'float16' as 'quint8' }),
    () => new FakeQuantize({ observer: NoopObserver }),
    () => new FixedQParamsFakeQuantize({ observer: MinMaxObserver }),
    () => new FusedMovingAvgObsFakeQuantize({ observer: MinMaxObserver }),
    () => new NoopObserver().calculateQParams(),
    () => new RecordingObserver().calculateQParams(),
  ])('wrong options, case %#: TypeError', (run) => {
    expect(run).toThrow(TypeError);
  });

  test.each([
    () => new MovingAverageMinMaxObserver({ averagingConstant: 0 }),
    () => new HistogramObserver({ bins: 0 }),
    () => new PercentileObserver({ percentile: 0 }),
    () => new EntropyObserver({ bins: 256 }),
    () => new MinMaxObserver({ eps: -1 }),
    () => new MinMaxObserver({ quantMin: 0, quantMax: 300 }),
    () => new FixedQParamsObserver({ scale: 0, zeroPoint: 0 }),
    () => new FixedQParamsObserver({ scale: 1, zeroPoint: 256 }),
    () => new PerChannelMinMaxObserver({ chAxis: 2 }).observe(tensor([[1]])),
    () => new PerChannelMinMaxObserver({ blockSize: 0 }).observe(tensor([[1]])),
    () => new LearnableFakeQuantize({ observer: MinMaxObserver, channelLen: 0 }),
  ])('wrong values, case %#: RangeError', (run) => {
    expect(run).toThrow(RangeError);
  });

  test('a dynamic moving average has no memory', () => {
    const observer = new MovingAverageMinMaxObserver({ isDynamic: true, averagingConstant: 1 });
    for (const batch of [[-1, 9], [-2, 3]]) observer.observe(tensor(batch)); // prettier-ignore
    expect([observer.minVal, observer.maxVal]).toEqual([-2, 3]);
  });
});

describe('options that are needed', () => {
  test.each([
    ['FixedQParamsObserver', FixedQParamsObserver],
    ['LearnableFakeQuantize', LearnableFakeQuantize],
    ['FixedQParamsFakeQuantize', FixedQParamsFakeQuantize],
  ])('%s: undefined and null for them are a TypeError', (type, Class) => {
    for (const options of [undefined, null]) {
      expect(() => new (Class as new (options: unknown) => Observer)(options)).toThrow(
        new TypeError(`${type}: expected an object of options, got ${options}`),
      );
    }
  });
});

describe('inputs', () => {
  test('observe returns its argument; {data, dims} and float16 are taken, integers are not', () => {
    const observer = new MinMaxObserver();
    const like = { data: Float32Array.of(1, 2), dims: [2] };
    expect(observer.observe(like)).toBe(like);
    observer.observe(tensor(Uint16Array.of(0x4400), [1], 'float16'));
    expect(observer.maxVal).toBe(4);
    expect(() => observer.observe(tensor(Int8Array.of(1)))).toThrow(TypeError);
  });

  test('blocks: parameters lie in row-major order, a short last block is one of its own', () => {
    const observer = new PerChannelMinMaxObserver({ chAxis: 1, blockSize: 2 });
    observer.observe(tensor([[1, 2, 3], [-4, -5, -6]])); // prettier-ignore
    expect([...observer.minVal]).toEqual([1, 3, -5, -6]);
    expect([...observer.maxVal]).toEqual([2, 3, -4, -6]);
    expect(observer.calculateQParams().scale).toHaveLength(4);
  });

  test('a vector has a channel for each element', () => {
    const observer = new PerChannelMinMaxObserver();
    observer.observe(tensor([1, -2]));
    expect([...observer.minVal]).toEqual([1, -2]);
  });
});

describe('choosing a range from a histogram', () => {
  const outlier = (): Tensor => {
    const x = normals(20000);
    x[77] = 60;
    return tensor(x);
  };
  const range = (
    observer: PercentileObserver | EntropyObserver | MSEObserver | HistogramObserver,
    x: Tensor,
  ): readonly [number, number] => {
    observer.observe(x);
    const { min, max } = observer.chooseRange();
    return [min, max];
  };

  test('percentile 100 is min/max; a range never leaves the data', () => {
    expect(range(new PercentileObserver({ percentile: 100 }), outlier())[1]).toBe(60);
    const [min, max] = range(new PercentileObserver({ percentile: 50 }), tensor([0, 0, 0, 1]));
    expect(min).toBeGreaterThanOrEqual(0);
    expect(min).toBeLessThan(1 / 2048);
    expect(max).toBeLessThanOrEqual(1);
  });

  test.each([
    [-3e38, 3e38],
    [-1.8e38, 1.8e38],
    [-3.4028234663852886e38, 3.4028234663852886e38],
  ])('the search stays finite where the width of %d to %d is no float32 number', (min, max) => {
    const observer = new HistogramObserver({ dtype: 'quint8' });
    observer.observe(tensor([min, max]));
    const { scale, zeroPoint } = observer.calculateQParams();
    expect(scale[0] / ((max - min) / 255)).toBeCloseTo(1, 2);
    expect(Math.abs(zeroPoint[0] - 128)).toBeLessThan(2);
  });

  test('percentile interpolates inside a bin: the middle 90 % of 0..1 within 1 %, with 10 bins', () => {
    const x = tensor(Float32Array.from({ length: 10001 }, (_, i) => i / 10000));
    const [min, max] = range(new PercentileObserver({ percentile: 90, bins: 10 }), x);
    expect(Math.abs(min - 0.05)).toBeLessThan(0.01);
    expect(Math.abs(max - 0.95)).toBeLessThan(0.01);
  });

  test('percentile cuts 20000 normals and one 60 to ±4; symmetric to ±3.9', () => {
    const [min, max] = range(new PercentileObserver({ percentile: 99.99 }), outlier());
    expect(-min).toBeGreaterThan(3.3);
    expect(max).toBeLessThan(4.5);
    const [low, high] = range(new PercentileObserver({ qscheme: 'per_tensor_symmetric' }), outlier());
    expect(Math.abs(low + high)).toBeLessThan(0.2);
    expect(high).toBeLessThan(4.5);
  });

  test.each(['per_tensor_affine', 'per_tensor_symmetric'] as const)(
    'entropy cuts off the outlier, %s',
    (qscheme) => {
      const [min, max] = range(new EntropyObserver({ dtype: 'qint8', qscheme }), outlier());
      expect(max).toBeLessThan(10);
      expect(max).toBeGreaterThan(2.5);
      expect(min).toBeLessThan(-2.5);
    },
  );

  test('entropy keeps evenly spread values whole', () => {
    const x = tensor(Float32Array.from({ length: 40000 }, (_, i) => (i / 39999) * 8));
    expect(range(new EntropyObserver(), x)).toEqual([0, 8]);
  });

  test('entropy: exact zeros do not hide the rest', () => {
    const x = normals(20000).map((value) => Math.max(value, 0));
    const [, max] = range(new EntropyObserver(), tensor(x));
    expect(max).toBeGreaterThan(2.5);
  });

  /** Mean squared error of the values on the grid of a range. */
  function squaredError(
    x: Float32Array,
    scale: number,
    zeroPoint: number,
    low: number,
    high: number,
  ): number {
    let sum = 0;
    for (const value of x) {
      const code = Math.min(Math.max(Math.round(value / scale) + zeroPoint, low), high);
      sum += (value - (code - zeroPoint) * scale) ** 2;
    }
    return sum / x.length;
  }

  test.each([
    ['normal, 4 bits', normals(20000), { dtype: 'uint4' }, [0, 15]],
    ['normal, 8 bits', normals(20000), {}, [0, 255]],
    ['relu, 4 bits', normals(20000).map((v) => Math.max(v, 0)), { dtype: 'uint4' }, [0, 15]],
    ['heavy tails, 8 bits', normals(20000).map((v) => v ** 5), {}, [0, 255]],
    ['shifted, 4 bits', normals(20000).map((v) => v + 3), { dtype: 'uint4' }, [0, 15]],
    ['symmetric, 4 bits', normals(20000), { dtype: 'int4', qscheme: 'per_tensor_symmetric' }, [-8, 7]],
  ] as const)(
    'MSE: no larger error than min/max, nor than any of 20 narrower ranges: %s',
    (_, x, options, [low, high]) => {
      const errorOf = (observer: MSEObserver | MinMaxObserver, data: Float32Array): number => {
        observer.observe(tensor(data));
        const { scale, zeroPoint } = observer.calculateQParams();
        return squaredError(x, scale[0], zeroPoint[0], low, high);
      };
      const best = errorOf(new MSEObserver(options), x);
      const [min, max] = [Math.min(...x), Math.max(...x)];
      for (let i = 1; i <= 20; i++) {
        const other = errorOf(new MinMaxObserver(options), Float32Array.of((min * i) / 20, (max * i) / 20));
        expect(best).toBeLessThanOrEqual(other * 1.01);
      }
    },
  );

  test.each([new HistogramObserver(), new PercentileObserver(), new EntropyObserver(), new MSEObserver()])(
    '%s: a constant is its own range',
    (observer) => {
      expect(range(observer, tensor([5, 5, 5]))).toEqual([5, 5]);
    },
  );
});

describe('FakeQuantize', () => {
  test('the switches: observe only, fake-quantize only, neither', () => {
    const module = new FakeQuantize({ observer: MinMaxObserver });
    const x = tensor([-1, 0.126, 2]);
    expect(module.disableFakeQuant().forward(x).data).toEqual(x.data);
    const { scale } = module;
    expect(
      module
        .enableFakeQuant()
        .disableObserver()
        .forward(tensor([100])).data,
    ).toEqual(Float32Array.of(scale[0] * 170));
    expect(module.disableFakeQuant().forward(tensor([100])).data).toEqual(Float32Array.of(100));
    expect(module.scale).toBe(scale);
  });

  test('an empty tensor passes through', () => {
    expect(new FakeQuantize().forward(tensor(new Float32Array(0), [0, 2])).shape).toEqual([0, 2]);
  });

  test('blocks', () => {
    const observer = MovingAveragePerChannelMinMaxObserver.withArgs({ chAxis: -1, blockSize: 2 });
    const module = new FakeQuantize({ observer, dtype: 'qint8', qscheme: 'per_channel_symmetric' });
    const y = module.forward(tensor([[1, 2, 100, 200]]));
    expect(module.scale).toEqual(Float32Array.of(2 / 127.5, 200 / 127.5));
    expect(Math.abs((y.data[0] as number) - 1)).toBeLessThan(2 / 255);
  });

  test('learnable: scale and zero point follow the gradients that backward gives', () => {
    const module = new LearnableFakeQuantize({ observer: MinMaxObserver, useGradScaling: true });
    const x = tensor([-1, 0.3, 2]);
    module.forward(x);
    module.enableParamLearning();
    const { dX, dScale, dZeroPoint } = module.backward(x, tensor([1, 1, 1]));
    expect([dX.shape, dScale.length, dZeroPoint.length]).toEqual([[3], 1, 1]);
    module.scale = Float32Array.of(0);
    module.zeroPoint = Float32Array.of(3.5);
    expect(module.calculateQParams()).toEqual({
      scale: Float32Array.of(2 ** -23),
      zeroPoint: Int32Array.of(4),
    });
  });
});
