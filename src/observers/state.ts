/** The saved form of observers, and the checks that reading it back needs. Nothing in a file is trusted. */
import { FormatError } from '../errors.ts';

/** Raised when a reader of the old form would misread the new one. */
export const STATE_VERSION = 1;

/** An observer as plain data that survives JSON. */
export interface ObserverState {
  readonly version: number;
  readonly type: string;
  /** Constructor options that differ from the defaults. */
  readonly args: Readonly<Record<string, unknown>>;
  /** What was seen; its form depends on the type. */
  readonly state: Readonly<Record<string, unknown>>;
}

/** The failure of reading a state: `expected X, got Y` at `field`. */
export function stateError(field: string, expected: string, got: unknown): FormatError {
  return new FormatError(`observer state: expected ${expected} in ${field}, got ${shortly(got)}`, {
    code: 'STATE_INVALID',
    details: { field },
    hint: 'Save the observer again with toJSON().',
  });
}

function shortly(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The value as a saved observer. Throws FormatError STATE_INVALID for anything else or another version. */
export function checkState(value: unknown): ObserverState {
  if (!isRecord(value)) throw stateError('the state', 'an object', value);
  const { version, type, args, state } = value;
  if (version !== STATE_VERSION) throw stateError('version', String(STATE_VERSION), version);
  if (typeof type !== 'string') throw stateError('type', 'a class name', type);
  return { version, type, args: recordField({ args }, 'args'), state: recordField({ state }, 'state') };
}

/** A field that is an object. */
export function recordField(
  state: Readonly<Record<string, unknown>>,
  field: string,
): Readonly<Record<string, unknown>> {
  const value = state[field];
  if (!isRecord(value)) throw stateError(field, 'an object', value);
  return value;
}

/** A field that is a count: an integer ≥ 0. */
export function countField(state: Readonly<Record<string, unknown>>, field: string): number {
  const value = state[field];
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw stateError(field, 'a count', value);
  return value as number;
}

/** A field that is an array of finite numbers, each ≥ `least`. */
export function numbersField(
  state: Readonly<Record<string, unknown>>,
  field: string,
  least: number = -Infinity,
): readonly number[] {
  const value = state[field];
  const isNumber = (item: unknown): boolean => Number.isFinite(item) && (item as number) >= least;
  if (!Array.isArray(value) || !value.every(isNumber)) throw stateError(field, 'finite numbers', value);
  return value as readonly number[];
}

/** Extremes as saved: float32 values, null where nothing was seen, which is `unset`. */
export function extremesField(
  state: Readonly<Record<string, unknown>>,
  field: string,
  unset: number,
): Float32Array {
  const value = state[field];
  const isExtreme = (item: unknown): boolean =>
    item === null || (Number.isFinite(item) && Math.fround(item as number) === item);
  if (!Array.isArray(value) || !value.every(isExtreme))
    throw stateError(field, 'float32 values or null', value);
  return Float32Array.from(value as readonly (number | null)[], (item) => item ?? unset);
}

/** The form that {@link extremesField} reads. */
export function saveExtremes(values: Float32Array): (number | null)[] {
  return Array.from(values, (value) => (Number.isFinite(value) ? value : null));
}
