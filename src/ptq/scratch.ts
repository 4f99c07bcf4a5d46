/**
 * Memory for parts of weights, used again by the next one: fresh memory costs more to touch than a weight to quantize (the system
 * zeroes each page, and the garbage collector runs for each tile). Kernels work on it in place.
 */
import { residentFloats } from '../kernels/resident.ts';

/** Arrays that are lent no more. A cache: losing one costs time only. */
const free: Float32Array[] = [];
const MOST = 3;
/** Larger ones are rare, and are not kept. */
const LARGEST = 4_194_304;
/** Most have room for this, so that the next borrower finds one; what is not touched takes no memory. */
const USUAL = 2_097_152;

/** At least `length` elements, of any content, for the borrower alone until {@link giveBack}. */
export function borrow(length: number): Float32Array {
  const index = free.findIndex((array) => array.length >= length);
  if (index >= 0) return free.splice(index, 1)[0];
  return length > LARGEST ? new Float32Array(length) : residentFloats(length > USUAL ? LARGEST : USUAL);
}

export function giveBack(array: Float32Array): void {
  if (free.length < MOST && array.length <= LARGEST) free.push(array);
}
