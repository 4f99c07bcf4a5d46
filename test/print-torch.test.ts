/** Every case of test/fixtures/torch/quant-print, printed by torch 2.13.0, equal to the character. */
import {
  formatTensor,
  QuantizedTensor,
  Tensor,
  type DType,
  type Granularity,
  type PrintOptions,
  type QuantDType,
} from 'zeropoint';
import { describe, expect, test } from 'vitest';
import { loadStore } from './support/array-store.ts';

interface Case {
  readonly id: string;
  readonly op: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly x: number;
  readonly options: Readonly<Record<string, number | boolean>>;
  readonly codes: number;
  readonly scale: number;
  readonly zero_point: number;
  readonly axis?: number;
  readonly float?: boolean;
  readonly scales: number;
  readonly zero_points: number;
  readonly text: string;
}

const { cases, array } = await loadStore<Case>('torch/quant-print');

function optionsOf({ options }: Case): PrintOptions {
  const { precision, threshold, edgeitems: edgeItems, linewidth: lineWidth, sci_mode: sciMode } = options;
  const given = Object.entries({ precision, threshold, edgeItems, lineWidth, sciMode });
  return Object.fromEntries(given.filter(([, value]) => value !== undefined));
}

function quantizedOf(c: Case): QuantizedTensor {
  const granularity: Granularity =
    c.axis === undefined ? { kind: 'per_tensor' } : { kind: 'per_channel', axis: c.axis };
  const perTensor = c.axis === undefined;
  const zeroPoints = perTensor ? [c.zero_point] : Array.from(array(c.zero_points) as Float32Array, Number);
  return new QuantizedTensor({
    dtype: c.dtype as QuantDType,
    shape: c.shape,
    codes: array(c.codes) as Int8Array,
    granularity,
    scales: perTensor ? Float32Array.of(c.scale) : (array(c.scales) as Float32Array),
    zeroPoints: c.float === true ? Float32Array.from(zeroPoints) : Int32Array.from(zeroPoints),
    scale: c.scale,
  });
}

describe('printed as torch 2.13.0 prints, to the character', () => {
  const tensors = cases.filter(({ op }) => op === 'print');
  const quantized = cases.filter(({ op }) => op === 'print-quantized');

  test.each(tensors)('$id', (c) => {
    expect(formatTensor(new Tensor(c.dtype, c.shape, array(c.x)), optionsOf(c))).toBe(c.text);
  });

  test.each(quantized)('$id', (c) => {
    expect(String(quantizedOf(c))).toBe(c.text);
  });

  test.each([...tensors.slice(0, 3), ...quantized.slice(0, 3)])('Node inspects as it prints: $id', (c) => {
    const value = c.op === 'print' ? new Tensor(c.dtype, c.shape, array(c.x)) : quantizedOf(c);
    const method = Reflect.get(value, Symbol.for('nodejs.util.inspect.custom')) as () => string;
    expect(method.call(value)).toBe(c.text);
  });

  test('there are at least 150 cases', () => {
    expect(cases.length).toBeGreaterThanOrEqual(150);
  });
});
