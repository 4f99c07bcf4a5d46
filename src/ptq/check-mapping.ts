/** A name that was mistyped must not leave a node as it would be without it. */
import type { Model } from '../graph/model.ts';
import type { QConfigMapping, UnmatchedEntry } from '../qconfig/qconfig-mapping.ts';

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
  const [first, ...others] = nodes.map((list) => mapping.unmatched(list));
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

/** Levenshtein: insertions, removals and replacements that make `b` of `a`. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1] + Number(a[i - 1] !== b[j - 1]);
      next.push(Math.min(replaced, row[j] + 1, next[j - 1] + 1));
    }
    row = next;
  }
  return row[b.length];
}
