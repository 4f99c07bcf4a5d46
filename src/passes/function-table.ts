/** The local functions of a model: who calls which, and what that takes. Bodies must not change meanwhile. */
import type { Graph } from '../graph/graph.ts';
import type { Model, ModelFunction } from '../graph/model.ts';
import type { Node } from '../graph/node.ts';

interface Facts {
  /** Functions that its nodes call themselves. */
  readonly calls: ReadonlySet<ModelFunction>;
  /** Operator sets of its other nodes. */
  readonly operatorSets: ReadonlySet<string>;
  readonly size: number;
}

export class FunctionTable {
  readonly #functions: readonly ModelFunction[];
  readonly #byKey = new Map<string, ModelFunction>();
  readonly #facts = new Map<ModelFunction, Facts>();
  readonly #recursive = new Map<ModelFunction, boolean>();

  constructor({ functions }: Model) {
    this.#functions = [...functions];
    // The first counts, as in Model.findFunction.
    for (const item of [...functions].reverse()) {
      this.#byKey.set(keyOf(item.domain, item.name, item.overload), item);
    }
  }

  /** undefined for a node that is an operator. */
  calledBy({ domain, opType, overload }: Node): ModelFunction | undefined {
    return this.#byKey.get(keyOf(domain, opType, overload));
  }

  /** Nodes of a function, those in bodies inside it included, calls not followed. */
  sizeOf(item: ModelFunction): number {
    return this.#factsOf(item).size;
  }

  operatorSetsOf(item: ModelFunction): ReadonlySet<string> {
    return this.#factsOf(item).operatorSets;
  }

  isRecursive(item: ModelFunction): boolean {
    const known = this.#recursive.get(item) ?? this.#reached(this.#factsOf(item).calls).has(item);
    this.#recursive.set(item, known);
    return known;
  }

  /** Functions that a graph calls, and that those call, in the model's order. */
  reachedFrom(graph: Graph): ReadonlySet<ModelFunction> {
    const reached = this.#reached(this.#read(graph).calls);
    return new Set(this.#functions.filter((item) => reached.has(item)));
  }

  #reached(calls: Iterable<ModelFunction>): ReadonlySet<ModelFunction> {
    const reached = new Set(calls);
    // A set goes on through what is added to it meanwhile.
    for (const item of reached) for (const next of this.#factsOf(item).calls) reached.add(next);
    return reached;
  }

  #factsOf(item: ModelFunction): Facts {
    const facts = this.#facts.get(item) ?? this.#read(item.body);
    this.#facts.set(item, facts);
    return facts;
  }

  #read(graph: Graph): Facts {
    const calls = new Set<ModelFunction>();
    const operatorSets = new Set<string>();
    let size = 0;
    for (const node of graph.allNodes()) {
      size++;
      const called = this.calledBy(node);
      if (called === undefined) operatorSets.add(node.domain);
      else calls.add(called);
    }
    return { calls, operatorSets, size };
  }
}

function keyOf(domain: string, name: string, overload: string): string {
  return JSON.stringify([domain, name, overload]);
}
