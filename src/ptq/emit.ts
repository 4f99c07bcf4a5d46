/**
 * Writes quantization into a graph as onnxruntime fuses it: QuantizeLinear and DequantizeLinear pairs behind activations,
 * integers with a DequantizeLinear for constants. Small constants of equal content are stored once.
 */
import type { AttributeInput } from '../graph/attribute.ts';
import type { Graph, Place } from '../graph/graph.ts';
import type { Node } from '../graph/node.ts';
import { bytesOf, memorySource, type TensorSource } from '../graph/tensor-source.ts';
import type { Value } from '../graph/value.ts';
import { outputOf } from '../passes/access.ts';
import { allocate, type DType } from '../tensor/dtype.ts';
import { Tensor } from '../tensor/tensor.ts';
import { NAMERS, type NamedPart, type Namer, type NameStyle } from './names.ts';

/** Dtypes that QuantizeLinear gives in the models that we write. */
export type CodeDType = 'uint8' | 'int8' | 'uint16' | 'int16' | 'uint4' | 'int4';

/** Scale and zero point of an activation. */
export interface ActivationGrid {
  readonly scale: number;
  readonly zeroPoint: number;
  readonly dtype: CodeDType;
}

/** The initializers of a grid, shared by all nodes that use it. */
export interface GridValues {
  readonly number: number;
  readonly scale: Value;
  readonly zeroPoint: Value;
}

/** Integers of a constant; `axis` where `scales` has one a channel. Without zero points they are 0. */
export interface StoredConstant {
  readonly codes: Tensor | TensorSource;
  readonly scales: Tensor;
  readonly zeroPoints: Tensor | undefined;
  readonly axis: number | undefined;
}

export interface PairOptions {
  /** Which readers of the value go through the pair. */
  readonly readers: (node: Node) => boolean;
  /** Whether graph outputs do: they keep their name, and the value gets another one. */
  readonly outputs: boolean;
}

/** What {@link Emitter.pair} wrote. */
export interface Pair {
  readonly value: Value;
  readonly grid: GridValues;
  readonly codes: Value;
  readonly dequantized: Value;
}

export interface NamedNode {
  readonly opType: string;
  /** The tensor that it is about. */
  readonly of: string;
  readonly number: number;
  readonly inputs: readonly Value[];
  /** One an output. */
  readonly parts: readonly NamedPart[];
  readonly attributes?: Readonly<Record<string, AttributeInput>>;
}

/** Constants of up to this many bytes are compared with earlier ones; larger ones are hardly ever equal. */
const SHARED_BYTES = 4096;

export class Emitter {
  readonly #graph: Graph;
  readonly #namer: Namer;
  readonly #constants = new Map<string, Value>();
  readonly #sharedBytes: number;
  #count = 0;

  /** `share`: whether small constants of equal content are stored once. Default true. */
  constructor(graph: Graph, style: NameStyle, { share = true }: { readonly share?: boolean } = {}) {
    this.#graph = graph;
    this.#namer = NAMERS[style];
    this.#sharedBytes = share ? SHARED_BYTES : -1;
  }

  /** A number for the next tensor that is named. */
  number(): number {
    return ++this.#count;
  }

  /** Scale and zero point of activation `of`. */
  grid(of: string, { scale, zeroPoint, dtype }: ActivationGrid): GridValues {
    const number = this.number();
    return {
      number,
      scale: this.constant('scale', of, number, scalar('float32', scale)),
      zeroPoint: this.constant('zero_point', of, number, scalar(dtype, zeroPoint)),
    };
  }

