import { describe, expect, test } from 'vitest';
import { planLayout, visitElements } from './layout.ts';
import type { Granularity } from './types.ts';

/** Parameter of each element in order. */
function paramsOfElements(shape: readonly number[], granularity: Granularity): number[] {
  const params: number[] = [];
  visitElements(planLayout(shape, granularity, 'test'), (i, param) => {
    expect(i).toBe(params.length);
    params.push(param);
  });
  return params;
}

describe('planLayout', () => {
  test.each<[string, readonly number[], Granularity, readonly number[], number, readonly number[]]>([
    ['per tensor', [2, 2], { kind: 'per_tensor' }, [], 1, [0, 0, 0, 0]],
    ['a scalar', [], { kind: 'per_tensor' }, [], 1, [0]],
    ['channels first', [2, 3], { kind: 'per_channel', axis: 0 }, [2], 1, [0, 0, 0, 1, 1, 1]],
    ['channels last', [2, 3], { kind: 'per_channel', axis: -1 }, [3], 1, [0, 1, 2, 0, 1, 2]],
    ['channels inside', [2, 2, 2], { kind: 'per_channel', axis: 1 }, [2], 1, [0, 0, 1, 1, 0, 0, 1, 1]],
    ['one channel', [3, 1, 2], { kind: 'per_channel', axis: 1 }, [1], 1, [0, 0, 0, 0, 0, 0]],
    [
      'blocks in rows',
      [2, 4],
      { kind: 'per_block', axis: 1, blockSize: 2 },
      [2, 2],
      1,
      [0, 0, 1, 1, 2, 2, 3, 3],
    ],
    [
      'blocks of rows',
      [4, 2],
      { kind: 'per_block', axis: 0, blockSize: 2 },
      [2, 2],
      1,
      [0, 1, 0, 1, 2, 3, 2, 3],
    ],
    ['one block a row', [2, 3], { kind: 'per_block', axis: 1, blockSize: 9 }, [2, 1], 1, [0, 0, 0, 1, 1, 1]],
    // A short last block needs two calls for each outer index in a row, one where rows are blocked.
    [
      'short blocks in rows',
      [2, 3],
      { kind: 'per_block', axis: 1, blockSize: 2 },
      [2, 2],
      4,
      [0, 0, 1, 2, 2, 3],
    ],
    [
      'short blocks of rows',
      [3, 2],
      { kind: 'per_block', axis: 0, blockSize: 2 },
      [2, 2],
      1,
      [0, 1, 0, 1, 2, 3],
    ],
    [
      'short blocks inside',
      [2, 3, 2],
      { kind: 'per_block', axis: -2, blockSize: 2 },
      [2, 2, 2],
      2,
      [0, 1, 0, 1, 2, 3, 4, 5, 4, 5, 6, 7],
    ],
  ])('%s', (_name, shape, granularity, paramShape, calls, params) => {
    const plan = planLayout(shape, granularity, 'test');
    expect(plan.paramShape).toEqual(paramShape);
    expect(plan.pieces).toHaveLength(calls);
    expect(paramsOfElements(shape, granularity)).toEqual(params);
  });

  test('an empty tensor has parameters but nothing to do', () => {
    const plan = planLayout([0, 3], { kind: 'per_channel', axis: 1 }, 'test');
    expect([plan.params, plan.pieces]).toEqual([3, []]);
  });

  test('an axis outside the rank and a block size below 1 throw RangeError', () => {
    expect(() => planLayout([2], { kind: 'per_channel', axis: 1 }, 'f')).toThrow(
      /f: expected an axis in \[-1, 0\]/,
    );
    const scalar = (): unknown => planLayout([], { kind: 'per_channel', axis: 0 }, 'f');
    expect(scalar).toThrow(RangeError);
    expect(scalar).toThrow('f: expected an axis, got a scalar');
    for (const blockSize of [0, 1.5, NaN]) {
      expect(() => planLayout([2], { kind: 'per_block', axis: 0, blockSize }, 'f')).toThrow(
        /block size of at least 1/,
      );
    }
  });
});
