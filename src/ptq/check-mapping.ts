/** A name that was mistyped must not leave a node as it would be without it. */
import { editDistance } from '../errors/nearest-name.ts';
import type { Model } from '../graph/model.ts';
import { anchored, scopesOf, type QConfigMapping } from '../qconfig/qconfig-mapping.ts';

/** An entry that no node is under: the setter that made it, and what it was given. */
interface UnmatchedEntry {
  readonly setter: 'setModuleName' | 'setModuleNameRegex' | 'setModuleNameObjectTypeOrder';
  /** Name, scope or pattern. */
  readonly name: string;
  readonly opType?: string;
  readonly index?: number;
}

interface NamedOp {
  readonly opType: string;
  readonly name: string;
}

/** How many near names an error shows, and how far (in edits) they may lie. */
const SHOWN = 3;
const NEAR = 0.4;

/**
 * `models`: the one that the mapping was written for, and what became of it; one that has the node is enough.
 *
 * @throws RangeError if a module name, pattern or order of the mapping is about no node, with near names
 */
export function checkMapping(mapping: QConfigMapping, ...models: readonly Model[]): void {
  const nodes = models.map(({ graph }) =>
    Array.from(graph.allNodes(), ({ qualifiedOp, name }) => ({ opType: qualifiedOp, name })),
  );
  const [first, ...others] = nodes.map((list) => unmatched(mapping, list));
  const entry = first.find((candidate) =>
    others.every((list) => list.some((other) => isSame(candidate, other))),
  );
  if (entry === undefined) return;
  const names = [...new Set(nodes[0].map(({ name }) => name))].filter((name) => name !== '');
  throw new RangeError(
    `QConfigMapping: expected ${entry.setter} to be about a node of the model, got ${shown(entry)}, ` +
      `which none is under; ${advice(entry.name, names)}`,
  );
}

/** Global settings and op types are not counted: they are made for many models. */
function unmatched(mapping: QConfigMapping, nodes: readonly NamedOp[]): readonly UnmatchedEntry[] {
  const { module_name, module_name_regex, module_name_object_type_order } = mapping.toDict();
  const all = nodes.map(({ opType, name }) => ({ opType, name, scopes: scopesOf(name) }));
  const scopes = new Set(all.flatMap((node) => node.scopes)).add('');
  const count = (scope: string, opType: string): number =>
    all.filter((node) => node.opType === opType && node.scopes.includes(scope)).length;
  return [
    ...module_name
      .filter(([name]) => !scopes.has(name))
      .map(([name]) => ({ setter: 'setModuleName', name }) as const),
    ...module_name_regex
      .filter(([pattern]) => !all.some(({ name }) => anchored(pattern).test(name)))
      .map(([name]) => ({ setter: 'setModuleNameRegex', name }) as const),
    ...module_name_object_type_order
      .filter(([scope, opType, index]) => count(scope, opType) <= index)
      .map(([name, opType, index]) => {
        return { setter: 'setModuleNameObjectTypeOrder', name, opType, index } as const;
      }),
  ];
}

function isSame(a: UnmatchedEntry, b: UnmatchedEntry): boolean {
  return a.setter === b.setter && shown(a) === shown(b);
}

function shown({ name, opType, index }: UnmatchedEntry): string {
  return [name, opType, index]
    .filter((part) => part !== undefined)
    .map((part) => JSON.stringify(part))
    .join(', ');
}

function advice(wanted: string, names: readonly string[]): string {
  if (names.length === 0) return 'the nodes of this model have no names';
  const near = names
    .map((name) => ({ name, edits: editDistance(wanted, name) }))
    .filter(({ name, edits }) => edits <= NEAR * Math.max(name.length, wanted.length))
    .sort((a, b) => a.edits - b.edits)
    .map(({ name }) => name);
  const list = (near.length > 0 ? near : names).slice(0, SHOWN).map((name) => JSON.stringify(name));
  return `${near.length > 0 ? 'near it' : 'names look like'}: ${list.join(', ')}`;
}
