/**
 * A graph of nodes and values: ONNX's GraphProto, or the body of a local function. All edits go through here or
 * through Node.setInput, so that producers, uses, names and order stay true. Names inside If, Loop and Scan bodies
 * resolve to values of the graphs around them.
 */
import { checkOptions, type Rule } from '../errors/check-options.ts';
import { BOOLEAN, FUNCTION } from '../errors/option-rules.ts';
import { GraphError } from '../errors.ts';
import { Tensor } from '../tensor/tensor.ts';
import type { AttributeInput, SparseTensor } from './attribute.ts';
import type { Model } from './model.ts';
import { NameTable } from './names.ts';
import { Node } from './node.ts';
import { NodeList } from './node-list.ts';
import { sortedNodes } from './sort.ts';
import { memorySource, type TensorSource } from './tensor-source.ts';
import { Value, type Use } from './value.ts';
import { tensorType, type ValueType } from './value-type.ts';

/** What a new node is. */
export interface NodeInit {
  readonly opType: string;
  readonly domain?: string;
  readonly overload?: string;
  /** Taken as it is; default ''. See {@link Graph.freshName} for a unique one. */
  readonly name?: string;
  /** undefined is ONNX's '': an optional input that is absent. */
  readonly inputs?: readonly (Value | undefined)[];
  /** A name makes a new value (it must be free), a Value without producer is taken over, undefined is absent. */
  readonly outputs: readonly (string | Value | undefined)[];
  readonly attributes?: Readonly<Record<string, AttributeInput>>;
}

/** Where a new node goes; default: last. */
export interface Place {
  readonly before?: Node;
  readonly after?: Node;
}

/** Which uses {@link Graph.replaceAllUses} moves. */
export interface ReplaceOptions {
  /** Uses for which this is false stay. */
  readonly filter?: (use: Use) => boolean;
  /** Whether graph outputs move too; their names stay. Default true. */
  readonly outputs?: boolean;
}

const REPLACE_RULES = {
  filter: FUNCTION,
  outputs: BOOLEAN,
} satisfies Record<keyof ReplaceOptions, Rule>;

/** A graph that can be edited; see the head of this file for what stays true. */
export class Graph {
  name: string;
  /** The graph whose values this one can see; undefined for main graphs and function bodies. */
  readonly parent: Graph | undefined;
  /** The node of `parent` whose attribute this graph is. Set by Node. */
  owner: Node | undefined;
  /** Set on main graphs by Model. */
  model: Model | undefined;
  readonly nodes: NodeList = new NodeList();
  /** Names of values and of nodes, shared with all graphs inside. */
  readonly valueNames: NameTable;
  readonly nodeNames: NameTable;
  /** What the format layer keeps to write the graph as it was read; copied by clones, opaque here. */
  origin: unknown;
  readonly #values = new Map<string, Value>();
  readonly #initializers = new Set<Value>();
  #inputs: Value[] = [];
  #outputs: Value[] = [];

  constructor(name = '', parent?: Graph) {
    this.name = name;
    this.parent = parent;
    this.valueNames = parent?.valueNames ?? new NameTable();
    this.nodeNames = parent?.nodeNames ?? new NameTable();
  }

  get inputs(): readonly Value[] {
    return this.#inputs;
  }

  get outputs(): readonly Value[] {
    return this.#outputs;
  }

  /** Values with an initializer, dense or sparse, in the file's order. */
  get initializers(): ReadonlySet<Value> {
    return this.#initializers;
  }

  /** Every value that this graph defines. */
  get values(): Iterable<Value> {
    return this.#values.values();
  }

  /** The outermost graph around this one. */
  get root(): Graph {
    return this.parent === undefined ? this : this.parent.root;
  }

  /** The value of that name in this graph; undefined if it defines none. */
  value(name: string): Value | undefined {
    return this.#values.get(name);
  }

  /** The value of that name as this graph sees it: its own, or an outer graph's. */
  resolve(name: string): Value | undefined {
    return this.#values.get(name) ?? this.parent?.resolve(name);
  }

