/**
 * Which values of a model are float32, by the schemas of its operators, through If, Loop and Scan bodies and local functions.
 * What an operator without a schema gives is taken from the file; where that says nothing, the value is unclear.
 */
import { UnsupportedError } from '../../errors.ts';
import type { Graph } from '../../graph/graph.ts';
import type { Model, ModelFunction } from '../../graph/model.ts';
import type { Node } from '../../graph/node.ts';
import { sortedNodes } from '../../graph/sort.ts';
import type { Value } from '../../graph/value.ts';
import type { ValueType } from '../../graph/value-type.ts';
import { kindOfType, outputTypeOf, type Kind } from './output-types.ts';
import { signatureOf, type HalfDType, type Signature } from './signatures.ts';

/** Kinds of all values that were looked at, and what was learnt on the way. */
export interface Kinds {
  readonly kinds: Map<Value, Kind>;
  /** Functions that are called, and whether all calls give values of the same kinds. */
  readonly functions: ReadonlyMap<ModelFunction, { readonly consistent: boolean }>;
  /** The function that a node calls. */
  functionOf(node: Node): ModelFunction | undefined;
  /** The signature of a node's operator; undefined for functions, control flow and unknown operators. */
  signatureOf(node: Node): Signature | undefined;
}

type KindMap = Map<Value, Kind>;
type Maybe = Kind | undefined;

/** @throws UnsupportedError UNSUPPORTED_OP for a node of an unknown operator whose outputs have no type in the file */
export function inferKinds(model: Model, dtype: HalfDType): Kinds {
  return new Inference(model, dtype);
}

/** Control flow whose bodies are understood: how inputs and outputs of the node and of a body belong together. */
export const BODIES: Readonly<
  Record<string, { readonly inputs: number; readonly outputs: number; readonly skip: number }>
> = {
  // inputs: first node input that a body takes (Infinity: none); outputs: first body output that the node gives;
  // skip: body inputs before the first of those.
  If: { inputs: Infinity, outputs: 0, skip: 0 },
  Loop: { inputs: 2, outputs: 1, skip: 2 },
  Scan: { inputs: 0, outputs: 0, skip: 0 },
};

/** True for If, Loop and Scan. */
export function hasBodies(node: Node): boolean {
  return node.domain === '' && Object.hasOwn(BODIES, node.opType);
}

class Inference implements Kinds {
  readonly kinds: KindMap = new Map();
  readonly functions = new Map<
    ModelFunction,
    { consistent: boolean; readonly byInputs: Map<string, KindMap> }
  >();
  readonly #model: Model;
  readonly #dtype: HalfDType;
  readonly #calls: ModelFunction[] = [];

  constructor(model: Model, dtype: HalfDType) {
    this.#model = model;
    this.#dtype = dtype;
    this.#graph(model.graph, this.kinds, []);
  }

  functionOf(node: Node): ModelFunction | undefined {
    return this.#model.findFunction(node.domain, node.opType, node.overload);
  }

  signatureOf(node: Node): Signature | undefined {
    if (hasBodies(node) || this.functionOf(node) !== undefined) return undefined;
    return signatureOf(node, this.#version(node));
  }

  #version(node: Node): number {
    const root = node.graph?.root;
    const imports =
      this.#model.functions.find(({ body }) => body === root)?.opsetImports ?? this.#model.opsetImports;
    return imports.get(node.domain) ?? this.#model.opsetImports.get(node.domain) ?? Infinity;
  }

  /** `given` are the kinds of the inputs of a body; the main graph's say their own. */
  #graph(graph: Graph, kinds: KindMap, given: readonly Maybe[]): void {
    graph.inputs.forEach((input, index) => this.#set(input, given[index] ?? this.#stated(input), kinds));
    for (const value of graph.initializers) {
      const { initializer, sparseInitializer } = value;
      const type = initializer?.elementType ?? sparseInitializer?.values.elementType;
      this.#set(value, type && kindOfType(type, this.#dtype), kinds);
    }
    for (const node of sortedNodes(graph)) this.#node(node, kinds);
  }

