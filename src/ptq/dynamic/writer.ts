/** What the forms write with: weights as initializers, each stored once, and activations that are quantized at run time. */
import type { Graph, NodeInit } from '../../graph/graph.ts';
import type { Node } from '../../graph/node.ts';
import type { Value } from '../../graph/value.ts';
import { inputOf, outputOf, present } from '../../passes/access.ts';
import type { TensorSource } from '../../graph/tensor-source.ts';
import { elementCount } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { Emitter } from '../emit.ts';
import type { NamedPart, NameStyle } from '../names.ts';
import { QuantizedWeights, type QuantizedWeightData, type WeightRequest } from '../quantized-weights.ts';
import type { QuantizedWeight } from '../report.ts';
import { RuntimeInputs, type RuntimeInput } from './runtime-inputs.ts';

/** A weight in the new model; its scale is written by the form, which may have a factor for it. */
export interface WeightValues {
  readonly name: string;
  readonly number: number;
  readonly codes: Value;
  readonly zeroPoint: Value;
  readonly stored: QuantizedWeightData;
}

/** A node that is put before the one whose place a form takes. */
export interface InnerNode {
  readonly opType: string;
  /** What its only output is. */
  readonly part: NamedPart;
  readonly inputs: readonly Value[];
  readonly attributes?: NodeInit['attributes'];
}

export class DynamicWriter {
  readonly #emitter: Emitter;
  readonly #inputs: RuntimeInputs;
  readonly #quantized = new QuantizedWeights();
  readonly #known = new Map<Value, { readonly request: WeightRequest; readonly values: WeightValues }[]>();
  /** What is put before one node shares a number. */
  readonly #numbers = new Map<Node, number>();
  readonly weights: QuantizedWeight[] = [];

  /** Values that there are integers of. */
  readonly #coded = new Map<Value, RuntimeInput>();

  /** `readers` are the nodes whose first input is to be quantized; `share` as of the Emitter. */
  constructor(
    graph: Graph,
    names: NameStyle,
    readers: Iterable<Node>,
    options: { readonly share?: boolean } = {},
  ) {
    this.#emitter = new Emitter(graph, names, options);
    this.#inputs = new RuntimeInputs(this.#emitter, readers);
  }

  /** The quantized first input of one of the readers. */
  input(node: Node): RuntimeInput {
    const value = inputOf(node, 0);
    const known = this.#coded.get(value);
    if (known !== undefined) return known;
    const codes = this.#inputs.of(node);
    // What is quantized inside a branch is not there for others.
    if (node.graph === value.graph) this.#coded.set(value, codes);
    return codes;
  }

  /** The integers of a value that some earlier node has left. */
  coded(value: Value): RuntimeInput {
    return present(this.#coded.get(value), `${value.name}: expected integers, got none`);
  }

  /** Says that there are integers of `value` now, which later nodes may read. */
  offer(value: Value, codes: RuntimeInput): void {
    this.#coded.set(value, codes);
  }

  /** A new initializer. */
  constant(
    part: NamedPart,
    { name, number }: { readonly name: string; readonly number: number },
    value: Tensor | TensorSource,
  ): Value {
    return this.#emitter.constant(part, name, number, value);
  }

  /** A number for the next tensor that is named. */
  number(): number {
    return this.#emitter.number();
  }

  /** A constant as integers. The same request for the same constant gives the same initializers. */
  async weight(value: Value, request: WeightRequest): Promise<WeightValues> {
    const known = this.#known.get(value) ?? [];
    const found = known.find((entry) => isSame(entry.request, request));
    if (found !== undefined) return found.values;
    const values = await this.#store(value, request);
    this.#known.set(value, [...known, { request, values }]);
    return values;
  }

  async #store(value: Value, request: WeightRequest): Promise<WeightValues> {
    const stored = await this.#quantized.weight(value, request);
    const { name } = value;
    const { dtype, scaleData, codes } = stored;
    this.weights.push({ name, dtype, scales: scaleData.length, elements: elementCount(codes.shape) });
    const at = { name, number: this.number() };
    return {
      ...at,
      codes: this.constant('integers', at, codes),
      zeroPoint: this.constant('zero_point', at, stored.zeroPoints),
      stored,
    };
  }

  /** The scale of a weight as an initializer; `scale` where the form has changed it. */
  scale(weight: WeightValues, scale: Tensor = weight.stored.scales): Value {
    return this.constant('scale', weight, scale);
  }

  /** Adds a node before `node`, named after what that gives. */
  before(node: Node, { opType, part, inputs, attributes }: InnerNode): Value {
    const { name } = outputOf(node);
    const number = this.#numbers.get(node) ?? this.number();
    this.#numbers.set(node, number);
    const init = { opType, of: name, number, inputs, parts: [part], ...(attributes && { attributes }) };
    return outputOf(this.#emitter.node(init, { before: node }));
  }

  /** Puts the last node of a form in the place of `node`; it keeps the name and the outputs. */
  replace(node: Node, init: Omit<NodeInit, 'name' | 'outputs'>): void {
    const graph = present(node.graph, `${node.label}: expected a node of a graph`);
    graph.replaceNode(node, { ...init, name: node.name });
  }
}

function isSame(a: WeightRequest, b: WeightRequest): boolean {
  const key = ({ spec, axis, shape }: WeightRequest): string => JSON.stringify([spec, axis, shape]);
  return a.arrange === b.arrange && key(a) === key(b);
}
