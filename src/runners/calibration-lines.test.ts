import { describe, expect, it } from 'vitest';
import type { Tensor } from '../tensor/tensor.ts';
import { openCalibrationData } from './calibration-data.ts';
import type { CalibrationDataOptions, PassOptions } from './sample-set.ts';
import type { RunnerValue } from './types.ts';

const IDS: RunnerValue = { name: 'ids', dtype: 'int64', shape: ['N', 'T'] };
const X: RunnerValue = { name: 'x', dtype: 'float32', shape: ['N', 2, 2] };

const lines = (...values: readonly unknown[]): Uint8Array =>
  new TextEncoder().encode(
    values.map((value) => `${typeof value === 'string' ? value : JSON.stringify(value)}\n`).join(''),
  );

async function feedsOf(
  source: Uint8Array,
  inputs: readonly RunnerValue[],
  options?: CalibrationDataOptions,
  pass?: PassOptions,
): Promise<Record<string, Tensor>[]> {
  const data = await openCalibrationData(source, inputs, options);
  const batches: Record<string, Tensor>[] = [];
  for await (const feeds of data.batches(pass)) batches.push(feeds);
  return batches;
}

/** Shape and elements of one input, batch by batch. */
const show = (batches: readonly Record<string, Tensor>[], name: string): string[] =>
  batches.map(({ [name]: { shape, data } }) => `[${shape.join(', ')}] ${[...data].join(' ')}`);

describe('.jsonl', () => {
  it('gives a sample a line; int64 from integers', async () => {
    const batches = await feedsOf(lines({ ids: [1, 2] }, { ids: [3, 4] }, { ids: [5, -6] }), [IDS], {
      batchSize: 2,
    });
    expect(show(batches, 'ids')).toEqual(['[2, 2] 1 2 3 4', '[1, 2] 5 -6']);
    expect(batches[0].ids.data).toBeInstanceOf(BigInt64Array);
  });

  it('takes nested numbers, and a flat list where the axes of a sample are fixed', async () => {
    const nested = {
      x: [
        [1, 2],
        [3, 4.5],
      ],
    };
    const batches = await feedsOf(lines(nested, { x: [5, 6, 7, 8] }), [X]);
    expect(show(batches, 'x')).toEqual(['[2, 2, 2] 1 2 3 4.5 5 6 7 8']);
  });

  it('puts equal shapes together within a group of batchSize, in the order in which they appear', async () => {
    const source = lines(...[1, 2, 1, 2, 3, 1].map((length) => ({ ids: Array(length).fill(length) })));
    const batches = await feedsOf(source, [IDS], { batchSize: 4 });
    expect(show(batches, 'ids')).toEqual(['[2, 1] 1 1', '[2, 2] 2 2 2 2', '[1, 3] 3 3 3', '[1, 1] 1']);
  });

  it('runs a line alone that brings the axis of samples', async () => {
    const batches = await feedsOf(lines({ ids: [[1, 2]] }, { ids: [[3, 4]] }), [IDS]);
    expect(show(batches, 'ids')).toEqual(['[1, 2] 1 2', '[1, 2] 3 4']);
  });

  it('feeds several inputs, scalars and booleans among them', async () => {
    const inputs: RunnerValue[] = [
      IDS,
      { name: 'mask', dtype: 'bool', shape: ['N', 'T'] },
      { name: 'rate', dtype: 'float32', shape: ['N'] },
    ];
    const source = lines({ ids: [1], mask: [true], rate: 0.5 }, { rate: 2, mask: [0], ids: [7] });
    const [feeds] = await feedsOf(source, inputs);
    expect(Object.keys(feeds)).toEqual(['ids', 'mask', 'rate']);
    expect([...feeds.mask.data]).toEqual([1, 0]);
    expect([...feeds.rate.data]).toEqual([0.5, 2]);
  });

  it('may have blank lines, a byte order mark, CRLF, and no line feed at the end', async () => {
    const text = '\uFEFF{"ids": [1]}\r\n\r\n   \n{"ids": [2]}';
    expect(show(await feedsOf(new TextEncoder().encode(text), [IDS]), 'ids')).toEqual(['[2, 1] 1 2']);
  });

  it('takes the first samples, or with a seed others, without reading the rest', async () => {
    const good = Array.from({ length: 50 }, (_, i) => ({ ids: [i] }));
    const source = lines(...good);
    const first = await feedsOf(lines(...good, '{"ids": "bad"}'), [IDS], { samples: 3 });
    expect(show(first, 'ids')).toEqual(['[3, 1] 0 1 2']);
    const [drawn] = await feedsOf(source, [IDS], { samples: 5, seed: 3 });
    expect([...drawn.ids.data].map(Number)).toEqual(
      [...new Set([...drawn.ids.data].map(Number))].toSorted((a, b) => a - b),
    );
    expect([...drawn.ids.data]).not.toEqual([...first[0].ids.data]);
  });

  it('reads lines that lie across chunks of the file', async () => {
    const long = Array.from({ length: 300_000 }, (_, i) => i % 10);
    const batches = await feedsOf(lines({ ids: long }, { ids: [1, 2] }, { ids: long }), [IDS]);
    expect(batches.map(({ ids }) => ids.shape)).toEqual([
      [2, 300_000],
      [1, 2],
    ]);
    expect(Array.from(batches[0].ids.data.slice(299_990, 300_001), Number)).toEqual([
      0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0,
    ]);
  });
});