  /** Nodes of this graph and of all graphs inside it; a node comes before those inside it. */
  *allNodes(): Generator<Node> {
    for (const node of this.nodes) {
      yield node;
      for (const graph of node.subgraphs) yield* graph.allNodes();
    }
  }

  /** A value name that no graph of this tree uses: `base`, or `base_1`, `base_2`, ... */
  freshName(base: string): string {
    return this.valueNames.fresh(base);
  }

  /** A node name that no graph of this tree uses. */
  freshNodeName(base: string): string {
    return this.nodeNames.fresh(base);
  }

  /** A new graph input. If the value exists as an initializer, that becomes overridable. */
  addInput(name: string, type?: ValueType): Value {
    const known = this.#values.get(name);
    if (known?.isInput || known?.producer !== undefined) throw duplicateError(name);
    const value = known ?? this.#define(name);
    value.type = type ?? value.type;
    value.isInput = true;
    this.#inputs.push(value);
    return value;
  }

  /** Makes a value that this graph can see an output. */
  addOutput(value: Value): void {
    value.markOutput(this, true);
    this.#outputs.push(value);
  }

  setInputs(values: readonly Value[]): void {
    for (const value of this.#inputs) value.isInput = false;
    for (const value of values) value.isInput = true;
    this.#inputs = [...values];
  }

  setOutputs(values: readonly Value[]): void {
    for (const value of this.#outputs) value.markOutput(this, false);
    for (const value of values) value.markOutput(this, true);
    this.#outputs = [...values];
  }

  /** A new constant of this graph, or the default of a graph input. Throws GraphError if the name is defined. */
  addInitializer(name: string, constant: Tensor | TensorSource): Value {
    const source = constant instanceof Tensor ? memorySource(constant) : constant;
    const value = this.#defineConstant(name);
    value.initializer = source;
    value.type ??= tensorType(source.elementType, source.shape);
    return value;
  }

  addSparseInitializer(name: string, constant: SparseTensor): Value {
    const value = this.#defineConstant(name);
    value.sparseInitializer = constant;
    return value;
  }

  #defineConstant(name: string): Value {
    const known = this.#values.get(name);
    if (known !== undefined && (known.isInitializer || known.producer !== undefined))
      throw duplicateError(name);
    const value = known ?? this.#define(name);
    this.#initializers.add(value);
    return value;
  }

  /** A new node, connected. Throws GraphError, and adds nothing, if an output's name is taken or an input unseen. */
  addNode(init: NodeInit, place: Place = {}): Node {
    this.#checkOutputs(init.outputs);
    const node = new Node(this, init.opType, init);
    node.setInputs(init.inputs ?? []);
    node.setOutputs(
      init.outputs.map((output) => (typeof output === 'string' ? this.#define(output) : output)),
    );
    for (const [name, value] of Object.entries(init.attributes ?? {})) node.setAttribute(name, value);
    if (node.name !== '') this.nodeNames.add(node.name);
    this.nodes.insert(node, place.before ?? place.after?.next);
    return node;
  }

  #checkOutputs(outputs: NodeInit['outputs']): void {
    const names = new Set<string>();
    for (const output of outputs) {
      if (output === undefined) continue;
      const name = typeof output === 'string' ? output : output.name;
      const free = typeof output === 'string' ? !this.#values.has(name) : this.#isOrphan(output);
      if (!free || names.has(name)) throw duplicateError(name);
      names.add(name);
    }
  }

  #isOrphan(value: Value): boolean {
    return value.graph === this && value.producer === undefined && !value.isInput && !value.isInitializer;
  }

  #define(name: string): Value {
    if (this.#values.has(name)) throw duplicateError(name);
    this.valueNames.add(name);
    const value = new Value(this, name);
    this.#values.set(name, value);
    return value;
  }

  /** Removes a node and the values it gives. Throws GraphError if one of them is still used. */
  removeNode(node: Node): void {
    this.#own(node);
    for (const value of node.outputs)
      if (value !== undefined && !value.isUnused) throw usedError(node, value);
    const outputs = node.outputs;
    this.#unlink(node);
    for (const value of outputs) if (value !== undefined) this.#values.delete(value.name);
  }

  /** Puts a new node in the place of `node`; it gives the same values, so that users and outputs notice nothing. */
  replaceNode(node: Node, init: Omit<NodeInit, 'outputs'>): Node {
    this.#own(node);
    // The new node first: it may take over the graphs in the old one's attributes.
    const successor = this.addNode({ ...init, outputs: [] }, { before: node });
    const { outputs } = node;
    this.#unlink(node);
    successor.setOutputs(outputs);
    return successor;
  }

  #own(node: Node): void {
    if (node.graph !== this) {
      throw new GraphError(`graph ${this.name}: expected a node of this graph, got ${node.label}`, {
        code: 'GRAPH_INVALID',
        details: { node: node.label },
      });
    }
  }

