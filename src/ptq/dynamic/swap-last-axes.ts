/** Turns every matrix of a stack of 8-bit codes. */
import { Tensor } from '../../tensor/tensor.ts';
import { transpose } from '../weight-only/transpose.ts';

/** `[..., r, c]`, the shape that the codes are read in, → `[..., c, r]`. */
export function swapLastAxes({ dtype, data }: Tensor, shape: readonly number[]): Tensor {
  const [rows, cols] = shape.slice(-2);
  const swapped = new Uint8Array(data.length);
  // Codes of either sign move as bytes.
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  for (let at = 0; at < bytes.length; at += rows * cols) {
    transpose(bytes.subarray(at), rows, cols, swapped.subarray(at, at + rows * cols), cols);
  }
  const codes = dtype === 'int8' ? new Int8Array(swapped.buffer) : swapped;
  return new Tensor(dtype, [...shape.slice(0, -2), cols, rows], codes);
}
