import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { strToU8, zipSync } from 'fflate';
import { describe, expect, it, test } from 'vitest';
import { QuantError, Tensor, tensor } from 'zeropoint';
import { encodeNpy, openNpy, openNpz, type NpyArray, type NpzFile } from 'zeropoint/onnx';

const path = (name: string): string => fileURLToPath(new URL(`fixtures/onnx/npy/${name}`, import.meta.url));
const bytesOf = (name: string): Uint8Array<ArrayBuffer> => new Uint8Array(readFileSync(path(name)));

/** What NumPy says that the arrays hold. */
const expected = JSON.parse(readFileSync(path('arrays.json'), 'utf8')) as Record<
  string,
  { dtype: string; shape: number[]; hex: string }
>;

const hex = (t: Tensor): string =>
  Buffer.from(t.data.buffer, t.data.byteOffset, t.data.byteLength).toString('hex');

/** Joins batches along the first axis. */
async function joined(file: NpzFile, name: string, size: number): Promise<string> {
  let text = '';
  for await (const batch of (await file.array(name)).batches(size)) text += hex(batch);
  return text;
}

/** Where the directory of an archive without a comment begins. */
const directoryOf = (bytes: Uint8Array): number =>
  new DataView(bytes.buffer, bytes.byteOffset).getUint32(bytes.length - 6, true);

describe.each(['stored.npz', 'packed.npz'])('%s', (archive) => {
  it('lists the arrays in the order of the file', async () => {
    expect((await openNpz(path(archive))).names).toEqual(Object.keys(expected));
  });

  it.each(Object.keys(expected))('%s: type, shape and bits are those of NumPy', async (name) => {
    const array = await (await openNpz(path(archive))).array(name);
    const want = expected[name];
    expect({ name: array.name, dtype: array.dtype, shape: array.shape }).toEqual({
      name,
      dtype: want.dtype,
      shape: want.shape,
    });
    expect(hex(await array.load())).toBe(want.hex);
  });

  it('batches of any size join to the whole, also in Fortran order and of big-endian numbers', async () => {
    const file = await openNpz(bytesOf(archive));
    for (const name of ['fortran', 'fortran_big', 'big_f4', 'little_i8', 'vector', 'b1', 'empty']) {
      for (const size of [1, 2, 3, 100]) expect(await joined(file, name, size)).toBe(expected[name].hex);
    }
  });

  it('rows can be read in any order, and by several readers at once', async () => {
    const file = await openNpz(bytesOf(archive));
    const array = await file.array('little_i4');
    const [last, first, middle] = await Promise.all([array.rows(2, 1), array.rows(0, 1), array.rows(1, 1)]);
    expect(hex(first) + hex(middle) + hex(last)).toBe(expected.little_i4.hex);
    expect((await array.rows(3, 0)).shape).toEqual([0, 4]);
  });

  it('refuses rows outside the array, batches of none, and batches of a scalar', async () => {
    const file = await openNpz(bytesOf(archive));
    const array = await file.array('little_i4');
    for (const [start, count] of [
      [0, 4],
      [-1, 1],
      [1.5, 1],
      [0, -1],
    ]) {
      await expect(array.rows(start, count)).rejects.toThrow(RangeError);
    }
    await expect(array.batches(0).next()).rejects.toThrow(RangeError);
    await expect((await file.array('scalar')).batches(1).next()).rejects.toThrow(
      /expected an array with an axis/,
    );
  });

  it('an array that is not there is named, with those that are', async () => {
    const file = await openNpz(bytesOf(archive));
    await expect(file.array('labels')).rejects.toMatchObject({
      name: 'FormatError',
      code: 'NPY_INVALID',
      message: expect.stringContaining('array "labels": expected one of little_f2, little_f4'),
    });
  });
});

test('archives with zip64 fields', async () => {
  const file = await openNpz(path('zip64.npz'));
  for (const name of ['vector', 'little_f4']) {
    expect(hex(await (await file.array(name)).load())).toBe(expected[name].hex);
  }
});

test.each([1, 2, 3])('.npy of version %i', async (version) => {
  const array = await openNpy(path(`version${version}.npy`));
  expect(hex(await array.load())).toBe(expected.little_f4.hex);
});

