/** Every matrix of a stack of 8-bit codes, turned: `[..., r, c]`, the shape of the constant, → `[..., c, r]`. */
import type { Arrangement } from '../quantized-weights.ts';
import { transpose } from '../weight-only/transpose.ts';

export const SWAPPED: Arrangement = {
  shape: (shape) => [...shape.slice(0, -2), ...shape.slice(-2).toReversed()],
  codes({ dtype, data }, shape) {
    const [rows, cols] = shape.slice(-2);
    const swapped = new Uint8Array(data.length);
    // Codes of either sign move as bytes.
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    for (let at = 0; at < bytes.length; at += rows * cols) {
      transpose(bytes.subarray(at), rows, cols, swapped.subarray(at, at + rows * cols), cols);
    }
    return dtype === 'int8' ? new Int8Array(swapped.buffer) : swapped;
  },
};
