import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, toBinary, type MessageInitShape } from '@bufbuild/protobuf';
import { ModelProtoSchema, type GraphProtoSchema } from 'onnx-buf';
import { describe, expect, it, onTestFinished, test } from 'vitest';
import { buildModel, checkOpset, readModel } from 'zeropoint/onnx';
import { difference, fixture, fixturePath, roundTrip } from './support/onnx-fixtures.ts';

/** Of the cuts below, at least so many must be seen as cuts. */
const TRUNCATIONS = 1500;

type GraphInit = MessageInitShape<typeof GraphProtoSchema>;

/** What reading throws, as plain data. */
async function failure(source: Parameters<typeof readModel>[0]): Promise<Record<string, unknown>> {
  try {
    await readModel(source);
  } catch (error) {
    const { name, code, message, details } = error as Error & { code?: string; details?: object };
    return { name, code, message, ...details };
  }
  return { name: 'none' };
}

/** A model with the given graph, as the other library writes it. */
function modelBytes(graph: GraphInit): Uint8Array {
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, { irVersion: 8n, opsetImport: [{ domain: '', version: 17n }], graph }),
  );
}

function temporaryFile(bytes: Uint8Array | string): string {
  const folder = mkdtempSync(join(tmpdir(), 'zeropoint-onnx-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'model.onnx');
  writeFileSync(path, bytes);
  return path;
}

/** A length-delimited field. */
function field(number: number, body: Uint8Array | readonly number[]): Uint8Array {
  const head = [...varint(number * 8 + 2), ...varint(body.length)];
  const bytes = new Uint8Array(head.length + body.length);
  bytes.set(head);
  bytes.set(body, head.length);
  return bytes;
}

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...varint(Math.floor(value / 128))];
}

describe('not a model', () => {
  test.each([
    ['a folder', (): string => tmpdir()],
    ['nothing there', (): string => join(tmpdir(), 'zeropoint-not-there.onnx')],
    ['an empty file', (): string => temporaryFile('')],
    ['half a file', (): string => temporaryFile(modelBytes({ name: 'a long name' }).slice(0, -4))],
  ])('%s: the error says what to do', async (_, path) => {
    await expect(readModel(path())).rejects.toMatchObject({ hint: expect.stringMatching(/\w+\.$/) });
  });

  test('a folder', async () => {
    expect(await failure(tmpdir())).toMatchObject({ name: 'FormatError', code: 'FORMAT_NOT_A_FILE' });
  });

  test('nothing there', async () => {
    expect(await failure('/nowhere/model.onnx')).toMatchObject({ code: 'FORMAT_NOT_A_FILE' });
  });

  test('a device', async () => {
    expect(await failure('/dev/null')).toMatchObject({ code: 'FORMAT_NOT_A_FILE' });
  });

  test('an empty file', async () => {
    expect(await failure(temporaryFile(''))).toMatchObject({ name: 'FormatError', code: 'FORMAT_EMPTY' });
  });

  test('arguments that are no source', async () => {
    for (const source of [undefined, null, 3, {}, [1], { size: 3 }, new URL('https://example.org/a.onnx')]) {
      // @ts-expect-error: wrong on purpose
      await expect(readModel(source)).rejects.toThrow(TypeError);
    }
  });

  test.each([
    ['a PNG image', Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)],
    ['JSON', new TextEncoder().encode('{"a": 1}')],
    ['a zip archive (.npz, .pt, .zip)', Uint8Array.of(0x50, 0x4b, 3, 4, 20, 0, 0, 0)],
    ['a GGUF model', new TextEncoder().encode('GGUF\x03\0\0\0')],
    ['a Git LFS pointer (the model itself was not downloaded)', new TextEncoder().encode('version https://')],
    ['a protobuf message without a graph', Uint8Array.of(8, 7, 66, 2, 16, 17)],
    ['a protobuf message without ir_version', field(7, [])],
    ['other bytes', Uint8Array.of(0xff, 0xff, 0xff)],
    ['other bytes', Uint8Array.of(0x10, 1)],
  ])('%s', async (got, bytes) => {
    const error = await failure(bytes);
    expect(error).toMatchObject({ name: 'FormatError', code: 'FORMAT_NOT_ONNX', offset: 0 });
    expect(error.message).toBe(`bytes: expected an ONNX model, got ${got}`);
  });

  test('a model without opset_import', async () => {
    const bytes = Uint8Array.of(8, 8, ...field(7, []));
    expect(await failure(bytes)).toMatchObject({ code: 'FORMAT_INVALID', field: 'ModelProto.opset_import' });
  });
});

