import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { ModelProtoSchema, TensorProto_DataType } from 'onnx-buf';
import { describe, expect, it, test } from 'vitest';
import { tensor } from 'zeropoint';
import { attr, buildModel, isSorted, printModel, readModel, tensorType, type Model } from 'zeropoint/onnx';
import { difference, FIXTURES, fixture, fixturePath, roundTrip, written } from './support/onnx-fixtures.ts';

describe.each(FIXTURES)('%s.onnx', (name) => {
  it('gives the same bytes when it is written unchanged, also as a clone', async () => {
    const bytes = fixture(name);
    expect(difference(await roundTrip(bytes), bytes)).toBeUndefined();
    expect(difference(await written((await readModel(bytes)).clone()), bytes)).toBeUndefined();
  });

  it('gives the same bytes after another library wrote it: other field order, packed lists', async () => {
    const message = fromBinary(ModelProtoSchema, fixture(name));
    const bytes = toBinary(ModelProtoSchema, message);
    expect(difference(await roundTrip(bytes), bytes)).toBeUndefined();
  });

  it('reads the same from a path, a URL, a Blob, bytes and random access', async () => {
    const bytes = fixture(name);
    const path = fixturePath(`${name}.onnx`);
    const access = {
      size: bytes.length,
      read: (offset: number, length: number) => Promise.resolve(bytes.slice(offset, offset + length)),
    };
    const url = new URL(`file://${path}`);
    const printed = printModel(await readModel(bytes));
    for (const source of [path, url, new Blob([bytes]), bytes.buffer, access]) {
      expect(printModel(await readModel(source))).toBe(printed);
    }
  });
});

describe('the files that come back byte for byte', () => {
  type Facts = ReturnType<typeof fromBinary<typeof ModelProtoSchema>>;
  const count = (of: (model: Facts) => number | undefined): number =>
    FIXTURES.reduce((sum, name) => sum + (of(fromBinary(ModelProtoSchema, fixture(name))) ?? 0), 0);

  it.each<[string, (model: Facts) => number | undefined]>([
    ['unknown fields of the model', (model) => model.$unknown?.length],
    ['unknown fields of the graph', ({ graph }) => graph?.$unknown?.length],
    ['metadata', ({ metadataProps }) => metadataProps.length],
    ['local functions', ({ functions }) => functions.length],
    ['training info', ({ trainingInfo }) => trainingInfo.length],
    ['sparse tensors', ({ graph }) => graph?.sparseInitializer.length],
    ['quantization annotations', ({ graph }) => graph?.quantizationAnnotation.length],
    ['descriptions', ({ graph }) => graph?.node.filter(({ docString }) => docString !== '').length],
  ])('hold %s', (_, of) => {
    expect(count(of)).toBeGreaterThan(0);
  });
});

