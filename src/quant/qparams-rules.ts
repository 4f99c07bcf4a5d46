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

/** The codes that a range is to be laid on, and how. */
export interface CodesForRange {
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

type Choose = (min: number, max: number, codes: CodesForRange) => ScaleAndZeroPoint;

/** `x` as a float32; where that overflows, as it is, so that a scale stays finite (torch: infinite). */
export function finite32(x: number): number {
  const rounded = f32(x);
  return Number.isFinite(rounded) ? rounded : x;
}

/** b - a as a float32; where that overflows, in float64. */
export function distance(a: number, b: number): number {
  return finite32(b - a);
}

const TORCH: Readonly<Record<QSchemeInfo['mapping'], Choose>> = {
  /** s = max((b - a) / (quantMax - quantMin), eps), zp = quantMin - rne(a / s). */
  affine(min, max, { quantMin, quantMax, eps }) {
    const a = Math.min(min, 0);
    const b = Math.max(max, 0);
    const scale = Math.max(f32(distance(a, b) / f32(quantMax - quantMin)), f32(eps));
    return { scale, zeroPoint: clamp(quantMin - roundHalfEven(f32(a / scale)), quantMin, quantMax) };
  },
  symmetric(min, max, codes) {
    const scale = Math.max(f32(SYMMETRIC_SCALE[codes.symmetric](min, max, codes)), f32(codes.eps));
    return { scale, zeroPoint: codes.symmetricZeroPoint };
  },
  /** s = (max - min) / (quantMax - quantMin), or 1 if that is not above eps; zp = -min / s, not rounded. */
  float(min, max, { quantMin, quantMax, eps }) {
    const step = f32(distance(min, max) / f32(quantMax - quantMin));
    const scale = step > f32(eps) ? step : 1;
    return { scale, zeroPoint: f32(-min / scale) };
  },
};

type SymmetricScale = (min: number, max: number, codes: CodesForRange) => number;

const SYMMETRIC_SCALE: Readonly<Record<SymmetricRule, SymmetricScale>> = {
  'full-range': (min, max, { quantMin, quantMax }) => magnitude(min, max) / f32((quantMax - quantMin) / 2),
  restricted: (min, max, { quantMin, quantMax, symmetricZeroPoint }) => {
    const below = symmetricZeroPoint - quantMin;
    const above = quantMax - symmetricZeroPoint;
    return magnitude(min, max) / f32(Math.min(below, above) || Math.max(below, above));
  },
  'no-clip': (min, max, { quantMin, quantMax, symmetricZeroPoint }) =>
    Math.max(
      f32(Math.min(min, 0) / Math.min(quantMin - symmetricZeroPoint, -1)),
      f32(Math.max(max, 0) / Math.max(quantMax - symmetricZeroPoint, 1)),
    ),
};

export const SYMMETRIC_RULES: readonly string[] = Object.keys(SYMMETRIC_SCALE);

function magnitude(min: number, max: number): number {
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
  return (lowest, highest, { quantMin, quantMax, mapping }) => {
    const symmetric = mapping === 'symmetric' && lowest < 0 && highest > 0;
    const [min, max] = symmetric ? mirrored(lowest, highest, quantMax - quantMin) : [lowest, highest];
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
const onnxRule: Choose = (min, max, { quantMin, quantMax, mapping }) => {
  const symmetric = mapping === 'symmetric';
  const low = symmetric ? Math.min(min, -max, 0) : Math.min(min, 0);
  const high = symmetric ? -low : Math.max(max, 0);
  const scale = distance(low, high) / (quantMax - quantMin);
  if (scale < SMALLEST_NORMAL) return { scale: 1, zeroPoint: 0 };
  const exact = symmetric ? (quantMin + quantMax) / 2 : quantMin - low / scale;
  return { scale: f32(scale), zeroPoint: clamp(roundHalfEven(exact), quantMin, quantMax) };
};

/**
 * One token's range. Symmetric: s = max(m, 1e-5) / (quantMax - zp), zp = 0 (int8). Affine, after XNNPACK: s as `torch`;
 * zp = rne(clamp(quantMin - a / s)) or rne(clamp(quantMax - b / s)), by the sign of (quantMin + a / s) + (quantMax + b / s).
 */
const perTokenRule: Choose = (min, max, codes) => {
  const { quantMin, quantMax, symmetricZeroPoint: middle } = codes;
  if (codes.mapping === 'symmetric') {
    const largest = Math.max(magnitude(min, max), f32(1e-5));
    return { scale: f32(largest / (quantMax - middle)), zeroPoint: middle };
  }
  const { scale } = TORCH.affine(min, max, codes);
  const a = f32(Math.min(min, 0) / scale);
  const b = f32(Math.max(max, 0) / scale);
  const fromLow = f32(f32(quantMin + a) + f32(quantMax + b)) > 0;
  const exact = fromLow ? f32(quantMin - a) : f32(quantMax - b);
  return { scale, zeroPoint: roundHalfEven(clamp(exact, quantMin, quantMax)) };
};

interface RuleInfo {
  /** False where the rule has no float zero points. */
  readonly floatZeroPoint: boolean;
  /** The codes a dtype has under this rule. */
  readonly range: (dtype: QuantDType, options: QuantRangeOptions, symmetric: boolean) => QuantRange;
  readonly choose: Choose;
}

export const QPARAMS_RULES: Readonly<Record<QParamsRule, RuleInfo>> = {
  torch: {
    floatZeroPoint: true,
    range: quantRange,
    choose: (min, max, codes) => TORCH[codes.mapping](min, max, codes),
  },
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
