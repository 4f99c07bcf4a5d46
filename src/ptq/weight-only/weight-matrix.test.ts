import { describe, expect, it } from 'vitest';
import { buildModel } from '../../graph/build.ts';
import type { TensorSource } from '../../graph/tensor-source.ts';
import { bytesOf, memorySource } from '../../graph/tensor-source.ts';
import { readModel } from '../../formats/onnx/read-model.ts';
import { writeModel } from '../../formats/onnx/write-model.ts';
import { MemorySink } from '../../formats/sink.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { quantizeBlocks, type BlockSpec } from './block-weight.ts';
import { readTiles, type TileOptions, type WeightMatrix } from './weight-matrix.ts';

/** Wide enough for several tiles of 2^21 elements. */
const ROWS = 3000;
const COLS = 2100;

/** Element [row, col] is row·COLS + col: exact in float32. */
const byRows = Float32Array.from({ length: ROWS * COLS }, (_, i) => i);
const byColumns = Float32Array.from(
  { length: ROWS * COLS },
  (_, i) => (i % ROWS) * COLS + Math.floor(i / ROWS),
);

/** A source that is read in pieces, at odd addresses. */
function pieces(data: Float32Array, asked: number[]): TensorSource {
  const bytes = bytesOf(data);
  return {
    elementType: 'float32',
    shape: [data.length],
    byteLength: bytes.length,
    where: 'test',
    load: () => Promise.reject(new Error('loaded as a whole')),
    read(offset, length) {
      asked.push(length);
      const odd = new Uint8Array(length + 1);
      odd.set(bytes.subarray(offset, offset + length), 1);
      return Promise.resolve(odd.subarray(1));
    },
  };
}

function matrix(order: WeightMatrix['order'], asked: number[] = []): WeightMatrix {
  const source = pieces(order === 'rows' ? byRows : byColumns, asked);
  return { name: 'w', source, rows: ROWS, cols: COLS, order };
}

/** In bits; vitest's own comparison takes a minute for arrays of this size. */
function isEqual(a: Float32Array | Uint8Array, b: Float32Array | Uint8Array): boolean {
  return Buffer.compare(bytesOf(a), bytesOf(b)) === 0;
}

async function assembled(weight: WeightMatrix, options: TileOptions): Promise<Float32Array> {
  const all = new Float32Array(ROWS * COLS);
  for await (const { row, rows, col, cols, data } of readTiles(weight, options)) {
    expect(row % (options.rowStep ?? 1)).toBe(0);
    expect(col % (options.colStep ?? 1)).toBe(0);
    for (let r = 0; r < rows; r++) {
      all.set(data.subarray(r * cols, (r + 1) * cols), (row + r) * COLS + col);
    }
  }
  return all;
}

describe('readTiles', () => {
  it.each([
    ['rows', {}],
    ['rows', { colStep: 32 }],
    ['rows', { rowStep: 64 }],
    ['columns', {}],
    ['columns', { colStep: 32 }],
    ['columns', { colStep: 256 }],
    ['columns', { rowStep: 64 }],
  ] as const)('stored by %s, %j: tiles make up the matrix', async (order, options) => {
    expect(isEqual(await assembled(matrix(order), options), byRows)).toBe(true);
  });

  it('reads at most 8 MiB at a time, in either order', async () => {
    for (const order of ['rows', 'columns'] as const) {
      const asked: number[] = [];
      await assembled(matrix(order, asked), { colStep: 32 });
      expect(Math.max(...asked)).toBeLessThanOrEqual(8 * 2 ** 20);
      expect(asked.reduce((a, b) => a + b)).toBe(4 * ROWS * COLS);
    }
  });

  it('two matrices at once, from sources that fill the memory they are lent, after one that was left early', async () => {
    const lending = (order: WeightMatrix['order'], scale: number): WeightMatrix => {
      const bytes = bytesOf((order === 'rows' ? byRows : byColumns).map((value) => value * scale));
      const source: TensorSource = {
        ...pieces(byRows, []),
        async read(offset, length, into = new Uint8Array(length)) {
          // Slower than the consumer, so that a read is under way when the next tile is wanted.
          await new Promise((resolve) => setTimeout(resolve, 2));
          into.set(bytes.subarray(offset, offset + length));
          return into;
        },
      };
      return { name: 'w', source, rows: ROWS, cols: COLS, order };
    };
    for await (const tile of readTiles(lending('rows', -3))) {
      expect(tile.data[1]).toBe(-3);
      break;
    }
    const [a, b] = await Promise.all([
      assembled(lending('rows', -1), {}),
      assembled(lending('columns', 2), { colStep: 32 }),
    ]);
    expect(
      isEqual(
        a,
        byRows.map((value) => -value),
      ),
    ).toBe(true);
    expect(
      isEqual(
        b,
        byRows.map((value) => value * 2),
      ),
    ).toBe(true);
  });

  it('reads elements that lie in float_data', async () => {
    const values = Float32Array.from({ length: 12 }, (_, i) => i / 3);
    const model = buildModel((b) =>
      b.output(b.op('Relu', [b.constant('w', new Tensor('float32', [3, 4], values))])),
    );
    const sink = new MemorySink();
    await writeModel(model, sink);
    const source = (await readModel(inFloatData(sink.bytes, values))).graph.value('w')
      ?.initializer as TensorSource;
    expect(source.tensor).toBeUndefined();
    const tiles: Float32Array[] = [];
    for await (const { data } of readTiles({ name: 'w', source, rows: 3, cols: 4, order: 'rows' })) {
      tiles.push(data.slice());
    }
    expect(tiles).toEqual([values]);
  });
});

/** raw_data (field 9) → float_data (field 4, packed): same wire type, so one byte of the tag changes. */
function inFloatData(model: Uint8Array, values: Float32Array): Uint8Array {
  const raw = Buffer.from(bytesOf(values));
  const at = Buffer.from(model).indexOf(raw);
  const changed = model.slice();
  expect(changed[at - 2]).toBe((9 << 3) | 2);
  changed[at - 2] = (4 << 3) | 2;
  return changed;
}

describe('quantizeBlocks', () => {
  const noise = Float32Array.from({ length: ROWS * COLS }, (_, i) =>
    Math.fround(Math.sin(i) * (1 + (i % 7))),
  );
  const turned = Float32Array.from(
    { length: ROWS * COLS },
    (_, i) => noise[(i % ROWS) * COLS + Math.floor(i / ROWS)],
  );

  it.each<BlockSpec>([
    { bits: 4, blockSize: 32, symmetric: false, algorithm: 'rtn' },
    { bits: 8, blockSize: 64, symmetric: true, algorithm: 'rtn' },
    { bits: 2, blockSize: 16, symmetric: false, algorithm: 'rtn' },
    { bits: 4, blockSize: 32, symmetric: true, algorithm: 'mse' },
  ])('%j: the same blocks from either order, in tiles and in bands', async (spec) => {
    const weight = (data: Float32Array, order: WeightMatrix['order']): WeightMatrix => ({
      name: 'w',
      source: memorySource(new Tensor('float32', [data.length], data)),
      rows: ROWS,
      cols: COLS,
      order,
    });
    const fromRows = await quantizeBlocks(weight(noise, 'rows'), spec);
    const fromColumns = await quantizeBlocks(weight(turned, 'columns'), spec);
    for (const part of ['codes', 'scales', 'zeroPoints'] as const) {
      expect(isEqual(fromColumns[part], fromRows[part])).toBe(true);
    }
    expect(fromRows.scales.some((scale) => scale === 0)).toBe(false);
  });
});
