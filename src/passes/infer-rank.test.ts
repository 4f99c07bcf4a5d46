import { describe, expect, it } from 'vitest';
import type { Value } from '../graph/value.ts';
import { buildModel } from '../graph/build.ts';
import { tensor } from '../tensor/tensor.ts';
import { inferRank, rankReader } from './infer-rank.ts';

describe('inferRank', () => {
  it('follows rules from values whose shape the file tells', () => {
    let [product, turned, reshaped, unknown]: (Value | undefined)[] = [];
    buildModel((b) => {
      const x = b.input('x', 'float32', ['N', 4, 4]);
      product = b.op('MatMul', [b.op('Relu', [x]), b.constant('w', tensor([[1], [2], [3], [4]]))]);
      turned = b.op('Unsqueeze', [product, b.constant('axes', tensor(BigInt64Array.of(0n)))]);
      reshaped = b.op('Reshape', [turned, b.constant('shape', tensor(BigInt64Array.of(-1n, 4n)))]);
      unknown = b.op('Add', [b.op('NonZero', [reshaped]), x]);
      b.output(unknown, 'y', 'float32');
    });
    expect([product, turned, reshaped, unknown].map(inferRank)).toEqual([3, 4, 2, undefined]);
  });

  it('of the last of more nodes than the stack has room for, and of all of them by one reader', () => {
    const values: Value[] = [];
    buildModel((b) => {
      let x = b.input('x', 'float32', ['N', 4]);
      const w = b.constant('w', tensor([[1]]));
      for (let i = 0; i < 20_000; i++) values.push((x = b.op('Add', [b.op('Relu', [x]), w])));
      b.output(x, 'y', 'float32');
    });
    expect(inferRank(values.at(-1))).toBe(2);
    const rankOf = rankReader();
    expect(new Set(values.toReversed().map(rankOf))).toEqual(new Set([2]));
  });
});
