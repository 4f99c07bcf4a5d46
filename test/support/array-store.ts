/**
 * Reads the fixtures that scripts/fixtures/torch_quant_store.py writes: cases in `<name>.json.gz`, whose numbers of
 * arrays point into `<name>.bin.gz`.
 */
import { loadFixture, loadJson } from './fixtures.ts';

const ARRAY_TYPES = {
  float32: Float32Array,
  float64: Float64Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint32: Uint32Array,
  uint64: BigUint64Array,
} as const;

export type StoredArray = InstanceType<(typeof ARRAY_TYPES)[keyof typeof ARRAY_TYPES]>;

interface StoreFile<C> {
  readonly about: Readonly<Record<string, string>>;
  readonly arrays: readonly (readonly [dtype: keyof typeof ARRAY_TYPES, offset: number, length: number])[];
  readonly cases: readonly C[];
}

export interface ArrayStore<C> {
  readonly about: Readonly<Record<string, string>>;
  readonly cases: readonly C[];
  /** The array of a number in a case; a view, so do not write to it. */
  array(index: number): StoredArray;
}

/** Loads `test/fixtures/<name>.{json,bin}.gz`. */
export async function loadStore<C>(name: string): Promise<ArrayStore<C>> {
  const { about, arrays, cases } = await loadJson<StoreFile<C>>(`${name}.json.gz`);
  const { buffer } = await loadFixture(`${name}.bin.gz`);
  return {
    about,
    cases,
    array(index) {
      const [dtype, offset, length] = arrays[index];
      return new ARRAY_TYPES[dtype](buffer, offset, length);
    },
  };
}

/** Index of the first difference in bits, -1 if there is none; any NaN equals any NaN. */
export function firstDifference(actual: ArrayLike<unknown>, expected: ArrayLike<unknown>): number {
  if (actual.length !== expected.length) return Math.min(actual.length, expected.length);
  for (let i = 0; i < actual.length; i++) if (!Object.is(actual[i], expected[i])) return i;
  return -1;
}
