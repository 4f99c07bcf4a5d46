/**
 * Float32 to codes, whatever the granularity:
 *
 *   code = clamp(roundHalfEven(x · (1/scale)) + zeroPoint, quantMin, quantMax)       float32 at each step
 *
 * 1/scale is rounded to float32 first. NaN becomes the zero point, ±Inf and everything beyond the range saturate, -0 is
 * 0, an empty tensor stays empty. A scale below 2^-128 has an infinite reciprocal: values other than 0 saturate.
 * Codes beyond 2^24 (32-bit dtypes only) are float32 numbers, so that a zero point beyond it need not be met exactly.
 * `numerics` changes the formula (numerics.ts); float zero points are added before rounding.
 */
import { kernels } from '../kernels/backend.ts';
import type { CodeArray, Grid } from '../kernels/types.ts';
import { floatInput } from '../tensor/cast.ts';
import { codeRange, dtypeInfo, isSigned, type QuantDType, type TensorDataOf } from '../tensor/dtype.ts';
import { packBits, type PackedBits } from '../tensor/pack.ts';
import type { TensorLike } from '../tensor/tensor.ts';
import { describeParams, zeroPointKind } from './granularity.ts';
import { gridOfPiece, makeGrid, singleParam } from './grid.ts';
import { pieceOf, planLayout } from './layout.ts';
import { codeRule } from './numerics.ts';
import { outArray, type Out } from './out.ts';
import { QuantizedTensor } from './quantized-tensor.ts';
import type { Granularity, Numerics, ParamValues } from './types.ts';

/** Options of every quantize function. */
export interface QuantizeOptions<D extends QuantDType = QuantDType> {
  /** Default `default`. */
  readonly numerics?: Numerics;
  /** Where the codes go: the dtype's array type, packed bytes below 8 bits. The result uses it without a copy. */
  readonly out?: Out<D>;
}

/** Options of {@link quantizePerChannel}. */
export interface QuantizePerChannelOptions<D extends QuantDType = QuantDType> extends QuantizeOptions<D> {
  /** Default `per_channel_affine`, which takes integer zero points only. */
  readonly qscheme?: 'per_channel_affine' | 'per_channel_affine_float_qparams';
}

/** Options of {@link quantizePerBlock}. */
export interface QuantizePerBlockOptions<D extends QuantDType = QuantDType> extends QuantizeOptions<D> {
  /** Default `per_block_affine`, which takes integer zero points only. */
  readonly qscheme?: 'per_block_affine' | 'per_block_affine_float_qparams';
}

/** Blocks of `blockSize` elements along `axis` (negative counts from the back); a shorter last block is allowed. */
export interface BlockAxis {
  readonly axis: number;
  readonly blockSize: number;
}

/**
 * Quantizes with one scale and zero point. torch: `quantize_per_tensor`, its list form included: lists of tensors,
 * scales and zero points give a list. The scale stays a double on the tensor and is float32 in the arithmetic.
 *
 * @param x float32; float16 and bfloat16 are converted exactly.
 * @param scale finite and > 0; a number or anything of one element, such as an observer's result.
 * @param zeroPoint integer in the dtype's range.
 * @throws TypeError for other dtypes of `x`; RangeError for a bad scale or zero point.
 * @example quantizePerTensor(tensor([[0.58, 0.86]]), 1e-2, 0, 'qint8').intRepr()
 */
export function quantizePerTensor<D extends QuantDType>(
  x: TensorLike,
  scale: ParamValues,
  zeroPoint: ParamValues,
  dtype: D,
  options?: QuantizeOptions<D>,
): QuantizedTensor<D>;
export function quantizePerTensor<D extends QuantDType>(
  x: readonly TensorLike[],
  scales: ArrayLike<number>,
  zeroPoints: ArrayLike<number>,
  dtype: D,
  options?: { readonly numerics?: Numerics },
): QuantizedTensor<D>[];
export function quantizePerTensor<D extends QuantDType>(
  x: TensorLike | readonly TensorLike[],
  scale: ParamValues,
  zeroPoint: ParamValues,
  dtype: D,
  options: QuantizeOptions<D> = {},
): QuantizedTensor<D> | QuantizedTensor<D>[] {
  const where = 'quantizePerTensor';
  if (isList(x))
    return quantizeList(x, scale as ArrayLike<number>, zeroPoint as ArrayLike<number>, dtype, options);
  const value = singleParam(scale, 'scale', where);
  return quantize(x, {
    where,
    granularity: { kind: 'per_tensor' },
    dtype,
    kind: 'integer',
    scales: [value],
    zeroPoints: singleParam(zeroPoint, 'zero point', where),
    scale: value,
    options,
  });
}

/**
 * Quantizes with a scale and a zero point for each index of an axis. torch: `quantize_per_channel`, which refuses
 * negative axes and picks the scheme by the dtype of the zero points; here `options.qscheme` does.
 *
 * @param scales one for each index of `axis`, finite and > 0. A Float64Array is kept (products in double).
 * @param zeroPoints as many; integers in the dtype's range, any finite float under `..._float_qparams`.
 * @param axis may be negative.
 * @throws TypeError for other dtypes of `x`; RangeError for a bad axis, count, scale or zero point, naming the channel.
 */
