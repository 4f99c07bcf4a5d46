/**
 * GraphProto to Graph. First all names of a graph are declared, then nodes are connected, so that nodes may come in any
 * order and inner graphs find what the graphs around them define.
 */
import { GraphError } from '../../errors.ts';
import type { Attribute, SparseTensor } from '../../graph/attribute.ts';
import { Graph } from '../../graph/graph.ts';
import type { Node } from '../../graph/node.ts';
import { isSorted, sortedNodes } from '../../graph/sort.ts';
import type { Value } from '../../graph/value.ts';
import type { Source } from '../source.ts';
import type { ValueType } from '../../graph/value-type.ts';
import { readAttribute, type AttributeReader } from './attribute-codec.ts';
import { FileTensor } from './file-tensor.ts';
import type {
  AttributeRecord,
  FunctionRecord,
  GraphRecord,
  NodeRecord,
  SparseTensorRecord,
  TensorRecord,
  ValueInfoRecord,
} from './schema.ts';
import { decodeType } from './type-proto.ts';

/** A ValueInfoProto and the type that its value had after reading; while that is so, the record is written again. */
export interface InfoOrigin {
  readonly record: ValueInfoRecord;
  readonly type: ValueType | undefined;
  /** In value_info: names nothing in this graph, for instance a value inside a local function. */
  readonly dangling: boolean;
}

/** What {@link Graph.origin} is for graphs that were read. */
export interface GraphOrigin {
  /** Fields that a Graph does not hold. */
  readonly record: GraphRecord;
  readonly inputs: ReadonlyMap<string, InfoOrigin>;
  readonly outputs: ReadonlyMap<string, InfoOrigin>;
  readonly valueInfo: readonly InfoOrigin[];
  /** The file's order was a topological one, as ONNX asks; what is written must then be one too. */
  readonly sorted: boolean;
}

/** What {@link Node.origin} is for nodes that were read: fields that a Node does not hold. */
export type NodeOrigin = Omit<NodeRecord, 'input' | 'output' | 'attribute'>;

export interface GraphContext {
  /** Name of the model's file, for messages. */
  readonly file: string;
  readonly external: ReadonlyMap<string, Source>;
  /** Collects the tensors that lie in external data. */
  readonly externalTensors: FileTensor[];
}

/** ONNX's own operator set has two spellings. */
export function normalizeDomain(domain: string | undefined): string {
  return domain === undefined || domain === 'ai.onnx' ? '' : domain;
}

/** Throws GraphError if a name is defined twice or never, or nodes go round in a circle; FormatError for tensors. */
export function readGraph(record: GraphRecord, context: GraphContext, parent?: Graph): Graph {
  return new GraphReader(record, context, parent).read();
}

/** The body of a local function: a graph whose inputs and outputs are just names. */
export function readFunctionBody(record: FunctionRecord, context: GraphContext): Graph {
  const { name, input, output, node, value_info } = record;
  const named = (value: string): ValueInfoRecord => ({ name: value });
  const asGraph = { name, input: input?.map(named), output: output?.map(named), node, value_info };
  return new GraphReader(asGraph, context, undefined).read();
}

class GraphReader implements AttributeReader {
  readonly #record: GraphRecord;
  readonly #context: GraphContext;
  readonly #graph: Graph;
  readonly where: string;

  constructor(record: GraphRecord, context: GraphContext, parent: Graph | undefined) {
    this.#record = record;
    this.#context = context;
    this.#graph = new Graph(record.name ?? '', parent);
    this.where = `${context.file}: graph ${JSON.stringify(record.name ?? '')}`;
  }

