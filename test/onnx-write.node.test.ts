import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { tensor } from 'zeropoint';
import {
  buildModel,
  directorySink,
  MemorySink,
  readModel,
  writeModel,
  type Model,
  type Sink,
  type TensorSource,
} from 'zeropoint/onnx';
import { difference, fixture } from './support/onnx-fixtures.ts';

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'zeropoint-write-'));
  onTestFinished(() => rmSync(path, { recursive: true }));
  return path;
}

const mlp = (): Promise<Model> => readModel(fixture('mlp'));

/** A model of one tensor, whose bytes come from `read`. */
function lazyModel(byteLength: number, read: TensorSource['read']): Model {
  const model = buildModel(() => undefined);
  const load = () => Promise.reject(new Error('never'));
  model.graph.addInitializer('w', {
    elementType: 'uint8',
    shape: [byteLength],
    byteLength,
    where: 'test',
    load,
    read,
  });
  return model;
}

/** As much of a browser's folder as is used: files appear when their stream is closed, empty ones at once. */
function fakeFolder(files: Map<string, Uint8Array>): FileSystemDirectoryHandle {
  const createWritable = (name: string) => {
    const pieces: Uint8Array[] = [];
    return new WritableStream<Uint8Array>({
      write: (piece) => void pieces.push(piece),
      close: () => void files.set(name, new Uint8Array(Buffer.concat(pieces))),
    });
  };
  const folder = {
    getFileHandle: async (name: string, options?: { create?: boolean }) => {
      if (!files.has(name)) {
        if (options?.create !== true) throw new DOMException('not found', 'NotFoundError');
        files.set(name, new Uint8Array(0));
      }
      return { name, createWritable: async () => createWritable(name) };
    },
    removeEntry: async (name: string) => void files.delete(name),
  };
  // Only what is used of the browser's interface.
  return folder as unknown as FileSystemDirectoryHandle;
}