describe('structure', () => {
  it('of inner graphs: names resolve to values of the graphs around them', async () => {
    const { graph } = await readModel(fixture('subgraphs'));
    const users = (name: string) => [...(graph.value(name)?.consumers ?? [])].map((node) => node.opType);
    expect(users('w')).toEqual(['Add']);
    expect(users('flag')).toEqual(['If']);
    expect(printModel(await readModel(fixture('subgraphs')))).toMatchInlineSnapshot(`
      "ir 10, ai.onnx 21, local 1
      graph outer(x: float32[N, 4], flag: bool[]) -> (y) {
        w = constant float32[4]
        trips = Constant() {value=constant int64[]}
        y: float32[N, 4] = Loop(trips, _, x) {body=graph body(i: int64[], cond_in: bool[], state: float32[N, 4]) -> (cond_out, next) {
          next: float32[N, 4] = If(flag) {else_branch=graph else() -> (else_out) {
            scale = constant float32[]
            else_out: float32[N, 4] = Mul(state, scale)
          }, then_branch=graph then() -> (then_out) {
            then_out: float32[N, 4] = Add(state, w)
          }}
          cond_out: bool[] = Identity(cond_in)
        }}
      }"
    `);
  });

  it('of local functions: bodies, attributes with and without default, overloads', async () => {
    const model = await readModel(fixture('functions'));
    expect(model.functions.map((f) => [f.name, f.overload, f.attributes])).toEqual([
      ['Leaky', 'soft', []],
      ['Scaled', '', ['mode']],
    ]);
    const leaky = model.findFunction('local', 'Leaky', 'soft');
    expect(leaky?.attributeDefaults.get('slope')).toEqual(attr.float(0.25));
    expect(leaky?.body.nodes.first?.attributes.get('alpha')).toEqual({ kind: 'reference', value: 'slope' });
  });

  it('of attributes: 64-bit integers, bytes, empty lists, float bits', async () => {
    const { graph } = await readModel(fixture('attributes'));
    const { attributes } = graph.nodes.first!;
    expect(attributes.get('int')).toEqual({ kind: 'int', value: 2n ** 63n - 1n });
    expect(attributes.get('negative')).toEqual({ kind: 'int', value: -1n });
    expect(attributes.get('string')).toEqual({ kind: 'string', value: Uint8Array.of(0xff, 0, 0x61) });
    expect(attributes.get('ints')).toEqual({ kind: 'ints', value: [1n, -2n, 2n ** 40n] });
    expect(attributes.get('no_floats')).toEqual({ kind: 'floats', value: new Float32Array(0) });
    expect(attributes.get('default_int')).toEqual({ kind: 'int', value: 0n });
    expect(attributes.get('untyped')).toEqual({ kind: 'int', value: 3n });
    expect(attributes.get('nan')).toEqual({ kind: 'float', value: Number.NaN });
    expect(attributes.get('zero')).toEqual({ kind: 'float', value: -0 });
    expect(attributes.get('type')).toEqual({
      kind: 'type_proto',
      value: tensorType('float32', [2, undefined]),
    });
  });

  it('of types: sequences, maps, optionals, sparse and opaque', async () => {
    const text = printModel(await readModel(fixture('sparse')));
    expect(text).toContain('s = sparse float32[2, 4]');
    const { graph } = await readModel(fixture('annotated'));
    expect(graph.inputs[0].dims).toEqual(['N', 4]);
    expect(graph.outputs[0].dims).toEqual(['N', 'classes']);
  });
});

describe('constants', () => {
  it('of every type load alike from raw_data and from the typed fields', async () => {
    const { graph } = await readModel(fixture('types'));
    const ours = [...graph.initializers].filter((v) => v.name.endsWith('_raw'));
    let loaded = 0;
    for (const { name, initializer } of ours) {
      const twin = graph.value(name.replace('_raw', '_typed'))?.initializer;
      const raw = await initializer?.load().catch((error: Error) => error);
      const typed = await twin?.load().catch((error: Error) => error);
      if (raw instanceof Error) {
        expect(raw.message).toMatch(/expected a type that can be computed with, got (float[864]e|complex)/);
        expect(typed).toBeInstanceOf(Error);
      } else {
        expect(typed, name).toEqual(raw);
        loaded++;
      }
    }
    expect(ours.length).toBe(27);
    expect(loaded).toBe(17);
  });

  it('are what the file says', async () => {
    const { graph } = await readModel(fixture('mlp'));
    expect((await graph.value('b')?.initializer?.load())?.data).toEqual(Float32Array.of(0.5, -0.5, 0.25));
    expect((await graph.value('six')?.initializer?.load())?.shape).toEqual([]);
    expect(graph.value('h')?.staticShape).toBeUndefined();
    expect(graph.value('w')?.constant?.shape).toEqual([4, 3]);
  });

  it('that are loaded are their own: writing to one changes neither file nor model', async () => {
    const bytes = fixture('mlp');
    const { graph } = await readModel(bytes);
    const source = graph.value('w')?.initializer;
    new Uint8Array((await source!.load()).data.buffer).fill(7);
    expect(bytes).toEqual(fixture('mlp'));
    expect((await source!.load()).data[0]).not.toBe(7);
  });
});

