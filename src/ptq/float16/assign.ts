/**
 * Decides for every float32 value whether it becomes narrow ('half') or stays ('full'), and what every reader wants.
 *
 * 1. A node that is kept, or whose operator has no such type, reads and gives full values.
 * 2. Any other node reads and gives half values where its schema allows them. Where nothing depends on the type of an input
 *    (Cast, Shape, IsNaN), it takes what comes.
 * 3. If, Loop, Scan and calls of local functions read and give half values, and so do the graphs inside; all of that stays
 *    full inside one that is kept, in an unknown node's graphs, and in functions that are called in more than one way.
 * 4. Constants, and what says its own type in an attribute (Cast, ConstantOfShape, ...), are full if one reader wants that.
 * 5. Constants are half all the same where the reader says so, and a Cast widens them.
 * 6. Graph inputs and outputs are full where they are kept.
 */
import type { Graph } from '../../graph/graph.ts';
import type { Model, ModelFunction } from '../../graph/model.ts';
import type { Node } from '../../graph/node.ts';
import type { Value } from '../../graph/value.ts';
import type { SkippedNode } from '../../passes/pass.ts';
import { hasBodies, type Kinds } from './infer-kinds.ts';
import type { Kept, KeepRule } from './keep.ts';
import { outputTypeOf } from './output-types.ts';
import type { HalfDType } from './signatures.ts';

/** Width of a value. */
export type Width = 'half' | 'full';
/** What a reader wants. */
export type Demand = Width | 'any';

export interface AssignOptions {
  readonly dtype: HalfDType;
  readonly keep: KeepRule;
  /** Whether a graph input or output of that name stays float32. */
  readonly keepsIO: (name: string) => boolean;
}

/** Width of each float32 value, and what was decided on the way. */
export class Assignment {
  readonly #kinds: Kinds;
  readonly #options: AssignOptions;
  readonly #model: Model;
  readonly #keptNodes = new Map<Node, Kept>();
  readonly #keptFunctions = new Set<ModelFunction>();
  /** Graphs that are edited, outer ones first. */
  readonly graphs: readonly Graph[];
  readonly #widths = new Map<Value, Width>();

