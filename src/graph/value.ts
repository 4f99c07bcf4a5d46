/**
 * A value: what a node gives, a graph takes or an initializer holds, and everything that uses it, in this graph
 * and in the graphs inside it.
 */
import { memorySource, type TensorSource } from './tensor-source.ts';
import type { ElementType } from './element-type.ts';
import type { Graph } from './graph.ts';
import type { Attribute, SparseTensor } from './attribute.ts';
import type { Node } from './node.ts';
import type { Dim, ValueType } from './value-type.ts';
import { tensor } from '../tensor/tensor.ts';

/** Input `index` of `node`; the node may lie in a graph inside the value's own. */
export interface Use {
  readonly node: Node;
  readonly index: number;
}

const NO_GRAPHS: ReadonlySet<Graph> = new Set();

/** Initializers that are also graph inputs can be overridden by the caller since this IR version. */
const FIRST_IR_WITH_OVERRIDES = 4;

/** A value; made by {@link Graph}. */
export class Value {
  /** Changed by {@link Graph.rename} only. */
  name: string;
  /** The graph that defines it. */
  readonly graph: Graph;
  /** From graph inputs, outputs and value_info; undefined if the file says nothing. */
  type: ValueType | undefined;
  /** The node that gives it; undefined for graph inputs and initializers. Set by {@link Graph}. */
  producer: Node | undefined;
  initializer: TensorSource | undefined;
  sparseInitializer: SparseTensor | undefined;
  isInput = false;
  readonly #uses = new Set<Use>();
  /** Made when needed: few values are outputs. */
  #outputOf: Set<Graph> | undefined;

  constructor(graph: Graph, name: string, type?: ValueType) {
    this.graph = graph;
    this.name = name;
    this.type = type;
  }

  /** Node inputs that are this value, in the order in which they came about. */
  get uses(): ReadonlySet<Use> {
    return this.#uses;
  }

  /** The nodes of {@link uses}, each once. */
  get consumers(): ReadonlySet<Node> {
    return new Set([...this.#uses].map((use) => use.node));
  }

  /** Graphs that give this value as an output: its own, seldom a graph inside. */
  get outputOf(): ReadonlySet<Graph> {
    return this.#outputOf ?? NO_GRAPHS;
  }

  get isOutput(): boolean {
    return this.outputOf.size > 0;
  }

  get isInitializer(): boolean {
    return this.initializer !== undefined || this.sparseInitializer !== undefined;
  }

  /** True if no node and no graph output needs it. */
  get isUnused(): boolean {
    return this.#uses.size === 0 && !this.isOutput;
  }

  /** Element type, from the initializer or the type; undefined if neither says. */
  get elementType(): ElementType | undefined {
    const { constant, type } = this;
    if (constant !== undefined) return constant.elementType;
    return type?.kind === 'tensor' ? type.elementType : undefined;
  }

  /** Sizes of the axes, some perhaps names or unknown; undefined if the rank is unknown. */
  get dims(): readonly Dim[] | undefined {
    const { constant, type } = this;
    if (constant !== undefined) return constant.shape;
    return type?.kind === 'tensor' ? type.dims : undefined;
  }

  /** The shape if every axis is known (a negative size in a file means unknown). */
  get staticShape(): readonly number[] | undefined {
    const { dims } = this;
    return dims?.every(isKnown) ? dims : undefined;
  }

  /**
   * The tensor that this value always is: an initializer, or the output of a Constant node, also where the graph
   * is an outer one. undefined for initializers that the caller may override.
   */
  get constant(): TensorSource | undefined {
    if (this.initializer !== undefined) {
      const irVersion = this.graph.root.model?.irVersion ?? FIRST_IR_WITH_OVERRIDES;
      return this.isInput && irVersion >= FIRST_IR_WITH_OVERRIDES ? undefined : this.initializer;
    }
    const { producer } = this;
    return producer?.opType === 'Constant' && producer.domain === '' ? constantOf(producer) : undefined;
  }

  /** Called by Node: `use` has this value from now on. */
  addUse(use: Use): void {
    this.#uses.add(use);
  }

  /** Called by Node: `use` has another value from now on. */
  removeUse(use: Use): void {
    this.#uses.delete(use);
  }

  /** Called by Graph: whether `graph` has this value among its outputs. */
  markOutput(graph: Graph, isOutput: boolean): void {
    if (isOutput) (this.#outputOf ??= new Set()).add(graph);
    else this.#outputOf?.delete(graph);
  }
}

function isKnown(dim: Dim): dim is number {
  return typeof dim === 'number' && dim >= 0;
}

/** Forms of the Constant operator that are tensors (operator Constant-13; value_string is none of ours). */
const CONSTANT_FORMS: Readonly<Record<string, (attribute: Attribute) => TensorSource | undefined>> = {
  value: (a) => (a.kind === 'tensor' ? a.value : undefined),
  value_float: (a) => (a.kind === 'float' ? memorySource(tensor(Float32Array.of(a.value), [])) : undefined),
  value_floats: (a) => (a.kind === 'floats' ? memorySource(tensor(a.value)) : undefined),
  value_int: (a) => (a.kind === 'int' ? memorySource(tensor(BigInt64Array.of(a.value), [])) : undefined),
  value_ints: (a) => (a.kind === 'ints' ? memorySource(tensor(BigInt64Array.from(a.value))) : undefined),
};

function constantOf(node: Node): TensorSource | undefined {
  for (const [name, attribute] of node.attributes) {
    const form = Object.hasOwn(CONSTANT_FORMS, name) ? CONSTANT_FORMS[name](attribute) : undefined;
    if (form !== undefined) return form;
  }
  return undefined;
}