  /** x → QuantizeLinear → DequantizeLinear → whatever read x. Gives the codes, and what they become. */
  pair(value: Value, grid: GridValues, options: PairOptions): Pair {
    const { name } = value;
    const place =
      value.producer === undefined ? { before: [...this.#graph.nodes][0] } : { after: value.producer };
    const number = this.number();
    const quantize = this.#node('QuantizeLinear', name, number, [value, grid.scale, grid.zeroPoint], place);
    const inputs = [outputOf(quantize), grid.scale, grid.zeroPoint];
    const dequantize = this.#node('DequantizeLinear', name, number, inputs, { after: quantize });
    const filter = ({ node }: { readonly node: Node }): boolean => node !== quantize && options.readers(node);
    this.#graph.replaceAllUses(value, outputOf(dequantize), { filter, outputs: options.outputs });
    return { value, grid, codes: outputOf(quantize), dequantized: outputOf(dequantize) };
  }

  /**
   * Behind a pair: its codes → DequantizeLinear → QuantizeLinear to another grid → DequantizeLinear → `readers`, which still
   * read what the pair did. The first one is the pair's where nobody else reads it: each belongs to one node then.
   */
  convert({ value, grid, codes, dequantized }: Pair, to: GridValues, readers: PairOptions['readers']): void {
    const inputs = [codes, grid.scale, grid.zeroPoint];
    const place = { after: codes.producer };
    const from = dequantized.isUnused
      ? dequantized
      : outputOf(this.#node('DequantizeLinear', value.name, this.number(), inputs, place));
    this.#graph.replaceAllUses(value, from, { filter: ({ node }) => readers(node), outputs: false });
    this.pair(from, to, { readers, outputs: false });
  }

  /** Stores the integers of constant `of` and gives the value that a DequantizeLinear makes of them. */
  dequantized(of: string, { codes, scales, zeroPoints, axis }: StoredConstant, before: Node): Value {
    const number = this.number();
    const inputs = [
      this.constant('integers', of, number, codes),
      this.constant('scale', of, number, scales),
      ...(zeroPoints === undefined ? [] : [this.constant('zero_point', of, number, zeroPoints)]),
    ];
    const node = this.#node('DequantizeLinear', of, number, inputs, { before });
    // The default axis is 1.
    if (axis !== undefined && axis !== 1) node.setAttribute('axis', axis);
    return outputOf(node);
  }

  /** An initializer; a small one that equals an earlier one is that one. */
  constant(part: NamedPart, of: string, number: number, content: Tensor | TensorSource): Value {
    const source = content instanceof Tensor ? memorySource(content) : content;
    const key = this.#contentKey(source);
    const known = key === undefined ? undefined : this.#constants.get(key);
    if (known !== undefined) return known;
    const name = this.#graph.freshName(this.#namer.value(part, of, number));
    const value = this.#graph.addInitializer(name, source);
    if (key !== undefined) this.#constants.set(key, value);
    return value;
  }

  /** Equal for equal contents; undefined for constants that are not compared, and those that are not computed yet. */
  #contentKey({ byteLength, tensor }: TensorSource): string | undefined {
    if (byteLength > this.#sharedBytes || tensor === undefined) return undefined;
    return `${tensor.dtype}[${tensor.shape.join()}]${bytesOf(tensor.data).join()}`;
  }

  #node(
    opType: 'QuantizeLinear' | 'DequantizeLinear',
    of: string,
    number: number,
    inputs: readonly Value[],
    place: Place,
  ): Node {
    const parts = [opType === 'QuantizeLinear' ? 'quantized' : 'dequantized'] as const;
    return this.node({ opType, of, number, inputs, parts }, place);
  }

  /** A node whose outputs are named by their parts, in the graph of its place: a body sees the constants here too. */
  node({ opType, of, number, inputs, parts, attributes = {} }: NamedNode, place: Place): Node {
    const outputs = parts.map((part) => this.#graph.freshName(this.#namer.value(part, of, number)));
    const base = this.#namer.node(opType, of);
    const name = base === '' ? '' : this.#graph.freshNodeName(base);
    const graph = (place.before ?? place.after)?.graph ?? this.#graph;
    return graph.addNode({ opType, name, inputs, outputs, attributes }, place);
  }
}

/** A 0-d tensor; 4-bit codes take the low half of a byte. */
export function scalar(dtype: DType, value: number): Tensor {
  const data = allocate(dtype, 1);
  data[0] = dtype === 'int4' || dtype === 'uint4' ? value & 15 : value;
  return new Tensor(dtype, [], data);
}
