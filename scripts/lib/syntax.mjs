/** Walks an ESTree syntax tree. */

/** Calls `visit(node, parent, key)` for every node, parents first; `key` is the parent's property that holds it. */
export function walk(node, visit, parent = null, key = '') {
  visit(node, parent, key);
  for (const [childKey, value] of Object.entries(node)) {
    for (const child of Array.isArray(value) ? value : [value]) {
      if (typeof child?.type === 'string') walk(child, visit, node, childKey);
    }
  }
}
