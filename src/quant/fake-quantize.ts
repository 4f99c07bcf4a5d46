/**
 * What a value becomes by quantizing and dequantizing it, without codes in between:
 *
 *   q = clamp(roundHalfEven(x · (1/scale)) + zeroPoint, quantMin, quantMax),   y = (q - zeroPoint) · scale
 *
 * float32 at each step: y equals `dequantize(quantize(x))` bit for bit. NaN gives 0 (the zero point's value), ±Inf the end of the range,
 * -0 gives 0, empty stays empty. With numerics `torch-2.13` NaN gives quantMin's value, and per channel +Inf does too.
 */
import { kernels } from '../kernels/backend.ts';
import { floatInput } from '../tensor/cast.ts';
import { Tensor, type TensorLike } from '../tensor/tensor.ts';
import { describeParams, zeroPointKind } from './granularity.ts';
import { gridOfPiece, makeGrid, singleParam } from './grid.ts';
import { pieceOf, planLayout } from './layout.ts';
import { codeRule, productInDouble } from './numerics.ts';
import { outArray, type Out } from './out.ts';
import type { BlockAxis } from './quantize.ts';
import type { Granularity, Numerics, ParamValues } from './types.ts';

/** Options of every fake-quantize. */
export interface FakeQuantizeOptions {
  /** Default `default`. */
  readonly numerics?: Numerics;
  /** Where the values go; may be the data of `x` itself. */
  readonly out?: Out<'float32'>;
  /**
   * Filled with 1 where the code lay in the range before clamping, 0 elsewhere and for NaN: what
   * {@link fakeQuantizeBackward} needs. torch: `fake_quantize_per_tensor_affine_cachemask`.
   */
  readonly mask?: Uint8Array;
}

/** Options of {@link fakeQuantizePerChannelAffine}. */
export interface FakeQuantizePerChannelOptions extends FakeQuantizeOptions {
  /** Default `per_channel_affine`, which takes integer zero points only. */
  readonly qscheme?: 'per_channel_affine' | 'per_channel_affine_float_qparams';
}

/** Options of {@link fakeQuantizePerBlockAffine}. */
export interface FakeQuantizePerBlockOptions extends FakeQuantizeOptions {
  /** Default `per_block_affine`, which takes integer zero points only. */
  readonly qscheme?: 'per_block_affine' | 'per_block_affine_float_qparams';
}

/**
 * Fake-quantizes with one scale and zero point. torch: `fake_quantize_per_tensor_affine`, number and tensor qparams.
 *
 * @param x float32; float16 and bfloat16 are converted exactly. The result is float32.
 * @param quantMin integer ≤ zeroPoint ≤ quantMax (torch's tensor form does not check, and gives nonsense).
 * @throws TypeError for other dtypes of `x`; RangeError for a bad scale, zero point or range.
 */
export function fakeQuantizePerTensorAffine(
  x: TensorLike,
  scale: ParamValues,
  zeroPoint: ParamValues,
  quantMin: number,
  quantMax: number,
  options: FakeQuantizeOptions = {},
): Tensor<'float32'> {
  const where = 'fakeQuantizePerTensorAffine';
  const scales = [singleParam(scale, 'scale', where)];
  const zeroPoints = singleParam(zeroPoint, 'zero point', where);
  const granularity = { kind: 'per_tensor' } as const;
  const range = [quantMin, quantMax] as const;
  return fakeQuantize(x, { where, granularity, kind: 'integer', scales, zeroPoints, range, options });
}

/**
 * Fake-quantizes with a scale and a zero point for each index of an axis, which may be negative. torch:
 * `fake_quantize_per_channel_affine`.
 *
 * @throws TypeError for other dtypes of `x`; RangeError for a bad axis, count, scale, zero point or range.
 */
export function fakeQuantizePerChannelAffine(
  x: TensorLike,
  scales: ParamValues,
  zeroPoints: ParamValues,
  axis: number,
  quantMin: number,
  quantMax: number,
  options: FakeQuantizePerChannelOptions = {},
): Tensor<'float32'> {
  const where = 'fakeQuantizePerChannelAffine';
  const kind = zeroPointKind(options.qscheme, 'per_channel', where);
  const granularity = { kind: 'per_channel', axis } as const;
  const range = [quantMin, quantMax] as const;
  return fakeQuantize(x, { where, granularity, kind, scales, zeroPoints, range, options });
}

