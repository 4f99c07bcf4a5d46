import { describe, expect, test } from 'vitest';
import { tensor } from '../tensor/tensor.ts';
import {
  fakeQuantizeLearnablePerChannelAffineBackward,
  fakeQuantizeLearnablePerTensorAffine,
  fakeQuantizeLearnablePerTensorAffineBackward,
} from './fake-quantize-learnable.ts';
import {
  fakeQuantizeBackward,
  fakeQuantizePerChannelAffine,
  fakeQuantizePerTensorAffine,
} from './fake-quantize.ts';

const EDGES = [-128.6, -128.5, 127.4, 127.5, NaN, Infinity, -Infinity, -0];

describe('fakeQuantizePerTensorAffine', () => {
  test('saturates, NaN and -0 become 0; the mask tells which codes were in range', () => {
    const mask = new Uint8Array(EDGES.length);
    const y = fakeQuantizePerTensorAffine(tensor(EDGES), 1, 0, -128, 127, { mask });
    expect([...y.data]).toEqual([-128, -128, 127, 127, 0, 127, -128, 0]);
    // -128.5 rounds to -128 and is inside; 127.5 rounds to 128 and is not.
    expect([...mask]).toEqual([0, 1, 1, 0, 0, 0, 0, 1]);
  });

  test('may write over its input', () => {
    const x = tensor([0.6, 1.4]);
    expect(fakeQuantizePerTensorAffine(x, 1, 0, -8, 7, { out: x }).data).toBe(x.data);
    expect([...x.data]).toEqual([1, 1]);
  });

  test('empty stays empty', () => {
    expect(fakeQuantizePerTensorAffine(tensor([[], []]), 1, 0, -8, 7).shape).toEqual([2, 0]);
  });

  test('a zero point outside the range, a range out of order and a short mask are refused', () => {
    const x = tensor([1]);
    expect(() => fakeQuantizePerTensorAffine(x, 1, 200, -128, 127)).toThrow(
      /expected a zero point in \[-128, 127\]/,
    );
    expect(() => fakeQuantizePerTensorAffine(x, 1, 0, 7, -8)).toThrow(/quantMin ≤ quantMax, got 7 and -8/);
    expect(() => fakeQuantizePerTensorAffine(x, 1, 0, 0, 1.5)).toThrow(RangeError);
    expect(() => fakeQuantizePerTensorAffine(x, 1, 0, -8, 7, { mask: new Uint8Array(2) })).toThrow(
      /mask of 1 values/,
    );
  });
});

describe('fakeQuantizePerChannelAffine', () => {
  test('+Inf saturates upwards; under torch-2.13 it becomes quantMin as there', () => {
    const x = tensor([[Infinity, 1e30]]);
    const y = (numerics: 'default' | 'torch-2.13'): number[] => [
      ...fakeQuantizePerChannelAffine(x, [1], [0], 0, -128, 127, { numerics }).data,
    ];
    expect(y('default')).toEqual([127, 127]);
    expect(y('torch-2.13')).toEqual([-128, -128]);
  });
});

describe('gradients', () => {
  test('straight through: dY where the mask is 1', () => {
    expect([...fakeQuantizeBackward(tensor([1, 2, 3]), Uint8Array.of(1, 0, 1)).data]).toEqual([1, 0, 3]);
    expect(() => fakeQuantizeBackward(tensor([1, 2]), new Uint8Array(3))).toThrow(RangeError);
  });

  test('learnable: inside, below and above, scaled by the gradient factor', () => {
    const x = tensor([1.25, -100, 100]);
    const dY = tensor([1, 2, 4]);
    const { dX, dScale, dZeroPoint } = fakeQuantizeLearnablePerTensorAffineBackward(dY, x, 0.5, 1, -8, 7, {
      gradFactor: 0.5,
    });
    expect([...dX.data]).toEqual([1, 0, 0]);
    // inside: (y - x) / scale = (1 - 1.25) / 0.5; below: -8 - 1; above: 7 - 1.
    expect([...dScale]).toEqual([0.5 * (1 * -0.5 + 2 * -9 + 4 * 6)]);
    expect([...dZeroPoint]).toEqual([0.5 * (-2 * 0.5 - 4 * 0.5)]);
  });

  test('learnable: forward rounds the zero point half to even and clamps it', () => {
    const y = (zeroPoint: number): number =>
      fakeQuantizeLearnablePerTensorAffine(tensor([-100]), 1, zeroPoint, -8, 7).data[0];
    expect([y(2.5), y(3.5), y(-3.6), y(99)]).toEqual([-10, -12, -4, -15]);
  });

  test('learnable per channel: one gradient a channel, whatever the axis', () => {
    const x = tensor([
      [0.25, 50],
      [50, 0.25],
    ]);
    const dY = tensor([
      [1, 1],
      [1, 1],
    ]);
    const backward = (axis: number): number[] => [
      ...fakeQuantizeLearnablePerChannelAffineBackward(dY, x, [1, 1], [0, 2], axis, -8, 7).dScale,
    ];
    expect(backward(0)).toEqual([6.75, 4.75]);
    expect(backward(-1)).toEqual([6.75, 4.75]);
  });

  test('dY of another shape is refused', () => {
    expect(() =>
      fakeQuantizeLearnablePerTensorAffineBackward(tensor([1]), tensor([1, 2]), 1, 0, -8, 7),
    ).toThrow(/expected dY of shape \[2\], got \[1\]/);
  });
});
