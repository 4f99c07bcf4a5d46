/** Reads a plan that comes from a file: nothing in it is trusted, and what is wrong is named. */
import { FormatError, QuantError } from '../errors.ts';
import { factoryFromJSON, observerFromJSON } from '../observers/index.ts';
import type { Plan } from './plan.ts';

type Fields = Readonly<Record<string, unknown>>;

/** @throws FormatError STATE_INVALID, naming the field, unless `json` is a plan of this version whose observers load */
export function checkPlan(json: unknown, where = 'plan'): Plan {
  const plan = record(json, where, 'the plan');
  if (plan.version !== 1) throw invalid(where, 'version', '1', plan.version);
  if (plan.coverage !== undefined && plan.coverage !== 'all')
    throw invalid(where, 'coverage', "'all' or nothing", plan.coverage);
  for (const [i, node] of list(plan.nodes, where, 'nodes').entries()) checkNode(node, where, `nodes[${i}]`);
  for (const [name, planned] of Object.entries(record(plan.activations, where, 'activations'))) {
    checkActivation(planned, where, `activation '${name}'`);
  }
  for (const [name, root] of Object.entries(record(plan.shared, where, 'shared'))) {
    text(root, where, `shared '${name}'`);
  }
  for (const [i, item] of list(plan.skipped, where, 'skipped').entries()) {
    const skipped = record(item, where, `skipped[${i}]`);
    for (const key of ['node', 'opType', 'reason']) text(skipped[key], where, `skipped[${i}].${key}`);
  }
  count(plan.samples, where, 'samples');
  // Every field has been looked at above.
  return json as Plan;
}

function checkNode(json: unknown, where: string, field: string): void {
  const node = record(json, where, field);
  for (const key of ['node', 'opType', 'output']) text(node[key], where, `${field}.${key}`);
  for (const key of ['activation', 'weight']) {
    inside(where, `${field}.${key}`, () => factoryFromJSON(node[key]));
  }
}

function checkActivation(json: unknown, where: string, field: string): void {
  const { spec, state, range, value } = record(json, where, field);
  if (value !== undefined) text(value, where, `value of ${field}`);
  inside(where, field, () => factoryFromJSON(spec));
  if (state !== undefined) inside(where, field, () => observerFromJSON(state));
  if (range === undefined) return;
  const isRange = Array.isArray(range) && range.length === 2 && range.every(Number.isFinite);
  if (!isRange) throw invalid(where, `range of ${field}`, 'two numbers', range);
}

/** What the readers of observers say, with the place in front. */
function inside(where: string, field: string, read: () => unknown): void {
  try {
    read();
  } catch (cause) {
    if (!(cause instanceof QuantError)) throw cause;
    throw new FormatError(`${where}: ${field}: ${cause.message}`, {
      code: 'STATE_INVALID',
      hint: HINT,
      details: { field },
      cause,
    });
  }
}

/** @throws FormatError STATE_INVALID unless `value` is an object */
export function record(value: unknown, where: string, field: string): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
  throw invalid(where, field, 'an object', value);
}

/** @throws FormatError STATE_INVALID unless `value` is an array */
export function list(value: unknown, where: string, field: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw invalid(where, field, 'a list', value);
}

/** @throws FormatError STATE_INVALID unless `value` is a string */
export function text(value: unknown, where: string, field: string): string {
  if (typeof value === 'string') return value;
  throw invalid(where, field, 'a string', value);
}

/** @throws FormatError STATE_INVALID unless `value` is a whole number ≥ 0 */
export function count(value: unknown, where: string, field: string): number {
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;
  throw invalid(where, field, 'a count', value);
}

const HINT = 'Make the plan again with zeropoint calibrate, or save it with JSON.stringify.';

/** `where: expected X in field, got Y` */
export function invalid(where: string, field: string, expected: string, got: unknown): FormatError {
  const shown = JSON.stringify(got) ?? 'nothing';
  const short = shown.length > 60 ? `${shown.slice(0, 60)}…` : shown;
  return new FormatError(`${where}: expected ${expected} in ${field}, got ${short}`, {
    code: 'STATE_INVALID',
    hint: HINT,
    details: { field },
  });
}
