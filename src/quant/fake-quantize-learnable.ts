/**
 * Fake-quantize whose scale and zero point are trained (LSQ, Esser et al. 2020, and its affine form LSQ+). Forward: the
 * zero point is rounded half to even and clamped to z, then as fake-quantize. Backward, with q the code before clamping,
 * y = (q - z)·scale and g the gradient factor, float32 at each step (y - x is rounded once, as torch's fused operation does):
 *
 *   inside   dX = dY   dScale = dY·(y - x)·(1/scale)·g    dZeroPoint = 0
 *   below    dX = 0    dScale = dY·(quantMin - z)·g       dZeroPoint = -dY·scale·g
 *   above    dX = 0    dScale = dY·(quantMax - z)·g       dZeroPoint = -dY·scale·g
 *
 * the last two summed over the elements of a parameter, in double, in index order, then rounded to float32. NaN in x
 * counts as below. torch: `_fake_quantize_learnable_per_tensor_affine`, `_fake_quantize_learnable_per_channel_affine`.
 */
import type { Grid } from '../kernels/types.ts';
import { clamp, roundHalfEven } from '../kernels/round.ts';
import { floatInput, type FloatInput } from '../tensor/cast.ts';
import { Tensor, type TensorLike } from '../tensor/tensor.ts';
import {
  checkCodeRange,
  fakeQuantizePerChannelAffine,
  fakeQuantizePerTensorAffine,
  type FakeQuantizeOptions,
} from './fake-quantize.ts';
import { describeParams } from './granularity.ts';
import { makeGrid, paramNumbers, singleParam } from './grid.ts';
import { planLayout, visitElements, type LayoutPlan } from './layout.ts';
import { outArray, type Out } from './out.ts';
import type { Granularity, Numerics, ParamValues } from './types.ts';

const f32 = Math.fround;

/** Options of the backward functions. */
export interface LearnableBackwardOptions {
  /**
   * Default `default`. `torch-2.13` decides inside or outside by rne(x·(1/scale) + z) though its forward adds after
   * rounding, and per tensor takes z = trunc(zeroPoint + 0.5), so that -3.6 is -3 backward and -4 forward.
   */
  readonly numerics?: Numerics;
  /** g, such as 1 / sqrt(elements · quantMax). Default 1. */
  readonly gradFactor?: number;
  /** Where dX goes. */
  readonly out?: Out<'float32'>;
}

/** Gradients of a learnable fake-quantize; the last two have one value a parameter. */
export interface LearnableGradients {
  readonly dX: Tensor<'float32'>;
  readonly dScale: Float32Array;
  readonly dZeroPoint: Float32Array;
}

/**
 * Forward with one trained scale and zero point. Edge values as `fakeQuantizePerTensorAffine`.
 *
 * @param zeroPoint any finite float; rounded and clamped here.
 * @throws as `fakeQuantizePerTensorAffine`.
 */
export function fakeQuantizeLearnablePerTensorAffine(
  x: TensorLike,
  scale: ParamValues,
  zeroPoint: ParamValues,
  quantMin: number,
  quantMax: number,
  options: FakeQuantizeOptions = {},
): Tensor<'float32'> {
  const where = 'fakeQuantizeLearnablePerTensorAffine';
  const rounded = roundZeroPoints(
    Float32Array.of(singleParam(zeroPoint, 'zero point', where)),
    quantMin,
    quantMax,
  );
  return fakeQuantizePerTensorAffine(x, scale, rounded, quantMin, quantMax, options);
}

/**
 * Forward with a trained scale and zero point for each index of an axis, which may be negative.
 *
 * @throws as `fakeQuantizePerChannelAffine`.
 */
export function fakeQuantizeLearnablePerChannelAffine(
  x: TensorLike,
  scales: ParamValues,
  zeroPoints: ParamValues,
  axis: number,
  quantMin: number,
  quantMax: number,
  options: FakeQuantizeOptions = {},
): Tensor<'float32'> {
  const floats = paramNumbers(zeroPoints, 'fakeQuantizeLearnablePerChannelAffine');
  const rounded = roundZeroPoints(floats, quantMin, quantMax);
  return fakeQuantizePerChannelAffine(x, scales, rounded, axis, quantMin, quantMax, options);
}

/**
 * Gradients of {@link fakeQuantizeLearnablePerTensorAffine} for x, scale and zero point; `dY` and `x` have equal shapes.
 *
 * @throws TypeError or RangeError as the forward function, and RangeError if the shapes differ.
 */
