/** Which codes may be used: a dtype's own range, a narrower one given by both ends, or half of either. */
import { codeRange, dtypeInfo, isSigned, type QuantDType } from '../tensor/dtype.ts';

/** Options of {@link quantRange}. */
export interface QuantRangeOptions {
  /** Smallest and largest code; both or none. 0 must lie between them, and both in the dtype's range. */
  readonly quantMin?: number;
  readonly quantMax?: number;
  /**
   * Halves both ends downward (-128..127 → -64..63, 0..255 → 0..127), for kernels whose 16-bit sums would overflow.
   * Without a range of its own only an 8-bit dtype is halved, as in PyTorch.
   */
  readonly reduceRange?: boolean;
}

/** The codes that may be used. */
export interface QuantRange {
  readonly quantMin: number;
  readonly quantMax: number;
  /**
   * The code of 0 under a symmetric scheme: 0 if the dtype is signed; else half the number of codes (128 of 256),
   * or floor((quantMin + quantMax) / 2) where the range was given or halved. So an explicit 0..255 has 127 (PyTorch),
   * and 0..255 halved has 63 (PyTorch keeps 128 there, which is no code of 0..127).
   */
  readonly symmetricZeroPoint: number;
}

/**
 * The codes that `dtype` and `options` leave, by PyTorch's rule.
 *
 * @throws TypeError if only one end is given or the dtype holds no codes; RangeError if the ends are not integers,
 * do not enclose 0, are equal, or leave the dtype's range.
 */
export function quantRange(dtype: QuantDType, options: QuantRangeOptions = {}): QuantRange {
  const [lowest, highest] = codeRange(dtype);
  const custom = options.quantMin !== undefined || options.quantMax !== undefined;
  let quantMin = options.quantMin ?? lowest;
  let quantMax = options.quantMax ?? highest;
  if (custom) checkRange(dtype, options);
  const halve = options.reduceRange === true && (custom || dtypeInfo(dtype).bits === 8);
  if (halve) {
    quantMin = Math.floor(quantMin / 2);
    quantMax = Math.floor(quantMax / 2);
  }
  return {
    quantMin,
    quantMax,
    symmetricZeroPoint: symmetricZeroPoint(dtype, quantMin, quantMax, custom || halve),
  };
}

/** Ranges that onnxruntime's tool uses instead of a dtype's own: halved on request, or without the odd code if symmetric. */
const ONNX_RANGES: Readonly<
  Record<'reduced' | 'symmetric', Partial<Record<QuantDType, readonly [number, number]>>>
> = {
  reduced: {
    int8: [-64, 64],
    qint8: [-64, 64],
    uint8: [0, 127],
    quint8: [0, 127],
    int16: [-16384, 16384],
    uint16: [0, 32767],
    int4: [-4, 3],
    uint4: [0, 7],
    quint4x2: [0, 7],
  },
  symmetric: { int8: [-127, 127], qint8: [-127, 127], int16: [-32767, 32767] },
};

/** The codes that onnxruntime's quantization tool uses; a range of one's own is taken as {@link quantRange} takes it. */
export function onnxQuantRange(
  dtype: QuantDType,
  options: QuantRangeOptions,
  symmetric: boolean,
): QuantRange {
  const { reduced, symmetric: narrow } = ONNX_RANGES;
  const row = options.reduceRange === true ? reduced[dtype] : symmetric ? narrow[dtype] : undefined;
  if (row === undefined || options.quantMin !== undefined) return quantRange(dtype, options);
  return quantRange(dtype, { quantMin: row[0], quantMax: row[1] });
}

function symmetricZeroPoint(
  dtype: QuantDType,
  quantMin: number,
  quantMax: number,
  narrowed: boolean,
): number {
  if (isSigned(dtype)) return 0;
  return Math.floor((quantMin + quantMax + (narrowed ? 0 : 1)) / 2);
}

function checkRange(dtype: QuantDType, { quantMin, quantMax }: QuantRangeOptions): void {
  if (quantMin === undefined || quantMax === undefined) {
    throw new TypeError(`quant range: expected both quantMin and quantMax, got ${quantMin} and ${quantMax}`);
  }
  const [lowest, highest] = codeRange(dtype);
  const whole = Number.isInteger(quantMin) && Number.isInteger(quantMax);
  if (!whole || quantMin > 0 || quantMax < 0 || quantMin >= quantMax) {
    throw new RangeError(
      `quant range: expected integers with quantMin ≤ 0 ≤ quantMax and quantMin < quantMax, got ${quantMin}..${quantMax}`,
    );
  }
  if (quantMin < lowest || quantMax > highest) {
    throw new RangeError(
      `quant range: expected codes of ${dtype} in ${lowest}..${highest}, got ${quantMin}..${quantMax}`,
    );
  }
}
