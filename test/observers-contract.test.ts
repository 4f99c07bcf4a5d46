/**
 * The points where observers differ from PyTorch on purpose (DESIGN.md, "Numerics"), one by one. `CONTRACT` is the list;
 * each row has its tests below.
 */
import {
  CalibrationError,
  EntropyObserver,
  FakeQuantize,
  FusedMovingAvgObsFakeQuantize,
  HistogramObserver,
  MinMaxObserver,
  MovingAverageMinMaxObserver,
  MovingAveragePerChannelMinMaxObserver,
  MSEObserver,
  observerFromJSON,
  PerChannelMinMaxObserver,
  PercentileObserver,
  tensor,
  type Observer,
} from 'zeropoint';
import { describe, expect, test } from 'vitest';

const CONTRACT = {
  empty: 'an observer that saw nothing throws CALIBRATION_EMPTY (torch: scale 1, zero point 0)',
  nan: 'NaN throws CALIBRATION_NAN and names the tensor (torch: scale NaN for ever)',
  infinity: 'infinities are skipped and counted (torch: an infinite scale, except in HistogramObserver)',
  axis: 'negative axes are the same as positive ones',
  counts: 'histogram counts do not stop at 2^24 (torch: float32 counts)',
  zeroPoint: 'the scheme alone decides whether zero points are integers (torch: the dtype of an array)',
  oneDefinition:
    'training and conversion have the same scale and zero point (torch: fused training has others)',
} as const;

const PER_TENSOR = [
  MinMaxObserver,
  MovingAverageMinMaxObserver,
  HistogramObserver,
  PercentileObserver,
  EntropyObserver,
  MSEObserver,
] as const;
const PER_CHANNEL = [PerChannelMinMaxObserver, MovingAveragePerChannelMinMaxObserver] as const;
const ALL = [...PER_TENSOR, ...PER_CHANNEL].map((Class) => ({
  type: Class.type,
  make: (): Observer => new Class(),
}));

function codeOf(run: () => unknown): { code: string; message: string } {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(CalibrationError);
    const { code, message } = error as CalibrationError;
    return { code, message };
  }
  throw new Error('expected a CalibrationError, got none');
}

describe(CONTRACT.empty, () => {
  test.each(ALL)('$type', ({ make }) => {
    expect(codeOf(() => make().calculateQParams()).code).toBe('CALIBRATION_EMPTY');
  });

  test.each(ALL)('$type: an empty tensor is nothing', ({ make }) => {
    const observer = make();
    observer.observe(tensor(new Float32Array(0), [0, 3]));
    expect(codeOf(() => observer.calculateQParams()).code).toBe('CALIBRATION_EMPTY');
  });

  test.each(ALL)('$type: after reset() again', ({ make }) => {
    const observer = make();
    observer.observe(tensor([[1, 2]])).toString();
    observer.calculateQParams();
    observer.reset();
    expect(codeOf(() => observer.calculateQParams()).code).toBe('CALIBRATION_EMPTY');
  });

  test('a channel without values is named', () => {
    const observer = new PerChannelMinMaxObserver({ name: 'w' });
    observer.observe(tensor([[1, 2], [Infinity, -Infinity]])); // prettier-ignore
    const { code, message } = codeOf(() => observer.calculateQParams());
    expect(code).toBe('CALIBRATION_EMPTY');
    expect(message).toContain("tensor 'w', channel 1");
  });

  test('FakeQuantize does not go on with scale 1', () => {
    const module = new FakeQuantize().disableObserver();
    expect(codeOf(() => module.forward(tensor([1]))).code).toBe('CALIBRATION_EMPTY');
  });
});

describe(CONTRACT.nan, () => {
  test.each(ALL)('$type: refuses, keeps what it had', ({ make }) => {
    const observer = make();
    observer.observe(tensor([[1, 2]]));
    const before = JSON.stringify(observer);
    const { code, message } = codeOf(() => observer.observe(tensor([[3, NaN]]), { name: 'conv1_out' }));
    expect(code).toBe('CALIBRATION_NAN');
    expect(message).toContain("tensor 'conv1_out': expected numbers, got NaN at element 1 of [1, 2]");
    expect(JSON.stringify(observer)).toBe(before);
  });

  test('the option `name` serves where observe() is given none', () => {
    const observer = new MinMaxObserver({ name: 'input' });
    expect(codeOf(() => observer.observe(tensor([NaN]))).message).toContain("tensor 'input'");
  });

  test('NaN beside infinities is still found', () => {
    expect(codeOf(() => new MinMaxObserver().observe(tensor([Infinity, NaN]))).code).toBe('CALIBRATION_NAN');
  });
});

