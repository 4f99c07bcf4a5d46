/** Quantization with the scale and zero point that the values themselves ask for. */
import { kernels } from '../kernels/backend.ts';
import { floatInput } from '../tensor/cast.ts';
import type { QuantDType } from '../tensor/dtype.ts';
import { Tensor, type TensorLike } from '../tensor/tensor.ts';
import { chooseQParams, type ScaleAndZeroPoint } from './qparams.ts';
import { quantizePerTensor, type QuantizeOptions } from './quantize.ts';
import type { QuantizedTensor } from './quantized-tensor.ts';

/** Options of {@link quantizePerTensorDynamic}. */
export interface QuantizeDynamicOptions<D extends QuantDType = QuantDType> extends QuantizeOptions<D> {
  /** Chooses scale and zero point for half the range; codes still use all of it, as in torch. Default false. */
  readonly reduceRange?: boolean;
}

/** Smallest float32 above 0: no lower bound of the scale. */
const NO_EPS = 2 ** -149;

/**
 * Quantizes with scale and zero point from the smallest and largest value, 0 included. torch:
 * `quantize_per_tensor_dynamic`; the scale is chosen and kept in double, a scale below 6.1e-5 is raised to it.
 * With numerics `onnx`: DynamicQuantizeLinear, scale = (max - min) / (quantMax - quantMin) in float32, 1 if all is 0.
 *
 * @throws RangeError for an empty tensor (torch refuses it too), for NaN and for ±Inf; TypeError as {@link quantizePerTensor}.
 */
export function quantizePerTensorDynamic<D extends QuantDType>(
  x: TensorLike,
  dtype: D,
  options: QuantizeDynamicOptions<D> = {},
): QuantizedTensor<D> {
  const where = 'quantizePerTensorDynamic';
  const { data, shape } = floatInput(x, where);
  if (data.length === 0) throw new RangeError(`${where}: expected at least one value, got an empty tensor`);
  const { min, max } = kernels().minMax(data);
  if (!Number.isFinite(min) || !Number.isFinite(max)) {
    throw new RangeError(`${where}: expected finite values, got ${min} to ${max}`);
  }
  const { scale, zeroPoint } = chooseDynamic(min, max, dtype, options);
  return quantizePerTensor(new Tensor('float32', shape, data), scale, zeroPoint, dtype, options);
}

function chooseDynamic(
  min: number,
  max: number,
  dtype: QuantDType,
  { numerics, reduceRange }: QuantizeDynamicOptions,
): ScaleAndZeroPoint {
  if (numerics !== 'onnx') return chooseQParams(min, max, { dtype, reduceRange, rule: 'aten' });
  if (min === 0 && max === 0) return { ...chooseQParams(0, 0, { dtype, reduceRange }), scale: 1 };
  return chooseQParams(min, max, { dtype, reduceRange, eps: NO_EPS });
}
