/** Every case of test/fixtures/torch/quant, made by torch 2.13.0, equal in bits or named in test/deviations.ts. */
import {
  cosineSimilarity,
  fakeQuantizeBackward,
  fakeQuantizeLearnablePerChannelAffine,
  fakeQuantizeLearnablePerChannelAffineBackward,
  fakeQuantizeLearnablePerTensorAffine,
  fakeQuantizeLearnablePerTensorAffineBackward,
  fakeQuantizePerChannelAffine,
  fakeQuantizePerTensorAffine,
  getBackend,
  normalizedL2Error,
  quantizedTensorFromCodes,
  quantizePerBlock,
  quantizePerChannel,
  quantizePerTensor,
  quantizePerTensorDynamic,
  setBackend,
  sqnr,
  tensor,
  type Numerics,
  type QuantDType,
  type QuantizedTensor,
  type Tensor,
} from 'zeropoint';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { deviationOf } from './deviations.ts';
import { firstDifference, loadStore, type StoredArray } from './support/array-store.ts';

/** Fields as the script writes them; arrays by number. */
interface Case {
  readonly id: string;
  readonly op: string;
  readonly dtype: QuantDType;
  readonly shape: readonly number[];
  readonly x: number;
  readonly y: number;
  readonly dy: number;
  readonly input?: 'float16' | 'bfloat16';
  readonly scale: number | string;
  readonly zero_point: number;
  readonly scales: number;
  readonly zero_points: number;
  readonly float?: boolean;
  readonly axis: number;
  readonly block_size: number;
  readonly range: readonly [number, number];
  readonly reduce_range: boolean;
  readonly grad_factor: number;
  readonly [result: string]: unknown;
}

type Results = Readonly<Record<string, ArrayLike<unknown>>>;

const { cases, array } = await loadStore<Case>('torch/quant');

const input = (c: Case): Tensor => tensor(array(c.x), c.shape, c.input);
const codesAndValues = (q: QuantizedTensor, codes = q.intRepr().data): Results => ({
  codes,
  values: q.dequantize().data,
});
const scaleOf = (c: Case): number => Number(c.scale === 'inf' ? Infinity : c.scale);

function perChannel(c: Case, numerics: Numerics, axis = c.axis): QuantizedTensor {
  const qscheme = c.float === true ? 'per_channel_affine_float_qparams' : 'per_channel_affine';
  return quantizePerChannel(input(c), array(c.scales), array(c.zero_points), axis, c.dtype, {
    numerics,
    qscheme,
  });
}

/** How a case runs: the numerics it must hold in, and its results by the names of the fixture's fields. */
interface Replay {
  readonly numerics: (c: Case) => readonly Numerics[];
  readonly run: (c: Case, numerics: Numerics) => Results;
}

// Ops that follow the documented formula hold in the default numerics too; those that do not, only in torch's.
const BOTH = (): readonly Numerics[] => ['torch-2.13', 'default'];
const TORCH = (): readonly Numerics[] => ['torch-2.13'];
const DEFAULT = (): readonly Numerics[] => ['default'];

const REPLAYS: Readonly<Record<string, Replay>> = {
  quantize_per_tensor: {
    numerics: TORCH,
    run: (c, numerics) =>
      codesAndValues(quantizePerTensor(input(c), scaleOf(c), c.zero_point, c.dtype, { numerics })),
  },
  quantize_per_channel: {
    numerics: TORCH,
    run: (c, numerics) => codesAndValues(perChannel(c, numerics)),
  },
  quantize_per_tensor_dynamic: {
    numerics: TORCH,
    run: (c, numerics) => {
      const q = quantizePerTensorDynamic(input(c), c.dtype, { reduceRange: c.reduce_range, numerics });
      expect([q.scale, q.zeroPoint], c.id).toEqual([c.scale, c.zero_point]);
      return codesAndValues(q);
    },
  },
  fake_quantize_per_tensor: {
    numerics: BOTH,
    run: (c, numerics) => {
      const mask = new Uint8Array(array(c.x).length);
      const y = fakeQuantizePerTensorAffine(input(c), scaleOf(c), c.zero_point, ...c.range, {
        numerics,
        mask,
      });
      return { values: y.data, mask };
    },
  },
  fake_quantize_per_channel: {
    numerics: (c) => (c.float === true ? TORCH() : BOTH()),
    run: (c, numerics) => {
      const mask = new Uint8Array(array(c.x).length);
      const qscheme = c.float === true ? 'per_channel_affine_float_qparams' : 'per_channel_affine';
      const options = { numerics, mask, qscheme } as const;
      const zeroPoints = array(c.zero_points);
      const y = fakeQuantizePerChannelAffine(
        input(c),
        array(c.scales),
        zeroPoints,
        c.axis,
        ...c.range,
        options,
      );
      return { values: y.data, mask };
    },
  },
  fake_quantize_backward: {
    numerics: BOTH,
    run: (c, numerics) => {
      const mask = new Uint8Array(array(c.x).length);
      fakeQuantizePerTensorAffine(input(c), scaleOf(c), c.zero_point, ...c.range, { numerics, mask });
      return { dx: fakeQuantizeBackward(tensor(array(c.dy)), mask).data };
    },
  },
  fake_quantize_learnable: { numerics: (c) => (c.both === true ? BOTH() : TORCH()), run: learnable },
  decomposed_per_tensor: {
    numerics: BOTH,
    run: (c, numerics) => {
      const q = quantizePerTensor(input(c), scaleOf(c), c.zero_point, c.dtype, { numerics });
      return codesAndValues(q, q.unpackedCodes());
    },
  },
  decomposed_per_channel: {
    numerics: BOTH,
    run: (c, numerics) => {
      const q = perChannel(c, numerics);
      return codesAndValues(q, q.unpackedCodes());
    },
  },
  decomposed_per_block: {
    numerics: TORCH,
    run: (c, numerics) => {
      const block = { axis: c.axis, blockSize: c.block_size };
      const q = quantizePerBlock(input(c), array(c.scales), array(c.zero_points), block, c.dtype, {
        numerics,
      });
      return codesAndValues(q, q.unpackedCodes());
    },
  },
  make_per_tensor: {
    numerics: TORCH,
    run: (c) => {
      const q = quantizedTensorFromCodes(input(c), c.dtype, { scale: scaleOf(c), zeroPoint: c.zero_point });
      return { values: q.dequantize().data };
    },
  },
  make_per_channel: {
    numerics: TORCH,
    run: (c) => {
      const params = { scale: array(c.scales), zeroPoint: array(c.zero_points), axis: c.axis };
      return { values: quantizedTensorFromCodes(input(c), c.dtype, params).dequantize().data };
    },
  },
  sqnr: { numerics: DEFAULT, run: (c) => ({ values: [sqnr(input(c), second(c))] }) },
  normalized_l2: { numerics: DEFAULT, run: (c) => ({ values: [normalizedL2Error(input(c), second(c))] }) },
  cosine: { numerics: DEFAULT, run: (c) => ({ values: [cosineSimilarity(input(c), second(c))] }) },
};