describe('to a path', () => {
  it('writes the file, from a string or a URL, and says its size', async () => {
    const path = join(folder(), 'out.onnx');
    const bytes = fixture('mlp');
    expect(await writeModel(await mlp(), path)).toEqual([{ name: 'out.onnx', size: bytes.length }]);
    expect(difference(readFileSync(path), bytes)).toBeUndefined();
    await writeModel(await mlp(), new URL(`file://${path}`), { overwrite: true });
    expect(readdirSync(join(path, '..'))).toEqual(['out.onnx']);
  });

  it('refuses an existing file without overwrite, before anything is written', async () => {
    const path = join(folder(), 'out.onnx');
    writeFileSync(path, 'precious');
    await expect(writeModel(await mlp(), path)).rejects.toMatchObject({
      name: 'QuantError',
      code: 'OUTPUT_EXISTS',
      details: { file: path },
    });
    expect(readFileSync(path, 'utf8')).toBe('precious');
    expect(readdirSync(join(path, '..'))).toEqual(['out.onnx']);
  });

  it('of two that write at once one succeeds, with its external data', async () => {
    for (let round = 0; round < 20; round++) {
      const path = join(folder(), 'm.onnx');
      const write = async () => writeModel(await mlp(), path, { externalData: { threshold: 0 } });
      const results = await Promise.allSettled([write(), write()]);
      expect(results.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
      const failed = results.find((result) => result.status === 'rejected');
      expect(failed).toMatchObject({ reason: { code: 'OUTPUT_EXISTS' } });
      expect(readdirSync(dirname(path)).toSorted()).toEqual(['m.onnx', 'm.onnx_data']);
      await expect(readModel(path)).resolves.toBeDefined();
    }
  });

  it('refuses a folder of that name, also with overwrite', async () => {
    const path = join(folder(), 'out.onnx');
    mkdirSync(path);
    await expect(writeModel(await mlp(), path, { overwrite: true })).rejects.toMatchObject({
      code: 'OUTPUT_EXISTS',
    });
  });

  it('names the file when the folder is not there', async () => {
    const path = join(folder(), 'gone', 'out.onnx');
    await expect(writeModel(await mlp(), path)).rejects.toMatchObject({
      code: 'OUTPUT_FAILED',
      message: `${path}: expected to write the file, got no such folder`,
    });
  });

  it('leaves nothing behind when a tensor cannot be read', async () => {
    const path = folder();
    const model = lazyModel(8, () => Promise.reject(new Error('gone')));
    await expect(writeModel(model, join(path, 'out.onnx'))).rejects.toThrow('gone');
    expect(readdirSync(path)).toEqual([]);
    await expect(
      writeModel(model, join(path, 'out.onnx'), { externalData: { threshold: 0 } }),
    ).rejects.toThrow('gone');
    expect(readdirSync(path)).toEqual([]);
  });

  it('keeps the old file when writing the new one fails', async () => {
    const path = join(folder(), 'out.onnx');
    writeFileSync(path, 'precious');
    const model = lazyModel(8, () => Promise.reject(new Error('gone')));
    await expect(writeModel(model, path, { overwrite: true })).rejects.toThrow('gone');
    expect(readFileSync(path, 'utf8')).toBe('precious');
    expect(readdirSync(join(path, '..'))).toEqual(['out.onnx']);
  });

  it('leaves nothing behind when it is aborted in the middle, and throws the reason', async () => {
    const path = folder();
    const abort = new AbortController();
    let pieces = 0;
    const model = lazyModel(40_000_000, (_, length) => {
      if (++pieces === 3) abort.abort(new Error('enough'));
      return Promise.resolve(new Uint8Array(length));
    });
    const failure = writeModel(model, join(path, 'out.onnx'), { signal: abort.signal });
    await expect(failure).rejects.toThrow('enough');
    expect(pieces).toBe(3);
    expect(readdirSync(path)).toEqual([]);
  });

  it('does not begin when it is aborted already', async () => {
    const path = join(folder(), 'out.onnx');
    await expect(writeModel(await mlp(), path, { signal: AbortSignal.abort() })).rejects.toThrow(/abort/);
    expect(existsSync(path)).toBe(false);
  });

  it('may overwrite the file that it reads from', async () => {
    const path = join(folder(), 'model.onnx');
    writeFileSync(path, fixture('types'));
    await writeModel(await readModel(path), path, { overwrite: true });
    expect(difference(readFileSync(path), fixture('types'))).toBeUndefined();
  });
});

describe('to other sinks', () => {
  it('a stream, a file handle, an object with write', async () => {
    const bytes = fixture('mlp');
    const pieces: Uint8Array[] = [];
    const collect = () => Buffer.concat(pieces.splice(0));
    const stream = () => new WritableStream<Uint8Array>({ write: (piece) => void pieces.push(piece) });
    await writeModel(await mlp(), stream());
    expect(difference(collect(), bytes)).toBeUndefined();
    const handle = { name: 'h.onnx', createWritable: () => Promise.resolve(stream()) };
    // Only what is used of a browser's file handle.
    await writeModel(await mlp(), handle as unknown as FileSystemFileHandle);
    expect(difference(collect(), bytes)).toBeUndefined();
    await writeModel(await mlp(), { write: (piece) => void pieces.push(piece) });
    expect(difference(collect(), bytes)).toBeUndefined();
  });

  it('a folder of the browser: with external data, nothing over existing files, nothing left after an error', async () => {
    const files = new Map<string, Uint8Array>();
    const folder = fakeFolder(files);
    const model = buildModel((b) => b.constant('w', tensor(new Float32Array(1000))));
    await writeModel(model, await directorySink(folder, 'm.onnx'), { externalData: {} });
    expect([...files.keys()]).toEqual(['m.onnx', 'm.onnx_data']);
    const sources = Object.fromEntries(files);
    const again = await readModel(sources['m.onnx'], { externalData: sources });
    expect((await again.graph.value('w')?.initializer?.load())?.size).toBe(1000);
    await expect(directorySink(folder, 'm.onnx')).rejects.toMatchObject({ code: 'OUTPUT_EXISTS' });
    const broken = lazyModel(2000, () => Promise.reject(new Error('gone')));
    const before = files.get('m.onnx');
    const targets = [
      await directorySink(folder, 'new.onnx'),
      await directorySink(folder, 'm.onnx', { overwrite: true }),
    ];
    for (const target of targets) {
      await expect(writeModel(broken, target, { externalData: {} })).rejects.toThrow('gone');
    }
    expect([...files.keys()]).toEqual(['m.onnx', 'm.onnx_data']);
    expect(files.get('m.onnx')).toBe(before);
  });

  it('a full disk: OUTPUT_FAILED that names the file, and everything taken back', async () => {
    const events: string[] = [];
    const sink = (name: string): Sink => ({
      name,
      write: () => {
        if (name.endsWith('_data')) return;
        throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
      },
      close: () => void events.push(`close ${name}`),
      abort: () => void events.push(`abort ${name}`),
      sibling: sink,
    });
    const model = buildModel((b) => b.constant('w', tensor(new Float32Array(1000))));
    await expect(writeModel(model, sink('m.onnx'), { externalData: {} })).rejects.toMatchObject({
      name: 'QuantError',
      code: 'OUTPUT_FAILED',
      message: expect.stringContaining('m.onnx: expected to write, got Error: ENOSPC'),
    });
    expect(events).toEqual(['abort m.onnx', 'abort m.onnx_data']);
  });

  it('takes all files back when one cannot be made final', async () => {
    const sink = new MemorySink('m.onnx');
    const data = sink.sibling('m.onnx_data');
    sink.sibling = () => data;
    sink.close = () => {
      throw new Error('closed');
    };
    const model = buildModel((b) => b.constant('w', tensor(new Float32Array(1000))));
    await expect(writeModel(model, sink, { externalData: {} })).rejects.toThrow('closed');
    expect(sink.files.size).toBe(0);
  });

  it('arguments that are no sink', async () => {
    const model = await mlp();
    for (const sink of [undefined, null, 3, {}, new URL('https://example.org/a.onnx')]) {
      // @ts-expect-error: wrong on purpose
      await expect(writeModel(model, sink)).rejects.toThrow(TypeError);
    }
  });
});

it('reports progress over all files, up to the total', async () => {
  const seen: number[] = [];
  const model = buildModel((b) => b.constant('w', tensor(new Float32Array(3_000_000))));
  const files = await writeModel(model, new MemorySink(), {
    externalData: {},
    onProgress: ({ done, total }) => seen.push(done / total),
  });
  expect(files.length).toBe(2);
  expect(seen).toEqual(seen.toSorted((a, b) => a - b));
  expect(seen.length).toBeGreaterThan(2);
  expect(seen.at(-1)).toBe(1);
});

it('reads and copies tensors a few megabytes at a time', async () => {
  const lengths: number[] = [];
  const model = lazyModel(30_000_001, (_, length) => {
    lengths.push(length);
    return Promise.resolve(new Uint8Array(length));
  });
  await writeModel(model, { write: () => undefined });
  expect(Math.max(...lengths)).toBeLessThanOrEqual(4_194_304);
  expect(lengths.reduce((sum, length) => sum + length, 0)).toBe(30_000_001);
});