  #unlink(node: Node): void {
    for (const graph of node.subgraphs) if (graph.owner === node) graph.release();
    node.setInputs([]);
    node.setOutputs([]);
    this.nodes.remove(node);
    node.graph = undefined;
  }

  /** Called when the node around this graph goes: nothing outside is used from here any more. */
  release(): void {
    for (const node of this.nodes) {
      for (const graph of node.subgraphs) graph.release();
      node.setInputs([]);
    }
    this.setOutputs([]);
  }

  /** Removes a graph input or initializer that nothing uses. Throws GraphError if something does. */
  removeValue(value: Value): void {
    if (!value.isUnused || value.producer !== undefined) throw usedError(undefined, value);
    this.#initializers.delete(value);
    this.#inputs = this.#inputs.filter((input) => input !== value);
    value.isInput = false;
    this.#values.delete(value.name);
  }

  /** Gives a value another name, which must be free in this graph. Graph inputs and outputs change their name too. */
  rename(value: Value, name: string): void {
    if (value.name === name) return;
    if (this.#values.has(name)) throw duplicateError(name);
    this.#values.delete(value.name);
    value.name = name;
    this.#values.set(name, value);
    this.valueNames.add(name);
  }

  /**
   * Whatever used `old`, in this graph and inside it, uses `replacement` instead. Graph outputs keep their names:
   * `replacement` takes the name of `old`, which gets a fresh one; where it cannot (it is an input, an
   * initializer, or an output already), an Identity node gives the old name.
   */
  replaceAllUses(old: Value, replacement: Value, options: ReplaceOptions = {}): void {
    checkOptions('replaceAllUses', options, REPLACE_RULES);
    const { filter, outputs = true } = options;
    if (old === replacement) return;
    for (const use of old.uses) {
      if (filter?.(use) ?? true) use.node.setInput(use.index, replacement);
    }
    if (outputs && old.isOutput) old.graph.#moveOutputs(old, replacement);
  }

  #moveOutputs(old: Value, replacement: Value): void {
    const { name } = old;
    const graphs = [...old.outputOf];
    const movable = !replacement.isInput && !replacement.isInitializer && !replacement.isOutput;
    this.rename(old, this.freshName(name));
    if (movable && replacement.graph === this) this.rename(replacement, name);
    const target = replacement.name === name ? replacement : this.#identity(replacement, name);
    target.type ??= old.type;
    for (const graph of graphs) {
      graph.setOutputs(graph.outputs.map((output) => (output === old ? target : output)));
    }
  }

  #identity(value: Value, name: string): Value {
    const node = this.addNode({ opType: 'Identity', inputs: [value], outputs: [name] });
    // addNode has just made it from the name.
    return node.outputs[0] as Value;
  }

  /** Puts the nodes in an order in which each comes after what it needs. Throws GraphError on a cycle. */
  sort(): void {
    const order = sortedNodes(this);
    for (const node of order) {
      this.nodes.remove(node);
      this.nodes.insert(node, undefined);
    }
  }
}

function duplicateError(name: string): GraphError {
  return new GraphError(`graph: expected each value to be defined once, got ${JSON.stringify(name)} twice`, {
    code: 'GRAPH_INVALID',
    details: { value: name },
  });
}

function usedError(node: Node | undefined, value: Value): GraphError {
  const what = node === undefined ? value.name : `${node.label}: ${value.name}`;
  return new GraphError(`${what}: expected a value that nothing uses, got one in use`, {
    code: 'GRAPH_INVALID',
    details: { node: node?.label, value: value.name },
  });
}
