/**
 * A float32 constant as 16 bits, converted piece by piece when it is read, so that memory is a piece and not a tensor.
 * Small ones are converted at once and stay in memory, so that passes can look at them.
 */
import type { TensorSource } from '../../graph/tensor-source.ts';
import { bytesOf, memorySource } from '../../graph/tensor-source.ts';
import { elementCount } from '../../tensor/shape.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { emptyScan, narrowValues, scanValues, type ClampRange, type RangeScan } from './clamp-rules.ts';
import type { HalfDType } from './signatures.ts';

/** Elements that are read at once: 4 MiB of float32. */
const PIECE = 1_048_576;
/** Elements of a constant that stays in memory. */
const SMALL = 4096;

const FLOAT_BYTES = 4;
const HALF_BYTES = 2;

/** A narrow constant, and what narrowing it did. */
export interface Narrowed {
  readonly source: TensorSource;
  readonly scan: RangeScan;
}

/** Reads the constant once to count; a large one is read again when it is written. */
export async function narrowSource(
  source: TensorSource,
  dtype: HalfDType,
  range: ClampRange,
  signal?: AbortSignal,
): Promise<Narrowed> {
  const count = elementCount(source.shape);
  const scan = emptyScan();
  for (let from = 0; from < count; from += PIECE) {
    signal?.throwIfAborted();
    scanValues(await readFloats(source, from, Math.min(PIECE, count - from)), dtype, range, scan);
  }
  // What was not clamped need not be compared again.
  const rest = scan.clamped === 0 ? { ...range, greatest: Infinity } : range;
  const narrow = new HalfSource(source, dtype, rest);
  return { source: count <= SMALL ? memorySource(await narrow.load()) : narrow, scan };
}

/** In own memory: what was read may be shared, or begin at an odd byte. */
async function readFloats(source: TensorSource, from: number, count: number): Promise<Float32Array> {
  const bytes = await source.read(from * FLOAT_BYTES, count * FLOAT_BYTES);
  const values = new Float32Array(count);
  new Uint8Array(values.buffer).set(bytes);
  return values;
}

class HalfSource implements TensorSource {
  readonly elementType: HalfDType;
  readonly shape: readonly number[];
  readonly byteLength: number;
  readonly where = 'computed';
  readonly #source: TensorSource;
  readonly #range: ClampRange;

  constructor(source: TensorSource, dtype: HalfDType, range: ClampRange) {
    this.elementType = dtype;
    this.shape = source.shape;
    this.byteLength = elementCount(source.shape) * HALF_BYTES;
    this.#source = source;
    this.#range = range;
  }

  /** Patterns of elements `from` to `from + count`. */
  async bits(from: number, count: number): Promise<Uint16Array> {
    const values = await readFloats(this.#source, from, count);
    return narrowValues(values, this.elementType, this.#range);
  }

  async load(): Promise<Tensor> {
    const all = new Uint16Array(this.byteLength / HALF_BYTES);
    for (let from = 0; from < all.length; from += PIECE) {
      all.set(await this.bits(from, Math.min(PIECE, all.length - from)), from);
    }
    return new Tensor(this.elementType, this.shape, all);
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    const from = Math.floor(offset / HALF_BYTES);
    const to = Math.ceil((offset + length) / HALF_BYTES);
    const start = offset - from * HALF_BYTES;
    return bytesOf(await this.bits(from, to - from)).subarray(start, start + length);
  }
}