describe(CONTRACT.infinity, () => {
  test.each(ALL)('$type: the qparams are those without them', ({ make }) => {
    const [masked, clean] = [make(), make()];
    masked.observe(tensor([[-Infinity, -1, 0.5], [2, Infinity, -Infinity]])); // prettier-ignore
    clean.observe(tensor([[-1, -1, 0.5], [2, 2, 2]])); // prettier-ignore
    if (!(masked instanceof HistogramObserver) && masked.type.includes('MinMax')) {
      expect(masked.calculateQParams()).toEqual(clean.calculateQParams());
    }
    expect((masked as MinMaxObserver).infinities).toBe(3);
    expect((masked as MinMaxObserver).minVal).toEqual((clean as MinMaxObserver).minVal);
    expect((masked as MinMaxObserver).maxVal).toEqual((clean as MinMaxObserver).maxVal);
  });

  test.each(ALL)('$type: a batch of nothing else changes no range', ({ make }) => {
    const observer = make();
    observer.observe(tensor([[1, 2]]));
    const before = observer.calculateQParams();
    observer.observe(tensor([[Infinity, -Infinity]]));
    expect(observer.calculateQParams()).toEqual(before);
    expect((observer as MinMaxObserver).infinities).toBe(2);
  });

  test('a histogram does not count them', () => {
    const observer = new HistogramObserver({ bins: 4 });
    observer.observe(tensor([0, 1, 2, 3, 4, Infinity, -Infinity]));
    expect([...observer.histogram]).toEqual([1, 1, 1, 2]);
  });
});

describe(CONTRACT.axis, () => {
  const x = tensor(
    Float32Array.from({ length: 24 }, (_, i) => Math.sin(i)),
    [2, 3, 4],
  );
  test.each([0, 1, 2].flatMap((axis) => PER_CHANNEL.map((Class) => ({ axis, type: Class.type, Class }))))(
    '$type: axis $axis',
    ({ axis, Class }) => {
      const [front, back] = [new Class({ chAxis: axis }), new Class({ chAxis: axis - 3 })];
      front.observe(x);
      back.observe(x);
      expect(front.minVal).toEqual(back.minVal);
      expect(front.calculateQParams()).toEqual(back.calculateQParams());
      expect(front.minVal).toHaveLength([2, 3, 4][axis]);
    },
  );
});

describe(CONTRACT.counts, () => {
  test('10 more values after 2^24 are 10 more', () => {
    const many = new HistogramObserver({ bins: 2 });
    many.observe(tensor([0, 1]));
    const state = many.toJSON();
    const full = observerFromJSON({
      ...state,
      state: { ...state.state, histogram: [2 ** 24, 2 ** 24] },
    }) as HistogramObserver;
    full.observe(tensor([0, 0, 0, 0, 0, 0, 0, 0, 0, 1]));
    expect([...full.histogram]).toEqual([2 ** 24 + 9, 2 ** 24 + 1]);
  });

  test('a range that grows loses no count', () => {
    const observer = new HistogramObserver({ bins: 64 });
    for (let batch = 1; batch < 6; batch++) {
      observer.observe(tensor(Float32Array.from({ length: 1000 }, (_, i) => Math.sin(i) * batch * batch)));
    }
    expect(observer.histogram.reduce((sum, count) => sum + count, 0)).toBe(5000);
  });
});

describe(CONTRACT.zeroPoint, () => {
  test.each([
    ['per_channel_affine', Int32Array],
    ['per_channel_symmetric', Int32Array],
    ['per_channel_affine_float_qparams', Float32Array],
  ] as const)('%s', (qscheme, Type) => {
    const observer = new PerChannelMinMaxObserver({ qscheme });
    observer.observe(tensor([[1, 2], [-3, 4]])); // prettier-ignore
    expect(observer.calculateQParams().zeroPoint).toBeInstanceOf(Type);
  });
});

describe(CONTRACT.oneDefinition, () => {
  const options = { dtype: 'qint8', qscheme: 'per_tensor_symmetric', quantMin: -128, quantMax: 127 } as const;

  test('the fused fake-quantize trains on the qparams that it reports', () => {
    const module = new FusedMovingAvgObsFakeQuantize(options);
    module.forward(tensor([-1, 0.5, 2]));
    const { scale, zeroPoint } = module.calculateQParams();
    expect([module.scale, module.zeroPoint]).toEqual([scale, zeroPoint]);
    expect(scale[0]).toBe(Math.fround(2 / 127.5));
  });

  test("numerics 'torch-2.13' trains on torch's", () => {
    const module = new FusedMovingAvgObsFakeQuantize({ ...options, numerics: 'torch-2.13' });
    module.forward(tensor([1, 0.5, 2]));
    expect([module.scale[0], module.zeroPoint[0]]).toEqual([Math.fround(2 / 255), -128]);
    expect(module.calculateQParams().zeroPoint[0]).toBe(0);
  });
});
