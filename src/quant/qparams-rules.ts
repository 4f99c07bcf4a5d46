/**
 * How a range of values becomes a scale and a zero point: one row a rule, all on one signature.
 * min ≤ max are finite float32 values; f32 marks where a rule rounds to float32, rne is round half to even.
 */
import { clamp, roundHalfEven } from '../kernels/round.ts';
import type { QuantDType } from '../tensor/dtype.ts';
import type { QSchemeInfo } from './qscheme.ts';
import { onnxQuantRange, quantRange, type QuantRange, type QuantRangeOptions } from './quant-range.ts';

const f32 = Math.fround;

/**
 * - `torch`: PyTorch's Python observers, float32 at each step. The default.
 * - `aten`: PyTorch's C++ chooser (dynamic quantization); the scale stays float64.
 * - `fbgemm`: the same, scale rounded to float32 at once (fused observer and fake-quantize).
 * - `onnx`: onnxruntime's quantization tool, scale in float64, rounded to float32 at the end.
 * - `per-token`: `quantized_decomposed.choose_qparams_per_token` (symmetric) and `..._asymmetric` (affine).
 */
export type QParamsRule = 'torch' | 'aten' | 'fbgemm' | 'onnx' | 'per-token';

/**
 * Which grid a symmetric range ±m is laid on (rule `torch`; a = min(min, 0), b = max(max, 0), m = max(-a, b)):
 * - `full-range`: m / ((quantMax - quantMin) / 2). Every code is used; +m itself is half a step outside. PyTorch.
 * - `restricted`: m / (the shorter side of the zero point), so -m and +m have opposite codes: ±127 for int8.
 * - `no-clip`: max(a / (quantMin - zp), b / (quantMax - zp)): the smallest scale that clips neither end. torchao.
 */
export type SymmetricRule = 'full-range' | 'restricted' | 'no-clip';

/** A range of values and the codes it is to be laid on. */
export interface RangeOnCodes {
  readonly min: number;
  readonly max: number;
  readonly quantMin: number;
  readonly quantMax: number;
  readonly mapping: QSchemeInfo['mapping'];
  readonly symmetric: SymmetricRule;
  /** The zero point of a symmetric mapping. */
  readonly symmetricZeroPoint: number;
  /** Smallest scale. */
  readonly eps: number;
}

/** What `chooseQParams` gives; numbers, so that a float64 scale stays one. */
export interface ScaleAndZeroPoint {
  readonly scale: number;
  readonly zeroPoint: number;
}

type Choose = (range: RangeOnCodes) => ScaleAndZeroPoint;

/** `x` as a float32; where that overflows, as it is, so that a scale stays finite (torch: infinite). */
function finite32(x: number): number {
  const rounded = f32(x);
  return Number.isFinite(rounded) ? rounded : x;
}

/** b - a as a float32; where that overflows, in float64. */
export function distance(a: number, b: number): number {
  return finite32(b - a);
}

const TORCH: Readonly<Record<QSchemeInfo['mapping'], Choose>> = {
  /** s = max((b - a) / (quantMax - quantMin), eps), zp = quantMin - rne(a / s). */
  affine({ min, max, quantMin, quantMax, eps }) {
    const a = Math.min(min, 0);
    const b = Math.max(max, 0);
    const scale = Math.max(f32(distance(a, b) / f32(quantMax - quantMin)), f32(eps));
    return { scale, zeroPoint: clamp(quantMin - roundHalfEven(f32(a / scale)), quantMin, quantMax) };
  },
  symmetric(range) {
    const scale = Math.max(f32(SYMMETRIC_SCALE[range.symmetric](range)), f32(range.eps));
    return { scale, zeroPoint: range.symmetricZeroPoint };
  },
  /** s = (max - min) / (quantMax - quantMin), or 1 if that is not above eps; zp = -min / s, not rounded. */
  float({ min, max, quantMin, quantMax, eps }) {
    const step = f32(distance(min, max) / f32(quantMax - quantMin));
    const scale = step > f32(eps) ? step : 1;
    return { scale, zeroPoint: f32(-min / scale) };
  },
};

const SYMMETRIC_SCALE: Readonly<Record<SymmetricRule, (range: RangeOnCodes) => number>> = {
  'full-range': (range) => magnitude(range) / f32((range.quantMax - range.quantMin) / 2),
  restricted: (range) => {
    const below = range.symmetricZeroPoint - range.quantMin;
    const above = range.quantMax - range.symmetricZeroPoint;
    return magnitude(range) / f32(Math.min(below, above) || Math.max(below, above));
  },
  'no-clip': ({ min, max, quantMin, quantMax, symmetricZeroPoint }) =>
    Math.max(
      f32(Math.min(min, 0) / Math.min(quantMin - symmetricZeroPoint, -1)),
      f32(Math.max(max, 0) / Math.max(quantMax - symmetricZeroPoint, 1)),
    ),
};

function magnitude({ min, max }: RangeOnCodes): number {
  return Math.max(-min, max, 0);
}

/** Scales below this would be float16 subnormals; the C++ chooser stretches the range instead. */
const SMALL_SCALE = f32(6.1e-5);

/**
 * `ChooseQuantizationParams` of ATen and FBGEMM. R = quantMax - quantMin, h = trunc(R / 2).
 *   symmetric, only if min < 0 < max: m = max(|min / (h + 1)|, |max / h|), range = [-m(h + 1), m·h]
 *   s = (f64(max) - min) / R, rounded by `round`; 0.1 if s or 1/s is no number; below 6.1e-5 both s and the range grow
 *   zp = rne(q - r / s) from the end (r, q) with the smaller error term; symmetric: rne((quantMin + quantMax) / 2)
 * eps and the symmetric rule play no part.
 */