describe('damaged bytes', () => {
  it('cut at any offset: an error with offset and field, or a whole model up to the end of a field', async () => {
    const codes = new Map<string, number>();
    for (const whole of [fixture('subgraphs'), fixture('annotated').subarray(0, 4096)]) {
      for (let end = 1; end < whole.length; end++) {
        const cut = whole.subarray(0, end);
        const { code = 'none', name } = await failure(cut);
        expect(['FormatError', 'none']).toContain(name);
        if (code === 'none') expect(difference(await roundTrip(cut), cut)).toBeUndefined();
        codes.set(String(code), (codes.get(String(code)) ?? 0) + 1);
      }
    }
    // The ends of opset_import, metadata_props and training_info: nobody can tell that more should follow.
    expect(codes.get('none')).toBe(5);
    expect(codes.get('FORMAT_TRUNCATED')).toBeGreaterThan(TRUNCATIONS);
    expect([...codes.keys()].toSorted()).toEqual([
      'FORMAT_INVALID',
      'FORMAT_NOT_ONNX',
      'FORMAT_TRUNCATED',
      'none',
    ]);
  });

  it('are named with field path and offset', async () => {
    const name = field(3, [0xff, 0xfe]);
    const graph = field(7, field(1, name));
    expect(await failure(Uint8Array.of(8, 8, ...graph))).toMatchObject({
      code: 'FORMAT_INVALID',
      field: 'ModelProto.graph.node[0].name',
      offset: 8,
      message: expect.stringContaining('expected a string in UTF-8'),
    });
  });

  it.each([
    ['a field longer than its message', field(7, [0x0a, 0x7f, 0]), /expected a field that ends by/],
    ['wire type 7', field(7, [0x0f]), /expected wire type 0 to 3 or 5, got 7/],
    ['field number 0', field(7, [0x02, 0]), /expected a field number from 1/],
    ['a varint that does not end', Uint8Array.of(0x28, ...Array<number>(11).fill(0xff)), /at most 10 bytes/],
    [
      'wrong wire type of a known field',
      field(7, [0x08, 1]),
      /expected wire type 2 for GraphProto.node, got 0/,
    ],
    ['a field twice', field(7, [...field(2, [65]), ...field(2, [66])]), /expected name once, got it twice/],
    ['a group that does not end', field(7, [0x9b, 0x06]), /FORMAT|expected/],
  ])('%s', async (_name, bytes, message) => {
    const error = await failure(Uint8Array.of(8, 8, ...bytes, ...field(8, [16, 17])));
    expect(error).toMatchObject({ name: 'FormatError', code: 'FORMAT_INVALID' });
    expect(error.message).toMatch(message);
  });

  it('groups of old are skipped and kept', async () => {
    const group = [0x9b, 0x06, 0x08, 1, 0x13, 0x14, 0x9c, 0x06];
    const model = await readModel(Uint8Array.of(8, 8, ...field(7, group), ...field(8, [16, 17])));
    expect(model.opset).toBe(17);
  });
});

