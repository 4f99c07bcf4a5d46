import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, toBinary } from '@bufbuild/protobuf';
import { ModelProtoSchema } from 'onnx-buf';
import { describe, expect, it, onTestFinished, test } from 'vitest';
import { tensor } from 'zeropoint';
import { buildModel, MemorySink, readModel, writeModel, type Model, type TensorSource } from 'zeropoint/onnx';
import { fixture, fixturePath } from './support/onnx-fixtures.ts';

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'zeropoint-external-'));
  onTestFinished(() => rmSync(path, { recursive: true }));
  return path;
}

/** A model whose float32 tensors of two elements lie where `entries` say. */
function modelBytes(...entries: readonly Readonly<Record<string, string>>[]): Uint8Array {
  const initializer = entries.map((entry, index) => ({
    name: `w${index}`,
    dims: [2n],
    dataType: 1,
    dataLocation: 1,
    externalData: Object.entries(entry).map(([key, value]) => ({ key, value })),
  }));
  const graph = { initializer };
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, { irVersion: 8n, opsetImport: [{ version: 17n }], graph }),
  );
}

/** Puts a model into a folder beside `data.bin` of 32 bytes and reads it. */
async function readBeside(
  path: string,
  ...entries: readonly Readonly<Record<string, string>>[]
): Promise<Model> {
  writeFileSync(join(path, 'model.onnx'), modelBytes(...entries));
  writeFileSync(join(path, 'data.bin'), new Uint8Array(new Float32Array([0, 1, 2, 3, 4, 5, 6, 7]).buffer));
  return readModel(join(path, 'model.onnx'));
}

const values = async (source: TensorSource | undefined) => [...((await source?.load())?.data ?? [])];

