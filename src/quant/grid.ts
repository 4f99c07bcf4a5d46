/**
 * Scales and zero points as callers give them → a checked {@link Grid}. Everything that can be wrong with qparams is
 * said here, with the channel it is wrong at.
 */
import type { Grid } from '../kernels/types.ts';
import { asTensor } from '../tensor/cast.ts';
import { elementValues } from '../tensor/values.ts';
import { paramsOf, type LayoutPiece } from './layout.ts';
import type { Numerics, ParamValues } from './types.ts';

/** What to check scales and zero points against. */
export interface GridRequest {
  /** Function name for messages. */
  readonly where: string;
  /** Number of parameters, and what it is the size of: `axis 1`, `the tensor`. */
  readonly count: number;
  readonly of: string;
  readonly zeroPoints: 'integer' | 'float';
  readonly range: readonly [min: number, max: number];
  readonly numerics: Numerics;
}

/**
 * A grid of its own arrays. Scales: Float64Array and float64 tensors stay float64, all else is rounded to float32, as
 * `torch.tensor` does. Zero points: Int32Array, or Float32Array where `zeroPoints` is `float`.
 *
 * @throws RangeError if a count differs; if a scale, rounded to float32, is not finite and > 0 (`torch-2.13` accepts
 * all, as torch does); if a zero point is outside the range, not an integer where integers are asked for, or not
 * finite where floats are (`torch-2.13` accepts these).
 */
export function makeGrid(scales: ParamValues, zeroPoints: ParamValues, request: GridRequest): Grid {
  const checkedScales = toScales(paramArray(scales, `${request.where}: scales`), request);
  const checkedZeroPoints = toZeroPoints(paramArray(zeroPoints, `${request.where}: zero points`), request);
  const [quantMin, quantMax] = request.range;
  return { scales: checkedScales, zeroPoints: checkedZeroPoints, quantMin, quantMax };
}

/** The scales and zero points that a piece of a tensor uses. */
export function gridOfPiece(grid: Grid, piece: LayoutPiece): Grid {
  return { ...grid, scales: paramsOf(grid.scales, piece), zeroPoints: paramsOf(grid.zeroPoints, piece) };
}

/** The one value of a per-tensor parameter. Throws RangeError for more or fewer. */
export function singleParam(values: ParamValues, name: string, where: string): number {
  const array = paramArray(values, `${where}: ${name}`);
  if (array.length !== 1) throw new RangeError(`${where}: expected one ${name}, got ${array.length}`);
  return Number(array[0]);
}

/** Parameters as float32 values. */
export function paramNumbers(values: ParamValues, where: string): Float32Array {
  return Float32Array.from(paramArray(values, where) as ArrayLike<number | bigint>, Number);
}

function paramArray(values: ParamValues, where: string): ArrayLike<number> | ArrayLike<bigint> {
  if (typeof values === 'number') return [values];
  if (Array.isArray(values) || ArrayBuffer.isView(values)) return values as ArrayLike<number>;
  if (typeof values !== 'object' || values === null) {
    throw new TypeError(`${where}: expected numbers or a tensor of them, got ${String(values)}`);
  }
  return elementValues(
    asTensor(values as Exclude<ParamValues, number | ArrayLike<number> | ArrayLike<bigint>>, where),
  );
}

/** " at channel 3", or nothing where there is only one parameter. */
function at(index: number, count: number): string {
  return count === 1 ? '' : ` at channel ${index}`;
}

function checkCount(name: string, length: number, { where, count, of }: GridRequest): void {
  if (length !== count) throw new RangeError(`${where}: expected ${count} ${name} (${of}), got ${length}`);
}

function toScales(
  values: ArrayLike<number> | ArrayLike<bigint>,
  request: GridRequest,
): Float32Array | Float64Array {
  const { where, count, numerics } = request;
  checkCount('scales', values.length, request);
  const scales =
    values instanceof Float64Array
      ? Float64Array.from(values)
      : Float32Array.from(values as ArrayLike<number | bigint>, Number);
  if (numerics === 'torch-2.13') return scales;
  for (let i = 0; i < count; i++) {
    const scale = Math.fround(scales[i]);
    if (!(scale > 0 && scale < Infinity)) {
      throw new RangeError(`${where}: expected a finite scale > 0, got ${String(values[i])}${at(i, count)}`);
    }
  }
  return scales;
}

function toZeroPoints(
  values: ArrayLike<number> | ArrayLike<bigint>,
  request: GridRequest,
): Int32Array | Float32Array {
  const { where, count, range } = request;
  checkCount('zero points', values.length, request);
  if (request.zeroPoints === 'float') {
    const floats = Float32Array.from(values as ArrayLike<number | bigint>, Number);
    const bad = request.numerics === 'torch-2.13' ? -1 : floats.findIndex((value) => !Number.isFinite(value));
    if (bad < 0) return floats;
    throw new RangeError(
      `${where}: expected a finite zero point, got ${String(values[bad])}${at(bad, count)}`,
    );
  }
  const [low, high] = range;
  for (let i = 0; i < count; i++) {
    const zeroPoint = Number(values[i]);
    if (!Number.isInteger(zeroPoint)) {
      throw new RangeError(
        `${where}: expected integer zero points, got ${zeroPoint}${at(i, count)}; ` +
          "float ones need {qscheme: 'per_channel_affine_float_qparams'} (per block: 'per_block_affine_float_qparams')",
      );
    }
    if (zeroPoint < low || zeroPoint > high) {
      throw new RangeError(
        `${where}: expected a zero point in [${low}, ${high}], got ${zeroPoint}${at(i, count)}`,
      );
    }
  }
  return Int32Array.from(values as ArrayLike<number | bigint>, Number);
}
