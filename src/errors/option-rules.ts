/** What an option may be. Made at start, so rules hold no more than they need. */
import { outOfRange, refusal, type Rule } from './check-options.ts';

/** One of these values. */
export function oneOf(...allowed: readonly unknown[]): Rule {
  return (value, place) => {
    if (allowed.includes(value)) return;
    const expected = `one of ${allowed.map(String).join(', ')}`;
    const isKind = allowed.some((each) => typeof each === typeof value);
    throw isKind ? outOfRange(place, expected, value) : refusal(place, expected, value);
  };
}

/** A value of this type, whatever it is. */
function ofType(type: 'boolean' | 'function' | 'string'): Rule {
  return (value, place) => {
    if (typeof value !== type) throw refusal(place, `to be a ${type}`, value);
  };
}

export const BOOLEAN: Rule = ofType('boolean');
export const FUNCTION: Rule = ofType('function');
export const TEXT: Rule = ofType('string');

/** What the function itself looks at, or what cannot be told before it is used. */
export const ANYTHING: Rule = () => undefined;

/** A number from `least` (`above`: beyond it) to `most`; `Infinity` is one unless the number is to be whole. */
export function numberFrom(
  least: number,
  { most = Infinity, above = false, whole = false }: { most?: number; above?: boolean; whole?: boolean } = {},
): Rule {
  const limits = `${above ? '>' : '>='} ${least}${most === Infinity ? '' : ` and <= ${most}`}`;
  const expected = `to be a ${whole ? 'whole ' : ''}number ${limits}`;
  return (value, place) => {
    if (typeof value !== 'number') throw refusal(place, expected, value);
    const isInside = (above ? value > least : value >= least) && value <= most;
    if (!isInside || (whole && !Number.isSafeInteger(value))) throw outOfRange(place, expected, value);
  };
}

/** A whole number from `least` to `most`. */
export function wholeFrom(least: number, most?: number): Rule {
  return numberFrom(least, { whole: true, ...(most !== undefined && { most }) });
}

/** An object with these methods: what a class makes, also if it was loaded twice. `what` completes `expected it to be`. */
export function withMethods(what: string, ...methods: readonly string[]): Rule {
  return (value, place) => {
    const isObject = typeof value === 'object' && value !== null;
    const holder = value as Readonly<Record<string, unknown>>;
    if (!isObject || !methods.every((method) => typeof holder[method] === 'function'))
      throw refusal(place, `to be ${what}`, value);
  };
}

export const SIGNAL: Rule = withMethods('an AbortSignal', 'throwIfAborted', 'addEventListener');

export const PATTERN: Rule = withMethods('a RegExp', 'exec', 'test');

/** A list whose items follow a rule. */
export function listOf(rule: Rule): Rule {
  return (value, place) => {
    if (!Array.isArray(value)) throw refusal(place, 'to be a list', value);
    for (const [i, item] of value.entries()) rule(item, { ...place, name: `${place.name}[${i}]` });
  };
}

/** Another rule for each type that the value may have; lists are `list`. */
export function byType(rules: Readonly<Partial<Record<string, Rule>>>): Rule {
  return (value, place) => {
    const type = Array.isArray(value) ? 'list' : typeof value;
    const rule = rules[type];
    if (rule === undefined) throw refusal(place, `to be a ${Object.keys(rules).join(' or ')}`, value);
    rule(value, place);
  };
}

/** An object of values by names that nobody knows before, which all follow a rule. */
export function recordOf(rule: Rule): Rule {
  return (value, place) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw refusal(place, 'to be an object', value);
    for (const [key, item] of Object.entries(value)) rule(item, { ...place, name: `${place.name}.${key}` });
  };
}

/** What can be gone through with `for await`. */
export const ITERABLE: Rule = (value, place) => {
  const isObject = typeof value === 'object' && value !== null;
  if (!isObject || !(Symbol.iterator in value || Symbol.asyncIterator in value))
    throw refusal(place, 'that can be iterated', value);
};
