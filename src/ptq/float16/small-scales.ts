/** Scales of integer tensors that a narrow type would ruin: those of biases are products of two small scales. */
import type { Graph } from '../../graph/graph.ts';
import type { Node } from '../../graph/node.ts';
import { floatInput } from '../../tensor/cast.ts';

/**
 * float16 loses bits below 2^-14, one a halving: at 2^-17 its error is that of half a step of 8 bits, 0.4 %. Smaller scales
 * stay float32. bfloat16 has the exponents of float32.
 */
const LEAST_SCALE = 2 ** -17;

const SCALED_OPS = new Set(['DequantizeLinear', 'QuantizeLinear']);

/** Nodes with a constant scale that float16 cannot hold, with the reason. */
export async function findSmallScales(graph: Graph): Promise<ReadonlyMap<Node, string>> {
  const found = new Map<Node, string>();
  for (const node of graph.allNodes()) {
    const scale = SCALED_OPS.has(node.opType) ? node.inputs[1]?.constant : undefined;
    if (scale?.elementType !== 'float32') continue;
    const { data } = floatInput(await scale.load(), node.label);
    const least = leastMagnitude(data);
    if (least < LEAST_SCALE) found.set(node, `its scale ${least} is too small for float16`);
  }
  return found;
}

/** Infinity if there is none but 0. */
function leastMagnitude(data: Float32Array): number {
  let least = Infinity;
  for (const value of data) if (value !== 0) least = Math.min(least, Math.abs(value));
  return least;
}
