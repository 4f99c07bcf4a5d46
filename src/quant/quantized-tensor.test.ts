import { describe, expect, test } from 'vitest';
import { tensor } from '../tensor/tensor.ts';
import { dequantize } from './dequantize.ts';
import { quantizedTensorFromCodes } from './from-codes.ts';
import { quantizePerChannel, quantizePerTensor } from './quantize.ts';
import { QuantizedTensor } from './quantized-tensor.ts';

const X = tensor([
  [1, -2],
  [3, 0.5],
]);

describe('QuantizedTensor', () => {
  test('intRepr shares the codes; packed torch dtypes give flat bytes, int4 keeps its shape', () => {
    const q = quantizePerTensor(X, 1, 0, 'qint8');
    expect([q.intRepr().dtype, q.intRepr().shape, q.intRepr().data]).toEqual(['int8', [2, 2], q.codes]);
    expect(q.intRepr().data).toBe(q.codes);
    const packed = quantizePerTensor(X, 1, 3, 'quint4x2').intRepr();
    expect([packed.dtype, packed.shape, [...packed.data]]).toEqual(['uint8', [2], [0x14, 0x36]]);
    const plain = quantizePerTensor(X, 1, 0, 'int4').intRepr();
    expect([plain.dtype, plain.toArray()]).toEqual([
      'int4',
      [
        [1, -2],
        [3, 0],
      ],
    ]);
  });

  test('scale and zeroPoint are for per-tensor schemes, and say what to use instead', () => {
    const q = quantizePerChannel(X, [1, 2], [0, 0], 0, 'qint8');
    expect(() => q.scale).toThrow(
      'QuantizedTensor.scale: expected a per_tensor scheme, got per_channel_affine; use scales',
    );
    expect(() => q.zeroPoint).toThrow(/use zeroPoints/);
    expect([q.axis, q.blockSize]).toEqual([0, undefined]);
  });

  test('equals compares dtype, shape, scheme, parameters and codes', () => {
    const q = quantizePerTensor(X, 1, 0, 'qint8');
    expect(q.equals(quantizePerTensor(X, 1, 0, 'qint8'))).toBe(true);
    expect(q.equals(quantizePerTensor(X, 1, 0, 'int8'))).toBe(false);
    expect(q.equals(quantizePerTensor(X, 2, 0, 'qint8'))).toBe(false);
    expect(q.equals(quantizePerTensor(X, 1, 1, 'qint8'))).toBe(false);
    expect(q.equals(quantizePerTensor(tensor(X.data, [4]), 1, 0, 'qint8'))).toBe(false);
    const byRow = quantizePerChannel(X, [1, 2], [0, 0], 0, 'qint8');
    expect(byRow.equals(quantizePerChannel(X, [1, 2], [0, 0], 1, 'qint8'))).toBe(false);
    expect(byRow.equals(quantizePerChannel(X, [1, 2], [0, 0], -2, 'qint8'))).toBe(true);
  });

  test('parts that contradict each other are refused', () => {
    const granularity = { kind: 'per_tensor' } as const;
    const parts = {
      dtype: 'qint8',
      shape: [2],
      granularity,
      scales: new Float32Array(1),
      zeroPoints: new Int32Array(1),
    } as const;
    expect(() => new QuantizedTensor({ ...parts, codes: new Int8Array(3) })).toThrow(RangeError);
    expect(() => new QuantizedTensor({ ...parts, codes: new Uint8Array(2) as never })).toThrow(TypeError);
    expect(
      () => new QuantizedTensor({ ...parts, codes: new Int8Array(2), scales: new Float32Array(2) }),
    ).toThrow(/expected 1 scales/);
    expect(
      () => new QuantizedTensor({ ...parts, dtype: 'float32', codes: new Int8Array(2) } as never),
    ).toThrow(TypeError);
  });

  test('plain dtypes, packed ones and blocks print in the style of torch', () => {
    expect(String(quantizePerTensor(tensor([1, 2]), 0.5, 1, 'uint4'))).toBe(
      'tensor([1., 2.], size=(2,), dtype=torch.uint4,\n' +
        '       quantization_scheme=torch.per_tensor_affine, scale=0.5, zero_point=1)',
    );
  });

  test('notebook kernels get text and a table with the parameters', () => {
    const q = quantizePerTensor(X, 0.5, 1, 'qint8');
    const display = Reflect.get(q, Symbol.for('Jupyter.display')) as () => Record<string, string>;
    const shown = display.call(q);
    expect(shown['text/plain']).toBe(String(q));
    expect(shown['text/html']).toContain(
      '<caption>qint8 [2, 2], per_tensor_affine, scale 0.5, zero point 1</caption>',
    );
  });
});

describe('dequantize', () => {
  test('out receives the values', () => {
    const out = new Float32Array(4);
    expect(dequantize(quantizePerTensor(X, 1, 0, 'qint8'), { out }).data).toBe(out);
    expect([...out]).toEqual([1, -2, 3, 0]);
  });

  test('a plain tensor is cast to float32', () => {
    expect(dequantize(tensor(Int8Array.of(1, 2))).toArray()).toEqual([1, 2]);
  });

  test('float64 scales multiply in double, rounded once', () => {
    const scale = 0.1 + 1e-10;
    const codes = tensor(Int8Array.of(101), [1]);
    const wide = quantizedTensorFromCodes(codes, 'qint8', {
      scale: Float64Array.of(scale),
      zeroPoint: [0],
      axis: 0,
    });
    const narrow = quantizedTensorFromCodes(codes, 'qint8', { scale: [scale], zeroPoint: [0], axis: 0 });
    expect(wide.dequantize().data[0]).toBe(Math.fround(101 * scale));
    expect(narrow.dequantize().data[0]).toBe(Math.fround(101 * Math.fround(scale)));
  });
});

describe('quantizedTensorFromCodes', () => {
  test('codes of any integer dtype, packed where the dtype is', () => {
    const q = quantizedTensorFromCodes(tensor(BigInt64Array.of(1n, -8n, 7n)), 'int4', {
      scale: 2,
      zeroPoint: -1,
    });
    expect([...q.codes]).toEqual([0x81, 0x07]);
    expect(q.dequantize().toArray()).toEqual([4, -14, 16]);
  });

  test('codes outside the range, float codes and blocks without an axis are refused', () => {
    const params = { scale: 1, zeroPoint: 0 };
    expect(() => quantizedTensorFromCodes(tensor(Int16Array.of(0, 128)), 'qint8', params)).toThrow(
      /got 128 at element 1/,
    );
    expect(() => quantizedTensorFromCodes(tensor([1]), 'qint8', params)).toThrow(
      /expected integer codes, got float32/,
    );
    expect(() =>
      quantizedTensorFromCodes(tensor(Int8Array.of(1)), 'qint8', { ...params, blockSize: 2 }),
    ).toThrow(/axis/);
  });
});
