/** A JSON value of a `.jsonl` line → the tensor of an input, or what is wrong with it. */
import { CalibrationError, UnsupportedError } from '../errors.ts';
import type { Dim } from '../graph/value-type.ts';
import { dtypeInfo, type DType } from '../tensor/dtype.ts';
import { flattenNested, storeValues, type Flattened, type NestedNumbers } from '../tensor/nested.ts';
import { elementCount } from '../tensor/shape.ts';
import { Tensor } from '../tensor/tensor.ts';
import { fitsShape, formatRunnerValue } from './feeds.ts';
import { WHERE } from './sample-set.ts';
import type { RunnerValue } from './types.ts';

/** Where a value stands, for messages. */
export interface LinePlace {
  readonly file: string;
  readonly line: number;
}

export interface LineValue {
  readonly tensor: Tensor;
  /** True if the value has every axis of the input, that of the samples too. */
  readonly isWhole: boolean;
}

/**
 * Shapes that are taken, for an input [N, a, b]: one sample [a, b], a whole feed [n, a, b], or a flat list of a·b
 * numbers where a and b are fixed. Integers must fit the dtype exactly; a bool is true, false, 1 or 0.
 *
 * @throws CalibrationError CALIBRATION_INPUT, naming line and input
 */
export function lineValue(value: unknown, input: RunnerValue, place: LinePlace): LineValue {
  const at = `${WHERE}: ${place.file}: line ${place.line}: input '${input.name}'`;
  const details = { ...place, input: input.name };
  if (dtypeInfo(input.dtype).bits < 8) throw packedError(at, input);
  const { shape, values } = flattened(value, input.dtype, at, details);
  const fit = fitOf(input.shape, shape);
  if (fit === undefined) {
    throw new CalibrationError(
      `${at}: expected one sample of ${formatRunnerValue(input)}, got [${shape.join(', ')}]`,
      { code: 'CALIBRATION_INPUT', hint: 'Leave out the first axis, which counts samples.', details },
    );
  }
  return {
    tensor: new Tensor(input.dtype, fit.shape, stored(values, input.dtype, at, details)),
    isWhole: fit.isWhole,
  };
}

interface Fit {
  readonly shape: readonly number[];
  readonly isWhole: boolean;
}

function fitOf(wanted: readonly Dim[] | undefined, given: readonly number[]): Fit | undefined {
  if (wanted === undefined) return { shape: given, isWhole: false };
  const perSample = wanted.slice(1);
  if (wanted.length > 0 && fitsShape(perSample, given)) return { shape: given, isWhole: false };
  if (fitsShape(wanted, given)) return { shape: given, isWhole: true };
  const isFixed = perSample.every((dim): dim is number => typeof dim === 'number');
  if (!isFixed || given.length !== 1 || perSample.length === 0) return undefined;
  // The type guard above has seen that every axis is a number.
  const sizes = perSample as readonly number[];
  return elementCount(sizes) === given[0] ? { shape: sizes, isWhole: false } : undefined;
}

type Details = Readonly<Record<string, unknown>>;

function flattened(value: unknown, dtype: DType, at: string, details: Details): Flattened {
  try {
    // flattenNested looks at every element itself.
    return flattenNested(
      (dtypeInfo(dtype).kind === 'bool' ? withoutBooleans(value) : value) as NestedNumbers,
    );
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause;
    throw new CalibrationError(`${at}: ${cause.message.replace(/^tensor: /, '')}`, {
      code: 'CALIBRATION_INPUT',
      hint: 'Write numbers, or nested arrays of them of equal length. null is what NaN becomes in JSON.',
      details,
      cause,
    });
  }
}

function withoutBooleans(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutBooleans);
  return typeof value === 'boolean' ? Number(value) : value;
}

function stored(
  values: Flattened['values'],
  dtype: DType,
  at: string,
  details: Details,
): ReturnType<typeof storeValues> {
  const { kind } = dtypeInfo(dtype);
  const allowed = (value: number | bigint): boolean =>
    kind === 'float' || (kind === 'bool' ? value === 0 || value === 1 : Number.isSafeInteger(value));
  const index = values.findIndex((value) => !allowed(value));
  if (index >= 0) throw unfit(at, dtype, `${values[index]} at element ${index}`, details);
  try {
    return storeValues(values, dtype);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw unfit(at, dtype, cause.message.replace(/^.* got /, ''), details);
  }
}

function unfit(at: string, dtype: DType, got: string, details: Details): CalibrationError {
  return new CalibrationError(`${at}: expected values that ${dtype} can hold, got ${got}`, {
    code: 'CALIBRATION_INPUT',
    hint: 'Whole numbers beyond 2^53 lose digits in JSON.',
    details,
  });
}

function packedError(at: string, input: RunnerValue): UnsupportedError {
  return new UnsupportedError(
    `${at}: expected an input of at least 8 bits an element, got ${formatRunnerValue(input)}`,
    {
      code: 'UNSUPPORTED_DTYPE',
      hint: 'Pass batches of your own from the library: quantizeStatic(model, { batches }).',
    },
  );
}
