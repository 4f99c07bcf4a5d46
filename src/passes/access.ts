/** Parts of nodes that must be there by what was checked before; if they are not, the error says which. */
import { GraphError } from '../errors.ts';
import type { Graph } from '../graph/graph.ts';
import type { Node } from '../graph/node.ts';
import type { TensorSource } from '../graph/tensor-source.ts';
import type { Value } from '../graph/value.ts';

/** Output 0. Throws GraphError if it is absent. */
export function outputOf(node: Node): Value {
  return present(node.outputs[0], `${node.label}: expected a first output, got none`);
}

/** Input `index`. Throws GraphError if it is absent. */
export function inputOf(node: Node, index: number): Value {
  return present(node.inputs[index], `${node.label}: expected input ${index}, got none`);
}

/** The node that gives a value. Throws GraphError for graph inputs and initializers. */
export function producerOf(value: Value): Node {
  return present(
    value.producer,
    `${value.name}: expected a value that a node gives, got a constant or an input`,
  );
}

/** The tensor of a constant. Throws GraphError if the value is computed. */
export function constantOf(value: Value): TensorSource {
  return present(value.constant, `${value.name}: expected a constant, got a value that is computed`);
}

/** A graph and all graphs inside it; a graph comes before those inside it. */
export function graphsOf(graph: Graph): Graph[] {
  return [graph, ...[...graph.allNodes()].flatMap((node) => node.subgraphs)];
}

/** `item`, which must be there. */
export function present<T>(item: T | undefined, message: string): T {
  if (item === undefined) throw new GraphError(message, { code: 'GRAPH_INVALID' });
  return item;
}
