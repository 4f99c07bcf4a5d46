/**
 * Damaged files give a QuantError or a model that can be used: never another error, never a hang, never much memory.
 * `npm test` runs a thousand of them, `npm run test:slow` a hundred times as many and others each time: it prints its seed.
 */
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { ModelProtoSchema } from 'onnx-buf';
import { expect, it } from 'vitest';
import { QuantError } from 'zeropoint';
import {
  clean,
  MemorySink,
  prepare,
  printModel,
  quantizeDynamic,
  quantizeWeights,
  raiseOpset,
  readModel,
  writeModel,
  type Model,
} from 'zeropoint/onnx';
import { FIXTURES, fixture, fixturePath } from './support/onnx-fixtures.ts';

const SEED = Number(process.env.ZEROPOINT_FUZZ_SEED ?? 20261123);
const FACTOR = Number(process.env.ZEROPOINT_FUZZ_FACTOR ?? 1);
const BYTE_RUNS = 700 * FACTOR;
const STRUCTURE_RUNS = 300 * FACTOR;
const TIMEOUT_MS = 60_000 * FACTOR;
/** A file takes about a millisecond; a collector that sets in, or a busy machine, a few hundred. */
const LONGEST_MS = 10_000;
/** Of the whole process, with vitest and the files that are its material. */
const MOST_MEMORY_KB = 2 ** 20;

/** Quantized ones too: their operators and 4-bit types are others. */
const FILES = [...FIXTURES.map(fixture), ...(await Promise.all(['mlp', 'digits_cnn'].map(quantized)))];

async function quantized(name: string): Promise<Uint8Array<ArrayBuffer>> {
  const { model } = await quantizeWeights(await readModel(fixturePath(`${name}.onnx`)), { blockSize: 16 });
  const sink = new MemorySink();
  await writeModel(model, sink);
  return sink.bytes;
}

const EXTERNAL = { externalData: () => new Uint8Array(256) };

/** Reads, and uses what was read in every way. Any error but a QuantError fails the property. */
async function use(bytes: Uint8Array): Promise<'refused' | 'used'> {
  const start = performance.now();
  try {
    const model = await readModel(bytes, EXTERNAL);
    printModel(model);
    for (const { initializer } of model.graph.initializers) await initializer?.load().catch(onlyOurs);
    const sink = new MemorySink();
    await writeModel(model.clone(), sink);
    const again = await readModel(sink.bytes, { externalData: Object.fromEntries(sink.files) });
    expect(printModel(again)).toBe(printModel(model));
    for (const quantize of QUANTIZERS) await quantize(model).catch(onlyOurs);
    return 'used';
  } catch (error) {
    return onlyOurs(error);
  } finally {
    expect(performance.now() - start).toBeLessThan(LONGEST_MS);
  }
}

/** Whatever can be read can be given to these, and makes sense or is refused. */
const QUANTIZERS: readonly ((model: Model) => Promise<unknown>)[] = [
  clean,
  (model) => raiseOpset(model, 21),
  async (model) => prepare(model),
  (model) => quantizeDynamic(model),
  (model) => quantizeWeights(model, { blockSize: 16 }),
];

function checkMemory(): void {
  expect(process.resourceUsage().maxRSS).toBeLessThan(MOST_MEMORY_KB);
}

function onlyOurs(error: unknown): 'refused' {
  if (!(error instanceof QuantError)) throw error;
  expect(error.message).toMatch(/expected .*, got /s);
  return 'refused';
}

/** One deed against bytes: flip a bit, set, insert or remove bytes, copy a stretch elsewhere, cut. */
const mutation = fc.record({
  kind: fc.constantFrom('flip', 'flip', 'set', 'set', 'insert', 'remove', 'copy', 'copy', 'cut'),
  at: fc.noBias(fc.nat(100_000)),
  from: fc.noBias(fc.nat(100_000)),
  value: fc.constantFrom(0, 1, 2, 7, 0x0a, 0x12, 0x3a, 0x7f, 0x80, 0xff),
  length: fc.integer({ min: 1, max: 20 }),
});

