/**
 * 4-bit float codes, as bitsandbytes and onnxruntime's MatMulBnb4 have them: the weight [N, K] is one long row of blocks,
 *
 *   absmax = max|w| of a block;  code = that of the value nearest to f32(w · f32(1 / absmax)), by fixed thresholds
 *
 * two codes a byte, the first in the HIGH nibble. NF4 has the quantiles of a normal distribution (QLoRA, arXiv 2305.14314,
 * appendix E), FP4 a sign, two bits of exponent and one of mantissa with the values of bitsandbytes.
 */
import { weightKernels } from '../../kernels/weight-kernels.ts';
import type { CodeTable } from '../../kernels/types.ts';
import { readTiles, type WeightMatrix } from './weight-matrix.ts';

export type Bnb4Type = 'nf4' | 'fp4';

export interface Bnb4Weight {
  /** ceil(N·K / 2) bytes. */
  readonly codes: Uint8Array;
  /** ceil(N·K / blockSize) values. */
  readonly absmax: Float32Array;
}

/** Largest float32 below 0: `x > BELOW_ZERO` is `x ≥ 0`. */
const BELOW_ZERO = -(2 ** -149);

/** Halfway between the values of NF4, as bitsandbytes writes them. */
const NF4_THRESHOLDS = [
  -0.8480964004993439, -0.6106329262256622, -0.4599952697753906, -0.33967943489551544, -0.23460740596055984,
  -0.13791173323988914, -0.045525018125772476, 0.03979014977812767, 0.1202552504837513, 0.2035212516784668,
  0.2920137718319893, 0.3893125355243683, 0.5016634166240692, 0.6427869200706482, 0.8614784181118011,
];

/** Between the magnitudes 0, 1/192, 1/6, 1/4, 1/3, 1/2, 2/3, 1 of FP4, and the code of each magnitude. */
const FP4_THRESHOLDS = [0.00260417, 0.0859375, 0.20833333, 0.29166667, 0.4166667, 0.583333, 0.8333333];
const FP4_CODES = [0, 1, 6, 7, 4, 5, 2, 3];
const FP4_SIGN = 8;

interface Bnb4Table extends CodeTable {
  /** quant_type of MatMulBnb4. */
  readonly quantType: number;
}

export const BNB4: Readonly<Record<Bnb4Type, Bnb4Table>> = {
  fp4: { ...fp4Table(), quantType: 0 },
  nf4: {
    thresholds: Float32Array.from(NF4_THRESHOLDS),
    codeOf: Uint8Array.from({ length: 16 }, (_, i) => i),
    quantType: 1,
  },
};

/** Magnitudes beyond t get the next code on both sides: below zero that is `x < -t`, so `x ≥ -t` ends the step. */
function fp4Table(): CodeTable {
  const positive = Float32Array.from(FP4_THRESHOLDS);
  const negative = Array.from(positive, (t) => nextBelow(-t)).reverse();
  return {
    thresholds: Float32Array.from([...negative, BELOW_ZERO, ...positive]),
    codeOf: Uint8Array.from([...FP4_CODES.map((code) => code + FP4_SIGN).reverse(), ...FP4_CODES]),
  };
}

/** The float32 before a negative one. */
function nextBelow(x: number): number {
  const bits = new Int32Array(Float32Array.of(x).buffer);
  return new Float32Array(Int32Array.of(bits[0] + 1).buffer)[0];
}

/** Quantizes a weight. All-zero blocks get absmax 0 and the code of 0. */
export async function quantizeBnb4(
  matrix: WeightMatrix,
  type: Bnb4Type,
  blockSize: number,
): Promise<Bnb4Weight> {
  const { rows, cols } = matrix;
  const count = rows * cols;
  const out = {
    codes: new Uint8Array(Math.ceil(count / 2)),
    absmax: new Float32Array(Math.ceil(count / blockSize)),
  };
  const rowStep = blockSize / commonDivisor(cols, blockSize);
  for await (const { row, data } of readTiles(matrix, { rowStep })) {
    const first = row * cols;
    // Whole blocks lie before every tile, so whole bytes.
    weightKernels().quantizeByThresholds(data, blockSize, BNB4[type], {
      codes: out.codes.subarray(first / 2),
      absmax: out.absmax.subarray(first / blockSize),
    });
  }
  return out;
}

function commonDivisor(a: number, b: number): number {
  return b === 0 ? a : commonDivisor(b, a % b);
}
