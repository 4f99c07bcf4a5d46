/** Scale and zero point of every activation of a calibrated plan, and what follows from them. */
import { CalibrationError } from '../errors.ts';
import { roundHalfEven } from '../kernels/round.ts';
import { observerFromJSON, type Observer } from '../observers/index.ts';
import { codeRange } from '../tensor/dtype.ts';
import { tensor } from '../tensor/tensor.ts';
import { elementValues } from '../tensor/values.ts';
import type { ActivationGrid } from './emit.ts';
import { codeDType, makeObserver } from './observer-spec.ts';
import type { Interval } from './ops/policy.ts';
import type { Plan, PlannedActivation } from './plan.ts';
import type { WeightGrid } from './quantized-weights.ts';

/** @throws CalibrationError CALIBRATION_EMPTY if the plan holds no range for a value */
export function readGrids(plan: Plan): Map<string, ActivationGrid> {
  const grids = new Map<string, ActivationGrid>();
  for (const [name, planned] of Object.entries(plan.activations)) {
    const { scale, zeroPoint } = observerOf(name, planned).calculateQParams();
    grids.set(name, { scale: scale[0], zeroPoint: zeroPoint[0], dtype: codeDType(planned.spec) });
  }
  return grids;
}

function observerOf(name: string, { spec, state, range }: PlannedActivation): Observer {
  if (range !== undefined) {
    const observer = makeObserver(spec, { name });
    observer.observe(tensor(range));
    return observer;
  }
  if (state !== undefined) return observerFromJSON(state);
  throw new CalibrationError(`convert: expected a calibrated plan, got no range for ${name}`, {
    code: 'CALIBRATION_EMPTY',
    hint: 'Run calibrate(plan, runner, batches) first.',
    details: { value: name },
  });
}

/** The grid of a constant that was quantized per tensor. */
export function gridOfTable({ scaleData, zeroPoints, dtype }: WeightGrid): ActivationGrid {
  const [zeroPoint] = Array.from(elementValues(zeroPoints), Number);
  return { scale: scaleData[0], zeroPoint, dtype };
}

/** roundHalfEven(x / scale) + zeroPoint, which may lie beyond the range of the codes. */
function unlimitedCode({ scale, zeroPoint }: ActivationGrid, x: number): number {
  return roundHalfEven(Math.fround(x / scale)) + zeroPoint;
}

/** The code that QuantizeLinear gives `x`, which is no NaN. */
export function saturatedCode(grid: ActivationGrid, x: number): number {
  const [quantMin, quantMax] = codeRange(grid.dtype);
  return Math.min(Math.max(unlimitedCode(grid, x), quantMin), quantMax);
}

/**
 * True if quantizing clip(x) and quantizing x give the same codes for every x: the bounds themselves must have the codes
 * at the ends of the range.
 */
export function saturates(grid: ActivationGrid, range: Interval | undefined): boolean {
  if (range === undefined) return false;
  const [quantMin, quantMax] = codeRange(grid.dtype);
  return unlimitedCode(grid, range[0]) <= quantMin && unlimitedCode(grid, range[1]) >= quantMax;
}
