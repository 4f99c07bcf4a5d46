/**
 * Topological order (Kahn 1962), stable: among the nodes that are ready, the one that came first stays first. A node
 * needs what it takes and what the graphs inside it take from this graph.
 */
import { GraphError } from '../errors.ts';
import type { Graph } from './graph.ts';
import type { Node } from './node.ts';
import type { Value } from './value.ts';

/** The nodes of `graph` in topological order. Throws GraphError naming the nodes of a cycle. */
export function sortedNodes(graph: Graph): Node[] {
  const nodes = graph.nodes.toArray();
  const position = new Map(nodes.map((node, index) => [node, index]));
  const dependents: number[][] = nodes.map(() => []);
  const missing = new Int32Array(nodes.length);
  nodes.forEach((node, index) => {
    for (const producer of dependencies(node, graph)) {
      dependents[position.get(producer) as number].push(index);
      missing[index]++;
    }
  });
  const order = drain(dependents, missing);
  if (order.length < nodes.length) throw cycleError(nodes.filter((_, index) => missing[index] > 0));
  return order.map((index) => nodes[index]);
}

/** True if each node comes after what it needs, as ONNX asks of files. */
export function isSorted(graph: Graph): boolean {
  const seen = new Set<Node>();
  for (const node of graph.nodes) {
    for (const producer of dependencies(node, graph)) if (!seen.has(producer)) return false;
    seen.add(node);
  }
  return true;
}

/** Nodes of `graph` that must come before `node`, each once. */
function dependencies(node: Node, graph: Graph): Set<Node> {
  const producers = new Set<Node>();
  const need = (value: Value | undefined): void => {
    if (value?.producer !== undefined && value.graph === graph) producers.add(value.producer);
  };
  node.inputs.forEach(need);
  for (const inside of node.subgraphs) {
    for (const inner of inside.allNodes()) {
      inner.inputs.forEach(need);
      for (const body of inner.subgraphs) body.outputs.forEach(need);
    }
    inside.outputs.forEach(need);
  }
  return producers;
}

/** Indices in order; a binary heap of the ready ones keeps the order stable in O(n log n). */
function drain(dependents: readonly (readonly number[])[], missing: Int32Array): number[] {
  const heap = new MinHeap();
  missing.forEach((count, index) => {
    if (count === 0) heap.push(index);
  });
  const order: number[] = [];
  for (let index = heap.pop(); index !== undefined; index = heap.pop()) {
    order.push(index);
    for (const dependent of dependents[index]) if (--missing[dependent] === 0) heap.push(dependent);
  }
  return order;
}

class MinHeap {
  readonly #items: number[] = [];

  push(item: number): void {
    const items = this.#items;
    let at = items.length;
    items.push(item);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (items[parent] <= items[at]) return;
      [items[parent], items[at]] = [items[at], items[parent]];
      at = parent;
    }
  }

  pop(): number | undefined {
    const items = this.#items;
    const top = items[0];
    const last = items.pop();
    if (last === undefined || items.length === 0) return top;
    items[0] = last;
    for (let at = 0; ;) {
      const left = 2 * at + 1;
      if (left >= items.length) return top;
      const child = left + 1 < items.length && items[left + 1] < items[left] ? left + 1 : left;
      if (items[at] <= items[child]) return top;
      [items[child], items[at]] = [items[at], items[child]];
      at = child;
    }
  }
}

function cycleError(nodes: readonly Node[]): GraphError {
  const labels = nodes.slice(0, 5).map((node) => node.label);
  const more = nodes.length > labels.length ? ', ...' : '';
  return new GraphError(`graph: expected no cycle, got one through or before ${labels.join(', ')}${more}`, {
    code: 'GRAPH_INVALID',
    details: { nodes: labels, node: labels[0] },
  });
}