describe('reading', () => {
  it('takes what location, offset and length say; absent ones mean the start and the size of the tensor', async () => {
    const { graph } = await readBeside(
      folder(),
      { location: 'data.bin', offset: '8', length: '8' },
      { location: 'data.bin', offset: '24' },
      { location: './data.bin' },
    );
    expect(await values(graph.value('w0')?.initializer)).toEqual([2, 3]);
    expect(await values(graph.value('w1')?.initializer)).toEqual([6, 7]);
    expect(await values(graph.value('w2')?.initializer)).toEqual([0, 1]);
  });

  it('loads what Python wrote; tied weights share a place', async () => {
    const { graph } = await readModel(fixturePath('external.onnx'));
    const [w, tied] = [graph.value('w'), graph.value('tied')].map((value) => value?.initializer);
    expect(w?.where).toBe('external.bin');
    expect(await values(tied)).toEqual(await values(w));
    expect(await values(w)).toEqual(
      await values((await readModel(fixturePath('external.onnx'))).graph.value('w')?.initializer),
    );
  });

  it('finds files that the caller gives, by location or by function', async () => {
    const bytes = modelBytes({ location: 'a/b.bin' });
    const data = new Uint8Array(Float32Array.of(5, 6).buffer);
    for (const externalData of [{ 'a/b.bin': data }, () => data, () => Promise.resolve(new Blob([data]))]) {
      const { graph } = await readModel(bytes, { externalData });
      expect(await values(graph.value('w0')?.initializer)).toEqual([5, 6]);
    }
  });

  it.each<[string, Record<string, string>, object, RegExp]>([
    [
      'missing',
      { location: 'gone.bin' },
      { code: 'EXTERNAL_DATA_MISSING' },
      /external data in "gone.bin", got no such file/,
    ],
    [
      'too short',
      { location: 'data.bin', offset: '28' },
      { code: 'EXTERNAL_DATA_TRUNCATED' },
      /8 bytes at offset 28 of data.bin, got 32/,
    ],
    [
      "length that is not the tensor's",
      { location: 'data.bin', length: '4' },
      { code: 'FORMAT_INVALID' },
      /expected 8 bytes for float32\[2\], got 4/,
    ],
    [
      'negative offset',
      { location: 'data.bin', offset: '-8' },
      { code: 'FORMAT_INVALID' },
      /offset of external data as a whole number of at least 0, got "-8"/,
    ],
    [
      'offset that is no number',
      { location: 'data.bin', offset: '0x8' },
      { code: 'FORMAT_INVALID' },
      /got "0x8"/,
    ],
    [
      'huge offset',
      { location: 'data.bin', offset: '9'.repeat(30) },
      { code: 'FORMAT_INVALID' },
      /whole number/,
    ],
    ['no location', { offset: '0' }, { code: 'FORMAT_INVALID' }, /to have a location, got none/],
    ['a folder', { location: 'folder' }, { code: 'FORMAT_NOT_A_FILE' }, /got a folder/],
  ])('%s', async (_name, entry, error, message) => {
    const path = folder();
    mkdirSync(join(path, 'folder'));
    const failure = readBeside(path, entry);
    await expect(failure).rejects.toMatchObject({ name: 'FormatError', ...error });
    await expect(failure).rejects.toThrow(message);
  });

  it('refuses tensors that overlap', async () => {
    const failure = readBeside(
      folder(),
      { location: 'data.bin', offset: '0' },
      { location: 'data.bin', offset: '4' },
    );
    await expect(failure).rejects.toMatchObject({
      code: 'FORMAT_INVALID',
      details: { offset: 4, tensor: 'w1' },
    });
  });

  it.each([
    '../data.bin',
    '/etc/passwd',
    '..',
    'a/../../data.bin',
    '..\\data.bin',
    'C:\\data.bin',
    '\\\\host\\x',
    'c:/x',
    'a\0b',
  ])('refuses a path that leaves the folder: %j', async (location) => {
    const path = join(folder(), 'inner');
    mkdirSync(path);
    await expect(readBeside(path, { location })).rejects.toMatchObject({
      name: 'FormatError',
      code: 'EXTERNAL_DATA_OUTSIDE',
      details: { location },
    });
  });

  it('refuses links, to files and to folders, that lead outside', async () => {
    const outer = folder();
    const path = join(outer, 'inner');
    mkdirSync(path);
    mkdirSync(join(outer, 'elsewhere'));
    writeFileSync(join(outer, 'elsewhere', 'data.bin'), new Uint8Array(32));
    symlinkSync(join(outer, 'elsewhere', 'data.bin'), join(path, 'file'));
    symlinkSync(join(outer, 'elsewhere'), join(path, 'sub'));
    for (const location of ['file', 'sub/data.bin']) {
      await expect(readBeside(path, { location })).rejects.toMatchObject({ code: 'EXTERNAL_DATA_OUTSIDE' });
    }
  });

  it('follows links that stay inside, and names that only look like leaving', async () => {
    const path = folder();
    writeFileSync(join(path, '..data'), new Uint8Array(8));
    mkdirSync(join(path, 'sub'));
    symlinkSync(join(path, 'data.bin'), join(path, 'sub', 'link'));
    const { graph } = await readBeside(
      path,
      { location: 'sub/link', offset: '8' },
      { location: '..data' },
      { location: 'sub/../data.bin' },
    );
    expect(await values(graph.value('w0')?.initializer)).toEqual([2, 3]);
    expect(await values(graph.value('w1')?.initializer)).toEqual([0, 0]);
    expect(await values(graph.value('w2')?.initializer)).toEqual([0, 1]);
  });

  it('asks nobody outside for a model that came without a path', async () => {
    await expect(readModel(modelBytes({ location: '/etc/passwd' }))).rejects.toMatchObject({
      code: 'EXTERNAL_DATA_MISSING',
    });
  });
});