  #set(value: Value | undefined, kind: Maybe, kinds: KindMap): void {
    if (value !== undefined && kind !== undefined) kinds.set(value, kind);
  }

  #stated({ type }: Value): Maybe {
    return type && kindOfValueType(type, this.#dtype);
  }

  #node(node: Node, kinds: KindMap): void {
    const inputs = node.inputs.map((value) => value && kinds.get(value));
    const outputs = this.#outputs(node, inputs, kinds);
    node.outputs.forEach((value, index) => {
      if (value === undefined) return;
      const kind = outputs(index) ?? this.#stated(value);
      if (kind === undefined && !value.isUnused) throw unclear(node, value);
      this.#set(value, kind, kinds);
    });
  }

  #outputs(node: Node, inputs: readonly Maybe[], kinds: KindMap): (index: number) => Maybe {
    const called = this.functionOf(node);
    if (called !== undefined) return this.#call(called, inputs);
    if (hasBodies(node)) return this.#bodies(node, inputs, kinds);
    const signature = this.signatureOf(node);
    return signature === undefined
      ? () => undefined
      : (index) => this.#output(node, signature, inputs, index);
  }

  #bodies(node: Node, inputs: readonly Maybe[], kinds: KindMap): (index: number) => Maybe {
    const form = BODIES[node.opType];
    // Scan-8 has the lengths of its sequences first.
    const first = node.opType === 'Scan' && this.#version(node) < 9 ? 1 : form.inputs;
    const counters = Array.from({ length: form.skip }, (): Kind => 'other');
    const given = [...counters, ...inputs.slice(first)];
    for (const body of node.subgraphs) this.#graph(body, kinds, given);
    return (index) => {
      for (const { outputs } of node.subgraphs) {
        const value = outputs[index + form.outputs];
        const kind = value && (kinds.get(value) ?? this.#stated(value));
        if (kind !== undefined) return kind;
      }
      return undefined;
    };
  }

  /** A body is looked at once for each combination of input kinds; the first one's are those of its values. */
  #call(called: ModelFunction, inputs: readonly Maybe[]): (index: number) => Maybe {
    const key = inputs.map(String).join();
    const known = this.functions.get(called) ?? { consistent: true, byInputs: new Map<string, KindMap>() };
    this.functions.set(called, known);
    const isNew = !known.byInputs.has(key);
    const inside = known.byInputs.get(key) ?? (known.byInputs.size === 0 ? this.kinds : new Map());
    known.byInputs.set(key, inside);
    known.consistent = known.byInputs.size === 1;
    if (isNew) this.#body(called, inside, inputs);
    return (index) => {
      const value = called.body.outputs[index];
      return value && inside.get(value);
    };
  }

  #body(called: ModelFunction, kinds: KindMap, inputs: readonly Maybe[]): void {
    if (this.#calls.includes(called)) return;
    this.#calls.push(called);
    this.#graph(called.body, kinds, inputs);
    this.#calls.pop();
  }

  #output(node: Node, signature: Signature, inputs: readonly Maybe[], index: number): Maybe {
    const letter = signature.output(index);
    if (letter === 'f') return 'float32';
    if (letter === '-') return 'other';
    const lists = signature.hasSequences && inputs.some((kind) => kind === 'list' || kind === 'float32');
    if (letter === 's') return listKind(node, lists);
    const bound = inputs.find((kind, at) => kind !== undefined && signature.input(at) === letter);
    if (bound !== undefined) return bound;
    if (signature.takesType(letter)) return undefined;
    if (signature.hasSequences) return lists ? 'float32' : 'other';
    // Statistics (LayerNormalization's mean) are float32 whatever the data is.
    return index === 0 ? outputTypeOf(node)?.read(node, this.#dtype, inputs[0]) : 'float32';
  }
}

/** SequenceEmpty says what it will hold in an attribute, and holds float32 without it. */
function listKind(node: Node, holdsFloats: boolean): Kind {
  if (!node.is('SequenceEmpty')) return holdsFloats ? 'list' : 'other';
  return (node.int('dtype', undefined) ?? 1) === 1 ? 'list' : 'other';
}

function kindOfValueType(type: ValueType, dtype: HalfDType): Maybe {
  switch (type.kind) {
    case 'tensor':
    case 'sparse_tensor':
      return kindOfType(type.elementType, dtype);
    case 'sequence':
    case 'optional':
      return type.element && kindOfValueType(type.element, dtype) === 'float32' ? 'list' : 'other';
    case 'map':
    case 'opaque':
      return 'other';
    case 'unknown':
      return undefined;
    default:
      return type satisfies never;
  }
}

function unclear(node: Node, value: Value): UnsupportedError {
  return new UnsupportedError(
    `${node.label}: expected an operator whose types are known, or a type of ${value.name} in the file, got neither`,
    {
      code: 'UNSUPPORTED_OP',
      hint: `Run shape inference on the model first, so that the file says what ${node.qualifiedOp} gives.`,
      details: { node: node.label, opType: node.qualifiedOp, value: value.name },
    },
  );
}
