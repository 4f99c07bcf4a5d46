/**
 * The one table from (numerics, operation, granularity, dtype, kind of zero point) to the kernels' rule.
 * Formulas are in kernels/types.ts; facts about torch 2.13 were measured on it (x86-64) and its fixtures replay them.
 */
import type { CodeRule } from '../kernels/types.ts';
import type { QuantDType } from '../tensor/dtype.ts';
import type { Granularity, Numerics } from './types.ts';

export interface Operation {
  readonly kind: 'quantize' | 'fake-quantize';
  readonly granularity: Granularity['kind'];
  /** Absent in fake-quantize, whose range is given in numbers. */
  readonly dtype?: QuantDType;
  readonly zeroPoints: 'integer' | 'float';
}

/** From here on a float does not fit an integer; the conversion of x86 then gives the smallest one. */
const INT64_OVERFLOW = 2 ** 63;
const INT32_OVERFLOW = 2 ** 31;

/** PyTorch's documented formula. */
const DOCUMENTED: CodeRule = { rounding: 'multiply-round-add', nan: 'zero-point', wrapAt: Infinity };
/** A float zero point moves the value before it is rounded: codes are integers. */
const FLOAT_ZERO_POINT: CodeRule = { rounding: 'multiply-add-round', nan: 'zero-point', wrapAt: Infinity };
const ONNX: CodeRule = { rounding: 'divide-round-add', nan: 'zero-point', wrapAt: Infinity };

const TORCH_FUSED: CodeRule = { rounding: 'fused-add-round', nan: 'quant-max', wrapAt: Infinity };
const TORCH_SCALAR: CodeRule = { rounding: 'multiply-add-round', nan: 'zero', wrapAt: Infinity };
const TORCH_SCALAR_32: CodeRule = { ...TORCH_SCALAR, nan: 'quant-min' };
const TORCH_SUB_BYTE: CodeRule = { rounding: 'multiply-round-add', nan: 'quant-min', wrapAt: INT64_OVERFLOW };
const TORCH_FLOAT: CodeRule = { rounding: 'multiply-add-round', nan: 'zero', wrapAt: INT64_OVERFLOW };
/** quantized_decomposed: NaN goes through an integer conversion. */
const TORCH_PLAIN: CodeRule = { rounding: 'multiply-round-add', nan: 'zero', wrapAt: Infinity };
const TORCH_PLAIN_32: CodeRule = { ...TORCH_PLAIN, nan: 'quant-min', wrapAt: INT32_OVERFLOW };

/**
 * torch 2.13's quantize ops by dtype, integer zero points: `quantize_per_tensor` and `quantize_per_channel` for its own
 * dtypes, `quantized_decomposed.*` for the plain ones, which it has no quantized tensor for. Per channel torch refuses
 * integer zero points for quint4x2 and quint2x4; they follow the per-tensor rule.
 */
const TORCH_QUANTIZE: Readonly<
  Record<QuantDType, { readonly tensor: CodeRule; readonly channel: CodeRule }>
> = {
  qint8: { tensor: TORCH_FUSED, channel: TORCH_SCALAR },
  quint8: { tensor: TORCH_FUSED, channel: TORCH_SCALAR },
  qint32: { tensor: TORCH_SCALAR_32, channel: TORCH_SCALAR_32 },
  quint4x2: { tensor: TORCH_SUB_BYTE, channel: TORCH_SUB_BYTE },
  quint2x4: { tensor: TORCH_SUB_BYTE, channel: TORCH_SUB_BYTE },
  int2: { tensor: TORCH_PLAIN, channel: TORCH_PLAIN },
  uint2: { tensor: TORCH_PLAIN, channel: TORCH_PLAIN },
  int4: { tensor: TORCH_PLAIN, channel: TORCH_PLAIN },
  uint4: { tensor: TORCH_PLAIN, channel: TORCH_PLAIN },
  int8: { tensor: TORCH_PLAIN, channel: TORCH_PLAIN },
  uint8: { tensor: TORCH_PLAIN, channel: TORCH_PLAIN },
  int16: { tensor: TORCH_PLAIN, channel: TORCH_PLAIN },
  uint16: { tensor: TORCH_PLAIN, channel: TORCH_PLAIN },
  int32: { tensor: TORCH_PLAIN_32, channel: TORCH_PLAIN_32 },
};

/** torch 2.13's fake_quantize ops; the per-channel one converts to int64, so that huge values wrap. */
const TORCH_FAKE = {
  tensor: { rounding: 'multiply-round-add', nan: 'quant-min', wrapAt: Infinity },
  channel: { rounding: 'multiply-round-add', nan: 'quant-min', wrapAt: INT64_OVERFLOW },
  float: { rounding: 'fused-add-round', nan: 'quant-min', wrapAt: INT64_OVERFLOW },
} as const satisfies Record<string, CodeRule>;

function torchRule(op: Operation): CodeRule {
  const level = op.granularity === 'per_tensor' ? 'tensor' : 'channel';
  if (op.kind === 'fake-quantize' || op.dtype === undefined) {
    return TORCH_FAKE[op.zeroPoints === 'float' ? 'float' : level];
  }
  if (op.zeroPoints === 'float') return TORCH_FLOAT;
  // quantized_decomposed.quantize_per_channel_group adds before it rounds, unlike its per-channel twin.
  if (op.granularity === 'per_block') return TORCH_SCALAR;
  return TORCH_QUANTIZE[op.dtype][level];
}

/**
 * The rule of an operation under a numerics.
 *
 * @throws TypeError for an unknown numerics, and for float zero points under `onnx`, which has none.
 */
export function codeRule(numerics: Numerics, op: Operation, where: string): CodeRule {
  switch (numerics) {
    case 'default':
      return op.zeroPoints === 'float' ? FLOAT_ZERO_POINT : DOCUMENTED;
    case 'torch-2.13':
      return torchRule(op);
    case 'onnx':
      if (op.zeroPoints === 'float') {
        throw new TypeError(`${where}: expected integer zero points for 'onnx' numerics, got float ones`);
      }
      return ONNX;
    default:
      numerics satisfies never;
      throw new TypeError(
        `${where}: expected numerics 'default', 'torch-2.13' or 'onnx', got '${String(numerics)}'`,
      );
  }
}

/** True where the product with the scale is taken in double: torch 2.13's fake_quantize with float zero points. */
export function productInDouble(numerics: Numerics, op: Operation): boolean {
  return numerics === 'torch-2.13' && op.kind === 'fake-quantize' && op.zeroPoints === 'float';
}
