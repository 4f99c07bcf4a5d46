/**
 * Scale and zero point from the range of the data. The one place where that happens: observers, dynamic quantization,
 * fused fake-quantize and the ONNX writer all come here and differ by the rule they name (qparams-rules.ts).
 *
 * Zero is on the grid of every integer rule: quantMin ≤ zeroPoint ≤ quantMax, and (zeroPoint - zeroPoint)·scale = 0.
 */
import type { QuantDType } from '../tensor/dtype.ts';
import {
  QPARAMS_RULES,
  SYMMETRIC_RULES,
  type QParamsRule,
  type ScaleAndZeroPoint,
  type SymmetricRule,
} from './qparams-rules.ts';
import { qschemeInfo } from './qscheme.ts';
import type { QuantRange, QuantRangeOptions } from './quant-range.ts';
import type { QParams, QScheme } from './types.ts';

export type { QParamsRule, ScaleAndZeroPoint, SymmetricRule } from './qparams-rules.ts';
export type { QuantRange, QuantRangeOptions } from './quant-range.ts';

/** Smallest scale by default: float32's machine epsilon, 2^-23. */
export const DEFAULT_EPS: number = 2 ** -23;

/** Options of {@link chooseQParams} and {@link calculateQParams}. */
export interface QParamsOptions extends QuantRangeOptions {
  /** Dtype of the codes. Default `quint8`. */
  readonly dtype?: QuantDType;
  /** Default `per_tensor_affine`. How many scales there are follows from `min` and `max`, not from the scheme. */
  readonly qscheme?: QScheme;
  /** Smallest scale, used by the rules `torch` and `per-token` (affine). Default 2^-23. */
  readonly eps?: number;
  /** Whose arithmetic. Default `torch`. */
  readonly rule?: QParamsRule;
  /** How a symmetric range is laid on the codes, rule `torch` only. Default `full-range`. */
  readonly symmetric?: SymmetricRule;
}

/**
 * Scale and zero point of one range, as numbers: the scale is a float32 value except by rule `aten` (float64).
 * min = max needs no special case; [0, 0] gives scale eps (`torch`), 0.1 (`aten`, `fbgemm`) or 1 (`onnx`).
 *
 * @param min smallest value, finite
 * @param max largest value, finite, ≥ min; both are rounded to float32
 * @throws RangeError if the range is not finite or not in order, or eps is not above 0
 * @example chooseQParams(-1, 3, { dtype: 'quint8' }) // { scale: 0.01568627543747425, zeroPoint: 64 }
 */
export function chooseQParams(min: number, max: number, options: QParamsOptions = {}): ScaleAndZeroPoint {
  return chooser(options)(min, max);
}

/**
 * Scale and zero point of a tensor, of its channels or of its blocks: `min[i]` and `max[i]` give `scale[i]` and
 * `zeroPoint[i]`. Two numbers are a tensor's range and give arrays of length 1.
 *
 * The rule `torch` (a = min(min, 0), b = max(max, 0), float32 at each step; `_calculate_qparams` of the observers):
 *   affine     scale = max((b - a) / (quantMax - quantMin), eps),        zeroPoint = clamp(quantMin - rne(a / scale))
 *   symmetric  scale = max(max(-a, b) / ((quantMax - quantMin) / 2), eps), zeroPoint = 0, or the middle if unsigned
 *   float      scale = (max - min) / (quantMax - quantMin), 1 if ≤ eps,  zeroPoint = -min / scale, a float32
 *
 * @throws RangeError as {@link chooseQParams}, naming the channel; TypeError if the lengths differ
 */
export function calculateQParams(
  min: number | ArrayLike<number>,
  max: number | ArrayLike<number>,
  options: QParamsOptions = {},
): QParams {
  const mins = typeof min === 'number' ? [min] : min;
  const maxs = typeof max === 'number' ? [max] : max;
  if (mins.length !== maxs.length) {
    throw new TypeError(
      `calculateQParams: expected as many minima as maxima, got ${mins.length} and ${maxs.length}`,
    );
  }
  const scale = new Float32Array(mins.length);
  const { mapping } = qschemeInfo(options.qscheme ?? 'per_tensor_affine');
  const zeroPoint = new (mapping === 'float' ? Float32Array : Int32Array)(mins.length);
  const choose = chooser(options);
  const several = mins.length > 1;
  for (let i = 0; i < mins.length; i++) {
    const chosen = choose(mins[i], maxs[i], several ? i : undefined);
    scale[i] = chosen.scale;
    zeroPoint[i] = chosen.zeroPoint;
  }
  return { scale, zeroPoint };
}

/** The codes that `options` leave under their rule. Throws as {@link quantRange}. */
export function resolveQuantRange(options: QParamsOptions): QuantRange {
  const { dtype = 'quint8', qscheme = 'per_tensor_affine', rule = 'torch' } = options;
  if (!Object.hasOwn(QPARAMS_RULES, rule)) {
    throw new TypeError(
      `rule: expected one of ${Object.keys(QPARAMS_RULES).join(', ')}, got ${String(rule)}`,
    );
  }
  return QPARAMS_RULES[rule].range(dtype, options, qschemeInfo(qscheme).mapping === 'symmetric');
}

type Choose = (min: number, max: number, channel?: number) => ScaleAndZeroPoint;

/** The options, checked once; what is left to do for each range. */
function chooser(options: QParamsOptions): Choose {
  const {
    qscheme = 'per_tensor_affine',
    eps = DEFAULT_EPS,
    rule = 'torch',
    symmetric = 'full-range',
  } = options;
  const codes = resolveQuantRange(options);
  const { mapping } = qschemeInfo(qscheme);
  const { choose, floatZeroPoint } = QPARAMS_RULES[rule];
  if (!(eps > 0)) throw new RangeError(`eps: expected a number above 0, got ${eps}`);
  if (mapping === 'float' && !floatZeroPoint) {
    throw new TypeError(`rule: expected 'torch' for ${qscheme}, got '${rule}'`);
  }
  if (!SYMMETRIC_RULES.includes(symmetric)) {
    throw new TypeError(`symmetric: expected one of ${SYMMETRIC_RULES.join(', ')}, got ${String(symmetric)}`);
  }
  const onCodes = { ...codes, mapping, symmetric, eps };
  return (low, high, channel) => {
    const min = Math.fround(low);
    const max = Math.fround(high);
    if (!Number.isFinite(min) || !Number.isFinite(max) || min > max) throw rangeError(low, high, channel);
    return choose(min, max, onCodes);
  };
}

function rangeError(min: number, max: number, channel: number | undefined): RangeError {
  const where = channel === undefined ? '' : ` at channel ${channel}`;
  return new RangeError(`qparams: expected finite float32 min ≤ max, got ${min} and ${max}${where}`);
}