export function quantizePerChannel<D extends QuantDType>(
  x: TensorLike,
  scales: ParamValues,
  zeroPoints: ParamValues,
  axis: number,
  dtype: D,
  options: QuantizePerChannelOptions<D> = {},
): QuantizedTensor<D> {
  const granularity = { kind: 'per_channel', axis } as const;
  const kind = zeroPointKind(options.qscheme, 'per_channel', 'quantizePerChannel');
  return quantize(x, { where: 'quantizePerChannel', granularity, dtype, kind, scales, zeroPoints, options });
}

/**
 * Quantizes with a scale and a zero point for each block of elements along an axis. Scales and zero points lie in
 * row-major order over the shape of `x` with the axis divided by the block size, rounded up: a [4, 64] weight in
 * blocks of 32 along axis 1 has 4·2 of them. ONNX: QuantizeLinear with `block_size`; torch:
 * `quantized_decomposed.quantize_per_channel_group` (last axis).
 *
 * @throws as {@link quantizePerChannel}; RangeError for a block size below 1.
 */
export function quantizePerBlock<D extends QuantDType>(
  x: TensorLike,
  scales: ParamValues,
  zeroPoints: ParamValues,
  block: BlockAxis,
  dtype: D,
  options: QuantizePerBlockOptions<D> = {},
): QuantizedTensor<D> {
  const granularity = { kind: 'per_block', axis: block.axis, blockSize: block.blockSize } as const;
  const kind = zeroPointKind(options.qscheme, 'per_block', 'quantizePerBlock');
  return quantize(x, { where: 'quantizePerBlock', granularity, dtype, kind, scales, zeroPoints, options });
}

interface QuantizeRequest<D extends QuantDType> {
  readonly where: string;
  readonly granularity: Granularity;
  readonly dtype: D;
  readonly kind: 'integer' | 'float';
  readonly scales: ParamValues;
  readonly zeroPoints: ParamValues;
  /** The scale of a per-tensor scheme in double. */
  readonly scale?: number;
  readonly options: QuantizeOptions<D>;
}

function quantize<D extends QuantDType>(x: TensorLike, request: QuantizeRequest<D>): QuantizedTensor<D> {
  const { where, granularity, dtype, kind, options } = request;
  const numerics = options.numerics ?? 'default';
  const range = codeRange(dtype);
  const { data, shape } = floatInput(x, where);
  const plan = planLayout(shape, granularity, where);
  const grid = makeGrid(request.scales, request.zeroPoints, {
    where,
    count: plan.params,
    of: describeParams(granularity),
    zeroPoints: kind,
    range,
    numerics,
  });
  const operation = {
    kind: 'quantize',
    granularity: granularity.kind,
    dtype,
    zeroPoints: kind,
  } as const;
  const rule = codeRule(numerics, operation, where);
  const codes = outArray(options.out, dtype, data.length, where);
  const effective = numerics === 'torch-2.13' ? torchGrid(grid) : grid;
  writeCodes(codes, dtype, data.length, (loose) => {
    for (const piece of plan.pieces) {
      const part = gridOfPiece(effective, piece);
      kernels().quantize(pieceOf(data, piece), pieceOf(loose, piece), part, piece.layout, rule);
    }
  });
  return new QuantizedTensor({ dtype, shape, codes, granularity, ...grid, scale: request.scale });
}

/** Lets `write` fill one code an element and packs them into `codes` where the dtype is below 8 bits. */
function writeCodes<D extends QuantDType>(
  codes: TensorDataOf<D>,
  dtype: D,
  count: number,
  write: (loose: CodeArray) => void,
): void {
  const { bits } = dtypeInfo(dtype);
  if (bits >= 8) {
    // Every storage of a QuantDType that is not packed is a CodeArray.
    write(codes as CodeArray);
    return;
  }
  const loose = isSigned(dtype) ? new Int8Array(count) : new Uint8Array(count);
  write(loose);
  packBits(loose, bits as PackedBits, codes as Uint8Array);
}

/** torch 2.13 quantizes with float zero points as if a scale of 0 were 1. */
function torchGrid(grid: Grid): Grid {
  if (grid.zeroPoints instanceof Int32Array) return grid;
  return {
    ...grid,
    scales: Float32Array.from(grid.scales, (scale) => (Math.fround(scale) === 0 ? 1 : scale)),
  };
}

/** Nested numbers are no list of tensors, whatever they look like. */
function isList(x: TensorLike | readonly TensorLike[]): x is readonly TensorLike[] {
  return Array.isArray(x) && !x.some((item) => typeof item === 'number' || Array.isArray(item));
}

function quantizeList<D extends QuantDType>(
  list: readonly TensorLike[],
  scales: ArrayLike<number>,
  zeroPoints: ArrayLike<number>,
  dtype: D,
  { numerics }: { readonly numerics?: Numerics },
): QuantizedTensor<D>[] {
  if (scales.length !== list.length || zeroPoints.length !== list.length) {
    throw new RangeError(
      `quantizePerTensor: expected ${list.length} scales and zero points for a list of tensors, ` +
        `got ${scales.length} and ${zeroPoints.length}`,
    );
  }
  return list.map((x, i) => quantizePerTensor(x, scales[i], zeroPoints[i], dtype, { numerics }));
}
