/** Copies of graphs: own nodes, values and inner graphs; attributes, types and constants are immutable and shared. */
import type { Attribute } from './attribute.ts';
import { Graph } from './graph.ts';
import type { ModelFunction } from './model.ts';
import type { Value } from './value.ts';

/** From a value of the original to its copy. Values of graphs that are not copied map to themselves. */
type Copies = Map<Value, Value>;

export function cloneGraph(graph: Graph): Graph {
  return copyGraph(graph, undefined, new Map());
}

export function cloneFunction(original: ModelFunction): ModelFunction {
  return { ...original, body: cloneGraph(original.body), opsetImports: new Map(original.opsetImports) };
}

/** Values first and connections after, since a file's nodes may come in any order. */
function copyGraph(graph: Graph, parent: Graph | undefined, copies: Copies): Graph {
  const copy = new Graph(graph.name, parent);
  copy.origin = graph.origin;
  declareValues(graph, copy, copies);
  for (const node of graph.nodes) {
    const twin = copy.addNode({
      opType: node.opType,
      domain: node.domain,
      overload: node.overload,
      name: node.name,
      outputs: node.outputs.map((output) => output?.name),
    });
    twin.origin = node.origin;
    node.outputs.forEach((output, index) => noteCopy(output, twin.outputs[index], copies));
  }
  connect(graph, copy, copies);
  return copy;
}

function declareValues(graph: Graph, copy: Graph, copies: Copies): void {
  for (const input of graph.inputs) noteCopy(input, copy.addInput(input.name, input.type), copies);
  for (const value of graph.initializers) {
    const { initializer, sparseInitializer } = value;
    if (initializer !== undefined) noteCopy(value, copy.addInitializer(value.name, initializer), copies);
    if (sparseInitializer !== undefined) {
      noteCopy(value, copy.addSparseInitializer(value.name, sparseInitializer), copies);
    }
  }
}

function noteCopy(value: Value | undefined, copy: Value | undefined, copies: Copies): void {
  if (value === undefined || copy === undefined) return;
  copy.type = value.type;
  copies.set(value, copy);
}

function connect(graph: Graph, copy: Graph, copies: Copies): void {
  const map = (value: Value): Value => copies.get(value) ?? value;
  const twins = copy.nodes.toArray();
  graph.nodes.toArray().forEach((node, index) => {
    const twin = twins[index];
    twin.setInputs(node.inputs.map((input) => input && map(input)));
    for (const [name, attribute] of node.attributes) {
      twin.setAttribute(name, copyAttribute(attribute, copy, copies));
    }
  });
  copy.setOutputs(graph.outputs.map(map));
}

function copyAttribute(attribute: Attribute, parent: Graph, copies: Copies): Attribute {
  if (attribute.kind === 'graph') return { kind: 'graph', value: copyGraph(attribute.value, parent, copies) };
  if (attribute.kind !== 'graphs') return attribute;
  return { kind: 'graphs', value: attribute.value.map((graph) => copyGraph(graph, parent, copies)) };
}
