/** A graph as text, for tests and for people: one line a value or node, inner graphs indented. */
import { attributeText, type Attribute } from './attribute.ts';
import type { Graph } from './graph.ts';
import type { Model } from './model.ts';
import type { Node } from './node.ts';
import type { TensorSource } from './tensor-source.ts';
import type { Value } from './value.ts';
import { formatType } from './value-type.ts';

/** Longer lists are cut. */
const MAX_ITEMS = 16;

/** All of a model: opsets, main graph, local functions. */
export function printModel(model: Model): string {
  const opsets = [...model.opsetImports].map(([domain, version]) => `${domain || 'ai.onnx'} ${version}`);
  const functions = model.functions.map((f) => `${f.domain}.${f.name}: ${printGraph(f.body)}`);
  return [`ir ${model.irVersion}, ${opsets.join(', ')}`, printGraph(model.graph), ...functions].join('\n');
}

/**
 * `graph name(inputs) -> (outputs) { constants; nodes }`. Types are printed where values are defined; constants
 * show where they lie only by type, so that a print does not depend on how a model was stored.
 */
export function printGraph(graph: Graph, indent = ''): string {
  const inside = `${indent}  `;
  const inputs = graph.inputs.map(typed).join(', ');
  const outputs = graph.outputs.map((value) => value.name).join(', ');
  const lines = [`graph ${graph.name}(${inputs}) -> (${outputs}) {`];
  for (const value of graph.initializers) lines.push(`${inside}${printInitializer(value)}`);
  for (const node of graph.nodes) lines.push(`${inside}${printNode(node, inside)}`);
  return `${lines.join('\n')}\n${indent}}`;
}

/** `y: float32[N, 8] = Gemm(x, W, b) {transB=1}`; absent inputs and outputs are `_`. */
export function printNode(node: Node, indent = ''): string {
  const outputs = node.outputs.map((value) => (value === undefined ? '_' : typed(value))).join(', ');
  const inputs = node.inputs.map((value) => value?.name ?? '_').join(', ');
  const attributes = [...node.attributes].map(([name, a]) => `${name}=${printAttribute(a, indent)}`);
  const tail = attributes.length === 0 ? '' : ` {${attributes.join(', ')}}`;
  return `${outputs} = ${node.qualifiedOp}(${inputs})${tail}`;
}

function typed(value: Value): string {
  return value.type === undefined ? value.name : `${value.name}: ${formatType(value.type)}`;
}

function printInitializer(value: Value): string {
  const { initializer, sparseInitializer } = value;
  if (initializer !== undefined) return `${value.name} = ${printSource(initializer)}`;
  return `${value.name} = sparse ${sparseInitializer?.values.elementType}[${sparseInitializer?.shape.join(', ')}]`;
}

function printSource(source: TensorSource): string {
  return `constant ${source.elementType}[${source.shape.join(', ')}]`;
}

function printAttribute(attribute: Attribute, indent: string): string {
  switch (attribute.kind) {
    case 'float':
    case 'int':
      return String(attribute.value);
    case 'string':
      return JSON.stringify(attributeText(attribute.value));
    case 'floats':
    case 'ints':
      return list([...attribute.value].map(String));
    case 'strings':
      return list(attribute.value.map((bytes) => JSON.stringify(attributeText(bytes))));
    case 'tensor':
      return printSource(attribute.value);
    case 'tensors':
      return list(attribute.value.map(printSource));
    case 'graph':
      return printGraph(attribute.value, indent);
    case 'graphs':
      return list(attribute.value.map((graph) => printGraph(graph, indent)));
    case 'type_proto':
      return formatType(attribute.value);
    case 'type_protos':
      return list(attribute.value.map(formatType));
    case 'reference':
      return `@${attribute.value}`;
    case 'sparse_tensor':
    case 'sparse_tensors':
    case 'unknown':
      return attribute.kind;
    default:
      return attribute satisfies never;
  }
}

function list(items: readonly string[]): string {
  const shown = items.length > MAX_ITEMS ? [...items.slice(0, MAX_ITEMS), `... ${items.length}`] : items;
  return `[${shown.join(', ')}]`;
}
