/** Graph to GraphProto. What was read and not changed is written as it was. */
import { GraphError } from '../../errors.ts';
import type { SparseTensor } from '../../graph/attribute.ts';
import type { Graph } from '../../graph/graph.ts';
import type { ModelFunction } from '../../graph/model.ts';
import type { Node } from '../../graph/node.ts';
import { isSorted } from '../../graph/sort.ts';
import type { TensorSource } from '../../graph/tensor-source.ts';
import type { Value } from '../../graph/value.ts';
import { writeAttribute } from './attribute-codec.ts';
import {
  FileSparseTensor,
  normalizeDomain,
  type GraphOrigin,
  type InfoOrigin,
  type NodeOrigin,
} from './read-graph.ts';
import type {
  FunctionRecord,
  GraphRecord,
  NodeRecord,
  SparseTensorRecord,
  TensorRecord,
  ValueInfoRecord,
} from './schema.ts';
import { encodeType } from './type-proto.ts';

/** Decides where the elements of a tensor go. */
export interface TensorPlacer {
  /** `name` is that of the initializer; undefined for tensors in attributes. */
  place(source: TensorSource, name: string | undefined): TensorRecord;
}

/** Throws GraphError for a graph that a reader would refuse: values that are gone, or nodes out of order. */
export function writeGraph(graph: Graph, placer: TensorPlacer): GraphRecord {
  // Only readGraph sets the origin of graphs.
  const origin = graph.origin as GraphOrigin | undefined;
  checkOrder(graph, origin);
  const constants = [...graph.initializers];
  return compact({
    ...origin?.record,
    node: graph.nodes.toArray().map((node) => nodeRecord(node, placer)),
    name: keepText(graph.name, origin?.record.name),
    initializer: constants
      .filter((value) => value.initializer !== undefined)
      .map((value) => initializer(value, placer)),
    input: graph.inputs.map((value) => infoRecord(value, origin?.inputs.get(value.name))),
    output: graph.outputs.map((value) => infoRecord(value, origin?.outputs.get(value.name))),
    value_info: valueInfo(graph, origin),
    sparse_initializer: constants
      .filter((value) => value.sparseInitializer !== undefined)
      .map((value) => sparseInitializer(value, placer)),
  });
}

/** The parts of a local function that are a graph. */
export function writeFunctionBody({ body }: ModelFunction, placer: TensorPlacer): FunctionRecord {
  const { node, value_info: infos } = writeGraph(body, placer);
  return compact({
    node,
    value_info: infos,
    input: body.inputs.map((value) => value.name),
    output: body.outputs.map((value) => value.name),
  });
}

function checkOrder(graph: Graph, origin: GraphOrigin | undefined): void {
  if (origin?.sorted === false || isSorted(graph)) return;
  throw new GraphError(
    `writeModel: expected the nodes of ${graph.name || 'the graph'} in topological order, got others`,
    {
      code: 'GRAPH_INVALID',
      hint: 'Call graph.sort() after the last change.',
      details: { graph: graph.name },
    },
  );
}

/** Lists without elements are not there: an empty list would be remembered as one. */
function compact<T extends object>(record: T): T {
  const entries = Object.entries(record).filter(
    ([, value]) => value !== undefined && !(Array.isArray(value) && value.length === 0),
  );
  // Properties of records are all optional, so leaving some out keeps the type.
  return Object.fromEntries(entries) as T;
}

/** '' is written only if it was written before. */
export function keepText(text: string, original: string | undefined): string | undefined {
  return text === '' ? (original === '' ? '' : undefined) : text;
}

function nodeRecord(node: Node, placer: TensorPlacer): NodeRecord {
  // Only readGraph sets the origin of nodes.
  const origin = node.origin as NodeOrigin | undefined;
  const attribute = [...node.attributes].map(([name, value]) =>
    writeAttribute(name, value, {
      tensor: (source) => placer.place(source, undefined),
      sparseTensor: (tensor) => sparseRecord(tensor, undefined, placer),
      graph: (graph) => writeGraph(graph, placer),
    }),
  );
  return compact({
    ...origin,
    input: node.inputs.map((value, index) => (value === undefined ? '' : checkedName(value, node, index))),
    output: node.outputs.map((value) => value?.name ?? ''),
    name: keepText(node.name, origin?.name),
    op_type: node.opType,
    attribute,
    domain:
      normalizeDomain(origin?.domain) === node.domain
        ? (origin?.domain ?? keepText(node.domain, undefined))
        : node.domain,
    overload: keepText(node.overload, origin?.overload),
  });
}

function checkedName(value: Value, node: Node, index: number): string {
  if (value.graph.value(value.name) === value) return value.name;
  throw new GraphError(
    `${node.label}: expected input ${index} to be in the graph, got ${value.name}, which was removed`,
    {
      code: 'GRAPH_INVALID',
      details: { node: node.label, value: value.name },
    },
  );
}

function initializer(value: Value, placer: TensorPlacer): TensorRecord {
  // The caller has picked the values that have one.
  return placer.place(value.initializer as TensorSource, value.name);
}

function sparseInitializer(value: Value, placer: TensorPlacer): SparseTensorRecord {
  // As above.
  return sparseRecord(value.sparseInitializer as SparseTensor, value.name, placer);
}

/** The name of a sparse initializer is that of its values. */
function sparseRecord(
  tensor: SparseTensor,
  name: string | undefined,
  placer: TensorPlacer,
): SparseTensorRecord {
  const original = tensor instanceof FileSparseTensor ? tensor.record : undefined;
  const { values, indices } = tensor;
  return {
    ...original,
    values: { ...placer.place(values, undefined), ...(name === undefined ? {} : { name }) },
    indices: placer.place(indices, undefined),
    dims: [...tensor.shape],
  };
}

function infoRecord(value: Value, origin: InfoOrigin | undefined): ValueInfoRecord {
  if (origin !== undefined && origin.type === value.type) return { ...origin.record, name: value.name };
  const { rest, order } = origin?.record ?? {};
  return compact({ name: value.name, type: value.type && encodeType(value.type), rest, order });
}

/** First those that were read, in their order, without values that are gone; then the types of new values. */
function valueInfo(graph: Graph, origin: GraphOrigin | undefined): ValueInfoRecord[] {
  const records: ValueInfoRecord[] = [];
  const written = new Set<string>();
  for (const info of origin?.valueInfo ?? []) {
    const { name = '' } = info.record;
    const value = graph.value(name);
    written.add(name);
    if (value !== undefined) records.push(infoRecord(value, info));
    else if (info.dangling) records.push(info.record);
  }
  for (const value of graph.values) {
    if (value.type === undefined || value.isInput || value.isInitializer || value.outputOf.has(graph))
      continue;
    if (!written.has(value.name)) records.push(infoRecord(value, undefined));
  }
  return records;
}
