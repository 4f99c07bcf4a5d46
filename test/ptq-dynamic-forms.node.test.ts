/** The dynamic forms beside products: run by onnxruntime at every level, and what they refuse. */
import { describe, expect, it } from 'vitest';
import { tensor, type Tensor } from 'zeropoint';
import { buildModel, quantizeDynamic, type Model, type Value } from 'zeropoint/onnx';
import { worstSqnr } from './support/dynamic.ts';
import { random } from './support/graphs.ts';

const int64 = (...values: number[]): Tensor => tensor(BigInt64Array.from(values, BigInt));

function opsOf(model: Model): string[] {
  return [...model.graph.nodes].map((node) => node.qualifiedOp);
}

describe('Gather of a constant table', () => {
  /** Least signal to noise of values in 8 bits, uniform, in dB. */
  const LEAST_SQNR = 45;
  const INDICES = { i: int64(3, 0, 5) };

  const tableModel = (shape: readonly number[], axis: number): Model =>
    buildModel((b) => {
      const table = b.constant('table', random(shape, 2));
      b.output(b.op('Gather', [table, b.input('i', 'int64', [3])], { axis }), 'y', 'float32');
    });

  it.each([
    ['rows', [7, 12], 0],
    ['columns', [5, 9], -1],
    ['three axes', [4, 8, 3], 1],
  ])(`%s: SQNR > ${LEAST_SQNR} dB at every level`, async (_, shape, axis) => {
    const float = tableModel(shape, axis);
    const { model, report } = await quantizeDynamic(float);
    expect(opsOf(model)).toEqual(['Gather', 'DequantizeLinear']);
    expect(report.weights).toMatchObject([{ name: 'table', dtype: 'uint8', scales: 1 }]);
    expect(await worstSqnr(float, model, INDICES)).toBeGreaterThan(LEAST_SQNR);
  });

  it('stores a table once, and leaves vectors and what is not float32', async () => {
    const model = buildModel((b) => {
      const i = b.input('i', 'int64', [3]);
      const table = b.constant('table', random([7, 12], 2));
      const gather = (value: Value): Value => b.op('Gather', [value, i]);
      b.output(b.op('Add', [gather(table), gather(table)]), 'y', 'float32');
      b.output(gather(b.constant('vector', random([9], 3))), 'v', 'float32');
      b.output(gather(b.constant('shape', int64(1, 2, 3, 4, 5, 6))), 's', 'int64');
      b.output(gather(b.op('Relu', [table])), 'r', 'float32');
    });
    const { report } = await quantizeDynamic(model);
    expect(report.weights).toHaveLength(1);
    expect(report.quantized).toHaveLength(2);
    expect(report.skipped.filter(({ opType }) => opType === 'Gather').map(({ reason }) => reason)).toEqual([
      'its table is a vector',
      'its table is int64, not float32',
      'its table is computed',
    ]);
  });
});
