import {
  codeRange,
  DTYPES,
  fakeQuantizePerBlockAffine,
  fakeQuantizePerChannelAffine,
  fakeQuantizePerTensorAffine,
  getBackend,
  packBits,
  quantizePerBlock,
  quantizePerChannel,
  quantizePerTensor,
  setBackend,
  tensor,
  unpackBits,
  type QuantDType,
  type Tensor,
} from 'zeropoint';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { firstDifference } from './support/array-store.ts';

const RUNS = { numRuns: 300, seed: 20_260_801 } as const;
const DTYPE_NAMES = (Object.keys(DTYPES) as (keyof typeof DTYPES)[]).filter(
  (name): name is QuantDType => DTYPES[name].range !== undefined,
);
/** Codes of these are so small that float32 holds them, and their distances, exactly. */
const NARROW = DTYPE_NAMES.filter((dtype) => DTYPES[dtype].bits <= 16);

const dtypes = fc.constantFrom(...DTYPE_NAMES);
const narrowDtypes = fc.constantFrom(...NARROW);
const shapes = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 4 });
/** Any float32, often one on a grid of halves, where ties are. */
const floats = fc.oneof(
  fc.float(),
  fc.integer({ min: -300, max: 300 }).map((n) => n / 2),
  fc.constantFrom(NaN, Infinity, -Infinity, -0, 0, 3.4028234663852886e38, 1e-45),
);
const scales = fc.oneof(
  fc.float({ min: Math.fround(2 ** -60), max: Math.fround(2 ** 60), noNaN: true }),
  fc.constantFrom(1, 0.5, 0.25, Math.fround(1 / 3)),
);

interface Problem {
  readonly dtype: QuantDType;
  readonly x: Tensor;
  readonly axis: number;
  readonly blockSize: number;
  readonly scales: Float32Array;
  readonly zeroPoints: Int32Array;
}

/** A tensor, an axis (often negative), a block size, and as many parameters as `count` says. */
function problems(
  dtypeNames: fc.Arbitrary<QuantDType>,
  values: fc.Arbitrary<number>,
  count: (shape: readonly number[], axis: number, blockSize: number) => number,
): fc.Arbitrary<Problem> {
  return fc
    .tuple(dtypeNames, shapes, fc.nat(), fc.boolean(), fc.integer({ min: 1, max: 6 }))
    .chain(([dtype, shape, pick, negative, blockSize]) => {
      const front = pick % shape.length;
      const size = shape.reduce((product, n) => product * n, 1);
      const params = count(shape, front, blockSize);
      const [low, high] = codeRange(dtype);
      const of = <T>(item: fc.Arbitrary<T>, length: number): fc.Arbitrary<T[]> =>
        fc.array(item, { minLength: length, maxLength: length });
      return fc.record({
        dtype: fc.constant(dtype),
        x: of(values, size).map((data) => tensor(Float32Array.from(data), shape)),
        axis: fc.constant(negative ? front - shape.length : front),
        blockSize: fc.constant(blockSize),
        scales: of(scales, params).map((data) => Float32Array.from(data)),
        zeroPoints: of(fc.integer({ min: low, max: high }), params).map((data) => Int32Array.from(data)),
      });
    });
}

const one = (): number => 1;
const channels = (shape: readonly number[], axis: number): number => shape[axis];
const blocks = (shape: readonly number[], axis: number, blockSize: number): number =>
  shape.reduce((product, n, i) => product * (i === axis ? Math.ceil(n / blockSize) : n), 1);

function expectEqualBits(actual: ArrayLike<unknown>, expected: ArrayLike<unknown>): void {
  const i = firstDifference(actual, expected);
  expect(i < 0 ? 'equal' : `[${i}]: ${String(actual[i])}, expected ${String(expected[i])}`).toBe('equal');
}

/** Index of the block (or channel) that each element of a tensor belongs to, the slow and obvious way. */
function paramOfElement(shape: readonly number[], axis: number, blockSize: number): number[] {
  const front = axis < 0 ? axis + shape.length : axis;
  const size = shape.reduce((product, n) => product * n, 1);
  return Array.from({ length: size }, (_, flat) => {
    let rest = flat;
    const index = shape.map((_n, i) => {
      const inner = shape.slice(i + 1).reduce((product, n) => product * n, 1);
      const at = Math.floor(rest / inner);
      rest -= at * inner;
      return i === front ? Math.floor(at / blockSize) : at;
    });
    return index.reduce((flatIndex, at, i) => {
      const count = i === front ? Math.ceil(shape[i] / blockSize) : shape[i];
      return flatIndex * count + at;
    }, 0);
  });
}

