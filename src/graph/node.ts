/** One operation. Inputs are values (undefined where ONNX has ''), and every change keeps `Value.uses` true. */
import { GraphError } from '../errors.ts';
import {
  attributeGraphs,
  attributeText,
  toAttribute,
  type Attribute,
  type AttributeInput,
  type AttributeKind,
} from './attribute.ts';
import type { Graph } from './graph.ts';
import type { Use, Value } from './value.ts';

const NO_ATTRIBUTES: ReadonlyMap<string, Attribute> = new Map();

type AttributeOf<K extends AttributeKind> = Extract<Attribute, { kind: K }>;

/** A node; made by {@link Graph.addNode}. */
export class Node {
  /** ONNX operator, for instance `Conv`. */
  readonly opType: string;
  /** Operator set; '' is ONNX's own (`ai.onnx` is read as ''). */
  readonly domain: string;
  /** Picks one of several local functions of the same name; '' otherwise. */
  readonly overload: string;
  /** May be '' and need not be unique; see {@link label}. */
  name: string;
  /** The graph that holds it; undefined once removed. Set by Graph. */
  graph: Graph | undefined;
  /** Neighbours in the graph's order. Set by NodeList. */
  previous: Node | undefined;
  next: Node | undefined;
  /** What the format layer keeps to write the node as it was read; copied by clones, opaque here. */
  origin: unknown;
  #inputs: (Value | undefined)[] = [];
  #inputUses: Use[] = [];
  #outputs: readonly (Value | undefined)[] = [];
  /** Made when needed: many nodes have none. */
  #attributes: Map<string, Attribute> | undefined;

  constructor(
    graph: Graph,
    opType: string,
    options: { domain?: string; name?: string; overload?: string } = {},
  ) {
    this.graph = graph;
    this.opType = opType;
    this.domain = options.domain ?? '';
    this.name = options.name ?? '';
    this.overload = options.overload ?? '';
  }

  get inputs(): readonly (Value | undefined)[] {
    return this.#inputs;
  }

  get outputs(): readonly (Value | undefined)[] {
    return this.#outputs;
  }

  get attributes(): ReadonlyMap<string, Attribute> {
    return this.#attributes ?? NO_ATTRIBUTES;
  }

  /** Graphs inside the attributes: bodies of If, Loop and Scan. */
  get subgraphs(): readonly Graph[] {
    const graphs: Graph[] = [];
    for (const attribute of this.attributes.values()) graphs.push(...attributeGraphs(attribute));
    return graphs;
  }

  /** `Conv`, `com.microsoft.MatMulNBits`. */
  get qualifiedOp(): string {
    return this.domain === '' ? this.opType : `${this.domain}.${this.opType}`;
  }

  /** For messages: the name, or the operator and its first output where there is none. */
  get label(): string {
    if (this.name !== '') return this.name;
    return `${this.qualifiedOp}(${this.#outputs.find((value) => value !== undefined)?.name ?? ''})`;
  }

  /** True for operator `opType` of ONNX's own set. */
  is(opType: string): boolean {
    return this.domain === '' && this.opType === opType;
  }

  /** Makes input `index` another value, or absent; the list grows where needed. Throws GraphError out of scope. */
  setInput(index: number, value: Value | undefined): void {
    if (value !== undefined) this.#checkScope(value);
    while (this.#inputs.length <= index) this.#inputs.push(undefined);
    const use = (this.#inputUses[index] ??= { node: this, index });
    this.#inputs[index]?.removeUse(use);
    value?.addUse(use);
    this.#inputs[index] = value;
  }

  /** Replaces all inputs. Throws GraphError if one cannot be seen from this node's graph. */
  setInputs(values: readonly (Value | undefined)[]): void {
    const wanted = [...values];
    for (const value of wanted) if (value !== undefined) this.#checkScope(value);
    this.#inputs.forEach((value, index) => value?.removeUse(this.#inputUses[index]));
    this.#inputs = [];
    this.#inputUses = [];
    wanted.forEach((value, index) => this.setInput(index, value));
  }

  #checkScope(value: Value): void {
    for (let graph = this.graph; graph !== undefined; graph = graph.parent) {
      if (graph === value.graph) return;
    }
    throw new GraphError(`${this.label}: expected an input that its graph can see, got ${value.name}`, {
      code: 'GRAPH_INVALID',
      details: { node: this.label, value: value.name },
    });
  }

  /** Called by Graph: the values that this node gives. */
  setOutputs(values: readonly (Value | undefined)[]): void {
    for (const value of this.#outputs) if (value?.producer === this) value.producer = undefined;
    for (const value of values) if (value !== undefined) value.producer = this;
    this.#outputs = values;
  }

  /** Sets an attribute; numbers and arrays as {@link toAttribute} says. */
  setAttribute(name: string, input: AttributeInput): void {
    const attribute = toAttribute(input);
    const graphs = attributeGraphs(attribute);
    this.#releaseGraphs(name, graphs);
    for (const graph of graphs) graph.owner = this;
    (this.#attributes ??= new Map()).set(name, attribute);
  }

  /** Removes an attribute; what its graphs used is used no more. */
  deleteAttribute(name: string): void {
    this.#releaseGraphs(name, []);
    this.#attributes?.delete(name);
  }

  #releaseGraphs(name: string, kept: readonly Graph[]): void {
    const attribute = this.attributes.get(name);
    if (attribute === undefined) return;
    for (const graph of attributeGraphs(attribute)) {
      if (graph.owner === this && !kept.includes(graph)) graph.release();
    }
  }

  /** Int attribute as a number (2^63 - 1 becomes 2^63, as near as a double gets), or `fallback` if absent. */
  int<T extends number | undefined>(name: string, fallback: T): number | T {
    const attribute = this.#typed(name, 'int');
    return attribute === undefined ? fallback : Number(attribute.value);
  }

  float<T extends number | undefined>(name: string, fallback: T): number | T {
    return this.#typed(name, 'float')?.value ?? fallback;
  }

  /** String attribute as text, or `fallback` if absent. */
  string<T extends string | undefined>(name: string, fallback: T): string | T {
    const attribute = this.#typed(name, 'string');
    return attribute === undefined ? fallback : attributeText(attribute.value);
  }

  /** Ints attribute as numbers, or undefined if absent. */
  ints(name: string): readonly number[] | undefined {
    return this.#typed(name, 'ints')?.value.map(Number);
  }

  /** The attribute if present. Throws GraphError if it has another kind. */
  #typed<K extends AttributeKind>(name: string, kind: K): AttributeOf<K> | undefined {
    const attribute = this.attributes.get(name);
    if (attribute === undefined) return undefined;
    if (attribute.kind !== kind) {
      throw new GraphError(
        `${this.label}: expected attribute ${name} of kind ${kind}, got ${attribute.kind}`,
        {
          code: 'GRAPH_INVALID',
          details: { node: this.label, attribute: name },
        },
      );
    }
    // The kind was compared just above; TypeScript does not narrow a union by a type parameter.
    return attribute as AttributeOf<K>;
  }
}
