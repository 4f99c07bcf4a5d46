/**
 * Block weights as the operators want them: packed zero points, rows without padding, elements in ONNX's order. Types and
 * shapes first, so that constants can be declared before they are computed.
 */
import { middleCode, type BlockGrid } from '../../algorithms/block-grid.ts';
import type { OnnxDType } from '../../graph/element-type.ts';
import { packBits } from '../../tensor/pack.ts';
import type { ConstantLayout } from '../derived-constants.ts';
import { blobBytes, blocksOf, zeroPointBytes, type BlockWeight } from './block-weight.ts';
import { asBits, transpose } from './transpose.ts';
import type { WeightMatrix } from './weight-matrix.ts';

type Extent = Pick<WeightMatrix, 'rows' | 'cols'>;

/** The constants of a weight; without zero points where the middle code stands for 0. */
export interface WeightLayout {
  readonly codes: ConstantLayout;
  readonly scales: ConstantLayout;
  readonly zeroPoints?: ConstantLayout;
  /** A scale of 1, where the scales come in later. */
  readonly unit?: ConstantLayout;
}

/** Their elements, as tensors of those types hold them. */
export interface WeightData {
  readonly codes: Uint8Array | Int8Array;
  readonly scales: Float32Array;
  readonly zeroPoints?: Uint8Array;
  readonly unit?: Float32Array;
}

/** Inputs of MatMulNBits: codes [N, blocks, bytes], scales [N, blocks], packed zero points unless symmetric. */
export function matMulNBitsLayout({ rows, cols }: Extent, spec: BlockGrid): WeightLayout {
  const blocks = blocksOf(cols, spec.blockSize);
  const layout = packedLayout(rows, blocks, [rows, blocks, blobBytes(spec)], spec);
  return spec.symmetric ? { codes: layout.codes, scales: layout.scales } : layout;
}

/**
 * Inputs of GatherBlockQuantized with uint8 data: codes [rows, cols·bits/8], scales and zero points as MatMulNBits.
 * Zero points are always written: without them onnxruntime-web's WebGPU backend can reuse a shader that assumes others.
 */
export function gatherLayout({ rows, cols }: Extent, spec: BlockGrid): WeightLayout {
  return packedLayout(rows, blocksOf(cols, spec.blockSize), [rows, (cols * spec.bits) / 8], spec);
}

function packedLayout(
  rows: number,
  blocks: number,
  codes: readonly number[],
  { bits }: BlockGrid,
): Required<Omit<WeightLayout, 'unit'>> {
  return {
    codes: { dtype: 'uint8', shape: codes },
    scales: { dtype: 'float32', shape: [rows, blocks] },
    zeroPoints: { dtype: 'uint8', shape: [rows, zeroPointBytes(blocks, bits)] },
  };
}

/** The data of either; `trim`: short last blocks lose their padding, as Gather's rows have it. */
export function packedData(
  weight: BlockWeight,
  { rows, cols }: Extent,
  spec: BlockGrid,
  trim: boolean,
): WeightData {
  const blocks = blocksOf(cols, spec.blockSize);
  const width = (cols * spec.bits) / 8;
  const padded = blocks * blobBytes(spec);
  const codes = trim && width !== padded ? trimRows(weight.codes, rows, padded, width) : weight.codes;
  return { codes, scales: weight.scales, zeroPoints: packedZeroPoints(weight, rows, blocks, spec) };
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
  { bits }: BlockGrid,
): Uint8Array {
  const width = zeroPointBytes(blocks, bits);
  if (bits === 8) return zeroPoints;
  const packed = new Uint8Array(rows * width);
  const row = new Uint8Array((width * 8) / bits).fill(middleCode(bits));
  for (let r = 0; r < rows; r++) {
    row.set(zeroPoints.subarray(r * blocks, (r + 1) * blocks));
    packBits(row, bits, packed.subarray(r * width, (r + 1) * width));
  }
  return packed;
}

/** Codes one by one in the order of a tensor, not in blocks. */
export interface ElementSpec extends BlockGrid {
  readonly order: WeightMatrix['order'];
  /** Axes of size 1 before the matrix. */
  readonly leading: readonly number[];
}

/**
 * Inputs of DequantizeLinear with block_size: codes in the weight's own shape, by rows [N, K] or by columns [K, N], of
 * dtype int4 or int8 where symmetric (the middle code is 0), else uint4 or uint8 with zero points.
 */
export function dequantizeLinearLayout(
  { rows, cols }: Extent,
  { bits, blockSize, symmetric, order, leading }: ElementSpec,
): WeightLayout {
  const blocks = blocksOf(cols, blockSize);
  const byRows = order === 'rows';
  const grid = [...leading, ...(byRows ? [rows, blocks] : [blocks, rows])];
  // Options allow 4 and 8 bits here.
  const dtype = `${symmetric ? 'int' : 'uint'}${bits}` as OnnxDType;
  const codes = { dtype, shape: [...leading, ...(byRows ? [rows, cols] : [cols, rows])] };
  const scales = { dtype: 'float32', shape: grid } as const;
  return symmetric ? { codes, scales } : { codes, scales, zeroPoints: { dtype, shape: grid } };
}

/** The data of {@link dequantizeLinearLayout}. */
export function dequantizeLinearData(
  weight: BlockWeight,
  { rows, cols }: Extent,
  { bits, blockSize, symmetric, order }: ElementSpec,
): WeightData {
  const blocks = blocksOf(cols, blockSize);
  const arrange = (data: Uint8Array, width: number): Uint8Array => {
    if (order === 'rows') return data;
    const turned = new Uint8Array(data.length);
    transpose(data, rows, width, turned, width);
    return turned;
  };
  const codes = arrange(unpackRows(weight.codes, rows, cols, { bits, padded: blocks * blockSize }), cols);
  const scales = order === 'rows' ? weight.scales : new Float32Array(weight.scales.length);
  if (order === 'columns') transpose(asBits(weight.scales), rows, blocks, asBits(scales), blocks);
  if (symmetric) return { codes: signed(codes, bits), scales };
  const zeroPoints = arrange(weight.zeroPoints, blocks);
  return bits === 4
    ? { codes: packBits(codes, 4), scales, zeroPoints: packBits(zeroPoints, 4) }
    : { codes, scales, zeroPoints };
}

/** int4 or int8: the middle code becomes 0. */
function signed(codes: Uint8Array, bits: number): Uint8Array | Int8Array {
  const shifted = new Int8Array(codes.length);
  // A loop: Int8Array.from takes a hundred times as long.
  for (let i = 0; i < codes.length; i++) shifted[i] = codes[i] - middleCode(bits);
  return bits === 4 ? packBits(shifted, 4) : shifted;
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
    for (let col = 0; col < cols; col += 2) {
      const byte = codes[from + col / 2];
      out[to + col] = byte & 15;
      if (col + 1 < cols) out[to + col + 1] = byte >> 4;
    }
  }
  return out;
}
