/**
 * MatMulNBits of accuracy level 4 in float16. onnxruntime (1.30) runs a float16 node in float32 where its neighbours have
 * no float16 kernels, with a Cast before its scales; its integer kernel packs weights when the model is loaded, finds no
 * constant scales by then, and gives zeros. At optimization level `all` the Cast is folded in time; below it, not.
 */
import type { Graph } from '../../graph/graph.ts';
import type { Node } from '../../graph/node.ts';

const INT8 = 4;

/** Takes level 4 from the converted MatMulNBits of these graphs; how many there were. */
export function unsetIntegerProducts(graphs: readonly Graph[], isConverted: (node: Node) => boolean): number {
  let count = 0;
  for (const graph of graphs) {
    for (const node of graph.nodes) {
      if (node.qualifiedOp !== 'com.microsoft.MatMulNBits' || !isConverted(node)) continue;
      if (node.int('accuracy_level', 0) !== INT8) continue;
      node.deleteAttribute('accuracy_level');
      count++;
    }
  }
  return count;
}
