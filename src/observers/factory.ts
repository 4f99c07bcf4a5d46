/** A class with some of its arguments fixed: what a QConfig holds, so that each tensor gets an observer of its own. */
import { callText } from './source-text.ts';

const INSPECT = Symbol.for('nodejs.util.inspect.custom');

/** A factory as plain data; `args` may hold further ones. */
export interface FactoryJSON {
  readonly type: string;
  readonly args: Readonly<Record<string, unknown>>;
}

/** Calling it makes a new instance; arguments of the call win over those that are fixed. */
export interface Factory<T, A extends object = object> {
  (args?: Partial<A>): T;
  /** Name of the class. */
  readonly type: string;
  readonly args: Readonly<Partial<A>>;
  /** A factory with more arguments fixed; a later value replaces an earlier one. */
  withArgs(args: Partial<A>): Factory<T, A>;
  toJSON(): FactoryJSON;
  /** TypeScript that makes an equal factory: `MinMaxObserver.withArgs({ quantMin: 0, quantMax: 127 })`. */
  toString(): string;
}

/** What a factory is made from: a constructor with one argument, and the name to print and save it by. */
export interface FactoryClass<T, A> {
  new (args: A): T;
  readonly type: string;
  /** Every argument the class knows, with its default; `undefined` where it has none. */
  readonly defaults: object;
}

/** A factory of `Class` with `given` fixed, less what equals the defaults. Values are checked when an instance is made. */
export function makeFactory<T, A extends object>(
  Class: FactoryClass<T, A>,
  given: Partial<A>,
): Factory<T, A> {
  const args = ownArgs(Class, given);
  // The arguments of a class that needs some (a scale) may still come with the call; its constructor checks them.
  const make = (more: Partial<A> = {}): T => new Class({ ...args, ...more } as A);
  const toString = (): string =>
    Object.keys(args).length === 0 ? Class.type : callText(`${Class.type}.withArgs`, args);
  return Object.assign(make, {
    type: Class.type,
    args: Object.freeze(args),
    withArgs: (more: Partial<A>) => makeFactory(Class, { ...args, ...more }),
    toJSON: () => ({ type: Class.type, args: argsJSON(args) }),
    toString,
    [INSPECT]: toString,
  });
}

/** The arguments that say something: neither undefined nor the default. Throws TypeError for one the class has not. */
export function ownArgs<A extends object>(
  Class: { type: string; defaults: object },
  given: Partial<A>,
): Partial<A> {
  const defaults = Class.defaults as Readonly<Record<string, unknown>>;
  const own = Object.entries(given).filter(([key, value]) => {
    if (!Object.hasOwn(defaults, key)) {
      throw new TypeError(`${Class.type}: expected options ${Object.keys(defaults).join(', ')}, got ${key}`);
    }
    return value !== undefined && !Object.is(value, defaults[key]);
  });
  return Object.fromEntries(own.map(([key, value]) => [key, toFactory(value) ?? value])) as Partial<A>;
}

/** Arguments as plain data: nested factories become theirs, undefined ones are left out. */
export function argsJSON(args: object): Record<string, unknown> {
  const entries = Object.entries(args).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries.map(([key, value]) => [key, isFactory(value) ? value.toJSON() : value]));
}

/** True for what {@link makeFactory} makes. */
export function isFactory(value: unknown): value is Factory<unknown> {
  return (
    typeof value === 'function' &&
    'type' in value &&
    'args' in value &&
    'withArgs' in value &&
    'toJSON' in value
  );
}

/** A class or a factory as a factory; undefined for anything else, an instance among it. */
export function toFactory(value: unknown): Factory<unknown> | undefined {
  if (isFactory(value)) return value;
  const isClass = typeof value === 'function' && 'type' in value && 'defaults' in value;
  // A class with these statics is one of ours, or made after them.
  return isClass ? makeFactory(value as unknown as FactoryClass<unknown, object>, {}) : undefined;
}

/** True if two factories make equal instances: same class, same arguments in any order. */
export function sameFactory(a: { toJSON(): FactoryJSON }, b: { toJSON(): FactoryJSON }): boolean {
  return sameValue(a.toJSON(), b.toJSON());
}

function sameValue(a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return Object.is(a, b);
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  const other = b as Record<string, unknown>;
  return keys.every(
    (key) => Object.hasOwn(b, key) && sameValue((a as Record<string, unknown>)[key], other[key]),
  );
}