describe('bombs end in an error, soon and without much memory', () => {
  it('nesting: 100 messages deep are too many', async () => {
    let graph: Uint8Array = new Uint8Array(0);
    for (let depth = 0; depth < 60; depth++) {
      graph = field(1, field(5, field(6, graph)));
    }
    const bytes = Uint8Array.of(8, 8, ...field(7, graph));
    expect(await failure(bytes)).toMatchObject({ name: 'FormatError', code: 'FORMAT_LIMIT' });
  });

  it('deep types in value_info', async () => {
    let type: Uint8Array = field(1, []);
    for (let depth = 0; depth < 5000; depth++) type = field(4, field(1, type));
    const bytes = Uint8Array.of(8, 8, ...field(7, field(11, [...field(1, [65]), ...field(2, type)])));
    expect(await failure(Uint8Array.of(...bytes, ...field(8, [16, 17])))).toMatchObject({
      code: 'FORMAT_LIMIT',
    });
  });

  it('millions of empty messages', async () => {
    const graph = new Uint8Array(10_000_000);
    for (let i = 0; i < graph.length; i += 2) graph[i] = 0x0a;
    const head = [8, 8, ...varint(7 * 8 + 2), ...varint(graph.length)];
    const bytes = new Uint8Array(head.length + graph.length);
    bytes.set(head);
    bytes.set(graph, head.length);
    expect(await failure(bytes)).toMatchObject({ name: 'FormatError', code: 'FORMAT_LIMIT' });
  });

  it('a packed list of millions of numbers', async () => {
    const list = field(8, new Uint8Array(11_000_000));
    const whole = Buffer.concat([
      Uint8Array.of(8, 8),
      field(7, field(1, field(5, list))),
      field(8, [16, 17]),
    ]);
    expect(await failure(new Uint8Array(whole))).toMatchObject({ code: 'FORMAT_LIMIT' });
  });

  it('a length beyond the file', async () => {
    const bytes = Uint8Array.of(8, 8, 0x3a, 0xff, 0xff, 0xff, 0xff, 0x7f);
    expect(await failure(bytes)).toMatchObject({ code: 'FORMAT_TRUNCATED' });
  });

  it('a long string in a file that is large only by its word', async () => {
    const head = [8, 8, ...varint(6 * 8 + 2), ...varint(2 ** 40)];
    const access = {
      size: 2 ** 40 + head.length,
      read: (offset: number, length: number) => {
        const bytes = new Uint8Array(length);
        bytes.set(head.slice(offset));
        return Promise.resolve(bytes);
      },
    };
    expect(await failure(access)).toMatchObject({ code: 'FORMAT_LIMIT' });
  });
});

describe('graphs that contradict themselves', () => {
  const value = (name: string) => ({ name });
  const node = (opType: string, input: string[], output: string[], name = '') => ({
    opType,
    input,
    output,
    name,
  });
  const weight = { name: 'w', dims: [1n], dataType: 1, rawData: new Uint8Array(4) };

  it.each<[string, GraphInit, RegExp, object]>([
    [
      'an input that nothing defines',
      { node: [node('Relu', ['gone'], ['y'], 'relu')] },
      /expected something to define input "gone" of relu, got nothing/,
      { node: 'relu', value: 'gone' },
    ],
    [
      'an output that nothing defines',
      { output: [value('y')] },
      /expected something to define output "y"/,
      { value: 'y' },
    ],
    [
      'an initializer twice',
      { initializer: [weight, weight] },
      /expected each value to be defined once, got "w" twice/,
      { value: 'w' },
    ],
    [
      'two nodes that give one value',
      { node: [node('A', [], ['y']), node('B', [], ['y'])] },
      /got "y" twice/,
      { value: 'y' },
    ],
    [
      'a cycle',
      { node: [node('A', ['b'], ['a'], 'first'), node('B', ['a'], ['b'])] },
      /expected no cycle, got one through or before first/,
      { node: 'first' },
    ],
    [
      'a node without operator',
      { node: [node('', [], ['y'], 'n')] },
      /expected node "n" to have an op_type/,
      {},
    ],
    ['an input without name', { input: [value('')] }, /expected each input to have a name/, {}],
    [
      'an attribute twice',
      {
        node: [
          {
            ...node('A', [], ['y'], 'n'),
            attribute: [
              { name: 'a', i: 1n },
              { name: 'a', i: 2n },
            ],
          },
        ],
      },
      /attributes of n with names of their own/,
      { node: 'n', attribute: 'a' },
    ],
  ])('%s', async (_name, graph, message, details) => {
    const error = await failure(modelBytes(graph));
    expect(error).toMatchObject({ name: 'GraphError', code: 'GRAPH_INVALID', ...details });
    expect(error.message).toMatch(message);
  });

  it('one operator set in two versions', async () => {
    const bytes = toBinary(
      ModelProtoSchema,
      create(ModelProtoSchema, {
        irVersion: 8n,
        graph: {},
        opsetImport: [{ version: 17n }, { domain: 'ai.onnx', version: 18n }],
      }),
    );
    expect(await failure(bytes)).toMatchObject({ name: 'GraphError', domain: '' });
  });

  it('nodes out of order are read, and written as they were', async () => {
    const model = await readModel(modelBytes({ node: [node('B', ['a'], ['b']), node('A', [], ['a'])] }));
    expect([...model.graph.nodes].map((n) => n.opType)).toEqual(['B', 'A']);
    model.graph.sort();
    expect([...model.graph.nodes].map((n) => n.opType)).toEqual(['A', 'B']);
  });
});