describe('a bad line is refused with its number and input', () => {
  const good = { ids: [1, 2] };
  it.each([
    ['no JSON', '{"ids": [1,', 'FORMAT_INVALID', /bytes: line 2: expected a JSON object, got .*JSON/],
    ['NaN', '{"ids": [NaN]}', 'FORMAT_INVALID', /line 2: expected a JSON object, got .*/],
    ['an array', '[1, 2]', 'FORMAT_INVALID', /line 2: expected a JSON object, got an array/],
    [
      'arrays 5,000 deep',
      `{"ids": [1, ${'['.repeat(5000)}${']'.repeat(5000)}]}`,
      'FORMAT_LIMIT',
      /bytes: line 2: input 'ids': expected arrays nested at most 64 deep, got deeper ones/,
    ],
    ['another name', { id: [1] }, 'CALIBRATION_INPUT', /line 2: expected inputs 'ids', got 'id'/],
    [
      'one name too many',
      { ids: [1], y: [1] },
      'CALIBRATION_INPUT',
      /line 2: expected inputs 'ids', got 'ids', 'y'/,
    ],
    ['text', { ids: ['a'] }, 'CALIBRATION_INPUT', /line 2: input 'ids': expected numbers, got string/],
    ['null', { ids: [null] }, 'CALIBRATION_INPUT', /line 2: input 'ids': expected numbers, got object/],
    [
      'ragged nesting',
      { ids: [[1, 2], [3]] },
      'CALIBRATION_INPUT',
      /line 2: input 'ids': expected arrays of equal length/,
    ],
    [
      'a fraction',
      { ids: [1.5] },
      'CALIBRATION_INPUT',
      /input 'ids': expected values that int64 can hold, got 1.5 at element 0/,
    ],
    [
      'a number beyond 2^53',
      '{"ids": [1, 9007199254740993]}',
      'CALIBRATION_INPUT',
      /can hold, got 9007199254740992 at element 1/,
    ],
    [
      'too many axes',
      { ids: [[[1]]] },
      'CALIBRATION_INPUT',
      /expected one sample of int64 \[N, T\], got \[1, 1, 1\]/,
    ],
  ])('%s', async (_, bad, code, message) => {
    const refused = feedsOf(lines(good, bad), [IDS]);
    await expect(refused).rejects.toThrow(message);
    await expect(refused).rejects.toMatchObject({ code });
  });

  it('when the file is opened, if it is the first', async () => {
    await expect(openCalibrationData(lines({ ids: 'x' }), [IDS])).rejects.toThrow(/line 1/);
  });

  it('if a size is another one than the fixed', async () => {
    await expect(feedsOf(lines({ x: [1, 2, 3] }), [X])).rejects.toThrow(
      "line 1: input 'x': expected one sample of float32 [N, 2, 2], got [3]",
    );
  });

  it('if the model takes several samples at a time and their shapes differ', async () => {
    const fixed: RunnerValue = { ...IDS, shape: [2, 'T'] };
    await expect(feedsOf(lines({ ids: [1] }, { ids: [1, 2] }), [fixed])).rejects.toThrow(
      /expected equal shapes in lines 1 to 2/,
    );
  });

  it('if it is longer than 64 MiB', async () => {
    const endless = new Uint8Array(66 * 1_048_576 + 8).fill(0x20);
    endless[0] = 0x7b;
    await expect(openCalibrationData(endless, [IDS])).rejects.toMatchObject({ code: 'FORMAT_LIMIT' });
  });
});

describe('shards and later starts', () => {
  const source = lines(
    ...[1, 2, 1, 1, 2, 2, 1, 2, 1, 1].map((length, i) => ({ ids: Array(length).fill(i) })),
  );

  it.each([2, 3])('%i shards together run the batches of the whole', async (count) => {
    const whole = show(await feedsOf(source, [IDS], { batchSize: 3 }), 'ids');
    const parts: string[] = [];
    let samples = 0;
    for (let index = 1; index <= count; index++) {
      const options = { batchSize: 3, shard: { index, count } };
      samples += (await openCalibrationData(source, [IDS], options)).samples;
      parts.push(...show(await feedsOf(source, [IDS], options), 'ids'));
    }
    expect(parts.toSorted()).toEqual(whole.toSorted());
    expect(samples).toBe(10);
  });

  it('skip leaves out the batches that were run', async () => {
    const whole = show(await feedsOf(source, [IDS], { batchSize: 3 }), 'ids');
    for (let skip = 0; skip <= whole.length; skip++) {
      expect(show(await feedsOf(source, [IDS], { batchSize: 3 }, { skip }), 'ids')).toEqual(
        whole.slice(skip),
      );
    }
  });

  it('a shard without a batch is refused, and one that is none', async () => {
    const open = (index: number, count: number): Promise<unknown> =>
      openCalibrationData(source, [IDS], { shard: { index, count } });
    await expect(open(2, 2)).rejects.toMatchObject({ code: 'CALIBRATION_EMPTY' });
    await expect(open(0, 2)).rejects.toThrow(RangeError);
    await expect(open(3, 2)).rejects.toThrow(RangeError);
  });
});
