/**
 * Resizing as PIL does it (`Image.resize(size, BILINEAR)`, which torchvision's Resize calls), to the bit: rows first, then
 * columns, 8 bits in between, weights in fixed point. Our own, so that every decoder and runtime gives the same numbers.
 *
 *   w(x) = max(0, 1 - |x + 0.5 - c|/f) / Σ,  c = (i + 0.5)·s,  s = in/out,  f = max(s, 1)
 *   out(i) = (2^21 + Σ round(2^22·w(x))·in(x)) >> 22
 */

/** Pixels of `channels` interleaved bytes. */
export interface Raster {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly data: Uint8Array;
}

const PRECISION = 22;

/** Bilinear with antialiasing. A side that keeps its length is not touched. */
export function resizeImage(image: Raster, height: number, width: number): Raster {
  return resizeColumns(resizeRows(image, width), height);
}

/** Where the weights of one output position begin in the input, and the weights. */
interface Taps {
  readonly start: number;
  readonly weights: Int32Array;
}

function tapsOf(from: number, to: number): readonly Taps[] {
  const scale = from / to;
  const reach = Math.max(scale, 1);
  return Array.from({ length: to }, (_, i) => {
    const center = (i + 0.5) * scale;
    const start = Math.max(Math.trunc(center - reach + 0.5), 0);
    const end = Math.min(Math.trunc(center + reach + 0.5), from);
    const weights = Array.from({ length: end - start }, (_w, k) =>
      Math.max(0, 1 - Math.abs((k + start - center + 0.5) / reach)),
    );
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return { start, weights: Int32Array.from(weights, (w) => Math.trunc(0.5 + (w / sum) * 2 ** PRECISION)) };
  });
}

function resizeRows(image: Raster, width: number): Raster {
  if (width === image.width) return image;
  const { height, channels, data } = image;
  const out = new Uint8Array(height * width * channels);
  for (const [x, { start, weights }] of tapsOf(image.width, width).entries()) {
    for (let y = 0; y < height; y++) {
      const from = (y * image.width + start) * channels;
      const to = (y * width + x) * channels;
      for (let c = 0; c < channels; c++) out[to + c] = weighted(data, from + c, channels, weights);
    }
  }
  return { width, height, channels, data: out };
}

function resizeColumns(image: Raster, height: number): Raster {
  if (height === image.height) return image;
  const { width, channels, data } = image;
  const row = width * channels;
  const out = new Uint8Array(height * row);
  for (const [y, { start, weights }] of tapsOf(image.height, height).entries()) {
    for (let x = 0; x < row; x++) out[y * row + x] = weighted(data, start * row + x, row, weights);
  }
  return { width, height, channels, data: out };
}

/** Weights sum to 2^22 but for rounding, so that a sum stays below 2^31, and above 255 by at most a rounding. */
function weighted(data: Uint8Array, first: number, step: number, weights: Int32Array): number {
  let sum = 1 << (PRECISION - 1);
  for (let k = 0, at = first; k < weights.length; k++, at += step) sum += weights[k] * data[at];
  return Math.min(sum >> PRECISION, 255);
}
