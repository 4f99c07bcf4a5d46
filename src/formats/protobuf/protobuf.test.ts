import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeMessage } from './reader.ts';
import { schema, type Schema, type Span, type WireRecord } from './schema.ts';
import { encodeMessage } from './writer.ts';

interface Item extends WireRecord {
  text?: string;
  bytes?: Uint8Array;
  int?: number;
  wide?: bigint;
  bits?: number;
  ints?: number[];
  wides?: bigint[];
  list?: number[];
  inner?: Item;
  items?: Item[];
  span?: Span;
  spans?: Span[];
  strings?: Span[];
}

const ITEM: Schema<Item> = schema('Item', {
  1: { key: 'text', type: 'string' },
  2: { key: 'bytes', type: 'bytes' },
  3: { key: 'int', type: 'int' },
  4: { key: 'wide', type: 'int64' },
  5: { key: 'bits', type: 'fixed32' },
  6: { key: 'ints', type: 'int', repeated: true },
  7: { key: 'list', type: 'fixed32', repeated: true },
  8: { key: 'inner', type: 'message', of: () => ITEM },
  9: { key: 'items', type: 'message', repeated: true, of: () => ITEM },
  10: { key: 'span', type: 'span' },
  11: { key: 'spans', type: 'span', repeated: true },
  12: { key: 'wides', type: 'int64', repeated: true },
  300: { key: 'strings', type: 'spans', repeated: true },
});

/** All bytes of an encoded record, spans read. */
async function bytesOf(record: Item): Promise<Uint8Array> {
  const { pieces, length } = encodeMessage(ITEM, record);
  const whole = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece instanceof Uint8Array ? piece : await piece.source.read(piece.offset, piece.length), at);
    at += piece.length;
  }
  return whole;
}

const decode = (bytes: ArrayLike<number>): Item => decodeMessage(ITEM, Uint8Array.from(bytes), 'test');

describe('golden bytes of the encoding guide', () => {
  it.each<[string, Item, number[]]>([
    ['150 is 96 01', { int: 150 }, [0x18, 0x96, 0x01]],
    ['-2 takes ten bytes', { int: -2 }, [0x18, 0xfe, ...Array<number>(8).fill(0xff), 0x01]],
    ['-1 as int64', { wide: -1n }, [0x20, ...Array<number>(9).fill(0xff), 0x01]],
    ['2^63 - 1', { wide: 2n ** 63n - 1n }, [0x20, ...Array<number>(8).fill(0xff), 0x7f]],
    ['text', { text: 'testing' }, [0x0a, 7, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6e, 0x67]],
    ['text that is not ASCII', { text: 'é中' }, [0x0a, 5, 0xc3, 0xa9, 0xe4, 0xb8, 0xad]],
    ['32 bits, little-endian', { bits: 0x7fc00001 }, [0x2d, 0x01, 0x00, 0xc0, 0x7f]],
    ['unpacked list', { ints: [3, 270] }, [0x30, 3, 0x30, 0x8e, 0x02]],
    ['packed list', { ints: [3, 270, 86942], packed: [6] }, [0x32, 6, 3, 0x8e, 2, 0x9e, 0xa7, 5]],
    ['empty message', { inner: {} }, [0x42, 0]],
    ['message in a message', { inner: { inner: { int: 1 } } }, [0x42, 4, 0x42, 2, 0x18, 1]],
    ['presence of empty text', { text: '' }, [0x0a, 0]],
  ])('%s', async (_name, record, bytes) => {
    expect([...(await bytesOf(record))]).toEqual(bytes);
    expect(decode(bytes)).toEqual(record);
  });
});

describe('what a schema does not say', () => {
  it('unknown fields of every wire type come back in their places', async () => {
    const bytes = [
      0x0a, 1, 65, 0x90, 3, 7, 0xa1, 3, 1, 2, 3, 4, 5, 6, 7, 8, 0xad, 3, 1, 2, 3, 4, 0xb2, 3, 1, 9,
    ];
    const record = decode(bytes);
    expect(record.rest?.map((field) => field.number)).toEqual([50, 52, 53, 54]);
    expect([...(await bytesOf(record))]).toEqual(bytes);
  });

  it('order is kept where it is unusual; what is added goes behind its like, or to the end', async () => {
    const bytes = [0x18, 5, 0x30, 1, 0x0a, 1, 65, 0x30, 2];
    const record = decode(bytes);
    expect(record.order).toEqual([3, 6, 1, 6]);
    expect([...(await bytesOf(record))]).toEqual(bytes);
    record.ints?.push(9);
    record.wide = 8n;
    expect([...(await bytesOf(record))]).toEqual([...bytes, 0x30, 9, 0x20, 8]);
    record.ints = [];
    expect([...(await bytesOf(record))]).toEqual([0x18, 5, 0x0a, 1, 65, 0x20, 8]);
  });

  it('packed and unpacked elements are located, with their tags where they have some', async () => {
    const bytes = [0x5a, 2, 1, 2, 0x58, 3, 0x58, 4, 0x5a, 0, 0xe2, 0x12, 1, 65, 0xe2, 0x12, 0];
    const record = decode(bytes);
    expect(record.spans?.map(({ offset, length, verbatim }) => [offset, length, verbatim])).toEqual([
      [2, 2, undefined],
      [4, 4, true],
      [10, 0, undefined],
    ]);
    expect(record.strings?.map(({ offset, length }) => [offset, length])).toEqual([[10, 7]]);
    expect([...(await bytesOf(record))]).toEqual(bytes);
  });
});

const item: fc.Arbitrary<Item> = fc.letrec<{ item: Item }>((tie) => ({
  item: fc.record(
    {
      text: fc.string({ unit: 'binary' }),
      bytes: fc.uint8Array(),
      int: fc.maxSafeInteger(),
      wide: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      bits: fc.nat(0xffffffff),
      ints: fc.array(fc.maxSafeInteger(), { minLength: 1 }),
      wides: fc.array(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), { minLength: 1 }),
      list: fc.array(fc.nat(0xffffffff), { minLength: 1 }),
      inner: fc.oneof({ maxDepth: 3 }, fc.constant({}), tie('item')),
      items: fc.array(fc.oneof({ maxDepth: 3 }, fc.constant({}), tie('item')), {
        minLength: 1,
        maxLength: 3,
      }),
      packed: fc.constantFrom([6], [7], [12], [6, 7, 12]),
    },
    { requiredKeys: [] },
  ),
})).item;

/** `packed` names only lists that are there, as a reader says it. */
function tidy({ packed, inner, items, ...rest }: Item): Item {
  const lists: Readonly<Record<number, unknown>> = { 6: rest.ints, 7: rest.list, 12: rest.wides };
  const real = packed?.filter((number) => lists[number] !== undefined) ?? [];
  return {
    ...rest,
    ...(inner === undefined ? {} : { inner: tidy(inner) }),
    ...(items === undefined ? {} : { items: items.map(tidy) }),
    ...(real.length === 0 ? {} : { packed: real }),
  };
}

it('decode(encode(x)) equals x, and encode(decode(bytes)) equals bytes', async () => {
  const property = fc.asyncProperty(item, async (record) => {
    const tidied = tidy(record);
    const bytes = await bytesOf(tidied);
    const again = decode(bytes);
    expect(again).toEqual(tidied);
    expect(await bytesOf(again)).toEqual(bytes);
  });
  await fc.assert(property, { seed: 11, numRuns: 300 });
});