describe('changed models', () => {
  async function edited(): Promise<Model> {
    const model = await readModel(fixture('annotated'));
    const { graph } = model;
    const [y] = graph.outputs;
    const scale = graph.addInitializer('scale', tensor(Float32Array.of(0.5), []));
    const codes = graph.addInitializer('codes', tensor(Int8Array.of(-1, 2), [2]));
    const added = graph.addNode({
      opType: 'Mul',
      name: 'new',
      inputs: [y, scale],
      outputs: ['z'],
      attributes: { axis: -1, alpha: 0.5, list: [1, 2], text: 'abc', codes: tensor([1, 2]) },
    });
    graph.replaceAllUses(y, added.outputs[0]!, { filter: (use) => use.node !== added });
    graph.addNode({ opType: 'Neg', inputs: [codes], outputs: ['minus'] });
    model.metadata.set('made', 'here');
    model.opsetImports.set('com.microsoft', 1);
    return model;
  }

  it('say the same to another library', async () => {
    const message = fromBinary(ModelProtoSchema, await written(await edited()));
    const { graph } = message;
    expect(graph?.node.map((node) => [node.opType, node.input, node.output])).toEqual([
      ['MatMul', ['x', 'w'], ['h']],
      ['Add', ['h', 'b'], ['s']],
      ['Clip', ['s', '', 'six'], ['y_1']],
      ['Mul', ['y_1', 'scale'], ['y']],
      ['Neg', ['codes'], ['minus']],
    ]);
    expect(graph?.output.map((value) => value.name)).toEqual(['y']);
    expect(graph?.docString).toBe('a graph');
    expect(graph?.node[0].docString).toBe('multiplies');
    const codes = graph?.initializer.find((t) => t.name === 'codes');
    expect(codes?.dataType).toBe(TensorProto_DataType.INT8);
    expect(codes?.rawData).toEqual(Uint8Array.of(255, 2));
    const attributes = new Map(graph?.node[3].attribute.map((a) => [a.name, a]));
    expect(attributes.get('axis')?.i).toBe(-1n);
    expect(attributes.get('list')?.ints).toEqual([1n, 2n]);
    expect(message.metadataProps.at(-1)).toMatchObject({ key: 'made', value: 'here' });
    expect(message.opsetImport.map((o) => [o.domain, o.version])).toEqual([
      ['', 21n],
      ['local', 1n],
      ['com.microsoft', 1n],
    ]);
  });

  it('read back as they were written', async () => {
    const model = await edited();
    const bytes = await written(model);
    const again = await readModel(bytes);
    expect(isSorted(again.graph)).toBe(true);
    expect(printModel(again)).toBe(printModel(model));
    expect(difference(await written(again), bytes)).toBeUndefined();
  });

  it('are refused out of order, until they are sorted', async () => {
    const model = await edited();
    const neg = [...model.graph.nodes].find((node) => node.opType === 'Neg')!;
    model.graph.nodes.first!.setInput(2, neg.outputs[0]);
    await expect(written(model)).rejects.toThrow(/nodes of mlp in topological order/);
    model.graph.sort();
    expect((await written(model)).length).toBeGreaterThan(0);
  });
});

test('a model that was built here says the same to another library', async () => {
  const model = buildModel(
    (b) => {
      const x = b.input('x', 'float32', ['N', 2]);
      const body = b.body('then', (t) => t.output(t.op('Relu', [x]), 'a'));
      b.output(b.op('local.If', [x], { then_branch: attr.graph(body) }), 'y', 'float32', ['N', undefined]);
    },
    { opset: 17, irVersion: 8, opsets: { local: 1 } },
  );
  model.producerName = 'zeropoint';
  const message = fromBinary(ModelProtoSchema, await written(model));
  expect(message).toMatchObject({ irVersion: 8n, producerName: 'zeropoint' });
  expect(message.graph?.node[0]).toMatchObject({
    opType: 'If',
    domain: 'local',
    input: ['x'],
    output: ['y'],
  });
  expect(message.graph?.node[0].attribute[0].g?.node[0].opType).toBe('Relu');
  expect(message.graph?.output[0].type?.value.value).toMatchObject({ elemType: TensorProto_DataType.FLOAT });
});
