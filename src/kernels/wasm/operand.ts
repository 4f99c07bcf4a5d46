/**
 * An array as the kernels see it: in place where it lies in the machine's memory, else copied piece by piece through
 * a staging area. Copies of the whole tensor need twice the memory and are no faster; pieces of 64 KiB cost 0.1 µs
 * each, and where the tensor is far larger than the caches and the output smaller, 4 KiB pieces are up to a quarter
 * faster (docs/performance.md).
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

function stagedOperand(machine: Machine, array: KernelArray, slot: number): Operand {
  const memory = viewOf(machine, array);
  const first = slot / array.BYTES_PER_ELEMENT;
  return {
    resident: false,
    load(start, count) {
      memory.set(array.subarray(start, start + count), first);
      return slot;
    },
    target: () => slot,
    store(start, count) {
      array.set(memory.subarray(first, first + count), start);
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

/** Above this many elements a tensor and its result do not fit any cache. */
const OUT_OF_CACHE = 8_000_000;
const SMALL_PIECE = 1024;

/** Elements a call: all where nothing is staged, else what fits the staging areas. */
export function pieceLength(
  machine: Machine,
  elements: number,
  operands: readonly Operand[],
  shrinks: boolean,
): number {
  if (operands.every(({ resident }) => resident)) return Infinity;
  return shrinks && elements > OUT_OF_CACHE ? SMALL_PIECE : machine.at.MAX_ELEMENTS;
}
