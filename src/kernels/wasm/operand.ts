/**
 * An array as the kernels see it: in place where it lies in the machine's memory, else copied piece by piece through
 * a staging area. A copy of the whole tensor would need twice the memory and is no faster.
 */
import type { KernelArray, Machine } from './machine.ts';

export interface Operand {
  /** True if the kernels work on the array itself. */
  readonly resident: boolean;
  /** Address of elements [start, start + count), after copying them in if they are staged. */
  load(start: number, count: number): number;
  /** Address for results [start, ...). */
  target(start: number): number;
  /** Copies results [start, start + count) out if they are staged. */
  store(start: number, count: number): void;
}

/** `array` for kernels of `machine`, with its staging area at byte `slot`. */
export function operand(machine: Machine, array: KernelArray, slot: number): Operand {
  return array.buffer === machine.buffer ? residentOperand(array) : stagedOperand(machine, array, slot);
}

function residentOperand({ byteOffset, BYTES_PER_ELEMENT }: KernelArray): Operand {
  const address = (start: number): number => byteOffset + start * BYTES_PER_ELEMENT;
  return { resident: true, load: address, target: address, store: () => {} };
}

/** Below this many elements a loop is faster than subarray() and set(), which cost 0.1 to 0.2 µs together. */
const LOOP_COPY = 32;

function stagedOperand(machine: Machine, array: KernelArray, slot: number): Operand {
  const memory = viewOf(machine, array);
  const first = slot / array.BYTES_PER_ELEMENT;
  return {
    resident: false,
    load(start, count) {
      if (count === array.length) memory.set(array, first);
      else if (count < LOOP_COPY) for (let i = 0; i < count; i++) memory[first + i] = array[start + i];
      else memory.set(array.subarray(start, start + count), first);
      return slot;
    },
    target: () => slot,
    store(start, count) {
      if (count < LOOP_COPY) for (let i = 0; i < count; i++) array[start + i] = memory[first + i];
      else array.set(memory.subarray(first, first + count), start);
    },
  };
}

function viewOf(machine: Machine, array: KernelArray): KernelArray {
  if (array instanceof Float32Array) return machine.float32;
  if (array instanceof Int8Array) return machine.int8;
  if (array instanceof Uint8Array) return machine.uint8;
  if (array instanceof Int16Array) return machine.int16;
  if (array instanceof Uint16Array) return machine.uint16;
  return machine.int32;
}

/** Above this many elements a tensor does not fit the caches (32 MB). */
const OUT_OF_CACHE = 8_000_000;
const SMALL_PIECE = 1024;

/**
 * Elements a call: all where nothing is staged, else what fits the staging areas, 64 KiB of float32; a piece costs 0.1 µs.
 * Measured over 1e7 values, in pieces of 4, 16 and 64 KiB: with results (quantize) 7.5, 7.8 and 8.9 GB/s, but without
 * (min/max) 16.8, 12.0 and 12.2, as memcpy treats copies below 8 KiB otherwise. Below 32 elements the reference would be
 * up to 0.3 µs faster: not worth a second path.
 */
export function pieceLength(
  machine: Machine,
  elements: number,
  operands: readonly Operand[],
  { readsOnly = false }: { readonly readsOnly?: boolean } = {},
): number {
  if (operands.every(({ resident }) => resident)) return Infinity;
  return readsOnly && elements > OUT_OF_CACHE ? SMALL_PIECE : machine.at.MAX_ELEMENTS;
}