  read(): Graph {
    const { node: records = [] } = this.#record;
    this.#declareInputs();
    this.#declareConstants();
    const nodes = records.map((record) => this.#declareNode(record));
    this.#readTypes(this.#record.output);
    this.#readTypes(this.#record.value_info);
    nodes.forEach((node, index) => this.#connect(node, records[index]));
    this.#graph.setOutputs((this.#record.output ?? []).map((info) => this.#output(info)));
    const sorted = isSorted(this.#graph);
    if (!sorted) sortedNodes(this.#graph);
    this.#graph.origin = this.#origin(sorted);
    return this.#graph;
  }

  #declareInputs(): void {
    for (const { name, type } of this.#record.input ?? []) {
      this.#graph.addInput(this.#named(name, 'input'), type && this.#type(type, name));
    }
  }

  #declareConstants(): void {
    for (const record of this.#record.initializer ?? []) {
      this.#graph.addInitializer(this.#named(record.name, 'initializer'), this.tensor(record));
    }
    for (const record of this.#record.sparse_initializer ?? []) {
      const tensor = this.sparseTensor(record);
      this.#graph.addSparseInitializer(this.#named(record.values?.name, 'sparse initializer'), tensor);
    }
  }

  #named(name: string | undefined, what: string): string {
    if (name !== undefined && name !== '') return name;
    throw new GraphError(`${this.where}: expected each ${what} to have a name, got one without`, {
      code: 'GRAPH_INVALID',
      details: { graph: this.#graph.name },
    });
  }

  #declareNode(record: NodeRecord): Node {
    const { op_type: opType = '', name, overload } = record;
    if (opType === '') {
      throw new GraphError(
        `${this.where}: expected node ${JSON.stringify(name ?? '')} to have an op_type, got none`,
        {
          code: 'GRAPH_INVALID',
          details: { node: name },
        },
      );
    }
    const outputs = (record.output ?? []).map((output) => (output === '' ? undefined : output));
    const node = this.#graph.addNode({
      opType,
      name,
      domain: normalizeDomain(record.domain),
      overload,
      outputs,
    });
    node.origin = nodeOrigin(record);
    return node;
  }

  /** The first that says something wins: inputs, then outputs, then value_info. */
  #readTypes(infos: readonly ValueInfoRecord[] = []): void {
    for (const { name = '', type } of infos) {
      const value = this.#graph.value(name);
      if (value !== undefined && !value.isInitializer && type !== undefined)
        value.type ??= this.#type(type, name);
    }
  }

  #type(bytes: Uint8Array, name: string | undefined): ValueType {
    return decodeType(bytes, `${this.where}: type of ${JSON.stringify(name ?? '')}`);
  }

  #connect(node: Node, record: NodeRecord): void {
    node.setInputs((record.input ?? []).map((name) => (name === '' ? undefined : this.#input(node, name))));
    for (const attribute of record.attribute ?? []) this.#addAttribute(node, attribute);
  }

  #addAttribute(node: Node, record: AttributeRecord): void {
    const { name = '' } = record;
    if (name === '' || node.attributes.has(name)) {
      throw new GraphError(
        `${this.where}: expected attributes of ${node.label} with names of their own, got ${JSON.stringify(name)} again`,
        {
          code: 'GRAPH_INVALID',
          details: { node: node.label, attribute: name },
        },
      );
    }
    node.setAttribute(name, this.#attribute(record, node));
  }

  #attribute(record: AttributeRecord, node: Node): Attribute {
    const where = `${this.where}: ${node.label}`;
    return readAttribute(record, {
      where,
      tensor: (tensor) => this.tensor(tensor, where),
      sparseTensor: (tensor) => this.sparseTensor(tensor, where),
      graph: (graph) => this.graph(graph),
    });
  }

  #input(node: Node, name: string): Value {
    const value = this.#graph.resolve(name);
    if (value !== undefined) return value;
    throw new GraphError(
      `${this.where}: expected something to define input ${JSON.stringify(name)} of ${node.label}, got nothing`,
      {
        code: 'GRAPH_INVALID',
        hint: 'The model is damaged, or a tool removed a node that was needed.',
        details: { node: node.label, value: name },
      },
    );
  }

  #output({ name = '' }: ValueInfoRecord): Value {
    const value = this.#graph.resolve(name);
    if (value !== undefined) return value;
    throw new GraphError(
      `${this.where}: expected something to define output ${JSON.stringify(name)}, got nothing`,
      {
        code: 'GRAPH_INVALID',
        details: { graph: this.#graph.name, value: name },
      },
    );
  }

  tensor(record: TensorRecord, where: string = this.where): FileTensor {
    const tensor = new FileTensor(record, { where, external: this.#context.external });
    if (tensor.isExternal) this.#context.externalTensors.push(tensor);
    return tensor;
  }

  sparseTensor(record: SparseTensorRecord, where: string = this.where): SparseTensor {
    const values = this.tensor(record.values ?? {}, where);
    const indices = this.tensor(record.indices ?? {}, where);
    return new FileSparseTensor(values, indices, record);
  }

  graph(record: GraphRecord): Graph {
    return readGraph(record, this.#context, this.#graph);
  }

  #origin(sorted: boolean): GraphOrigin {
    const {
      input,
      output,
      value_info: infos,
      node: _n,
      initializer: _i,
      sparse_initializer: _s,
      ...record
    } = this.#record;
    const entry = (info: ValueInfoRecord): readonly [string, InfoOrigin] => [
      info.name ?? '',
      this.#info(info),
    ];
    for (const { name = '' } of infos ?? []) this.#graph.valueNames.add(name);
    return {
      record,
      inputs: new Map(input?.map(entry)),
      outputs: new Map(output?.map(entry)),
      valueInfo: (infos ?? []).map((info) => this.#info(info)),
      sorted,
    };
  }

  #info(record: ValueInfoRecord): InfoOrigin {
    const value = this.#graph.value(record.name ?? '');
    const seen = value ?? this.#graph.resolve(record.name ?? '');
    return { record, type: seen?.type, dangling: value === undefined };
  }
}

/** A SparseTensorProto as it was read. */
export class FileSparseTensor implements SparseTensor {
  readonly values: FileTensor;
  readonly indices: FileTensor;
  readonly shape: readonly number[];
  readonly record: SparseTensorRecord;

  constructor(values: FileTensor, indices: FileTensor, record: SparseTensorRecord) {
    this.values = values;
    this.indices = indices;
    this.shape = record.dims ?? [];
    this.record = record;
  }
}

/** undefined for most nodes: all that they have is in the Node. */
function nodeOrigin(record: NodeRecord): NodeOrigin | undefined {
  const { input: _i, output: _o, attribute: _a, ...origin } = record;
  const regular =
    Object.keys(origin).every((key) => key === 'name' || key === 'op_type' || key === 'domain') &&
    origin.name !== '' &&
    origin.domain !== '' &&
    origin.domain !== 'ai.onnx';
  return regular ? undefined : origin;
}
