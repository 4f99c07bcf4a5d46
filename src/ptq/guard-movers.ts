/**
 * From optimization level `extended` on, onnxruntime moves a DequantizeLinear behind operators that only move data, and writes
 * a pair there for it (QDQPropagation). Of int8 codes in opset 21 and later 1.30 writes one that it then refuses: "output_dtype
 * INT8 does not match y_zero_point type UINT8". So where such an operator stays in float, that pair is written here. Nothing
 * is rounded by it: what was moved lies on the grid already.
 */
import type { Node } from '../graph/node.ts';
import type { Model } from '../graph/model.ts';
import type { Emitter, GridValues } from './emit.ts';

/** Those that 1.30 moves it behind. */
const MOVERS = new Set(['Transpose', 'Reshape', 'Squeeze', 'Unsqueeze', 'Slice', 'MaxPool']);
const FIRST_OPSET = 21;

export function guardMovers({ graph, opset }: Model, emitter: Emitter): void {
  if (opset < FIRST_OPSET) return;
  // In the order of the graph: what comes after a guarded one reads the pair behind that.
  for (const node of graph.nodes) {
    const [output] = node.outputs;
    const grid = output && isMover(node) ? int8Grid(node, emitter) : undefined;
    if (output === undefined || grid === undefined) continue;
    const readers = [...output.uses].filter((use) => !use.node.is('QuantizeLinear'));
    if (readers.length === 0 && !output.isOutput) continue;
    emitter.pair(output, grid, { readers: (reader) => !reader.is('QuantizeLinear'), outputs: true });
  }
}

function isMover(node: Node): boolean {
  return node.domain === '' && MOVERS.has(node.opType);
}

/** The grid of one scale that input 0 comes from, if its codes are int8. */
function int8Grid({ inputs: [input] }: Node, emitter: Emitter): GridValues | undefined {
  const producer = input?.producer;
  if (producer?.is('DequantizeLinear') !== true) return undefined;
  const [, scale, zeroPoint] = producer.inputs;
  const isInt8 = zeroPoint?.constant?.elementType === 'int8' && zeroPoint.constant.shape.length === 0;
  return scale !== undefined && isInt8 ? { number: emitter.number(), scale, zeroPoint } : undefined;
}
