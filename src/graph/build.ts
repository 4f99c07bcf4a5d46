/**
 * Small models in a few lines, for tests and examples:
 *
 *   const model = buildModel((b) => {
 *     const x = b.input('x', 'float32', ['N', 4]);
 *     const w = b.constant('w', tensor([[1], [2], [3], [4]]));
 *     b.output(b.op('Relu', [b.op('MatMul', [x, w])]), 'y');
 *   });
 */
import { checkOptions, type Rule } from '../errors/check-options.ts';
import { recordOf, wholeFrom } from '../errors/option-rules.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { AttributeInput } from './attribute.ts';
import type { ElementType } from './element-type.ts';
import { Graph } from './graph.ts';
import { Model } from './model.ts';
import type { Value } from './value.ts';
import { tensorType, type Dim } from './value-type.ts';

type Inputs = readonly (Value | undefined)[];
type Attributes = Readonly<Record<string, AttributeInput>>;

/** What {@link buildModel} says about the model besides its graph. */
export interface BuildOptions {
  readonly opset?: number;
  readonly irVersion?: number;
  /** Versions of other operator sets, by domain. */
  readonly opsets?: Readonly<Record<string, number>>;
}

const RULES = {
  opset: wholeFrom(1),
  irVersion: wholeFrom(1),
  opsets: recordOf(wholeFrom(1)),
} satisfies Record<keyof BuildOptions, Rule>;

const DEFAULTS = { opset: 21, irVersion: 10 } as const;

/** Adds inputs, constants, nodes and outputs to a graph. */
export class GraphBuilder {
  readonly graph: Graph;

  constructor(graph: Graph) {
    this.graph = graph;
  }

  input(name: string, elementType: ElementType, dims?: readonly Dim[]): Value {
    return this.graph.addInput(name, tensorType(elementType, dims));
  }

  constant(name: string, value: Tensor): Value {
    return this.graph.addInitializer(name, value);
  }

  /** A node with one output, named `output` or after the operator. `domain.Op` names another operator set. */
  op(op: string, inputs: Inputs, attributes: Attributes = {}, output?: string): Value {
    return this.ops(op, inputs, [output ?? this.graph.freshName(op.toLowerCase())], attributes)[0];
  }

  /** A node with several outputs. */
  ops(op: string, inputs: Inputs, outputs: readonly string[], attributes: Attributes = {}): readonly Value[] {
    const dot = op.lastIndexOf('.');
    const opType = op.slice(dot + 1);
    const node = this.graph.addNode({
      opType,
      domain: op.slice(0, Math.max(dot, 0)),
      name: this.graph.freshNodeName(opType.toLowerCase()),
      inputs,
      outputs,
      attributes,
    });
    // Every output was given as a name, so every one is a value.
    return node.outputs as readonly Value[];
  }

  /** Makes a value an output, under another name if one is given. */
  output(value: Value, name?: string, elementType?: ElementType, dims?: readonly Dim[]): void {
    if (name !== undefined) value.graph.rename(value, name);
    if (elementType !== undefined) value.type = tensorType(elementType, dims);
    this.graph.addOutput(value);
  }

  /** A body for If, Loop or Scan, which sees the values of this graph. */
  body(name: string, build: (builder: GraphBuilder) => void): Graph {
    const graph = new Graph(name, this.graph);
    build(new GraphBuilder(graph));
    return graph;
  }
}

/** A graph, built by `build`. */
export function buildGraph(build: (builder: GraphBuilder) => void, name = 'test'): Graph {
  const graph = new Graph(name);
  build(new GraphBuilder(graph));
  return graph;
}

/** A model around a graph, by default of opset 21 and IR version 10. */
export function buildModel(build: (builder: GraphBuilder) => void, options: BuildOptions = {}): Model {
  checkOptions('buildModel', options, RULES);
  const { opset = DEFAULTS.opset, irVersion = DEFAULTS.irVersion, opsets } = options;
  return new Model(buildGraph(build), {
    irVersion,
    opsetImports: [['', opset], ...Object.entries(opsets ?? {})],
  });
}