const second = (c: Case): Tensor => tensor(array(c.y), c.shape);

function learnable(c: Case, numerics: Numerics): Results {
  const scales = array(c.scales) as Float32Array;
  const zeroPoints = array(c.zero_points) as Float32Array;
  const dY = tensor(array(c.dy), c.shape);
  const backward = { numerics, gradFactor: c.grad_factor };
  const x = input(c);
  if (c.axis === null) {
    const y = fakeQuantizeLearnablePerTensorAffine(x, scales, zeroPoints, ...c.range, { numerics });
    return gradients(
      y,
      fakeQuantizeLearnablePerTensorAffineBackward(dY, x, scales, zeroPoints, ...c.range, backward),
    );
  }
  const y = fakeQuantizeLearnablePerChannelAffine(x, scales, zeroPoints, c.axis, ...c.range, { numerics });
  return gradients(
    y,
    fakeQuantizeLearnablePerChannelAffineBackward(dY, x, scales, zeroPoints, c.axis, ...c.range, backward),
  );
}

function gradients(
  y: Tensor,
  { dX, dScale, dZeroPoint }: ReturnType<typeof fakeQuantizeLearnablePerTensorAffineBackward>,
): Results {
  return { values: y.data as StoredArray, dx: dX.data, dscale: dScale, dzero_point: dZeroPoint };
}

/** What is wrong with a case, or undefined. */
function complaint(c: Case, numerics: Numerics): string | undefined {
  for (const [field, actual] of Object.entries(REPLAYS[c.op].run(c, numerics))) {
    const expected = array(c[field] as number);
    const i = firstDifference(actual, expected);
    if (i >= 0) return `${numerics}:${c.id}: ${field}[${i}] is ${actual[i]}, torch has ${expected[i]}`;
  }
  return undefined;
}

/** Cases by the first two parts of their id. */
function groupsOfCases(): (readonly [string, readonly Case[]])[] {
  const groups = new Map<string, Case[]>();
  for (const c of cases) {
    const name = c.id.split('/', 2).join('/');
    groups.set(name, [...(groups.get(name) ?? []), c]);
  }
  return [...groups];
}

describe.each(['reference', 'wasm'] as const)('torch 2.13.0, %s kernels', (backend) => {
  const before = getBackend();
  beforeAll(() => setBackend(backend));
  afterAll(() => setBackend(before));

  test.each(groupsOfCases())('%s: equal in bits, or a deviation that is needed', (_name, group) => {
    const wrong: string[] = [];
    for (const c of group) {
      for (const numerics of REPLAYS[c.op].numerics(c)) {
        const found = complaint(c, numerics);
        const deviation = deviationOf(numerics, c.id);
        if (deviation === undefined && found !== undefined) wrong.push(found);
        if (deviation !== undefined && found === undefined) {
          wrong.push(`${numerics}:${c.id}: equal, but listed as ${deviation.id}`);
        }
      }
    }
    expect(wrong).toEqual([]);
  });
});

test('sums in double: within 2e-6 of the sums of torch', () => {
  for (const c of cases.filter(({ id }) => deviationOf('default', id)?.id === 'sums-in-double')) {
    for (const [field, actual] of Object.entries(REPLAYS[c.op].run(c, 'torch-2.13'))) {
      const expected = array(c[field] as number);
      for (let i = 0; i < expected.length; i++) {
        const error = Math.abs(Number(actual[i]) - Number(expected[i]));
        expect(error, `${c.id} ${field}[${i}]`).toBeLessThanOrEqual(2e-6 * Math.abs(Number(expected[i])));
      }
    }
  }
});

test('a negative axis is the axis counted from the back', () => {
  // A NaN scale equals nothing.
  const perChannelCases = cases.filter(
    ({ op, id }) => op === 'quantize_per_channel' && !id.endsWith('odd-scales'),
  );
  expect(perChannelCases.length).toBeGreaterThan(100);
  for (const c of perChannelCases) {
    const q = perChannel(c, 'torch-2.13', c.axis - c.shape.length);
    expect(q.equals(perChannel(c, 'torch-2.13')), c.id).toBe(true);
  }
});
