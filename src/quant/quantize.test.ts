import { describe, expect, test } from 'vitest';
import { tensor } from '../tensor/tensor.ts';
import { dequantize } from './dequantize.ts';
import { quantizePerTensorDynamic } from './quantize-dynamic.ts';
import { quantizePerBlock, quantizePerChannel, quantizePerTensor } from './quantize.ts';

const X = tensor([
  [0.5827, 0.8619],
  [0.3827, -0.1982],
  [-0.8213, 0.6351],
]);

describe('quantizePerTensor', () => {
  test('the tutorial tensor, scale 0.01: 58 86 38 -20 -82 64', () => {
    const q = quantizePerTensor(X, 1e-2, 0, 'qint8');
    expect([...q.codes]).toEqual([58, 86, 38, -20, -82, 64]);
    expect([q.scale, q.zeroPoint, q.qscheme, q.shape]).toEqual([1e-2, 0, 'per_tensor_affine', [3, 2]]);
  });

  test('numerics: ties with an odd zero point, 757.5 / 15, and NaN', () => {
    const codes = (
      x: number[],
      scale: number,
      zeroPoint: number,
      numerics: 'default' | 'torch-2.13' | 'onnx',
    ): number[] => [...quantizePerTensor(tensor(x), scale, zeroPoint, 'qint8', { numerics }).codes];
    const ties = [0.5, 1.5, 2.5];
    expect(codes(ties, 1, 1, 'default')).toEqual([1, 3, 3]);
    expect(codes(ties, 1, 1, 'torch-2.13')).toEqual([2, 2, 4]);
    expect(codes(ties, 1, 1, 'onnx')).toEqual([1, 3, 3]);
    expect(codes([757.5], 15, 0, 'default')).toEqual([51]);
    expect(codes([757.5], 15, 0, 'onnx')).toEqual([50]);
    expect(codes([NaN], 1, 3, 'default')).toEqual([3]);
    expect(codes([NaN], 1, 3, 'torch-2.13')).toEqual([127]);
  });

  test('lists give lists', () => {
    const [a, b] = quantizePerTensor([tensor([1]), tensor([1])], [1, 0.5], [0, 1], 'quint8');
    expect([[...a.codes], [...b.codes]]).toEqual([[1], [3]]);
    expect(dequantize([a, b]).map((t) => t.toArray())).toEqual([[1], [1]]);
    expect(() => quantizePerTensor([tensor([1])], [1, 2], [0], 'quint8')).toThrow(RangeError);
    for (const plain of [[1, 2], [[1], [2]], Float32Array.of(1)]) {
      expect(() => quantizePerTensor(plain as never, 1, 0, 'quint8')).toThrow(
        /expected a Tensor or \{data, dims\}, got (Float32)?Array; make one with tensor\(values\)/,
      );
    }
  });

  test('float zero points are finite, but for torch-2.13', () => {
    const qscheme = 'per_channel_affine_float_qparams' as const;
    const run = (numerics: 'default' | 'torch-2.13'): unknown =>
      quantizePerChannel(tensor([1, 2]), [1, 1], [0, NaN], 0, 'quint8', { qscheme, numerics });
    expect(() => run('default')).toThrow(/expected a finite zero point, got NaN at channel 1/);
    expect(() => run('torch-2.13')).not.toThrow();
  });

  test('a parameter that is none is named', () => {
    const x = tensor([1]);
    expect(() => quantizePerTensor(x, undefined as never, 0, 'quint8')).toThrow(
      /^quantizePerTensor: scale: expected numbers or a tensor of them, got undefined/,
    );
    expect(() => quantizePerTensor(x, 1, null as never, 'quint8')).toThrow(
      /^quantizePerTensor: zero point: /,
    );
    expect(() => quantizePerChannel(x, [1], '0' as never, 0, 'quint8')).toThrow(/zero points: expected/);
  });

  test('one-element arrays are numbers, more are an error', () => {
    const q = quantizePerTensor(X, Float32Array.of(0.5), Int32Array.of(1), 'quint8');
    expect([q.scale, q.zeroPoint]).toEqual([0.5, 1]);
    expect(() => quantizePerTensor(X, [1, 2], 0, 'qint8')).toThrow(/expected one scale, got 2/);
  });

  test('out receives the codes, and is the storage of the result', () => {
    const out = new Int8Array(6);
    expect(quantizePerTensor(X, 1e-2, 0, 'qint8', { out }).codes).toBe(out);
    expect(out[0]).toBe(58);
    expect(() => quantizePerTensor(X, 1, 0, 'qint8', { out: new Int8Array(5) })).toThrow(
      /out of length 6, got 5/,
    );
    expect(() => quantizePerTensor(X, 1, 0, 'qint8', { out: new Uint8Array(6) as never })).toThrow(
      /expected out as Int8Array for qint8, got Uint8Array/,
    );
  });

  test.each([0, -1, NaN, Infinity, 1e-50])('scale %s is refused, and taken under torch-2.13', (scale) => {
    expect(() => quantizePerTensor(X, scale, 0, 'qint8')).toThrow(
      `quantizePerTensor: expected a finite scale > 0, got ${scale}`,
    );
    expect(quantizePerTensor(X, scale, 0, 'qint8', { numerics: 'torch-2.13' }).size).toBe(6);
  });

  test('zero points outside the range and unknown numerics are refused', () => {
    expect(() => quantizePerTensor(X, 1, 128, 'qint8')).toThrow(
      /expected a zero point in \[-128, 127\], got 128/,
    );
    expect(() => quantizePerTensor(X, 1, 0.5, 'qint8')).toThrow(/expected integer zero points, got 0.5/);
    expect(() => quantizePerTensor(X, 1, 0, 'qint8', { numerics: 'fast' as never })).toThrow(/got 'fast'/);
  });
});