function mutate(bytes: Uint8Array, m: typeof mutation extends fc.Arbitrary<infer T> ? T : never): Uint8Array {
  // Structure, not weights: most of it is in the first kilobytes. Files that do not even begin well are tested apart.
  const at = 4 + (m.at % Math.max(Math.min(bytes.length, 4096) - 5, 1));
  const head = bytes.subarray(0, at);
  const piece = new Uint8Array(m.length).fill(m.value);
  switch (m.kind) {
    case 'flip':
      return join(head, Uint8Array.of(bytes[at] ^ (1 << (m.length % 8))), bytes.subarray(at + 1));
    case 'set':
      return join(head, Uint8Array.of(m.value), bytes.subarray(at + 1));
    case 'insert':
      return join(head, piece, bytes.subarray(at));
    case 'remove':
      return join(head, bytes.subarray(at + m.length));
    case 'copy': {
      const from = m.from % bytes.length;
      return join(head, bytes.subarray(from, from + m.length), bytes.subarray(at + m.length));
    }
    case 'cut':
      return head;
    default:
      throw new TypeError(m.kind);
  }
}

function join(...pieces: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(pieces));
}

it(
  `${BYTE_RUNS} files with damaged bytes`,
  async () => {
    const outcomes = new Set<string>();
    const files = fc.constantFrom(...FILES);
    const property = fc.asyncProperty(
      files,
      fc.array(mutation, { minLength: 1, maxLength: 4 }),
      async (file, deeds) => {
        outcomes.add(await use(deeds.reduce(mutate, file)));
      },
    );
    await fc.assert(property, { seed: SEED, numRuns: BYTE_RUNS });
    expect(outcomes).toEqual(new Set(['refused', 'used']));
    checkMemory();
  },
  TIMEOUT_MS,
);

/** Values that a field may be set to, whatever it means. */
const value = fc.oneof(
  fc.constantFrom<unknown>(
    '',
    'x',
    'w',
    'y',
    'ai.onnx',
    '../x',
    0,
    1,
    -1,
    99,
    2 ** 31,
    0n,
    -1n,
    2n ** 40n,
    2n ** 63n - 1n,
  ),
  fc.uint8Array({ maxLength: 9 }),
);

interface Change {
  readonly path: readonly number[];
  readonly deed: 'set' | 'drop' | 'repeat' | 'swap';
  readonly value: unknown;
}

const change: fc.Arbitrary<Change> = fc.record({
  path: fc.array(fc.nat(1000), { minLength: 2, maxLength: 12 }),
  deed: fc.constantFrom('set', 'drop', 'repeat', 'swap'),
  value,
});

/** Walks into a message along `path` as far as it goes and changes what is there. */
function apply(message: object, { path, deed, value: next }: Change): void {
  let holder = message as Record<string, unknown>;
  for (const step of path) {
    const keys = Object.keys(holder).filter((key) => !key.startsWith('$'));
    if (keys.length === 0) return;
    const key = keys[step % keys.length];
    const inner = holder[key];
    if (
      typeof inner === 'object' &&
      inner !== null &&
      !(inner instanceof Uint8Array) &&
      step !== path.at(-1)
    ) {
      holder = inner as Record<string, unknown>;
      continue;
    }
    if (Array.isArray(holder)) changeList(holder, Number(key), deed, next);
    else if (typeof inner === typeof next) holder[key] = next;
    return;
  }
}

function changeList(list: unknown[], index: number, deed: Change['deed'], next: unknown): void {
  if (deed === 'drop') list.splice(index, 1);
  else if (deed === 'repeat') list.push(list[index]);
  else if (deed === 'swap') list.reverse();
  else if (typeof list[index] === typeof next) list[index] = next;
}

it(
  `${STRUCTURE_RUNS} files with damaged structure`,
  async () => {
    const outcomes = new Set<string>();
    const files = fc.constantFrom(...FILES);
    const changes = fc.array(change, { minLength: 1, maxLength: 6 });
    const property = fc.asyncProperty(files, changes, async (file, list) => {
      const message = fromBinary(ModelProtoSchema, file);
      for (const item of list) apply(message, item);
      const bytes = encoded(message);
      if (bytes !== undefined) outcomes.add(await use(bytes));
    });
    await fc.assert(property, { seed: SEED, numRuns: STRUCTURE_RUNS });
    expect(outcomes).toEqual(new Set(['refused', 'used']));
    checkMemory();
  },
  TIMEOUT_MS,
);

/** undefined if a change broke what the other library can write. */
function encoded(message: ReturnType<typeof fromBinary<typeof ModelProtoSchema>>): Uint8Array | undefined {
  try {
    return toBinary(ModelProtoSchema, message);
  } catch {
    return undefined;
  }
}