describe('encodeNpy', () => {
  it('gives the bytes that NumPy gives', () => {
    const data = new Float32Array(Uint8Array.from(Buffer.from(expected.little_f4.hex, 'hex')).buffer);
    expect(encodeNpy(tensor(data, [3, 4]))).toEqual(bytesOf('version1.npy'));
  });

  it('is read back, for every dtype that NumPy has, and shapes without and with many axes', async () => {
    const file = await openNpz(path('stored.npz'));
    for (const name of file.names) {
      const original = await (await file.array(name)).load();
      expect(await (await openNpy(encodeNpy(original))).load()).toEqual(original);
    }
    const deep = tensor(new Int8Array(24), [1, 2, 3, 4, 1]);
    expect(await (await openNpy(encodeNpy(deep))).load()).toEqual(deep);
  });

  it('refuses dtypes that NumPy has not', () => {
    expect(() => encodeNpy(new Tensor('bfloat16', [1], new Uint16Array(1)))).toThrow(/bfloat16/);
    expect(() => encodeNpy(new Tensor('int4', [2], new Uint8Array(1)))).toThrow(/int4/);
  });
});

describe('refused, with file and array in the text', () => {
  it.each([
    ['text.npy', /text.npy: expected numbers or bools, got type '<U1'/],
    ['object.npy', /got type '\|O'/],
    ['complex.npy', /got type '<c8'/],
    ['record.npy', /expected numbers or bools/],
  ])('%s', async (name, message) => {
    await expect(openNpy(path(name))).rejects.toMatchObject({ name: 'FormatError', code: 'NPY_INVALID' });
    await expect(openNpy(path(name))).rejects.toThrow(message);
  });

  it.each<[string, Uint8Array]>([
    ['no bytes', new Uint8Array(0)],
    ['other bytes', strToU8('hello world, hello world')],
    ['version 9', Uint8Array.of(0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 9, 0, 0, 0, 0, 0)],
    ['a header without end', Uint8Array.of(0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, 255, 255, 0, 0)],
    ['a huge header', Uint8Array.of(0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 2, 0, 255, 255, 255, 255)],
  ])('%s', async (_name, bytes) => {
    await expect(openNpy(bytes)).rejects.toMatchObject({ name: 'FormatError', code: 'NPY_INVALID' });
    await expect(openNpz(bytes)).rejects.toMatchObject({ name: 'FormatError', code: 'NPY_INVALID' });
  });

  it.each([
    [
      "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 99999999999), }",
      /fewer elements than memory/,
    ],
    [
      "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }",
      /expected 8 bytes of data for shape \(2\), got 4/,
    ],
    ["{'descr': '<f4', 'fortran_order': False, 'shape': (), 'x': 0}          ", /^$/],
    ["{'descr': '<f4', 'fortran_order': False}", /expected a header with descr, fortran_order and shape/],
    ['not a dict', /expected a header with/],
  ])('header %s', async (text, message) => {
    const bytes = new Uint8Array(10 + text.length + 4);
    bytes.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, text.length & 255, text.length >> 8]);
    bytes.set(strToU8(text), 10);
    if (message.source === '^$') expect((await openNpy(bytes)).shape).toEqual([]);
    else await expect(openNpy(bytes)).rejects.toThrow(message);
  });

  it('files that are cut at any offset, or have any byte changed, end in a QuantError or in arrays', async () => {
    let refused = 0;
    for (const name of ['zip64.npz', 'packed.npz', 'version2.npy']) {
      const whole = bytesOf(name).subarray(0, name === 'packed.npz' ? undefined : 4096);
      for (let at = 0; at < whole.length; at += name === 'packed.npz' ? 7 : 1) {
        const changed = whole.slice();
        changed[at] ^= 0x41;
        for (const bytes of [whole.subarray(0, at), changed]) refused += (await readAll(name, bytes)) ? 0 : 1;
      }
    }
    expect(refused).toBeGreaterThan(2000);
  });

  it.each([0, 6] as const)('an array whose bytes are not those of its CRC-32, at level %i', async (level) => {
    const values = Float32Array.from({ length: 5000 }, (_, i) => i);
    const bytes = zipSync({ 'a.npy': encodeNpy(tensor(values)) }, { level });
    if (level === 0) bytes[10_000] ^= 1;
    else bytes[directoryOf(bytes) + 16] ^= 1;
    const opened = async (): Promise<NpyArray> => (await openNpz(bytes)).array('a');
    const array = await opened();
    const pass = async (): Promise<void> => {
      for await (const batch of array.batches(999)) expect(batch.size).toBeGreaterThan(0);
    };
    const few = async (): Promise<unknown> => (await opened()).rows(10, 1);
    const whole = async (): Promise<unknown> => (await opened()).load();
    const message = /a\.npy: expected CRC-32 0x[0-9a-f]{8}, got 0x[0-9a-f]{8}/;
    for (const read of [few, whole, pass, () => array.load(), () => array.rows(10, 1)]) {
      await expect(read()).rejects.toMatchObject({
        code: 'NPY_INVALID',
        message: expect.stringMatching(message),
      });
    }
  });

  it('of an array above 64 MiB, one whose bytes are not those of its CRC-32 when all of it is read', async () => {
    const bytes = zipSync(
      { 'a.npy': encodeNpy(tensor(new Uint8Array(2 ** 26), [64, 2 ** 20])) },
      { level: 1 },
    );
    bytes[directoryOf(bytes) + 16] ^= 1;
    const array = await (await openNpz(bytes)).array('a');
    expect((await array.rows(1, 1)).shape).toEqual([1, 2 ** 20]);
    const pass = async (): Promise<void> => {
      for await (const batch of array.batches(16)) expect(batch.size).toBeGreaterThan(0);
    };
    await expect(pass()).rejects.toThrow(/a\.npy: expected CRC-32/);
  });

  it('a sample of more than 1 GiB, before memory is taken', async () => {
    const row = 300_000_000;
    const text = `{'descr': '<f4', 'fortran_order': False, 'shape': (2, ${row}), }`.padEnd(117) + '\n';
    const header = Uint8Array.of(0x93, ...Buffer.from('NUMPY'), 1, 0, text.length, 0, ...Buffer.from(text));
    const array = await openNpy({
      size: header.length + 8 * row,
      read: (offset, length) => Promise.resolve(header.slice(offset, offset + length)),
    });
    expect(array.shape).toEqual([2, row]);
    const refused = /expected at most 1073741824 bytes to hold at once, got 1200000000/;
    await expect(array.rows(1, 1)).rejects.toThrow(refused);
    await expect(array.load()).rejects.toMatchObject({ code: 'NPY_INVALID' });
  });

  it('an archive that claims more than deflate can hold', async () => {
    const bytes = zipSync({ 'a.npy': encodeNpy(tensor(new Float32Array(1000))) });
    const view = new DataView(bytes.buffer);
    const entry = bytes.length - 22 - view.getUint32(bytes.length - 22 + 12, true);
    view.setUint32(entry + 24, 0xfffffff0, true);
    await expect(openNpz(bytes)).rejects.toThrow(/a.npy: expected sizes that can be/);
  });

  it('an archive with a name twice, and one that is encrypted', async () => {
    const bytes = zipSync({ 'a.npy': new Uint8Array(5), 'b.npy': new Uint8Array(5) });
    const text = Buffer.from(bytes).toString('latin1');
    const twice = new Uint8Array(Buffer.from(text.replaceAll('b.npy', 'a.npy'), 'latin1'));
    await expect(openNpz(twice)).rejects.toThrow(/expected each name once, got a.npy twice/);
    const view = new DataView(bytes.buffer);
    const entry = bytes.length - 22 - view.getUint32(bytes.length - 22 + 12, true);
    view.setUint16(entry + 8, 1, true);
    await expect(openNpz(bytes)).rejects.toThrow(/expected a plain file, got an encrypted one/);
  });
});

