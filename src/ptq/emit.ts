/**
 * Writes quantization into a graph as onnxruntime fuses it: QuantizeLinear and DequantizeLinear pairs behind
 * activations, integers with a DequantizeLinear for constants. Names are those of onnxruntime's quantizer
 * (`x_QuantizeLinear`, `x_scale`, `w_quantized`, ...), so that tools which look for them find them.
 */
import type { Graph } from '../graph/graph.ts';
import type { Node } from '../graph/node.ts';
import type { Value } from '../graph/value.ts';
import { outputOf } from '../passes/access.ts';
import type { DType } from '../tensor/dtype.ts';
import { allocate } from '../tensor/dtype.ts';
import { Tensor } from '../tensor/tensor.ts';

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
  readonly scale: Value;
  readonly zeroPoint: Value;
}

export function addGrid(graph: Graph, name: string, grid: ActivationGrid): GridValues {
  return {
    scale: addConstant(graph, `${name}_scale`, scalar('float32', grid.scale)),
    zeroPoint: addConstant(graph, `${name}_zero_point`, scalar(grid.dtype, grid.zeroPoint)),
  };
}

/**
 * x → QuantizeLinear → DequantizeLinear → whatever read x. With `outputs`, a graph output moves behind the pair too:
 * it keeps its name, and x gets another one.
 */
export function addPair(
  graph: Graph,
  value: Value,
  grid: GridValues,
  options: { readonly readers: (node: Node) => boolean; readonly outputs: boolean },
): void {
  const { name } = value;
  const place = value.producer === undefined ? firstPlace(graph) : { after: value.producer };
  const quantize = graph.addNode(
    {
      opType: 'QuantizeLinear',
      name: graph.freshNodeName(`${name}_QuantizeLinear`),
      inputs: [value, grid.scale, grid.zeroPoint],
      outputs: [graph.freshName(`${name}_QuantizeLinear_Output`)],
    },
    place,
  );
  const dequantize = graph.addNode(
    {
      opType: 'DequantizeLinear',
      name: graph.freshNodeName(`${name}_DequantizeLinear`),
      inputs: [quantize.outputs[0], grid.scale, grid.zeroPoint],
      outputs: [graph.freshName(`${name}_DequantizeLinear_Output`)],
    },
    { after: quantize },
  );
  const output = outputOf(dequantize);
  const filter = ({ node }: { readonly node: Node }): boolean => node !== quantize && options.readers(node);
  graph.replaceAllUses(value, output, { filter, outputs: options.outputs });
}

/** Integers of a constant; `axis` where `scales` has one a channel. Without a zero point it is 0. */
export interface StoredConstant {
  readonly codes: Tensor;
  readonly scales: Tensor;
  readonly zeroPoints: Tensor | undefined;
  readonly axis: number | undefined;
}

/** Stores the integers and gives the value that a DequantizeLinear makes of them. */
export function addDequantized(graph: Graph, name: string, stored: StoredConstant, before: Node): Value {
  const inputs = [
    addConstant(graph, `${name}_quantized`, stored.codes),
    addConstant(graph, `${name}_scale`, stored.scales),
    ...(stored.zeroPoints === undefined ? [] : [addConstant(graph, `${name}_zero_point`, stored.zeroPoints)]),
  ];
  const node = graph.addNode(
    {
      opType: 'DequantizeLinear',
      name: graph.freshNodeName(`${name}_DequantizeLinear`),
      inputs,
      outputs: [graph.freshName(`${name}_DequantizeLinear_Output`)],
      attributes: stored.axis === undefined ? {} : { axis: stored.axis },
    },
    { before },
  );
  return outputOf(node);
}

export function addConstant(graph: Graph, name: string, tensor: Tensor): Value {
  return graph.addInitializer(graph.freshName(name), tensor);
}

/** A 0-d tensor; 4-bit codes take the low half of a byte. */
export function scalar(dtype: DType, value: number): Tensor {
  const data = allocate(dtype, 1);
  data[0] = dtype === 'int4' || dtype === 'uint4' ? value & 15 : value;
  return new Tensor(dtype, [], data);
}

function firstPlace(graph: Graph): { readonly before?: Node } {
  const [first] = graph.nodes;
  return first === undefined ? {} : { before: first };
}
