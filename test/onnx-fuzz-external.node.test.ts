/**
 * Damaged models with external data, read from a folder and written beside it: a QuantError or a model that can be used,
 * and whatever a location says, nothing outside the folder is read or written. Runs as often as onnx-fuzz says.
 */
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fromBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { ModelProtoSchema, type ModelProto, type TensorProto } from 'onnx-buf';
import { expect, it, onTestFinished } from 'vitest';
import {
  attr,
  buildModel,
  convertToFloat16,
  quantizeDynamic,
  readModel,
  storeWeights,
  writeModel,
  type Graph,
  type Model,
  type TensorSource,
} from 'zeropoint/onnx';
import {
  apply,
  change,
  checkMemory,
  encoded,
  FACTOR,
  mutate,
  mutation,
  onlyOurs,
  SEED,
} from './support/damage.ts';
import { random } from './support/graphs.ts';

const RUNS = 300 * FACTOR;
const TIMEOUT_MS = 60_000 * FACTOR;
/** No tensor of the models has these bytes, and no damage makes eight of them in a row. */
const SECRET = Uint8Array.of(0x9d, 0x51, 0xe3, 0x77, 0xc8, 0x1f, 0xb2, 0x6a);

interface Place {
  /** Of the model and its data; `secret.bin` lies above, and behind the link `link.bin`. */
  readonly inner: string;
  readonly outer: string;
  readonly locations: fc.Arbitrary<string>;
}

function makePlace(): Place {
  const outer = mkdtempSync(join(tmpdir(), 'zeropoint-fuzz-'));
  onTestFinished(() => rmSync(outer, { recursive: true }));
  const inner = join(outer, 'inner');
  mkdirSync(join(inner, 'folder'), { recursive: true });
  const secret = join(outer, 'secret.bin');
  writeFileSync(secret, Buffer.concat(Array.from({ length: 512 }, () => SECRET)));
  symlinkSync(secret, join(inner, 'link.bin'));
  symlinkSync(outer, join(inner, 'up'));
  const hostile = [
    '../secret.bin',
    'folder/../../secret.bin',
    './/..//secret.bin',
    '..\\secret.bin',
    'link.bin',
    'up/secret.bin',
    'up/inner/../secret.bin',
    `..${outer}/secret.bin`,
    secret,
    `file://${secret}`,
    'C:\\secret.bin',
    '..',
    '.',
    '',
    'folder',
    'model.onnx',
    'none.bin',
    'model.onnx_data\0',
    'x'.repeat(5000),
  ];
  return { inner, outer, locations: fc.constantFrom('model.onnx_data', 'model.onnx_data', ...hostile) };
}

/** Tensors of several sizes outside the file: weights, one in an attribute, one in a body. */
function material(): Model {
  return buildModel((b) => {
    const x = b.input('x', 'float32', ['N', 16]);
    const product = b.op('MatMul', [x, b.constant('w', random([16, 16], 1))]);
    const held = b.op('Constant', [], { value: random([16], 2) });
    const body = (name: string, seed: number) =>
      attr.graph(
        b.body(name, (t) => t.output(t.op('Add', [product, t.constant(`c${seed}`, random([16], seed))]))),
      );
    const flag = b.input('flag', 'bool', []);
    const chosen = b.op('If', [flag], { then_branch: body('then', 3), else_branch: body('else', 4) });
    b.output(b.op('Mul', [chosen, held]), 'y', 'float32', ['N', 16]);
  });
}

/** What an entry of external data is set to. */
const number = fc.oneof(
  fc.constantFrom(
    '0',
    '-1',
    '1',
    '64',
    '1024',
    '4096',
    '99999999',
    '9007199254740993',
    '1e3',
    '0x10',
    ' 8',
    '',
    '٣',
  ),
  fc.constant('9'.repeat(400)),
  fc.nat(4096).map(String),
);

interface Entry {
  readonly tensor: number;
  readonly key: 'location' | 'offset' | 'length' | 'checksum';
  readonly value: string;
  readonly deed: 'set' | 'drop' | 'repeat';
}

const entries = (locations: fc.Arbitrary<string>): fc.Arbitrary<Entry> => {
  const rest = {
    tensor: fc.nat(20),
    deed: fc.constantFrom('set' as const, 'set' as const, 'drop' as const, 'repeat' as const),
  };
  return fc.oneof(
    fc.record({ ...rest, key: fc.constant('location' as const), value: locations }),
    fc.record({
      ...rest,
      key: fc.constantFrom('offset' as const, 'length' as const, 'checksum' as const),
      value: number,
    }),
  );
};

