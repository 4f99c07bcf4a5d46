/** What the forms write with: weights as initializers, each stored once, and activations that are quantized at run time. */
import type { Graph } from '../../graph/graph.ts';
import type { Node } from '../../graph/node.ts';
import type { Value } from '../../graph/value.ts';
import { outputOf, present } from '../../passes/access.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { quantizeWeight, type QuantizedWeightData } from '../constants.ts';
import { Emitter } from '../emit.ts';
import type { NamedPart, NameStyle } from '../names.ts';
import type { ObserverSpec } from '../plan.ts';
import type { QuantizedWeight } from '../report.ts';
import { RuntimeInputs, type RuntimeInput } from './runtime-inputs.ts';

/** TensorProto.DataType of float32, for Cast. */
const FLOAT = 1;

/** How a weight is stored. */
export interface WeightRequest {
  readonly spec: ObserverSpec;
  /** Its channel axis, used where the observer works by channel. */
  readonly axis: number | undefined;
  /** Changes what is stored, by a function that is the same object for all weights of its kind. */
  readonly arrange?: (stored: QuantizedWeightData) => QuantizedWeightData;
}

/** A weight in the new model; its scale is written by the form, which may have a factor for it. */
export interface WeightValues {
  readonly name: string;
  readonly number: number;
  readonly codes: Value;
  readonly zeroPoint: Value;
  readonly stored: QuantizedWeightData;
}

/** A product of integers, and what makes floats of it. */
export interface IntegerProduct {
  readonly opType: 'MatMulInteger';
  readonly weight: WeightValues;
  /** Of the weight, in a shape that broadcasts to the product. */
  readonly scale: Tensor;
  readonly bias: Value | undefined;
}

export class DynamicWriter {
  readonly #emitter: Emitter;
  readonly #inputs: RuntimeInputs;
  readonly #known = new Map<Value, { readonly request: WeightRequest; readonly values: WeightValues }[]>();
  readonly weights: QuantizedWeight[] = [];

  /** `readers` are the nodes whose first input is to be quantized. */
  constructor(graph: Graph, names: NameStyle, readers: Iterable<Node>) {
    this.#emitter = new Emitter(graph, names);
    this.#inputs = new RuntimeInputs(this.#emitter, readers);
  }

  /** The quantized first input of one of the readers. */
  input(node: Node): RuntimeInput {
    return this.#inputs.of(node);
  }

  /** A new initializer. */
  constant(
    part: NamedPart,
    { name, number }: { readonly name: string; readonly number: number },
    value: Tensor,
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

  async #store(value: Value, { spec, axis, arrange = (same) => same }: WeightRequest): Promise<WeightValues> {
    const stored = arrange(await quantizeWeight(value, spec, axis));
    const { name } = value;
    const { dtype, scaleData, codes } = stored;
    this.weights.push({ name, dtype, scales: scaleData.length, elements: codes.size });
    const at = { name, number: this.number() };
    const zeroPoints = present(stored.zeroPoints, `${name}: expected zero points, got none`);
    return {
      ...at,
      codes: this.constant('integers', at, codes),
      zeroPoint: this.constant('zero_point', at, zeroPoints),
      stored,
    };
  }

  /** codes(x) · codes(w) → Cast → Mul(scale(x) · scale(w)) [→ Add(bias)] in the place of `node`. */
  replaceByProduct(node: Node, { opType, weight, scale, bias }: IntegerProduct): void {
    const number = this.number();
    const of = outputOf(node).name;
    const add = (op: string, part: NamedPart, inputs: readonly Value[], attributes = {}): Value =>
      outputOf(
        this.#emitter.node({ opType: op, of, number, inputs, parts: [part], attributes }, { before: node }),
      );
    const input = this.input(node);
    const integers = add(opType, 'product', [input.codes, weight.codes, input.zeroPoint, weight.zeroPoint]);
    const product = add('Cast', 'float', [integers], { to: FLOAT });
    const factor = add('Mul', 'rescale', [input.scale, this.constant('scale', weight, scale)]);
    if (bias === undefined) replace(node, 'Mul', [product, factor]);
    else replace(node, 'Add', [add('Mul', 'scaled', [product, factor]), bias]);
  }
}

function replace(node: Node, opType: string, inputs: readonly Value[]): void {
  const graph = present(node.graph, `${node.label}: expected a node of a graph`);
  graph.replaceNode(node, { opType, name: node.name, inputs });
}

function isSame(a: WeightRequest, b: WeightRequest): boolean {
  return a.axis === b.axis && a.arrange === b.arrange && JSON.stringify(a.spec) === JSON.stringify(b.spec);
}
