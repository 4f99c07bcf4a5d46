/** Block weights as the operators want them: packed zero points, rows without padding, elements in ONNX's order. */
import { packBits } from '../../tensor/pack.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { blobBytes, blocksOf, zeroPointBytes, type BlockSpec, type BlockWeight } from './block-weight.ts';
import type { WeightMatrix } from './weight-matrix.ts';

type Extent = Pick<WeightMatrix, 'rows' | 'cols'>;

/** The three constants of a weight; without zero points where the middle code stands for 0. */
export interface WeightTensors {
  readonly codes: Tensor;
  readonly scales: Tensor;
  readonly zeroPoints?: Tensor;
}

const middle = (bits: number): number => 2 ** (bits - 1);

/** Inputs of MatMulNBits: codes [N, blocks, bytes], scales [N, blocks], packed zero points unless symmetric. */
export function matMulNBitsTensors(
  weight: BlockWeight,
  { rows, cols }: Extent,
  spec: BlockSpec,
): WeightTensors {
  const blocks = blocksOf(cols, spec.blockSize);
  const tensors = {
    codes: new Tensor('uint8', [rows, blocks, blobBytes(spec)], weight.codes),
    scales: new Tensor('float32', [rows, blocks], weight.scales),
  };
  return spec.symmetric ? tensors : { ...tensors, zeroPoints: packedZeroPoints(weight, rows, blocks, spec) };
}

/**
 * Inputs of GatherBlockQuantized with uint8 data: codes [rows, cols·bits/8], scales and zero points as MatMulNBits.
 * Zero points are always written: without them onnxruntime-web's WebGPU backend can reuse a shader that assumes others.
 */
export function gatherTensors(weight: BlockWeight, { rows, cols }: Extent, spec: BlockSpec): WeightTensors {
  const blocks = blocksOf(cols, spec.blockSize);
  const width = (cols * spec.bits) / 8;
  const padded = blocks * blobBytes(spec);
  const codes = width === padded ? weight.codes : trimRows(weight.codes, rows, padded, width);
  return {
    codes: new Tensor('uint8', [rows, width], codes),
    scales: new Tensor('float32', [rows, blocks], weight.scales),
    zeroPoints: packedZeroPoints(weight, rows, blocks, spec),
  };
}

function trimRows(codes: Uint8Array, rows: number, padded: number, width: number): Uint8Array {
  const trimmed = new Uint8Array(rows * width);
  for (let row = 0; row < rows; row++) {
    trimmed.set(codes.subarray(row * padded, row * padded + width), row * width);
  }
  return trimmed;
}

/** Rows of packed zero points; what is left of a row's last byte holds the middle code, as onnxruntime writes it. */
function packedZeroPoints(
  { zeroPoints }: BlockWeight,
  rows: number,
  blocks: number,
  { bits }: BlockSpec,
): Tensor {
  const width = zeroPointBytes(blocks, bits);
  if (bits === 8) return new Tensor('uint8', [rows, width], zeroPoints);
  const packed = new Uint8Array(rows * width);
  const row = new Uint8Array((width * 8) / bits).fill(middle(bits));
  for (let r = 0; r < rows; r++) {
    row.set(zeroPoints.subarray(r * blocks, (r + 1) * blocks));
    packBits(row, bits, packed.subarray(r * width, (r + 1) * width));
  }
  return new Tensor('uint8', [rows, width], packed);
}

/**
 * Inputs of DequantizeLinear with block_size: codes in the weight's own shape, by rows [N, K] or by columns [K, N], of
 * dtype int4 or int8 where symmetric (the middle code is 0), else uint4 or uint8 with zero points.
 */
export function dequantizeLinearTensors(
  weight: BlockWeight,
  { rows, cols }: Extent,
  { bits, blockSize, symmetric }: BlockSpec,
  order: WeightMatrix['order'],
  leading: readonly number[],
): WeightTensors {
  const blocks = blocksOf(cols, blockSize);
  const byRows = order === 'rows';
  const shape = [...leading, ...(byRows ? [rows, cols] : [cols, rows])];
  const grid = [...leading, ...(byRows ? [rows, blocks] : [blocks, rows])];
  const elements = unpackRows(weight.codes, rows, cols, { bits, padded: blocks * blockSize });
  const arrange = <T extends Uint8Array | Float32Array>(data: T, width: number): T =>
    byRows ? data : transpose(data, rows, width);
  const codes = arrange(elements, cols);
  const scales = new Tensor('float32', grid, arrange(weight.scales, blocks));
  if (symmetric) return { codes: stored(codes, shape, bits, true), scales };
  const zeroPoints = arrange(weight.zeroPoints, blocks);
  return {
    codes: stored(codes, shape, bits, false),
    scales,
    zeroPoints: stored(zeroPoints, grid, bits, false),
  };
}

/** Codes, one a byte, as a tensor; signed ones have the middle code taken off. */
function stored(codes: Uint8Array, shape: readonly number[], bits: number, signed: boolean): Tensor {
  const shifted = signed ? codes.map((code) => code - middle(bits)) : codes;
  if (bits === 4) return new Tensor(signed ? 'int4' : 'uint4', shape, packBits(shifted, 4));
  return signed
    ? new Tensor('int8', shape, new Int8Array(shifted.buffer, shifted.byteOffset, shifted.length))
    : new Tensor('uint8', shape, shifted);
}

/** One code a byte, without the padding of short last blocks. */
function unpackRows(
  codes: Uint8Array,
  rows: number,
  cols: number,
  { bits, padded }: { readonly bits: number; readonly padded: number },
): Uint8Array {
  if (bits === 8) return padded === cols ? codes : trimRows(codes, rows, padded, cols);
  const out = new Uint8Array(rows * cols);
  for (let row = 0; row < rows; row++) {
    const from = (row * padded) / 2;
    const to = row * cols;
    for (let col = 0; col < cols; col++) out[to + col] = (codes[from + (col >> 1)] >> ((col & 1) * 4)) & 15;
  }
  return out;
}

/** [rows, cols] → [cols, rows]. */
function transpose<T extends Uint8Array | Float32Array>(from: T, rows: number, cols: number): T {
  // The constructor of a typed array makes its own kind.
  const to = new (from.constructor as new (length: number) => T)(from.length);
  for (let c0 = 0; c0 < cols; c0 += 64) {
    const end = Math.min(cols, c0 + 64);
    for (let r = 0; r < rows; r++) for (let c = c0; c < end; c++) to[c * rows + r] = from[r * cols + c];
  }
  return to;
}
