import { describe, expect, test } from 'vitest';
import { asTensor, floatInput, toFloat32 } from './cast.ts';
import { codeRange, DTYPES, isSigned, storageLength, type DType } from './dtype.ts';
import { Tensor, tensor } from './tensor.ts';

describe('tensor', () => {
  test('nested numbers become float32 of the shape of the nesting', () => {
    const t = tensor([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    expect([t.dtype, t.shape, [...t.data]]).toEqual(['float32', [2, 3], [1, 2, 3, 4, 5, 6]]);
  });

  test('a number is a scalar, [] has no elements, [[], []] has shape [2, 0]', () => {
    expect(tensor(3).shape).toEqual([]);
    expect(tensor([]).shape).toEqual([0]);
    expect(tensor([[], []]).shape).toEqual([2, 0]);
  });

  test('a typed array is wrapped, not copied, and names its own dtype', () => {
    const data = Int8Array.of(1, 2, 3, 4);
    const t = tensor(data, [2, 2]);
    expect(t.dtype).toBe('int8');
    expect(t.data).toBe(data);
  });

  test.each([
    ['float16', [1, -2, 65520], [0x3c00, 0xc000, 0x7c00]],
    ['bfloat16', [1, -2], [0x3f80, 0xc000]],
    ['bool', [0, 1, 2], [0, 1, 1]],
    ['int4', [-8, 7, 1], [0x78, 0x01]],
    ['uint2', [3, 2, 1, 0, 1], [0b00011011, 1]],
    ['int64', [1, -2], [1n, -2n]],
  ] as const)('%s from numbers is stored as its bits', (dtype, values, stored) => {
    expect([...tensor(values, undefined, dtype).data]).toEqual(stored);
  });

  test.each([
    ['int8', 128],
    ['uint8', -1],
    ['int16', 1.5],
    ['uint32', -1],
    ['int64', 0.5],
    ['uint64', -1n],
    ['int4', 8],
    ['uint2', 4],
  ] as const)('%s refuses %s', (dtype, value) => {
    expect(() => tensor([0, value], undefined, dtype)).toThrow(RangeError);
  });

  test.each([[[[1, 2], [3]]], [[1, [2]]], [[[1], 2]], [[[], [1]]]])(
    'ragged nesting %j throws TypeError',
    (nested) => {
      expect(() => tensor(nested)).toThrow(/ragged nesting/);
    },
  );

  test('a shape that does not fit throws RangeError', () => {
    expect(() => tensor([1, 2, 3], [2, 2])).toThrow(RangeError);
    expect(() => tensor([1, 2], [-1, -2])).toThrow(/non-negative/);
    expect(() => new Tensor('float32', [2], new Float64Array(2))).toThrow(
      /expected Float32Array for float32/,
    );
  });

  test('toArray gives back what was nested, decoded and unpacked', () => {
    expect(tensor([[[1], [2]]]).toArray()).toEqual([[[1], [2]]]);
    expect(tensor(3).toArray()).toBe(3);
    expect(tensor([[-8, 7, 1]], undefined, 'int4').toArray()).toEqual([[-8, 7, 1]]);
    expect(tensor([1.5], undefined, 'float16').toArray()).toEqual([1.5]);
    expect(tensor([[], []]).toArray()).toEqual([[], []]);
  });

  test('notebook kernels get text and a table', () => {
    const display = Reflect.get(tensor([1.5]), Symbol.for('Jupyter.display')) as () => Record<string, string>;
    const shown = display.call(tensor([1.5]));
    expect(shown['text/plain']).toBe('tensor([1.5000])');
    expect(shown['text/html']).toMatch(/^<table>.*1\.5000.*<\/table>$/);
  });
});

describe('tensors of others', () => {
  test('{data, dims} is read without a copy, by its type or its array', () => {
    const data = Float32Array.of(1, 2);
    expect(asTensor({ data, dims: [2, 1] }, 'test').data).toBe(data);
    expect(asTensor({ data: new Uint16Array(2), dims: [2], type: 'float16' }, 'test').dtype).toBe('float16');
    expect(asTensor({ data: new BigInt64Array(1), dims: [] }, 'test').dtype).toBe('int64');
  });

  test('a Float16Array counts as float16', () => {
    // Node 20 has none; only the name and the bytes matter.
    class Float16Array extends Uint16Array {}
    const t = asTensor({ data: Float16Array.of(0x3c00), dims: [1] }, 'test');
    expect([t.dtype, t.toArray()]).toEqual(['float16', [1]]);
  });

  test.each([
    [null, /expected a Tensor or \{data, dims\}, got null/],
    [[1, 2], /got Array/],
    [{ data: [1, 2], dims: [2] }, /expected data in a typed array, got Array/],
    [{ data: new Float32Array(1), dims: [1], type: 'string' }, /got type string/],
    [{ data: new Float32Array(1), dims: [2] }, /expected 2 values/],
  ])('%j is refused', (x, message) => {
    expect(() => asTensor(x as never, 'test')).toThrow(message);
  });

  test('functions take float32, and float16 and bfloat16 exactly; other dtypes must be converted by the caller', () => {
    expect([...floatInput(tensor([0.1, 2], undefined, 'float16'), 'test').data]).toEqual([
      0.0999755859375, 2,
    ]);
    expect([...floatInput(tensor([1.5], undefined, 'bfloat16'), 'test').data]).toEqual([1.5]);
    for (const dtype of ['float64', 'int8', 'int64', 'bool'] as const) {
      expect(() => floatInput(tensor([1], undefined, dtype), 'quantize')).toThrow(/quantize: .* toFloat32/);
      expect(toFloat32(tensor([1], undefined, dtype)).toArray()).toEqual([1]);
    }
  });

  test('toFloat32 rounds to nearest even and keeps float32 as it is', () => {
    const x = tensor([1.5]);
    expect(toFloat32(x).data).toBe(x.data);
    expect([...toFloat32(tensor(Float64Array.of(0.1, 1e300, NaN))).data]).toEqual([
      Math.fround(0.1),
      Infinity,
      NaN,
    ]);
  });
});

describe('dtypes', () => {
  test.each(Object.keys(DTYPES) as DType[])('%s: storage and range agree with its bits', (dtype) => {
    const { bits, storage, range } = DTYPES[dtype];
    expect(storageLength(dtype, 5)).toBe(bits < 8 ? Math.ceil((5 * bits) / 8) : 5);
    if (bits >= 8) expect(new storage(1).BYTES_PER_ELEMENT * 8).toBe(bits);
    if (range === undefined) expect(() => codeRange(dtype)).toThrow(TypeError);
    else expect([range[1] - range[0], isSigned(dtype)]).toEqual([2 ** bits - 1, range[0] < 0]);
  });
});
