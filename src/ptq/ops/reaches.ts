/** A search along the edges of a graph, for policies that must know what a value is made of or what becomes of it. */
import type { Value } from '../../graph/value.ts';

/** How far a value is followed; exports make a mask, or a peak test, in about eight steps. */
const MAX_DEPTH = 16;

/** Breadth first, each value once, MAX_DEPTH steps: `look` says true where the search ends, else where it goes on. */
export function reaches(
  start: Value | undefined,
  look: (value: Value) => true | readonly (Value | undefined)[],
): boolean {
  const seen = new Set<Value>();
  let front = [start];
  for (let depth = 0; depth < MAX_DEPTH && front.length > 0; depth++) {
    const next: (Value | undefined)[] = [];
    for (const value of front) {
      if (value === undefined || seen.has(value)) continue;
      seen.add(value);
      const found = look(value);
      if (found === true) return true;
      next.push(...found);
    }
    front = next;
  }
  return false;
}