function cppRule(
  round: (scale: number) => number,
  errorTerm: (code: number, steps: number) => number,
): Choose {
  return ({ quantMin, quantMax, mapping, ...range }) => {
    const symmetric = mapping === 'symmetric' && range.min < 0 && range.max > 0;
    const [min, max] = symmetric
      ? mirrored(range.min, range.max, quantMax - quantMin)
      : [range.min, range.max];
    const { scale, low, high } = workableScale(
      Math.min(min, 0),
      Math.max(max, 0),
      quantMax - quantMin,
      round,
    );
    const fromLow = errorTerm(Math.abs(quantMin), Math.abs(low / scale));
    const fromHigh = errorTerm(Math.abs(quantMax), Math.abs(high / scale));
    const nearest = fromLow < fromHigh ? quantMin - low / scale : quantMax - high / scale;
    const exact = symmetric ? (quantMin + quantMax) / 2 : nearest;
    return { scale, zeroPoint: roundHalfEven(clamp(exact, quantMin, quantMax)) };
  };
}

function mirrored(min: number, max: number, codes: number): readonly [number, number] {
  const half = Math.trunc(codes / 2);
  const step = Math.max(f32(Math.abs(min / (half + 1))), f32(Math.abs(max / half)));
  return [finite32(-step * (half + 1)), finite32(step * half)];
}

function workableScale(
  low: number,
  high: number,
  codes: number,
  round: (scale: number) => number,
): { scale: number; low: number; high: number } {
  let scale = round((high - low) / codes);
  if (f32(scale) === 0 || f32(1 / f32(scale)) === Infinity) scale = round(0.1);
  if (scale >= SMALL_SCALE) return { scale, low, high };
  const stretch = f32(SMALL_SCALE / f32(scale));
  if (low === 0) return { scale: SMALL_SCALE, low, high: f32(SMALL_SCALE * codes) };
  if (high === 0) return { scale: SMALL_SCALE, low: f32(-SMALL_SCALE * codes), high };
  return { scale: SMALL_SCALE, low: f32(low * stretch), high: f32(high * stretch) };
}

/** Smallest normal float32: scales below it give 1. */
const SMALLEST_NORMAL = 2 ** -126;

/**
 * `compute_scale_zp` of onnxruntime.quantization: float64 on the float32 range.
 *   s = (b - a) / (quantMax - quantMin), symmetric with -a = b = max(|min|, |max|); zp = rne(quantMin - a / s),
 *   symmetric rne((quantMin + quantMax) / 2). A scale below the smallest normal gives s = 1, zp = 0.
 */
function onnxRule({ quantMin, quantMax, mapping, ...range }: RangeOnCodes): ScaleAndZeroPoint {
  const symmetric = mapping === 'symmetric';
  const low = symmetric ? Math.min(range.min, -range.max, 0) : Math.min(range.min, 0);
  const high = symmetric ? -low : Math.max(range.max, 0);
  const scale = distance(low, high) / (quantMax - quantMin);
  if (scale < SMALLEST_NORMAL) return { scale: 1, zeroPoint: 0 };
  const exact = symmetric ? (quantMin + quantMax) / 2 : quantMin - low / scale;
  return { scale: f32(scale), zeroPoint: clamp(roundHalfEven(exact), quantMin, quantMax) };
}

/**
 * One token's range. Symmetric: s = max(m, 1e-5) / quantMax, zp = 0. Affine, after XNNPACK: s as `torch`;
 * zp = rne(clamp(quantMin - a / s)) or rne(clamp(quantMax - b / s)), by the sign of (quantMin + a / s) + (quantMax + b / s).
 */
function perTokenRule(range: RangeOnCodes): ScaleAndZeroPoint {
  const { quantMin, quantMax } = range;
  if (range.mapping === 'symmetric') {
    return {
      scale: f32(Math.max(magnitude(range), f32(1e-5)) / quantMax),
      zeroPoint: range.symmetricZeroPoint,
    };
  }
  const { scale } = TORCH.affine(range);
  const a = f32(Math.min(range.min, 0) / scale);
  const b = f32(Math.max(range.max, 0) / scale);
  const fromLow = f32(f32(quantMin + a) + f32(quantMax + b)) > 0;
  const exact = fromLow ? f32(quantMin - a) : f32(quantMax - b);
  return { scale, zeroPoint: roundHalfEven(clamp(exact, quantMin, quantMax)) };
}

interface RuleInfo {
  /** False where the rule has no float zero points. */
  readonly floatZeroPoint: boolean;
  /** The codes a dtype has under this rule. */
  readonly range: (dtype: QuantDType, options: QuantRangeOptions, symmetric: boolean) => QuantRange;
  readonly choose: Choose;
}

export const QPARAMS_RULES: Readonly<Record<QParamsRule, RuleInfo>> = {
  torch: { floatZeroPoint: true, range: quantRange, choose: (range) => TORCH[range.mapping](range) },
  aten: {
    floatZeroPoint: false,
    range: quantRange,
    choose: cppRule(
      (s) => s,
      (code, steps) => code - steps,
    ),
  },
  fbgemm: { floatZeroPoint: false, range: quantRange, choose: cppRule(f32, (code, steps) => code + steps) },
  onnx: { floatZeroPoint: false, range: onnxQuantRange, choose: onnxRule },
  'per-token': { floatZeroPoint: false, range: quantRange, choose: perTokenRule },
};
