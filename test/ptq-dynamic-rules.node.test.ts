/** Dynamic quantization by onnxruntime's rules: the same graph and the same constants, bit for bit, under the same names. */
import { expect, it } from 'vitest';
import { attr, buildModel, quantizeDynamic, type QuantizeDynamicOptions } from 'zeropoint/onnx';
import { noise } from './support/cli-models.ts';
import {
  countOps,
  initializersOf,
  operatorsHere,
  signature,
  VARIANT_CASES,
  variantModel,
} from './support/variants.ts';

const WEIGHTS = { int8: 'int8', uint8: 'uint8' } as const;

const cases = VARIANT_CASES.flatMap((row) =>
  row.dtype === 'int8' || row.dtype === 'uint8' ? [{ ...row, weightDType: WEIGHTS[row.dtype] }] : [],
);

it.each(cases)('$model, $dtype, settings of $recipe', async (row) => {
  const { weightDType, recipe, initializers } = row;
  const on = recipe === 'convert';
  const options = { rules: 'onnxruntime', perChannel: on, reduceRange: on, weightDType } as const;
  const { model } = await quantizeDynamic(await variantModel(row.model), options, { names: 'onnxruntime' });
  expect(countOps(model)).toEqual(operatorsHere(row));
  expect(await initializersOf(model)).toEqual(initializers);
  expect(await signature(model)).toBe(row.signature);
});

it('a value that a branch quantizes for itself is not read as integers outside of it', async () => {
  const model = buildModel((b) => {
    const x = b.input('x', 'float32', [4, 4]);
    const weight = b.constant('w', noise([4, 4]));
    const then = b.body('then', (inner) => inner.output(inner.op('MatMul', [x, weight]), 'product'));
    const other = b.body('else', (inner) => inner.output(inner.op('Neg', [x]), 'same'));
    const branches = { then_branch: attr.graph(then), else_branch: attr.graph(other) };
    const chosen = b.op('If', [b.input('condition', 'bool', [])], branches);
    b.output(b.op('Add', [chosen, b.op('Transpose', [x])]), 'y', 'float32', [4, 4]);
  });
  const { model: made } = await quantizeDynamic(model, { rules: 'onnxruntime' });
  expect(countOps(made)).toMatchObject({ MatMulInteger: 1, DynamicQuantizeLinear: 1, Transpose: 1 });
  expect(countOps(made).DequantizeLinear).toBeUndefined();
});

it('rules that do not exist are refused', async () => {
  const rules = 'theirs' as 'onnxruntime';
  const call = quantizeDynamic(await variantModel('mlp'), { rules } satisfies QuantizeDynamicOptions);
  await expect(call).rejects.toThrow("expected rules one of zeropoint, onnxruntime, got 'theirs'");
});