describe.each(['reference', 'wasm'] as const)('%s kernels', (backend) => {
  const before = getBackend();
  beforeAll(() => setBackend(backend));
  afterAll(() => setBackend(before));

  describe.each(['default', 'onnx'] as const)('%s numerics', (numerics) => {
    test('per tensor: dequantize(quantize(x)) equals fakeQuantize(x) in bits', () => {
      fc.assert(
        fc.property(
          problems(dtypes, floats, one),
          ({ dtype, x, scales: [scale], zeroPoints: [zeroPoint] }) => {
            const q = quantizePerTensor(x, scale, zeroPoint, dtype, { numerics });
            const fake = fakeQuantizePerTensorAffine(x, scale, zeroPoint, ...codeRange(dtype), { numerics });
            expectEqualBits(q.dequantize().data, fake.data);
          },
        ),
        RUNS,
      );
    });

    test('per channel: dequantize(quantize(x)) equals fakeQuantize(x) in bits', () => {
      fc.assert(
        fc.property(problems(dtypes, floats, channels), ({ dtype, x, axis, scales, zeroPoints }) => {
          const q = quantizePerChannel(x, scales, zeroPoints, axis, dtype, { numerics });
          const range = codeRange(dtype);
          const fake = fakeQuantizePerChannelAffine(x, scales, zeroPoints, axis, ...range, { numerics });
          expectEqualBits(q.dequantize().data, fake.data);
        }),
        RUNS,
      );
    });

    test('per block: dequantize(quantize(x)) equals fakeQuantize(x) in bits', () => {
      fc.assert(
        fc.property(problems(dtypes, floats, blocks), ({ dtype, x, scales, zeroPoints, ...block }) => {
          const q = quantizePerBlock(x, scales, zeroPoints, block, dtype, { numerics });
          const range = codeRange(dtype);
          const fake = fakeQuantizePerBlockAffine(x, scales, zeroPoints, block, ...range, { numerics });
          expectEqualBits(q.dequantize().data, fake.data);
        }),
        RUNS,
      );
    });

    test('up to 16 bits, inside the range: |dequantize(quantize(x)) - x| ≤ scale / 2 + 2^-22·(|x| + scale)', () => {
      // The slack is float32's: 1/scale, the product (or quotient) and the value back are each rounded by 2^-24.
      const inside = fc.record({
        problem: problems(narrowDtypes, floats, one),
        part: fc.double({ min: 0, max: 1, noNaN: true }),
      });
      fc.assert(
        fc.property(
          inside,
          ({
            problem: {
              dtype,
              scales: [scale],
              zeroPoints: [zeroPoint],
            },
            part,
          }) => {
            const [low, high] = codeRange(dtype);
            const x = Math.fround((low - zeroPoint + part * (high - low)) * scale);
            const { data } = quantizePerTensor(tensor([x]), scale, zeroPoint, dtype, {
              numerics,
            }).dequantize();
            expect(Math.abs(data[0] - x)).toBeLessThanOrEqual(scale / 2 + 2 ** -22 * (Math.abs(x) + scale));
          },
        ),
        RUNS,
      );
    });

    test('up to 16 bits: values on the grid stay as they are', () => {
      fc.assert(
        fc.property(problems(narrowDtypes, floats, channels), ({ dtype, x, axis, scales, zeroPoints }) => {
          const once = quantizePerChannel(x, scales, zeroPoints, axis, dtype, { numerics });
          const twice = quantizePerChannel(once.dequantize(), scales, zeroPoints, axis, dtype, { numerics });
          expect(twice.equals(once)).toBe(true);
        }),
        RUNS,
      );
    });

    test('up to 16 bits: 0, -0 and NaN become the zero point, ±Inf the ends of the range', () => {
      fc.assert(
        fc.property(
          problems(narrowDtypes, floats, one),
          ({ dtype, scales: [scale], zeroPoints: [zeroPoint] }) => {
            const x = tensor([0, -0, NaN, Infinity, -Infinity]);
            const [low, high] = codeRange(dtype);
            const q = quantizePerTensor(x, scale, zeroPoint, dtype, { numerics });
            expect([...q.unpackedCodes()]).toEqual([zeroPoint, zeroPoint, zeroPoint, high, low]);
          },
        ),
        RUNS,
      );
    });

    test('larger values never get smaller codes', () => {
      fc.assert(
        fc.property(
          problems(dtypes, floats, one),
          ({ dtype, x, scales: [scale], zeroPoints: [zeroPoint] }) => {
            const sorted = (x.data as Float32Array).filter((value) => !Number.isNaN(value)).sort();
            const codes = quantizePerTensor(tensor(sorted), scale, zeroPoint, dtype, {
              numerics,
            }).unpackedCodes();
            for (let i = 1; i < codes.length; i++) expect(codes[i]).toBeGreaterThanOrEqual(codes[i - 1]);
          },
        ),
        RUNS,
      );
    });
  });

  test('float zero points, per channel: dequantize(quantize(x)) equals fakeQuantize(x) in bits', () => {
    const qscheme = 'per_channel_affine_float_qparams';
    const shifts = fc.float({ min: -4, max: 4, noNaN: true });
    fc.assert(
      fc.property(
        problems(dtypes, floats, channels),
        shifts,
        ({ dtype, x, axis, scales, zeroPoints }, shift) => {
          const moved = Float32Array.from(zeroPoints, (zeroPoint) => zeroPoint + shift);
          const q = quantizePerChannel(x, scales, moved, axis, dtype, { qscheme });
          const fake = fakeQuantizePerChannelAffine(x, scales, moved, axis, ...codeRange(dtype), { qscheme });
          expectEqualBits(q.dequantize().data, fake.data);
        },
      ),
      RUNS,
    );
  });

  test('every element of a block is quantized as a tensor of one with the parameters of its block', () => {
    fc.assert(
      fc.property(problems(dtypes, floats, blocks), ({ dtype, x, scales, zeroPoints, ...block }) => {
        const codes = quantizePerBlock(x, scales, zeroPoints, block, dtype).unpackedCodes();
        const expected = paramOfElement(x.shape, block.axis, block.blockSize).map((param, i) => {
          const alone = tensor([(x.data as Float32Array)[i]]);
          return quantizePerTensor(alone, scales[param], zeroPoints[param], dtype).unpackedCodes()[0];
        });
        expectEqualBits(codes, expected);
      }),
      RUNS,
    );
  });

  test('channels are blocks of size 1 that are equal along the other axes', () => {
    fc.assert(
      fc.property(problems(dtypes, floats, channels), ({ dtype, x, axis, scales, zeroPoints }) => {
        const perChannel = quantizePerChannel(x, scales, zeroPoints, axis, dtype).unpackedCodes();
        const front = axis < 0 ? axis + x.shape.length : axis;
        const inner = x.shape.slice(front + 1).reduce((product, n) => product * n, 1);
        const channel = (i: number): number => Math.floor(i / inner) % x.shape[front];
        const spread = Float32Array.from({ length: x.size }, (_, i) => scales[channel(i)]);
        const points = Int32Array.from({ length: x.size }, (_, i) => zeroPoints[channel(i)]);
        const perBlock = quantizePerBlock(x, spread, points, { axis, blockSize: 1 }, dtype).unpackedCodes();
        expectEqualBits(perBlock, perChannel);
      }),
      RUNS,
    );
  });
});

describe('packing', () => {
  test.each([
    [2, true],
    [2, false],
    [4, true],
    [4, false],
  ] as const)('%i bits, signed %s: unpacking what was packed gives the same codes', (bits, signed) => {
    const low = signed ? -(2 ** (bits - 1)) : 0;
    const code = fc.integer({ min: low, max: low + 2 ** bits - 1 });
    fc.assert(
      fc.property(fc.array(code, { maxLength: 70 }), (codes) => {
        const packed = packBits(codes, bits);
        expect(packed).toHaveLength(Math.ceil((codes.length * bits) / 8));
        expect([...unpackBits(packed, bits, codes.length, signed)]).toEqual(codes);
      }),
      RUNS,
    );
  });

  test.each([2, 4] as const)('%i bits: packing what was unpacked gives the same bytes', (bits) => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.boolean(), (bytes, signed) => {
        const codes = unpackBits(bytes, bits, (bytes.length * 8) / bits, signed);
        expect(packBits(codes, bits)).toEqual(bytes);
      }),
      RUNS,
    );
  });
});
