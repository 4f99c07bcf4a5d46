/** Smallest and largest finite value of a tensor, of its channels or of its blocks. */
import { CalibrationError } from '../errors.ts';
import { kernels } from '../kernels/backend.ts';
import { paramsOf, pieceOf, planLayout, type LayoutPlan } from '../quant/layout.ts';
import type { Granularity } from '../quant/types.ts';
import type { FloatInput } from '../tensor/cast.ts';

export interface FiniteExtremes {
  /** One a parameter; Infinity and -Infinity where no finite value was. */
  readonly min: Float32Array;
  readonly max: Float32Array;
  /** How many values were ±Infinity, and so left out. */
  readonly infinities: number;
}

/**
 * Extremes over finite values.
 *
 * @throws CalibrationError CALIBRATION_NAN at the first NaN; RangeError for an axis outside the rank
 */
export function finiteExtremes(x: FloatInput, granularity: Granularity, where: string): FiniteExtremes {
  const plan = planLayout(x.shape, granularity, where);
  const min = new Float32Array(plan.params);
  const max = new Float32Array(plan.params);
  extremesInto(x.data, plan, min, max);
  if (min.some(Number.isNaN)) throw nanError(x, where);
  if (!min.includes(-Infinity) && !max.includes(Infinity)) return { ...unsigned(min, max), infinities: 0 };
  // Rare (attention masks): each pass sees the infinities at the end where they cannot win.
  const { asLargest, asSmallest, infinities } = withoutInfinities(x.data);
  extremesInto(asLargest, plan, min, new Float32Array(plan.params));
  extremesInto(asSmallest, plan, new Float32Array(plan.params), max);
  return { ...unsigned(min, max), infinities };
}

/** -0 becomes 0: which of them a kernel finds is left open, and results must not depend on it. */
function unsigned(min: Float32Array, max: Float32Array): { min: Float32Array; max: Float32Array } {
  return { min: min.map((value) => value + 0), max: max.map((value) => value + 0) };
}

function extremesInto(x: Float32Array, plan: LayoutPlan, min: Float32Array, max: Float32Array): void {
  if (plan.params === 1) {
    const extremes = kernels().minMax(x);
    min[0] = extremes.min;
    max[0] = extremes.max;
    return;
  }
  min.fill(Infinity);
  max.fill(-Infinity);
  for (const piece of plan.pieces) {
    kernels().minMaxByParam(pieceOf(x, piece), piece.layout, paramsOf(min, piece), paramsOf(max, piece));
  }
}

function withoutInfinities(x: Float32Array): {
  asLargest: Float32Array;
  asSmallest: Float32Array;
  infinities: number;
} {
  const asLargest = x.slice();
  const asSmallest = x.slice();
  let infinities = 0;
  for (let i = 0; i < x.length; i++) {
    if (Math.abs(x[i]) !== Infinity) continue;
    asLargest[i] = Infinity;
    asSmallest[i] = -Infinity;
    infinities++;
  }
  return { asLargest, asSmallest, infinities };
}

function nanError(x: FloatInput, where: string): CalibrationError {
  const index = x.data.findIndex(Number.isNaN);
  return new CalibrationError(
    `${where}: expected numbers, got NaN at element ${index} of [${x.shape.join(', ')}]`,
    {
      code: 'CALIBRATION_NAN',
      details: { index, shape: x.shape },
      hint: 'Look for a wrong preprocessing step, or for an input the model was not made for.',
    },
  );
}