/** True if every array could be read; any error but a QuantError is thrown. */
async function readAll(name: string, bytes: Uint8Array): Promise<boolean> {
  try {
    if (name.endsWith('.npy')) await (await openNpy(bytes)).load();
    else {
      const file = await openNpz(bytes);
      for (const array of file.names) await (await file.array(array)).load();
    }
    return true;
  } catch (error) {
    if (!(error instanceof QuantError)) throw error;
    return false;
  }
}

test('memory of batches from a packed archive is that of a batch, not of the array', async () => {
  const rows = 4000;
  const values = new Float32Array(rows * 1000).map((_, i) => i % 251);
  const npz = zipSync({ 'x.npy': encodeNpy(tensor(values, [rows, 1000])) }, { level: 1 });
  const reads: number[] = [];
  const file = await openNpz({
    size: npz.length,
    read: (offset, length) => {
      reads.push(length);
      return Promise.resolve(npz.subarray(offset, offset + length));
    },
  });
  const array = await file.array('x');
  let count = 0;
  for await (const batch of array.batches(64)) {
    expect(batch.data[1]).toBe((count * 1000 + 1) % 251);
    count += batch.shape[0];
  }
  expect(count).toBe(rows);
  // Compressed input is read a window at a time: to verify it, and to give it.
  expect(Math.max(...reads)).toBeLessThanOrEqual(65_557);
  expect(reads.reduce((sum, length) => sum + length, 0)).toBeLessThan(npz.length + 300_000);
});
