/** Every case of test/fixtures/ort/quant, made by onnxruntime's CPU provider, equal in bits or named in test/deviations.ts. */
import {
  getBackend,
  quantizedTensorFromCodes,
  quantizePerBlock,
  quantizePerChannel,
  quantizePerTensor,
  quantizePerTensorDynamic,
  setBackend,
  tensor,
  type QuantDType,
  type QuantizedTensor,
  type Tensor,
} from 'zeropoint';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { deviationOf } from './deviations.ts';
import { firstDifference, loadStore } from './support/array-store.ts';

/** Fields as the script writes them; arrays by number. */
interface Case {
  readonly id: string;
  readonly op: 'quantize' | 'dequantize' | 'dynamic';
  readonly dtype: QuantDType;
  readonly shape: readonly number[];
  readonly x: number;
  readonly scales: number;
  readonly zero_points: number;
  readonly axis?: number;
  readonly block_size?: number;
  readonly codes: number;
  readonly values: number;
}

type Results = Readonly<Partial<Record<'codes' | 'values' | 'scales' | 'zero_points', ArrayLike<unknown>>>>;

const ONNX = { numerics: 'onnx' } as const;
const { cases, array } = await loadStore<Case>('ort/quant');

const input = (c: Case): Tensor => tensor(array(c.x), c.shape);

function quantized(c: Case): QuantizedTensor {
  const { axis, block_size: blockSize } = c;
  const scales = array(c.scales);
  const zeroPoints = array(c.zero_points);
  if (axis === undefined) return quantizePerTensor(input(c), scales, zeroPoints, c.dtype, ONNX);
  if (blockSize === undefined) return quantizePerChannel(input(c), scales, zeroPoints, axis, c.dtype, ONNX);
  return quantizePerBlock(input(c), scales, zeroPoints, { axis, blockSize }, c.dtype, ONNX);
}

const REPLAYS: Readonly<Record<Case['op'], (c: Case) => Results>> = {
  quantize(c) {
    const q = quantized(c);
    return { codes: q.unpackedCodes(), values: q.dequantize().data };
  },
  dequantize(c) {
    const params = { scale: array(c.scales), zeroPoint: array(c.zero_points), axis: c.axis };
    return { values: quantizedTensorFromCodes(input(c), c.dtype, params).dequantize().data };
  },
  dynamic(c) {
    const q = quantizePerTensorDynamic(input(c), c.dtype, ONNX);
    return { codes: q.codes, scales: q.scales, zero_points: q.zeroPoints };
  },
};

/** What is wrong with a case, or undefined. */
function complaint(c: Case): string | undefined {
  for (const [field, actual] of Object.entries(REPLAYS[c.op](c))) {
    const expected = array(c[field as keyof Results]);
    const i = firstDifference(actual, expected);
    if (i >= 0) return `onnx:${c.id}: ${field}[${i}] is ${actual[i]}, onnxruntime has ${expected[i]}`;
  }
  return undefined;
}

/** Cases by the first two parts of their id. */
function groupsOfCases(): (readonly [string, readonly Case[]])[] {
  const groups = new Map<string, Case[]>();
  for (const c of cases) {
    const name = c.op === 'quantize' ? c.id.split('/', 2).join('/') : c.id.split('/', 1)[0];
    groups.set(name, [...(groups.get(name) ?? []), c]);
  }
  return [...groups];
}

describe.each(['reference', 'wasm'] as const)('onnxruntime, %s kernels', (backend) => {
  const before = getBackend();
  beforeAll(() => setBackend(backend));
  afterAll(() => setBackend(before));

  test.each(groupsOfCases())('%s: equal in bits, or a deviation that is needed', (_name, group) => {
    const wrong: string[] = [];
    for (const c of group) {
      const found = complaint(c);
      const deviation = deviationOf('onnx', c.id);
      if (deviation === undefined && found !== undefined) wrong.push(found);
      if (deviation !== undefined && found === undefined)
        wrong.push(`${c.id}: equal, but listed as ${deviation.id}`);
    }
    expect(wrong).toEqual([]);
  });
});
