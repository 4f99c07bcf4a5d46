/** What a model is made of, from its header alone: no weight is read. */
import { formatType, type Graph, type Model, type TensorSource } from 'zeropoint/onnx';

export interface TensorFacts {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: number;
  /** `model`, or the file of external data that it lies in. */
  readonly where: string;
}

export interface ModelFacts {
  readonly irVersion: number;
  /** By domain; ONNX's own is `ai.onnx`. */
  readonly opsets: Readonly<Record<string, number>>;
  readonly producer: string;
  readonly inputs: readonly { readonly name: string; readonly type: string }[];
  readonly outputs: readonly { readonly name: string; readonly type: string }[];
  /** Nodes by operator, most frequent first, those of inner graphs included. */
  readonly ops: Readonly<Record<string, number>>;
  readonly nodes: number;
  readonly functions: number;
  /** Elements of all constants. */
  readonly parameters: number;
  /** Bytes of constants by dtype, most first. */
  readonly weightBytes: Readonly<Record<string, number>>;
  readonly largestTensors: readonly TensorFacts[];
  /** Files of external data, and how many bytes of them are used. */
  readonly externalData: Readonly<Record<string, number>>;
  readonly metadata: Readonly<Record<string, string>>;
}

const LARGEST = 8;

export function modelFacts(model: Model): ModelFacts {
  const constants = [...constantsOf(model.graph)];
  const nodes = [...model.graph.allNodes()];
  return {
    irVersion: model.irVersion,
    opsets: Object.fromEntries(
      [...model.opsetImports].map(([domain, version]) => [domain || 'ai.onnx', version]),
    ),
    producer: [model.producerName, model.producerVersion].filter((text) => text !== '').join(' '),
    inputs: model.graph.inputs
      .filter((input) => !model.graph.initializers.has(input))
      .map(({ name, type }) => ({ name, type: formatType(type) })),
    outputs: model.graph.outputs.map(({ name, type }) => ({ name, type: formatType(type) })),
    ops: tally(nodes.map((node) => [node.qualifiedOp, 1])),
    nodes: nodes.length,
    functions: model.functions.length,
    parameters: constants.reduce((sum, { shape }) => sum + elementCount(shape), 0),
    weightBytes: tally(constants.map(({ dtype, bytes }) => [dtype, bytes])),
    largestTensors: constants.toSorted((a, b) => b.bytes - a.bytes).slice(0, LARGEST),
    externalData: tally(constants.flatMap(({ where, bytes }) => (where === 'model' ? [] : [[where, bytes]]))),
    metadata: Object.fromEntries(model.metadata),
  };
}

/** Initializers, and tensors in attributes of Constant nodes, of this graph and those inside. */
function* constantsOf(graph: Graph): Generator<TensorFacts> {
  for (const { name, initializer } of graph.initializers) {
    if (initializer !== undefined) yield tensorFacts(name, initializer);
  }
  for (const node of graph.nodes) {
    if (node.is('Constant')) {
      const source = node.outputs[0]?.constant;
      if (source !== undefined) yield tensorFacts(node.outputs[0]?.name ?? node.label, source);
    }
    for (const inner of node.subgraphs) yield* constantsOf(inner);
  }
}

function tensorFacts(name: string, source: TensorSource): TensorFacts {
  const { elementType, shape, byteLength, where } = source;
  return { name, dtype: elementType, shape, bytes: byteLength, where: where === 'memory' ? 'model' : where };
}

function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Sums by key, greatest first. */
function tally(entries: readonly (readonly [key: string, amount: number])[]): Record<string, number> {
  const sums = new Map<string, number>();
  for (const [key, amount] of entries) sums.set(key, (sums.get(key) ?? 0) + amount);
  return Object.fromEntries([...sums].toSorted((a, b) => b[1] - a[1]));
}
