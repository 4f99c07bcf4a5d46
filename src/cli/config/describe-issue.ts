/** What is wrong with a configuration, in one sentence: where, what was expected, what came, what was probably meant. */
import type * as v from 'valibot';
import { didYouMean } from '../near-miss.ts';

/** The parts of a schema that lead to the keys it knows. */
interface SchemaNode {
  readonly entries?: Readonly<Record<string, SchemaNode>>;
  readonly wrapped?: SchemaNode;
  readonly value?: SchemaNode;
  readonly item?: SchemaNode;
  readonly options?: readonly unknown[];
}

/** `opTypes.Conv.weight.dtype: expected 'int8' | 'uint8', got 'int9', did you mean 'int8'?` */
export function describeIssue(issue: v.BaseIssue<unknown>, schema: unknown): string {
  const at = deepest(issue);
  const keys = (at.path ?? []).map(({ key }) => key);
  if (at.type === 'strict_object' && at.path?.at(-1)?.origin === 'key') {
    const key = String(keys.at(-1));
    const known = keysAt(schema as SchemaNode, keys.slice(0, -1));
    const meant = didYouMean(key, known);
    return `${where(keys.slice(0, -1))}expected ${known.join(', ')}, got '${key}'${meant}`;
  }
  const expected = (at.expected ?? 'another value').replaceAll('"', "'").replaceAll(/^\((.*)\)$/g, '$1');
  const text = typeof at.input === 'string' ? at.input : undefined;
  const allowed = expected.split(' | ').map((name) => name.replaceAll("'", ''));
  const meant = text === undefined ? '' : didYouMean(text, allowed);
  return `${where(keys)}expected ${expected}, got ${shown(at.input)}${meant}`;
}

/** Of a union the branch that got furthest: that is the one that was meant. */
function deepest(issue: v.BaseIssue<unknown>): v.BaseIssue<unknown> {
  const inner = (issue.issues ?? []).map((each) => deepest(joined(issue, each)));
  const depth = (each: v.BaseIssue<unknown>): number => each.path?.length ?? 0;
  const best = inner.toSorted((a, b) => depth(b) - depth(a))[0];
  return best !== undefined && depth(best) > depth(issue) ? best : issue;
}

/** Paths of a union's issues begin at the union. */
function joined(outer: v.BaseIssue<unknown>, inner: v.BaseIssue<unknown>): v.BaseIssue<unknown> {
  const path = [...(outer.path ?? []), ...(inner.path ?? [])];
  // An issue with a path has at least one item.
  return { ...inner, path: path.length === 0 ? undefined : (path as unknown as typeof inner.path) };
}

function where(keys: readonly unknown[]): string {
  return keys.length === 0 ? '' : `${keys.map(String).join('.')}: `;
}

function shown(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`;
  return JSON.stringify(value) ?? String(value);
}

/** The keys that the schema knows at a path. */
function keysAt(schema: SchemaNode, path: readonly unknown[]): readonly string[] {
  const here = candidates(schema);
  const [key, ...rest] = path;
  if (path.length === 0) return here.flatMap(({ entries }) => Object.keys(entries ?? {}));
  return here.flatMap(({ entries, value, item }) => {
    const next = entries?.[String(key)] ?? value ?? item;
    return next === undefined ? [] : keysAt(next, rest);
  });
}

/** What a schema is, behind `optional` and as each branch of a union. */
function candidates(schema: SchemaNode): readonly SchemaNode[] {
  if (schema.wrapped !== undefined) return candidates(schema.wrapped);
  const branches = (schema.options ?? []).filter((option) => typeof option === 'object');
  return branches.length > 0 ? branches.flatMap((option) => candidates(option as SchemaNode)) : [schema];
}