/**
 * Fake-quantizes with a scale and a zero point for each block of elements along an axis; parameters as in
 * `quantizePerBlock`.
 *
 * @throws as {@link fakeQuantizePerChannelAffine}; RangeError for a block size below 1.
 */
export function fakeQuantizePerBlockAffine(
  x: TensorLike,
  scales: ParamValues,
  zeroPoints: ParamValues,
  block: BlockAxis,
  quantMin: number,
  quantMax: number,
  options: FakeQuantizePerBlockOptions = {},
): Tensor<'float32'> {
  const where = 'fakeQuantizePerBlockAffine';
  const granularity = { kind: 'per_block', axis: block.axis, blockSize: block.blockSize } as const;
  const kind = zeroPointKind(options.qscheme, 'per_block', where);
  const range = [quantMin, quantMax] as const;
  return fakeQuantize(x, { where, granularity, kind, scales, zeroPoints, range, options });
}

/**
 * Gradient of every fake-quantize for `x`, straight through: dX = dY where mask is 1, else 0·dY as in torch (NaN and
 * ±Inf in dY stay NaN). torch: `fake_quantize_per_*_affine_cachemask_backward`.
 *
 * @param mask as `options.mask` of the forward call filled it.
 */
export function fakeQuantizeBackward(
  dY: TensorLike,
  mask: Uint8Array,
  options: { readonly out?: Out<'float32'> } = {},
): Tensor<'float32'> {
  const where = 'fakeQuantizeBackward';
  const { data, shape } = floatInput(dY, where);
  if (mask.length !== data.length) {
    throw new RangeError(`${where}: expected a mask of ${data.length} values, got ${mask.length}`);
  }
  const out = outArray(options.out, 'float32', data.length, where);
  for (let i = 0; i < data.length; i++) out[i] = data[i] * mask[i];
  return new Tensor('float32', shape, out);
}

interface FakeQuantizeRequest {
  readonly where: string;
  readonly granularity: Granularity;
  readonly kind: 'integer' | 'float';
  readonly scales: ParamValues;
  readonly zeroPoints: ParamValues;
  readonly range: readonly [quantMin: number, quantMax: number];
  readonly options: FakeQuantizeOptions;
}

function fakeQuantize(x: TensorLike, request: FakeQuantizeRequest): Tensor<'float32'> {
  const { where, granularity, kind, range, options } = request;
  const { numerics = 'default', mask } = options;
  checkCodeRange(range, where);
  const { data, shape } = floatInput(x, where);
  const plan = planLayout(shape, granularity, where);
  const of = describeParams(granularity);
  const checks = { where, count: plan.params, of, zeroPoints: kind, range, numerics };
  const grid = makeGrid(request.scales, request.zeroPoints, checks);
  const operation = { kind: 'fake-quantize', granularity: granularity.kind, zeroPoints: kind } as const;
  const rule = codeRule(numerics, operation, where);
  const scales = productInDouble(numerics, operation) ? Float64Array.from(grid.scales) : grid.scales;
  const out = outArray(options.out, 'float32', data.length, where);
  if (mask !== undefined && mask.length !== data.length) {
    throw new RangeError(`${where}: expected a mask of ${data.length} values, got ${mask.length}`);
  }
  for (const piece of plan.pieces) {
    const part = gridOfPiece({ ...grid, scales }, piece);
    const flags = mask === undefined ? undefined : pieceOf(mask, piece);
    kernels().fakeQuantize(pieceOf(data, piece), pieceOf(out, piece), part, piece.layout, rule, flags);
  }
  return new Tensor('float32', shape, out);
}

/** Throws RangeError unless the ends are integers in order. */
export function checkCodeRange([quantMin, quantMax]: readonly [number, number], where: string): void {
  if (Number.isSafeInteger(quantMin) && Number.isSafeInteger(quantMax) && quantMin <= quantMax) return;
  throw new RangeError(`${where}: expected integers quantMin ≤ quantMax, got ${quantMin} and ${quantMax}`);
}
