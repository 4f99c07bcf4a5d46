/** Memory for results and inputs of kernels that lives as long as the caller keeps it, see also wasm/arena.ts. */
import { kernels } from './backend.ts';
import { createMachine } from './wasm/machine.ts';

/**
 * `length` float32 values, where the backend in use works on them in place: nothing is copied into its memory first. An
 * ordinary array where the system gives no such memory. Each takes half a megabyte more than its values, and pages only as
 * they are touched; they are meant to be used again.
 */
export function residentFloats(length: number): Float32Array {
  if (kernels().name !== 'wasm') return new Float32Array(length);
  try {
    const { buffer, at } = createMachine(length * Float32Array.BYTES_PER_ELEMENT);
    return new Float32Array(buffer, at.RESERVED, length);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return new Float32Array(length);
  }
}