describe('quantizePerChannel', () => {
  const scales = [1e-2, 1e-3, 5e-2];

  test('the tutorial tensor by rows: 58 86 127 -128 -16 13', () => {
    expect([...quantizePerChannel(X, scales, [0, 0, 0], 0, 'qint8').codes]).toEqual([
      58, 86, 127, -128, -16, 13,
    ]);
  });

  test('a Float32Array of zero points does not change the scheme; a fraction is an error with the way out', () => {
    const q = quantizePerChannel(X, scales, new Float32Array(3), 0, 'qint8');
    expect(q.qscheme).toBe('per_channel_affine');
    expect(q.zeroPoints).toBeInstanceOf(Int32Array);
    expect(() => quantizePerChannel(X, scales, [0, 0.5, 0], 0, 'qint8')).toThrow(
      /got 0\.5 at channel 1; float ones need \{qscheme: 'per_channel_affine_float_qparams'\}/,
    );
    const float = quantizePerChannel(X, scales, [0, 0.5, 0], 0, 'qint8', {
      qscheme: 'per_channel_affine_float_qparams',
    });
    expect(float.qscheme).toBe('per_channel_affine_float_qparams');
  });

  test('errors name the channel', () => {
    expect(() => quantizePerChannel(X, [1, 1, NaN], [0, 0, 0], 0, 'qint8')).toThrow(
      'quantizePerChannel: expected a finite scale > 0, got NaN at channel 2',
    );
    expect(() => quantizePerChannel(X, scales, [0, 300, 0], 0, 'qint8')).toThrow(/got 300 at channel 1/);
    expect(() => quantizePerChannel(X, [1, 1], [0, 0, 0], 0, 'qint8')).toThrow(
      'quantizePerChannel: expected 3 scales (the size of axis 0), got 2',
    );
    expect(() => quantizePerChannel(X, scales, [0, 0, 0], 2, 'qint8')).toThrow(
      /expected an axis in \[-2, 1\]/,
    );
  });

  test('onnx has no float zero points', () => {
    const options = { numerics: 'onnx', qscheme: 'per_channel_affine_float_qparams' } as const;
    expect(() => quantizePerChannel(X, scales, [0, 0.5, 0], 0, 'qint8', options)).toThrow(TypeError);
  });

  test('float64 scales are kept, numbers become float32', () => {
    const kept = quantizePerChannel(X, Float64Array.from(scales), [0, 0, 0], 0, 'qint8');
    expect(kept.scales).toEqual(Float64Array.from(scales));
    expect(quantizePerChannel(X, scales, [0, 0, 0], 0, 'qint8').scales).toEqual(Float32Array.from(scales));
  });
});

describe('quantizePerBlock', () => {
  test('a short last block has its own scale', () => {
    const x = tensor([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    const q = quantizePerBlock(x, [1, 0.5, 2, 0.25], [0, 0, 0, 0], { axis: -1, blockSize: 2 }, 'qint8');
    expect([...q.codes]).toEqual([1, 2, 6, 2, 2, 24]);
    expect([q.qscheme, q.axis, q.blockSize]).toEqual(['per_block_affine', 1, 2]);
    expect(q.dequantize().toArray()).toEqual([
      [1, 2, 3],
      [4, 4, 6],
    ]);
  });

  test('parameters may come as a tensor of the blocks’ shape', () => {
    const scales = tensor([
      [1, 0.5],
      [2, 0.25],
    ]);
    const zeroPoints = tensor(new Int8Array(4), [2, 2]);
    const q = quantizePerBlock(
      tensor([
        [1, 2],
        [3, 4],
      ]),
      scales,
      zeroPoints,
      { axis: 1, blockSize: 1 },
      'uint4',
    );
    expect([...q.unpackedCodes()]).toEqual([1, 4, 2, 15]);
  });

  test('another granularity’s scheme is refused', () => {
    const options = { qscheme: 'per_channel_affine' as never };
    expect(() => quantizePerBlock(X, [1], [0], { axis: 0, blockSize: 1 }, 'qint8', options)).toThrow(
      TypeError,
    );
  });
});

describe('quantizePerTensorDynamic', () => {
  test.each([
    ['an empty tensor', [], /expected at least one value/],
    ['NaN', [1, NaN], /expected finite values, got NaN/],
    ['infinity', [1, -Infinity], /expected finite values, got -Infinity/],
  ])('%s is refused', (_name, values, message) => {
    expect(() => quantizePerTensorDynamic(tensor(values), 'quint8')).toThrow(message);
  });

  test('0 is on the grid, the ends of the data within half a step', () => {
    const x = tensor([0.7, 3.1]);
    const q = quantizePerTensorDynamic(x, 'quint8');
    expect(q.zeroPoint).toBe(0);
    expect(Math.abs(q.dequantize().data[1] - 3.1)).toBeLessThanOrEqual(q.scale / 2);
  });
});