  constructor(model: Model, kinds: Kinds, options: AssignOptions) {
    this.#model = model;
    this.#kinds = kinds;
    this.#options = options;
    this.#keepFunctions();
    const called = model.functions.filter((f) => kinds.functions.has(f) && !this.#keptFunctions.has(f));
    this.graphs = [model.graph, ...called.map(({ body }) => body)].flatMap((graph) => this.#inside(graph));
    for (const graph of this.graphs) {
      for (const value of graph.values) {
        if (kinds.kinds.get(value) === 'float32') this.#widths.set(value, this.#decide(value));
      }
    }
  }

  /** undefined for values that are not float32, or lie where nothing is changed. */
  width(value: Value): Width | undefined {
    return this.#widths.get(value);
  }

  /** For values that are made later. */
  setWidth(value: Value, width: Width): void {
    this.#widths.set(value, width);
  }

  /** What a node wants input `index` to be, where that is float32. */
  demand(node: Node, index: number): Demand {
    if (this.#keptNodes.has(node)) return 'full';
    const called = this.#kinds.functionOf(node);
    if (called !== undefined) return this.#keptFunctions.has(called) ? 'full' : 'half';
    if (hasBodies(node)) return 'half';
    const signature = this.#kinds.signatureOf(node);
    const letter = signature?.input(index) ?? 'f';
    if (signature === undefined || !signature.allows(letter, this.#options.dtype)) return 'full';
    if (signature.hasSequences) return 'full';
    return signature.isFree(letter) && !this.#givesLike(node) ? 'any' : 'half';
  }

  /** RandomNormalLike and friends, where both the input and the output are float32. */
  #givesLike(node: Node): boolean {
    if (outputTypeOf(node)?.followsInput !== true) return false;
    return this.#isFloat(node.inputs[0]) && this.#isFloat(node.outputs[0]);
  }

  readonly #isFloat = (value: Value | undefined): boolean =>
    value !== undefined && this.#kinds.kinds.get(value) === 'float32';

  /** What a graph wants its output `value` to be. */
  outputDemand(graph: Graph, value: Value): Demand {
    if (graph === this.#model.graph) {
      if (value.isInput) return 'any';
      return this.#options.keepsIO(value.name) ? 'full' : 'half';
    }
    return graph.owner !== undefined && this.#keptNodes.has(graph.owner) ? 'full' : 'half';
  }

  /** Nodes with float32 values that stay as they are, with the reason. */
  skipped(): SkippedNode[] {
    const skipped: SkippedNode[] = [];
    for (const node of this.#nodes()) {
      if (this.isConverted(node) || !this.#touchesFloats(node)) continue;
      const reason = this.#keptNodes.get(node)?.reason ?? this.#schemaReason(node);
      skipped.push({ node: node.label, opType: node.qualifiedOp, reason });
    }
    return skipped;
  }

  /** How many nodes compute in the narrow type. */
  convertedCount(): number {
    return [...this.#nodes()].filter((node) => this.isConverted(node)).length;
  }

  isConverted(node: Node): boolean {
    if (node.is('Constant') || this.#keptNodes.has(node)) return false;
    return (
      node.outputs.some((value) => value !== undefined && this.width(value) === 'half') ||
      node.inputs.some((value, index) => value && this.width(value) && this.demand(node, index) === 'half')
    );
  }

  *#nodes(): Generator<Node> {
    for (const graph of this.graphs) yield* graph.nodes;
  }

  #touchesFloats(node: Node): boolean {
    if (node.is('Constant')) return false;
    const free = (index: number): boolean => !this.#keptNodes.has(node) && this.demand(node, index) === 'any';
    return (
      node.outputs.some((value) => value !== undefined && this.width(value) !== undefined) ||
      node.inputs.some((value, index) => value && this.width(value) !== undefined && !free(index))
    );
  }

  #schemaReason(node: Node): string {
    const called = this.#kinds.functionOf(node);
    if (called !== undefined) return `the function ${called.name} stays in float32`;
    const { dtype } = this.#options;
    return outputTypeOf(node) === undefined
      ? `its operator has no ${dtype} in this opset`
      : 'what reads it is in float32';
  }

  /** Marks what is kept in a graph and below; gives the functions that are called from there. */
  #mark(graph: Graph, inherited: Kept | undefined): void {
    for (const node of graph.nodes) {
      const kept = inherited ?? this.#options.keep(node, this.#isFloat) ?? this.#unknown(node);
      if (kept !== undefined) this.#keptNodes.set(node, kept);
      const inner = kept && { reason: `it lies in ${node.label}, which stays in float32` };
      for (const body of node.subgraphs) this.#mark(body, inner);
    }
  }

  /** Case 1 for operators that nothing is known of. */
  #unknown(node: Node): Kept | undefined {
    if (hasBodies(node) || this.#kinds.functionOf(node) !== undefined) return undefined;
    if (node.subgraphs.length > 0) return { reason: 'the graphs inside it are not understood' };
    const signature = this.#kinds.signatureOf(node);
    if (signature === undefined) return { reason: 'the types of its operator are not known' };
    // A float output whose type neither an input nor an attribute gives is float32 only as long as the inputs are.
    const open = node.outputs.some((value, index) => {
      const letter = signature.output(index);
      return value !== undefined && /[A-Z]/.test(letter) && !signature.takesType(letter) && index > 0;
    });
    const untold = /[A-Z]/.test(signature.output(0)) && !signature.takesType(signature.output(0));
    if (untold && outputTypeOf(node) === undefined && !signature.hasSequences) return UNTOLD;
    return open && node.domain !== '' ? UNTOLD : undefined;
  }

  /** A function stays full if one call does: calls share the body. */
  #keepFunctions(): void {
    const { functions } = this.#kinds;
    this.#mark(this.#model.graph, undefined);
    for (const { body } of this.#model.functions) this.#mark(body, undefined);
    for (const [called, { consistent }] of functions) if (!consistent) this.#keepFunction(called);
    const roots = [this.#model.graph, ...this.#model.functions.map(({ body }) => body)];
    for (const node of roots.flatMap((graph) => [...graph.allNodes()])) {
      const called = this.#kinds.functionOf(node);
      if (called !== undefined && this.#keptNodes.has(node)) this.#keepFunction(called);
    }
  }

  #keepFunction(called: ModelFunction): void {
    if (this.#keptFunctions.has(called)) return;
    this.#keptFunctions.add(called);
    for (const node of called.body.allNodes()) {
      const inner = this.#kinds.functionOf(node);
      if (inner !== undefined) this.#keepFunction(inner);
    }
  }

  /** A graph and the bodies in it that are understood. */
  #inside(graph: Graph): Graph[] {
    const bodies = [...graph.nodes].filter(hasBodies).flatMap((node) => node.subgraphs);
    return [graph, ...bodies.flatMap((body) => this.#inside(body))];
  }

  #decide(value: Value): Width {
    const { producer, graph } = value;
    if (producer === undefined) {
      const isConstant = value.isInitializer && (!value.isInput || value.constant !== undefined);
      return isConstant ? this.#wanted(value) : this.#inputWidth(value, graph);
    }
    if (this.#keptNodes.has(producer) && !producer.is('Constant')) return 'full';
    const called = this.#kinds.functionOf(producer);
    if (called !== undefined) return this.#keptFunctions.has(called) ? 'full' : 'half';
    if (hasBodies(producer)) return 'half';
    const signature = this.#kinds.signatureOf(producer);
    const letter = signature?.output(producer.outputs.indexOf(value)) ?? 'f';
    if (signature === undefined || signature.hasSequences) return 'full';
    if (!signature.allows(letter, this.#options.dtype)) return 'full';
    if (signature.takesType(letter)) return 'half';
    const type = outputTypeOf(producer);
    if (type === undefined || this.#isFixed(producer)) return 'full';
    if (type.followsInput) return this.#givesLike(producer) ? 'half' : 'full';
    return this.#wanted(value);
  }

  /** A constant that a function's caller gives cannot be rewritten. */
  #isFixed(node: Node): boolean {
    return [...node.attributes.values()].some((attribute) => attribute.kind === 'reference');
  }

  #inputWidth(value: Value, graph: Graph): Width {
    if (graph === this.#model.graph) return this.#options.keepsIO(value.name) ? 'full' : 'half';
    return graph.owner !== undefined && this.#keptNodes.has(graph.owner) ? 'full' : 'half';
  }

  /** Case 4. */
  #wanted(value: Value): Width {
    for (const { node, index } of value.uses) {
      const isNarrow = value.constant !== undefined && this.#keptNodes.get(node)?.narrowConstants === true;
      if (!isNarrow && this.demand(node, index) === 'full') return 'full';
    }
    for (const graph of value.outputOf) if (this.outputDemand(graph, value) === 'full') return 'full';
    return 'half';
  }
}

const UNTOLD: Kept = {
  reason: 'its operator does not say how the types of its inputs and outputs belong together',
};
