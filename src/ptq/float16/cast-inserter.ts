/**
 * Puts Cast nodes where a value's width is not what a reader wants: one a value and direction, however many readers there
 * are; then removes Cast nodes of the model that have nothing to do any more.
 */
import type { Graph } from '../../graph/graph.ts';
import type { Node } from '../../graph/node.ts';
import type { Value } from '../../graph/value.ts';
import { tensorType } from '../../graph/value-type.ts';
import { inputOf, outputOf } from '../../passes/access.ts';
import type { NameStyle } from '../names.ts';
import type { Assignment, Width } from './assign.ts';
import type { Kinds } from './infer-kinds.ts';
import { FLOAT, HALF_TYPES, type HalfDType } from './signatures.ts';

/** Short names, and the suffixes that onnxruntime's converter uses. */
const NAMES = {
  half: { short: 'h', suffix: '_cast_to_fp16' },
  full: { short: 'f', suffix: '_cast_to_fp32' },
} as const satisfies Record<Width, { readonly short: string; readonly suffix: string }>;

/** CastLike between equal types is not only useless: onnxruntime 1.30 stumbles over it in float16. */
const CASTS = new Set(['Cast', 'CastLike']);

export class CastInserter {
  readonly #assignment: Assignment;
  readonly #kinds: Kinds;
  readonly #dtype: HalfDType;
  readonly #names: NameStyle;
  /** By graph (where the Cast lies), then by value. A value is cast in one direction only: to the other width. */
  readonly #casts = new Map<Graph, Map<Value, Value>>();
  #count = 0;
  inserted = 0;
  removed = 0;

  constructor(assignment: Assignment, kinds: Kinds, dtype: HalfDType, names: NameStyle) {
    this.#assignment = assignment;
    this.#kinds = kinds;
    this.#dtype = dtype;
    this.#names = names;
  }

  /** Casts for all readers of the values of a graph, in it and in the graphs inside. */
  castReaders(graph: Graph): void {
    for (const value of Array.from(graph.values)) {
      const width = this.#assignment.width(value);
      if (width === undefined) continue;
      for (const { node, index } of Array.from(value.uses)) {
        const wanted = this.#assignment.demand(node, index);
        if (wanted !== 'any' && wanted !== width) node.setInput(index, this.#cast(value, graph));
      }
    }
  }

  /** Casts before the outputs of a graph; those of the main graph keep their names. */
  castOutputs(graph: Graph): void {
    const wanted = graph.outputs.map((value) => {
      const width = this.#assignment.width(value);
      const demand = this.#assignment.outputDemand(graph, value);
      return width === undefined || demand === 'any' || demand === width ? value : this.#cast(value, graph);
    });
    const changed = new Map(graph.outputs.map((value, index) => [value, wanted[index]]));
    graph.setOutputs(wanted);
    if (graph.parent !== undefined) return;
    for (const [value, cast] of changed) if (value !== cast) swapNames(value, cast, graph);
  }

  /** Lies in `graph`: an output must be of its own graph, even where the value is an outer one. */
  #cast(value: Value, graph: Graph): Value {
    const known = this.#casts.get(graph) ?? new Map<Value, Value>();
    this.#casts.set(graph, known);
    const cast = known.get(value) ?? this.#insert(value, graph);
    known.set(value, cast);
    return cast;
  }

  #insert(value: Value, graph: Graph): Value {
    const width = this.#assignment.width(value) === 'half' ? 'full' : 'half';
    const { short, suffix } = NAMES[width];
    const isShort = this.#names === 'short';
    const output = graph.freshName(isShort ? `${short}${++this.#count}` : `${value.name}${suffix}`);
    const place = value.producer?.graph === graph ? { after: value.producer } : { before: graph.nodes.first };
    const name = isShort ? '' : graph.freshNodeName(`${value.name}${suffix}_node`);
    const to = width === 'half' ? HALF_TYPES[this.#dtype].code : FLOAT;
    const node = graph.addNode(
      { opType: 'Cast', name, inputs: [value], outputs: [output], attributes: { to } },
      place,
    );
    const cast = outputOf(node);
    cast.type = tensorType(width === 'half' ? this.#dtype : 'float32', value.dims);
    this.#kinds.kinds.set(cast, 'float32');
    this.#assignment.setWidth(cast, width);
    this.inserted++;
    return cast;
  }

  /**
   * Cast and CastLike nodes of the model:
   * 1. to the type that their input has now: removed.
   * 2. to a type that a Cast of ours gives as well: their readers take that one.
   */
  foldCasts(graph: Graph): void {
    for (const node of graph.nodes) {
      if (!CASTS.has(node.opType) || node.domain !== '' || node.outputs[0] === undefined) continue;
      const [input, output] = [inputOf(node, 0), outputOf(node)];
      const [from, to] = [this.#widthOf(input), this.#widthOf(output)];
      if (from === undefined || to === undefined) continue;
      if (from === to) this.#replace(node, input);
      else {
        const shared = this.#casts.get(input.graph)?.get(input);
        if (shared !== undefined && shared !== output) this.#replace(node, shared);
      }
    }
  }

  #widthOf(value: Value): Width | undefined {
    return this.#kinds.kinds.get(value) === 'half' ? 'half' : this.#assignment.width(value);
  }

  #replace(node: Node, value: Value): void {
    const output = outputOf(node);
    this.removed++;
    if (output.isOutput) {
      node.graph?.replaceNode(node, { opType: 'Identity', name: node.name, inputs: [value] });
      return;
    }
    output.graph.replaceAllUses(output, value);
    node.graph?.removeNode(node);
  }
}

/** Gives `cast` the name of `value`. */
function swapNames(value: Value, cast: Value, graph: Graph): void {
  const { name } = value;
  const other = cast.name;
  graph.rename(value, graph.freshName(`${other}_`));
  graph.rename(cast, name);
  graph.rename(value, other);
}
