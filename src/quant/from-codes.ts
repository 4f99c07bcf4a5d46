/** Quantized tensors from integer codes that exist already, such as a model's initializers. */
import { asTensor } from '../tensor/cast.ts';
import { codeRange, dtypeInfo, storageLength, type QuantDType, type TensorDataOf } from '../tensor/dtype.ts';
import { packBits, type PackedBits } from '../tensor/pack.ts';
import { elementCount } from '../tensor/shape.ts';
import type { TensorLike } from '../tensor/tensor.ts';
import { elementValues } from '../tensor/values.ts';
import { describeParams, zeroPointKind } from './granularity.ts';
import { makeGrid, singleParam } from './grid.ts';
import { planLayout } from './layout.ts';
import { QuantizedTensor } from './quantized-tensor.ts';
import type { Granularity, ParamValues, TensorQScheme } from './types.ts';

/** Scales, zero points and what they apply to, for {@link quantizedTensorFromCodes}. */
export interface CodeParams {
  readonly scale: ParamValues;
  readonly zeroPoint: ParamValues;
  /** Absent per tensor. May be negative. */
  readonly axis?: number;
  /** Elements along the axis that share a scale; absent per channel. */
  readonly blockSize?: number;
  /** Needed for float zero points only. */
  readonly qscheme?: TensorQScheme;
}

/**
 * A quantized tensor from one integer code an element, in an integer tensor of any width; codes are copied, and packed
 * below 8 bits. torch: `_make_per_tensor_quantized_tensor`, `_make_per_channel_quantized_tensor`.
 *
 * @throws RangeError if a code is outside the dtype's range, and as `quantizePerChannel` for scales and zero points.
 * @example quantizedTensorFromCodes(tensor(Int8Array.of(1, 2)), 'qint8', { scale: 0.5, zeroPoint: 0 })
 */
export function quantizedTensorFromCodes<D extends QuantDType>(
  codes: TensorLike,
  dtype: D,
  params: CodeParams,
): QuantizedTensor<D> {
  const where = 'quantizedTensorFromCodes';
  const t = asTensor(codes, where);
  if (dtypeInfo(t.dtype).kind !== 'int')
    throw new TypeError(`${where}: expected integer codes, got ${t.dtype}`);
  const granularity = granularityOf(params, where);
  const range = codeRange(dtype);
  const { params: count } = planLayout(t.shape, granularity, where);
  const grid = makeGrid(params.scale, params.zeroPoint, {
    where,
    count,
    of: describeParams(granularity),
    zeroPoints:
      granularity.kind === 'per_tensor' ? 'integer' : zeroPointKind(params.qscheme, granularity.kind, where),
    range,
    numerics: 'default',
  });
  const scale = granularity.kind === 'per_tensor' ? singleParam(params.scale, 'scale', where) : undefined;
  return new QuantizedTensor({
    dtype,
    shape: t.shape,
    codes: storedCodes(elementValues(t), dtype, elementCount(t.shape), where),
    granularity,
    ...grid,
    scale,
  });
}

function granularityOf({ axis, blockSize }: CodeParams, where: string): Granularity {
  if (axis === undefined) {
    if (blockSize !== undefined) throw new TypeError(`${where}: expected an axis for blocks, got none`);
    return { kind: 'per_tensor' };
  }
  return blockSize === undefined ? { kind: 'per_channel', axis } : { kind: 'per_block', axis, blockSize };
}

function storedCodes<D extends QuantDType>(
  values: ArrayLike<number> | ArrayLike<bigint>,
  dtype: D,
  count: number,
  where: string,
): TensorDataOf<D> {
  const [low, high] = codeRange(dtype);
  const { bits, storage } = dtypeInfo(dtype);
  const loose = new (bits < 8 ? Int8Array : storage)(count) as Int8Array;
  for (let i = 0; i < count; i++) {
    const code = Number(values[i]);
    if (code < low || code > high) {
      throw new RangeError(
        `${where}: expected codes of ${dtype} in [${low}, ${high}], got ${code} at element ${i}`,
      );
    }
    loose[i] = code;
  }
  if (bits >= 8) return loose as unknown as TensorDataOf<D>;
  const packed = packBits(loose, bits as PackedBits, new Uint8Array(storageLength(dtype, count)));
  return packed as TensorDataOf<D>;
}
