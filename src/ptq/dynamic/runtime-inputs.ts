/**
 * Activations that are quantized at each run: x → DynamicQuantizeLinear → codes, scale, zero point.
 *
 * One node a value where it can be shared, and none that runs in vain:
 * 1. The value's reader lies in its own graph: behind what gives the value, for all readers there and further inside.
 * 2. Readers lie in bodies of Loop and Scan: still there, so that it runs once and not at every turn.
 * 3. Readers lie in branches of If (or in bodies whose runs we cannot count): at the head of each branch, which may not
 *    be taken.
 */
import type { Graph } from '../../graph/graph.ts';
import type { Node } from '../../graph/node.ts';
import type { Value } from '../../graph/value.ts';
import { inputOf, present } from '../../passes/access.ts';
import type { Emitter } from '../emit.ts';

/** The three outputs of DynamicQuantizeLinear. */
export interface RuntimeInput {
  readonly codes: Value;
  readonly scale: Value;
  readonly zeroPoint: Value;
}

/** Ops of ONNX whose bodies run many times. */
const LOOPS = new Set(['Loop', 'Scan', 'SequenceMap']);

export class RuntimeInputs {
  readonly #emitter: Emitter;
  /** By value, the graphs in which readers want it; undefined until it is made. */
  readonly #homes = new Map<Value, Map<Graph, RuntimeInput | undefined>>();

  /** `readers` are all nodes whose first input is to be quantized. */
  constructor(emitter: Emitter, readers: Iterable<Node>) {
    this.#emitter = emitter;
    for (const node of readers) {
      const value = inputOf(node, 0);
      const homes = this.#homes.get(value) ?? new Map<Graph, undefined>();
      this.#homes.set(value, homes.set(homeOf(node, value), undefined));
    }
  }

  /** The codes of a reader's first input. */
  of(node: Node): RuntimeInput {
    const value = inputOf(node, 0);
    const homes = present(this.#homes.get(value), `${node.label}: expected a reader that was announced`);
    const graph = outermost(homeOf(node, value), (candidate) => homes.has(candidate));
    const made = homes.get(graph) ?? this.#make(value, graph);
    homes.set(graph, made);
    return made;
  }

  #make(value: Value, graph: Graph): RuntimeInput {
    const node = this.#emitter.node(
      {
        opType: 'DynamicQuantizeLinear',
        of: value.name,
        number: this.#emitter.number(),
        inputs: [value],
        parts: ['quantized', 'scale', 'zero_point'],
      },
      value.producer?.graph === graph ? { after: value.producer } : { before: firstOf(graph) },
    );
    // The node has just been made with three outputs.
    const [codes, scale, zeroPoint] = node.outputs as readonly Value[];
    return { codes, scale, zeroPoint };
  }
}

/** The graph in which `node` wants `value` quantized: its own, or what lies around the loops that it is in. */
function homeOf(node: Node, value: Value): Graph {
  let graph = present(node.graph, `${node.label}: expected a node of a graph`);
  while (graph !== value.graph && graph.parent !== undefined && isLoop(graph.owner)) graph = graph.parent;
  return graph;
}

function isLoop(owner: Node | undefined): boolean {
  return owner?.domain === '' && LOOPS.has(owner.opType);
}

function outermost(graph: Graph, wanted: (graph: Graph) => boolean): Graph {
  let found = graph;
  for (let at = graph.parent; at !== undefined; at = at.parent) if (wanted(at)) found = at;
  return found;
}

function firstOf(graph: Graph): Node {
  return present(graph.nodes.first, `graph ${graph.name}: expected a node, got none`);
}