function tensorsOf(message: ModelProto): TensorProto[] {
  const graphs = message.graph === undefined ? [] : [message.graph];
  for (const graph of graphs) {
    for (const { attribute } of graph.node) graphs.push(...attribute.flatMap(({ g }) => g ?? []));
  }
  return graphs.flatMap(({ initializer, node }) => [
    ...initializer,
    ...node.flatMap(({ attribute }) => attribute.flatMap(({ t }) => t ?? [])),
  ]);
}

function setEntry(message: ModelProto, { tensor, key, value, deed }: Entry): void {
  const all = tensorsOf(message);
  const chosen = all[tensor % all.length];
  chosen.dataLocation = 1;
  const found = chosen.externalData.find((entry) => entry.key === key);
  if (found === undefined || deed === 'repeat') {
    chosen.externalData.push({ $typeName: 'onnx.StringStringEntryProto', key, value });
  } else if (deed === 'set') found.value = value;
  else chosen.externalData.splice(chosen.externalData.indexOf(found), 1);
}

/** Reads, loads every tensor, and writes the model anew in every placement. */
async function use({ inner, outer }: Place): Promise<'refused' | 'used'> {
  const out = join(inner, 'out.onnx');
  try {
    const model = await readModel(join(inner, 'model.onnx'));
    for (const source of sources(model.graph)) {
      const bytes = await source.read(0, source.byteLength).catch(onlyOurs);
      if (bytes !== 'refused') expect(holdsSecret(bytes)).toBe(false);
    }
    for (const externalData of ['auto', 'embed', { threshold: 0 }] as const) {
      await writeModel(model, out, { externalData, overwrite: true }).catch(onlyOurs);
      for (const quantize of [quantizeDynamic, storeWeights, convertToFloat16] as const) {
        const made = await quantize(model).catch(onlyOurs);
        if (made === 'refused') continue;
        await writeModel(made.model, out, { externalData, overwrite: true }).catch(onlyOurs);
      }
    }
    return 'used';
  } catch (error) {
    return onlyOurs(error);
  } finally {
    for (const name of readdirSync(inner).filter((file) => file.startsWith('out.onnx'))) {
      expect(holdsSecret(readFileSync(join(inner, name))), name).toBe(false);
      rmSync(join(inner, name));
    }
    expect(readdirSync(outer).toSorted()).toEqual(['inner', 'secret.bin']);
    expect(readFileSync(join(outer, 'secret.bin')).length).toBe(512 * SECRET.length);
  }
}

function holdsSecret(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).includes(Buffer.from(SECRET));
}

/** All constants: of the graph, of bodies, and in attributes. */
function* sources(graph: Graph): Generator<TensorSource> {
  for (const { initializer } of graph.initializers) if (initializer !== undefined) yield initializer;
  for (const node of graph.nodes) {
    for (const { kind, value } of node.attributes.values()) if (kind === 'tensor') yield value;
    for (const body of node.subgraphs) yield* sources(body);
  }
}

it(
  `${RUNS} models with damaged external data`,
  async () => {
    const place = makePlace();
    const path = join(place.inner, 'model.onnx');
    await writeModel(material(), path, { externalData: { threshold: 0 } });
    const file = new Uint8Array(readFileSync(path));
    const data = new Uint8Array(readFileSync(`${path}_data`));
    const outcomes = new Set<string>();
    const damage = fc.record({
      entries: fc.array(entries(place.locations), { maxLength: 4 }),
      changes: fc.array(change, { maxLength: 2 }),
      bytes: fc.array(mutation, { maxLength: 1 }),
      kept: fc.oneof(fc.constant(data.length), fc.nat(data.length)),
    });
    const property = fc.asyncProperty(damage, async (deed) => {
      const message = fromBinary(ModelProtoSchema, file);
      for (const entry of deed.entries) setEntry(message, entry);
      for (const item of deed.changes) apply(message, item);
      const bytes = encoded(message);
      if (bytes === undefined) return;
      writeFileSync(path, deed.bytes.reduce(mutate, bytes));
      writeFileSync(`${path}_data`, data.subarray(0, deed.kept));
      outcomes.add(await use(place));
    });
    await fc.assert(property, { seed: SEED, numRuns: RUNS });
    expect(outcomes).toEqual(new Set(['refused', 'used']));
    checkMemory();
  },
  TIMEOUT_MS,
);