describe('tensors whose bytes are not what shape and type say', () => {
  it.each([
    [
      'raw_data too short',
      { dims: [2n], dataType: 1, rawData: new Uint8Array(7) },
      /expected 8 bytes for float32\[2\], got 7/,
    ],
    [
      'raw_data too long',
      { dims: [], dataType: 3, rawData: new Uint8Array(2) },
      /expected 1 bytes for int8\[\], got 2/,
    ],
    ['float_data too short', { dims: [3n], dataType: 1, floatData: [1, 2] }, /expected 12 bytes/],
    ['no data', { dims: [3n], dataType: 1 }, /expected 12 bytes for float32\[3\], got 0/],
    [
      'int32_data of too many values',
      { dims: [1n], dataType: 3, int32Data: Array<number>(11).fill(1) },
      /expected 1 bytes/,
    ],
    ['packed int4 too short', { dims: [5n], dataType: 22, rawData: new Uint8Array(2) }, /expected 3 bytes/],
    ['negative size', { dims: [-1n], dataType: 1 }, /expected sizes of at least 0, got -1/],
    [
      'huge sizes',
      { dims: [2n ** 40n, 2n ** 40n], dataType: 1 },
      /expected fewer elements than memory can hold/,
    ],
    [
      'data in the wrong field',
      { dims: [1n], dataType: 1, int64Data: [1n] },
      /in float_data, got them in int64_data/,
    ],
    [
      'data in two fields',
      { dims: [1n], dataType: 1, floatData: [1], rawData: new Uint8Array(4) },
      /expected one field/,
    ],
  ])('%s', async (_name, init, message) => {
    const error = await failure(modelBytes({ initializer: [{ name: 'w', ...init }] }));
    expect(error).toMatchObject({ name: 'FormatError', code: 'FORMAT_INVALID', tensor: 'w' });
    expect(error.message).toMatch(message);
  });

  it('varints of the wrong number show when the tensor is loaded', async () => {
    // Two values of two bytes each: as long as one to four values may be.
    const bytes = modelBytes({
      initializer: [{ name: 'w', dims: [3n], dataType: 6, int32Data: [200, 300] }],
    });
    const { graph } = await readModel(bytes);
    await expect(graph.value('w')?.initializer?.load()).rejects.toMatchObject({
      name: 'FormatError',
      message: expect.stringContaining('expected 3 values, got 2'),
      details: { tensor: 'w' },
    });
  });

  it('segments are not supported', async () => {
    const bytes = modelBytes({
      initializer: [{ name: 'w', dims: [1n], dataType: 1, segment: { begin: 0n, end: 1n } }],
    });
    expect(await failure(bytes)).toMatchObject({ name: 'UnsupportedError', code: 'UNSUPPORTED_FEATURE' });
  });
});

describe('operator sets', () => {
  const ofOpset = (opset: number, irVersion = 10) => buildModel(() => undefined, { opset, irVersion });

  it('that are too new can be read; what looks into operators refuses them', () => {
    expect(() => checkOpset(ofOpset(28, 14))).not.toThrow();
    expect(() => checkOpset(ofOpset(29))).toThrow(/expected operator set 28 or older, got 29/);
    expect(() => checkOpset(ofOpset(21, 15))).toThrow(/expected IR version 14 or older, got 15/);
    expect(() => checkOpset(ofOpset(9), 10)).toThrow(/expected operator set 10 or newer, got 9/);
  });

  it('are needed', () => {
    const model = ofOpset(21);
    model.opsetImports.delete('');
    expect(() => checkOpset(model)).toThrow(/expected an import of operator set ai.onnx, got none/);
  });
});

test('a file that changes while its model is in use is noticed', async () => {
  const path = temporaryFile(fixture('types'));
  const model = await readModel(fixturePath('types.onnx'));
  expect(model.graph.initializers.size).toBe(55);
  const copy = await readModel(path);
  writeFileSync(path, new Uint8Array(70_000));
  const { initializer } = copy.graph.value('FLOAT_raw')!;
  // The first 64 KB may still be held; past them the file is asked.
  await expect(initializer!.read(66_000, 4)).rejects.toThrow(/expected the file as it was|expected 4 bytes/);
});
