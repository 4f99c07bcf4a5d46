/**
 * A float32 constant as 16 bits, converted piece by piece when it is read, so that memory is a piece and not a tensor.
 * Small ones are converted at once and stay in memory, so that passes can look at them.
 */
import type { TensorSource } from '../../graph/tensor-source.ts';
import { bytesOf, floatsOf, memorySource } from '../../graph/tensor-source.ts';
import { elementCount } from '../../tensor/shape.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { borrow, giveBack } from '../scratch.ts';
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
  const piece = borrow(Math.min(PIECE, count));
  try {
    for (let from = 0; from < count; from += PIECE) {
      signal?.throwIfAborted();
      const into = bytesOf(piece).subarray(0, Math.min(PIECE, count - from) * FLOAT_BYTES);
      const bytes = await source.read(from * FLOAT_BYTES, into.length, into);
      scanValues(floatsOf(bytes), dtype, range, scan);
    }
  } finally {
    giveBack(piece);
  }
  // What was not clamped need not be compared again.
  const rest = scan.clamped === 0 ? { ...range, greatest: Infinity } : range;
  const narrow = new HalfSource(source, dtype, rest);
  return { source: count <= SMALL ? memorySource(await narrow.load()) : narrow, scan };
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

  /** Writes the patterns of as many elements from `from` on as `bits` has room for. */
  async #convert(from: number, bits: Uint16Array): Promise<void> {
    const scratch = borrow(bits.length);
    try {
      const into = bytesOf(scratch).subarray(0, bits.length * FLOAT_BYTES);
      const bytes = await this.#source.read(from * FLOAT_BYTES, into.length, into);
      narrowValues(floatsOf(bytes), bits, this.elementType, this.#range);
    } finally {
      giveBack(scratch);
    }
  }

  async load(): Promise<Tensor> {
    const all = new Uint16Array(this.byteLength / HALF_BYTES);
    for (let from = 0; from < all.length; from += PIECE) {
      await this.#convert(from, all.subarray(from, from + PIECE));
    }
    return new Tensor(this.elementType, this.shape, all);
  }

  async read(offset: number, length: number, into?: Uint8Array): Promise<Uint8Array> {
    const from = Math.floor(offset / HALF_BYTES);
    const count = Math.ceil((offset + length) / HALF_BYTES) - from;
    const fits = into !== undefined && into.byteOffset % HALF_BYTES === 0 && count * HALF_BYTES === length;
    const bits = fits ? new Uint16Array(into.buffer, into.byteOffset, count) : new Uint16Array(count);
    await this.#convert(from, bits);
    const start = offset - from * HALF_BYTES;
    return bytesOf(bits).subarray(start, start + length);
  }
}