export function fakeQuantizeLearnablePerTensorAffineBackward(
  dY: TensorLike,
  x: TensorLike,
  scale: ParamValues,
  zeroPoint: ParamValues,
  quantMin: number,
  quantMax: number,
  options: LearnableBackwardOptions = {},
): LearnableGradients {
  const where = 'fakeQuantizeLearnablePerTensorAffineBackward';
  const float = Float32Array.of(singleParam(zeroPoint, 'zero point', where));
  const rounded =
    options.numerics === 'torch-2.13'
      ? Float32Array.of(Math.trunc(clamp(f32(float[0] + 0.5), quantMin, quantMax)))
      : roundZeroPoints(float, quantMin, quantMax);
  return backward(dY, x, {
    where,
    granularity: { kind: 'per_tensor' },
    range: [quantMin, quantMax],
    scales: [singleParam(scale, 'scale', where)],
    zeroPoints: rounded,
    options,
  });
}

/**
 * Gradients of {@link fakeQuantizeLearnablePerChannelAffine}; `dScale` and `dZeroPoint` have one value a channel.
 *
 * @throws TypeError or RangeError as the forward function, and RangeError if the shapes differ.
 */
export function fakeQuantizeLearnablePerChannelAffineBackward(
  dY: TensorLike,
  x: TensorLike,
  scales: ParamValues,
  zeroPoints: ParamValues,
  axis: number,
  quantMin: number,
  quantMax: number,
  options: LearnableBackwardOptions = {},
): LearnableGradients {
  const where = 'fakeQuantizeLearnablePerChannelAffineBackward';
  return backward(dY, x, {
    where,
    granularity: { kind: 'per_channel', axis },
    range: [quantMin, quantMax],
    scales,
    zeroPoints: roundZeroPoints(paramNumbers(zeroPoints, where), quantMin, quantMax),
    options,
  });
}

function roundZeroPoints(zeroPoints: Float32Array, quantMin: number, quantMax: number): Float32Array {
  return zeroPoints.map((zeroPoint) => clamp(roundHalfEven(zeroPoint), quantMin, quantMax));
}

interface BackwardRequest {
  readonly where: string;
  readonly granularity: Granularity;
  readonly range: readonly [number, number];
  readonly scales: ParamValues;
  readonly zeroPoints: Float32Array;
  readonly options: LearnableBackwardOptions;
}

function backward(dY: TensorLike, x: TensorLike, request: BackwardRequest): LearnableGradients {
  const { where, granularity, range, options } = request;
  const { numerics = 'default', gradFactor = 1 } = options;
  checkCodeRange(range, where);
  const input = floatInput(x, where);
  const gradient = floatInput(dY, where);
  const plan = planLayout(input.shape, granularity, where);
  if (gradient.shape.join() !== input.shape.join()) {
    throw new RangeError(
      `${where}: expected dY of shape [${input.shape.join(', ')}], got [${gradient.shape.join(', ')}]`,
    );
  }
  const checks = { where, count: plan.params, of: describeParams(granularity), range, numerics };
  const grid = makeGrid(request.scales, request.zeroPoints, { ...checks, zeroPoints: 'integer' });
  const dX = outArray(options.out, 'float32', input.data.length, where);
  const addFirst = numerics === 'torch-2.13';
  return {
    dX: new Tensor('float32', input.shape, dX),
    ...sums(gradient, input, dX, { grid, plan, gradFactor, addFirst }),
  };
}

interface SumContext {
  readonly grid: Grid;
  readonly plan: LayoutPlan;
  readonly gradFactor: number;
  /** Code before clamping: rne(x·inv + z), else rne(x·inv) + z. */
  readonly addFirst: boolean;
}

/** Writes dX and returns the sums of the formula in the head of this file. */
function sums(
  gradient: FloatInput,
  input: FloatInput,
  dX: Float32Array,
  { grid, plan, gradFactor, addFirst }: SumContext,
): Omit<LearnableGradients, 'dX'> {
  const { quantMin, quantMax } = grid;
  const factor = f32(gradFactor);
  const dScale = new Float64Array(plan.params);
  const dZeroPoint = new Float64Array(plan.params);
  visitElements(plan, (i, param) => {
    const x = input.data[i];
    const dy = gradient.data[i];
    const scale = f32(grid.scales[param]);
    const zeroPoint = grid.zeroPoints[param];
    const inv = f32(1 / scale);
    const code = addFirst ? roundHalfEven(f32(x * inv + zeroPoint)) : roundHalfEven(f32(x * inv)) + zeroPoint;
    const inside = code >= quantMin && code <= quantMax;
    dX[i] = dy * Number(inside);
    if (inside) {
      const error = f32((code - zeroPoint) * scale - x);
      dScale[param] += f32(f32(f32(dy * error) * inv) * factor);
    } else {
      const end = code > quantMax ? quantMax : quantMin;
      dScale[param] += f32(f32(dy * (end - zeroPoint)) * factor);
      dZeroPoint[param] += f32(f32(-dy * scale) * factor);
    }
  });
  return { dScale: Float32Array.from(dScale), dZeroPoint: Float32Array.from(dZeroPoint) };
}
