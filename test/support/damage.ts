/** Damage for tests: to the bytes of a file, and to the messages of a model. Seeded, so that each run can be had again. */
import { toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { ModelProtoSchema, type ModelProto } from 'onnx-buf';
import { expect } from 'vitest';
import { QuantError } from 'zeropoint';

/** `npm run test:slow` gives another seed each time, and more runs. */
export const SEED = Number(process.env.ZEROPOINT_FUZZ_SEED ?? 20261123);
export const FACTOR = Number(process.env.ZEROPOINT_FUZZ_FACTOR ?? 1);
/** Of the whole process, with vitest and the files that are its material. */
const MOST_MEMORY_KB = 2 ** 20;

export function checkMemory(): void {
  expect(process.resourceUsage().maxRSS).toBeLessThan(MOST_MEMORY_KB);
}

/** Passes over what is refused; any error but a QuantError that says what was expected fails the test. */
export function onlyOurs(error: unknown): 'refused' {
  if (!(error instanceof QuantError)) throw error;
  expect(error.message).toMatch(/expected .*, got /s);
  return 'refused';
}

/** One deed against bytes: flip a bit, set, insert or remove bytes, copy a stretch elsewhere, cut. */
export const mutation = fc.record({
  kind: fc.constantFrom('flip', 'flip', 'set', 'set', 'insert', 'remove', 'copy', 'copy', 'cut'),
  at: fc.noBias(fc.nat(100_000)),
  from: fc.noBias(fc.nat(100_000)),
  value: fc.constantFrom(0, 1, 2, 7, 0x0a, 0x12, 0x3a, 0x7f, 0x80, 0xff),
  length: fc.integer({ min: 1, max: 20 }),
});

export function mutate(
  bytes: Uint8Array,
  m: typeof mutation extends fc.Arbitrary<infer T> ? T : never,
): Uint8Array {
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

export const change: fc.Arbitrary<Change> = fc.record({
  path: fc.array(fc.nat(1000), { minLength: 2, maxLength: 12 }),
  deed: fc.constantFrom('set', 'drop', 'repeat', 'swap'),
  value,
});

/** Walks into a message along `path` as far as it goes and changes what is there. */
export function apply(message: object, { path, deed, value: next }: Change): void {
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

/** undefined if a change broke what the other library can write. */
export function encoded(message: ModelProto): Uint8Array | undefined {
  try {
    return toBinary(ModelProtoSchema, message);
  } catch {
    return undefined;
  }
}