describe('writing', () => {
  /** Initializers of 4, 100, 200 and 300 floats. */
  function model(): Model {
    return buildModel((b) => {
      for (const size of [4, 100, 200, 300]) {
        b.constant(
          `w${size}`,
          tensor(
            new Float32Array(size).map((_, index) => index / size),
            [size],
          ),
        );
      }
    });
  }

  async function reread(sink: MemorySink): Promise<Model> {
    return readModel(sink.bytes, { externalData: Object.fromEntries(sink.files) });
  }

  it('puts large tensors into files named after the model, of at most chunkSize', async () => {
    const sink = new MemorySink('m.onnx');
    const files = await writeModel(model(), sink, { externalData: { threshold: 400, chunkSize: 1300 } });
    expect(files.map((file) => file.name)).toEqual(['m.onnx', 'm.onnx_data', 'm.onnx_data_1']);
    expect(files.map((file) => file.size)).toEqual([sink.bytes.length, 448 + 800, 1200]);
    const again = await reread(sink);
    for (const value of model().graph.initializers) {
      const copy = again.graph.value(value.name)?.initializer;
      expect(await values(copy)).toEqual(await values(value.initializer));
      expect(copy?.where).toMatch(value.name === 'w4' ? 'model' : /^m.onnx_data/);
    }
  });

  it('writes a constant that two initializers share once', async () => {
    const shared = model();
    shared.graph.addInitializer('tied', shared.graph.value('w300')!.initializer!);
    const sink = new MemorySink();
    await writeModel(shared, sink, { externalData: { threshold: 1000 } });
    expect(sink.files.get('model.onnx_data')?.length).toBe(1200);
    expect(await values((await reread(sink)).graph.value('tied')?.initializer)).toHaveLength(300);
  });

  it("'auto' leaves external tensors external and the others inside; 'embed' takes them in", async () => {
    const external = await readModel(fixturePath('external.onnx'));
    const sink = new MemorySink('out.onnx');
    await writeModel(external, sink);
    expect([...sink.files.keys()].toSorted()).toEqual(['out.onnx', 'out.onnx_data']);
    expect((await reread(sink)).graph.value('inside')?.initializer?.where).toBe('model');
    const single = new MemorySink();
    await writeModel(external, single, { externalData: 'embed' });
    expect([...single.files.keys()]).toEqual(['model.onnx']);
    const { graph } = await readModel(single.bytes);
    for (const name of ['w', 'tied', 'b']) {
      expect(await values(graph.value(name)?.initializer)).toEqual(
        await values(external.graph.value(name)?.initializer),
      );
    }
  });

  it('goes over path, all files or none', async () => {
    const path = folder();
    const target = join(path, 'big.onnx');
    await writeModel(model(), target, { externalData: { threshold: 0 } });
    expect(readdirSync(path).toSorted()).toEqual(['big.onnx', 'big.onnx_data']);
    expect(await values((await readModel(target)).graph.value('w100')?.initializer)).toHaveLength(100);
    rmSync(target);
    // The model is free, its data file is not: nothing is written, nothing is lost.
    const failure = writeModel(model(), target, { externalData: { threshold: 0 } });
    await expect(failure).rejects.toMatchObject({ code: 'OUTPUT_EXISTS' });
    expect(readdirSync(path)).toEqual(['big.onnx_data']);
  });

  it('may overwrite the very files that it reads from', async () => {
    const path = folder();
    const target = join(path, 'external.onnx');
    copyFileSync(fixturePath('external.onnx'), target);
    copyFileSync(fixturePath('external.bin'), join(path, 'external.bin'));
    const expected = await values((await readModel(target)).graph.value('b')?.initializer);
    await writeModel(await readModel(target), target, { overwrite: true });
    await writeModel(await readModel(target), target, { overwrite: true });
    expect(await values((await readModel(target)).graph.value('b')?.initializer)).toEqual(expected);
    expect(statSync(join(path, 'external.onnx_data')).size).toBe(64 + 16);
  });

  it('keeps strings and types of a newer ONNX inside', async () => {
    const sink = new MemorySink();
    await writeModel(await readModel(fixture('types')), sink, { externalData: { threshold: 0 } });
    const again = await reread(sink);
    expect(again.graph.value('STRING_typed')?.initializer?.where).toBe('model');
    expect(again.graph.value('FLOAT8E4M3FN_raw')?.initializer?.where).toBe('model.onnx_data');
    expect(await values(again.graph.value('INT64_typed')?.initializer)).toEqual(
      await values(again.graph.value('INT64_raw')?.initializer),
    );
  });

  it('refuses a sink for one file, and limits that make no sense', async () => {
    const sink = { write: () => undefined };
    await expect(writeModel(model(), sink, { externalData: {} })).rejects.toThrow(/sibling/);
    for (const options of [{ threshold: -1 }, { threshold: Number.NaN }, { chunkSize: 0 }]) {
      await expect(writeModel(model(), new MemorySink(), { externalData: options })).rejects.toThrow(
        RangeError,
      );
    }
  });
});

test('a model past 2 GiB is external by itself, or refused where one file is wanted', async () => {
  const size = 2 ** 31;
  const huge: TensorSource = {
    elementType: 'uint8',
    shape: [size],
    byteLength: size,
    where: 'nowhere',
    load: () => Promise.reject(new Error('never')),
    read: (_, length) => Promise.resolve(new Uint8Array(length)),
  };
  const model = buildModel(() => undefined);
  model.graph.addInitializer('huge', huge);
  await expect(writeModel(model, new MemorySink(), { externalData: 'embed' })).rejects.toMatchObject({
    code: 'FORMAT_LIMIT',
  });
  const counts = new Map<string, number>();
  const counting = (name: string) => ({
    name,
    write: (bytes: Uint8Array) => void counts.set(name, (counts.get(name) ?? 0) + bytes.length),
    sibling: (other: string) => counting(other),
  });
  const files = await writeModel(model, counting('m.onnx'));
  expect(files[1]).toEqual({ name: 'm.onnx_data', size });
  expect(counts.get('m.onnx_data')).toBe(size);
});
