/** Copies of graphs: own nodes, values and inner graphs; attributes, types and constants are immutable and shared. */
import type { Attribute } from './attribute.ts';
import { Graph, type Place } from './graph.ts';
import type { ModelFunction } from './model.ts';
import type { Node } from './node.ts';
import type { Value } from './value.ts';
import type { ValueType } from './value-type.ts';

/**
 * From a value of the original to its copy, or to undefined where the copy has none. Values that are not listed, those of
 * graphs that are not copied, map to themselves.
 */
export type Copies = Map<Value, Value | undefined>;

/** In what a copy differs from its original. */
export interface CopyChanges {
  readonly valueName: (name: string) => string;
  /** Is not asked for nodes without a name. */
  readonly nodeName: (name: string) => string;
  readonly type: (type: ValueType) => ValueType;
  /** undefined leaves the attribute out. Graphs inside what it gives are copied. */
  readonly attribute: (attribute: Attribute) => Attribute | undefined;
}

const same = <T>(item: T): T => item;
const NO_CHANGES: CopyChanges = { valueName: same, nodeName: same, type: same, attribute: same };

export function cloneGraph(graph: Graph): Graph {
  return copyGraph(graph, undefined, new Map(), NO_CHANGES);
}

export function cloneFunction(original: ModelFunction): ModelFunction {
  return { ...original, body: cloneGraph(original.body), opsetImports: new Map(original.opsetImports) };
}

/**
 * Copies of `nodes` in `target`, in their order, last or before `place.before`. `copies` says what their inputs from
 * elsewhere are there, and has their outputs afterwards.
 */
export function copyNodesInto(
  target: Graph,
  nodes: readonly Node[],
  { copies, changes, place }: { copies: Copies; changes: CopyChanges; place?: Place },
): Node[] {
  // Values first and connections after, since a file's nodes may come in any order.
  const twins = nodes.map((node) => declareNode(target, node, { copies, changes, place }));
  twins.forEach((twin, index) => connect(nodes[index], twin, copies, changes));
  return twins;
}

function copyGraph(graph: Graph, parent: Graph | undefined, copies: Copies, changes: CopyChanges): Graph {
  const copy = new Graph(graph.name, parent);
  copy.origin = graph.origin;
  declareValues(graph, copy, copies, changes);
  copyNodesInto(copy, graph.nodes.toArray(), { copies, changes });
  // A graph's output is there, since a value without a copy is no output of a graph inside (see inlineFunctions).
  copy.setOutputs(graph.outputs.map((output) => copyOf(output, copies) ?? output));
  return copy;
}

function declareValues(graph: Graph, copy: Graph, copies: Copies, changes: CopyChanges): void {
  for (const input of graph.inputs) {
    noteCopy(input, copy.addInput(changes.valueName(input.name)), copies, changes);
  }
  for (const value of graph.initializers) {
    const { initializer, sparseInitializer } = value;
    const name = copies.get(value)?.name ?? changes.valueName(value.name);
    if (initializer !== undefined) noteCopy(value, copy.addInitializer(name, initializer), copies, changes);
    if (sparseInitializer !== undefined) {
      noteCopy(value, copy.addSparseInitializer(name, sparseInitializer), copies, changes);
    }
  }
}

function declareNode(
  target: Graph,
  node: Node,
  { copies, changes, place }: { copies: Copies; changes: CopyChanges; place?: Place },
): Node {
  const { opType, domain, overload, outputs } = node;
  const twin = target.addNode(
    {
      opType,
      domain,
      overload,
      name: node.name === '' ? '' : changes.nodeName(node.name),
      outputs: outputs.map((output) => output && changes.valueName(output.name)),
    },
    place,
  );
  twin.origin = node.origin;
  outputs.forEach((output, index) => noteCopy(output, twin.outputs[index], copies, changes));
  return twin;
}

function noteCopy(
  value: Value | undefined,
  copy: Value | undefined,
  copies: Copies,
  changes: CopyChanges,
): void {
  if (value === undefined || copy === undefined) return;
  copy.type = value.type && changes.type(value.type);
  copies.set(value, copy);
}

function copyOf(value: Value, copies: Copies): Value | undefined {
  return copies.has(value) ? copies.get(value) : value;
}

function connect(node: Node, twin: Node, copies: Copies, changes: CopyChanges): void {
  twin.setInputs(node.inputs.map((input) => input && copyOf(input, copies)));
  for (const [name, original] of node.attributes) {
    const attribute = changes.attribute(original);
    if (attribute !== undefined) {
      // A node in hand lies in a graph.
      twin.setAttribute(name, copyAttribute(attribute, twin.graph as Graph, copies, changes));
    }
  }
}

function copyAttribute(attribute: Attribute, parent: Graph, copies: Copies, changes: CopyChanges): Attribute {
  const copied = (graph: Graph): Graph => copyGraph(graph, parent, copies, changes);
  if (attribute.kind === 'graph') return { kind: 'graph', value: copied(attribute.value) };
  return attribute.kind === 'graphs' ? { kind: 'graphs', value: attribute.value.map(copied) } : attribute;
}
