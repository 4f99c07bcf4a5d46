import { describe, expect, test } from 'vitest';
import { tensor } from '../../tensor/tensor.ts';
import type { TensorLike } from '../../tensor/tensor.ts';
import { createArena } from './arena.ts';
import { wasmKernels } from './kernels.ts';

describe('createArena', () => {
  test('gives out tensors that start at 64-byte boundaries of one memory and do not overlap', () => {
    const arena = createArena({ bytes: 1024 });
    const a = arena.tensor('float32', [3, 1]);
    const b = arena.tensor('int8', [5]);
    expect(a.data.buffer).toBe(b.data.buffer);
    expect(a.data.byteOffset % 64).toBe(0);
    expect(b.data.byteOffset - a.data.byteOffset).toBe(64);
    expect([arena.used, arena.capacity]).toEqual([128, 1024]);
    expect([a.dtype, a.shape, a.data.length]).toEqual(['float32', [3, 1], 3]);
  });

  test('takes every dtype; 4-bit codes take half a byte, a scalar one element, an empty tensor nothing', () => {
    const arena = createArena({ bytes: 4096 });
    expect(arena.tensor('quint4x2', [5]).data.length).toBe(3);
    expect(arena.tensor('int64', [2]).data).toBeInstanceOf(BigInt64Array);
    expect(arena.tensor('float16', []).data.length).toBe(1);
    const { used } = arena;
    expect(arena.tensor('float32', [0, 7]).data.length).toBe(0);
    expect(arena.used).toBe(used);
  });

  test('is filled to the last byte; one more throws RangeError and takes nothing', () => {
    const arena = createArena({ bytes: 100 });
    expect(arena.capacity).toBe(128);
    arena.tensor('uint8', [65]);
    expect(arena.used).toBe(128);
    expect(() => arena.tensor('uint8', [1])).toThrow(
      new RangeError('arena.tensor: expected room for 64 bytes (uint8 [1]), got 0 free of 128'),
    );
    arena.reset();
    expect(() => arena.tensor('float32', [33])).toThrow(RangeError);
    expect(arena.used).toBe(0);
  });

  test('refuses shapes and dtypes that are none', () => {
    const arena = createArena({ bytes: 1024 });
    for (const shape of [[-1], [1.5], [2 ** 53, 2 ** 53], [NaN]]) {
      expect(() => arena.tensor('float32', shape)).toThrow(RangeError);
    }
    expect(() => arena.tensor('float23' as 'float32', [1])).toThrow(TypeError);
    expect(arena.used).toBe(0);
  });

  test('copies tensors and onnxruntime-like tensors, values and dtype', () => {
    const arena = createArena({ bytes: 4096 });
    const bits = tensor(Uint16Array.of(0x3c00, 0xfe00), [2], 'bfloat16');
    expect(arena.from(bits).dtype).toBe('bfloat16');
    expect([...arena.from(bits).data]).toEqual([0x3c00, 0xfe00]);
    const view = new Float32Array([9, 1, 2, 3]).subarray(1);
    const copy = arena.from({ data: view, dims: [3, 1], type: 'float32' } as TensorLike);
    expect([copy.shape, [...copy.data]]).toEqual([
      [3, 1],
      [1, 2, 3],
    ]);
    view[0] = 7;
    expect(copy.data[0]).toBe(1);
  });

  test('after reset, places are given out again', () => {
    const arena = createArena({ bytes: 256 });
    const first = arena.tensor('float32', [4]);
    arena.reset();
    expect(arena.used).toBe(0);
    expect(arena.tensor('float32', [4]).data.byteOffset).toBe(first.data.byteOffset);
  });

  test.each([0, -1, 1.5, NaN, Infinity, 2 ** 32])('refuses %s bytes', (bytes) => {
    expect(() => createArena({ bytes })).toThrow(RangeError);
  });

  test('kernels never detach its tensors, nor write beside the results', () => {
    const arena = createArena({ bytes: 2 ** 20 });
    const x = arena.tensor('float32', [50_000]);
    const guards = [arena.tensor('int8', [64]), arena.tensor('int8', [49_999]), arena.tensor('int8', [64])];
    const outside = new Float32Array(200_000).fill(1);
    x.data.fill(1);
    guards[0].data.fill(55);
    guards[2].data.fill(55);
    const grid = {
      scales: Float32Array.of(0.1),
      zeroPoints: Int32Array.of(0),
      quantMin: -128,
      quantMax: 127,
    };
    const layout = { rows: 1, cols: 49_999, params: 1, pattern: 'by-row', period: 1 } as const;
    const rule = { rounding: 'multiply-round-add', nan: 'zero-point', wrapAt: Infinity } as const;
    wasmKernels.quantize(x.data.subarray(1), guards[1].data, grid, layout, rule);
    wasmKernels.minMax(outside);
    expect(x.data.length).toBe(50_000);
    expect(guards[1].data.every((code) => code === 10)).toBe(true);
    expect([...guards[0].data, ...guards[2].data].every((value) => value === 55)).toBe(true);
  });
});
