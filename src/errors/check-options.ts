/**
 * What a function was given as options, checked before anything is done: a misspelt name must not pass for a default. Each
 * options type has a table with a rule for every key (`satisfies Record<keyof XOptions, Rule>`), so that an option without a
 * rule does not compile. Our own 60 lines, since a schema library would take more of a page's budget than all tables do.
 */
import { nearestName } from './nearest-name.ts';

/** Where an option stands, for messages. */
export interface Place {
  /** The public function. */
  readonly where: string;
  /** Name of the option, `keep.names` or `overrides[0].bits` where it lies inside another. */
  readonly name: string;
}

/** Throws TypeError for a value of another type, RangeError for one that is out of range. Never sees undefined. */
export type Rule = (value: unknown, place: Place) => void;

/** Rules by the name of the option. */
export type Rules = Readonly<Record<string, Rule>>;

/**
 * Checks `options` of the function `where`. An option that is undefined is one that is not given.
 *
 * @throws TypeError for what is no plain object, an option that does not exist (with the nearest that does) and a value of
 *   another type; RangeError for a value that is out of range
 */
export function checkOptions(where: string, options: unknown, rules: Rules): void {
  checkMembers(options, rules, { where, name: '' });
}

/** Rule for options inside options. */
export function members(rules: Rules): Rule {
  return (value, place) => checkMembers(value, rules, place);
}

function checkMembers(options: unknown, rules: Rules, { where, name: parent }: Place): void {
  if (!isPlainObject(options)) throw refusal({ where, name: parent }, 'an object of options', options);
  for (const [key, value] of Object.entries(options)) {
    const name = parent === '' ? key : `${parent}.${key}`;
    if (!Object.hasOwn(rules, key)) throw unknownOption({ where, name }, key, Object.keys(rules));
    if (value !== undefined) rules[key](value, { where, name });
  }
}

/** Also of another realm; not an array, a Map or an instance of a class: those hold what no rule would see. */
function isPlainObject(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function unknownOption({ where, name }: Place, key: string, known: readonly string[]): TypeError {
  const meant = nearestName(key, known);
  const advice = meant === undefined ? '' : `: did you mean '${meant}'?`;
  const list = known.length === 0 ? 'no options' : `options ${known.join(', ')}`;
  return new TypeError(`${where}: expected ${list}, got unknown option '${name}'${advice}`);
}

/** The error for a value that a rule does not take. */
export function refusal({ where, name }: Place, expected: string, got: unknown): TypeError {
  return new TypeError(message({ where, name }, expected, got));
}

/** The error for a value of the right type that a rule does not take. */
export function outOfRange(place: Place, expected: string, got: unknown): RangeError {
  return new RangeError(message(place, expected, got));
}

function message({ where, name }: Place, expected: string, got: unknown): string {
  return `${where}: expected ${name === '' ? '' : `${name} `}${expected}, got ${shown(got)}`;
}

function shown(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`;
  if (typeof value === 'function') return 'a function';
  if (Array.isArray(value)) return `[${value.map(shown).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return String(value);
  const name: unknown = value.constructor?.name;
  return typeof name === 'string' && name !== 'Object' ? `an instance of ${name}` : 'an object';
}
