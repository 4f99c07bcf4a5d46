/**
 * MatMulNBits of accuracy level 4 in float16. onnxruntime (1.30) runs a float16 node in float32 where its neighbours have
 * no float16 kernels, with a Cast before its scales; its integer kernel packs weights when the model is loaded, finds no
 * constant scales by then, and gives zeros. At optimization level `all` the Cast is folded in time; below it, and in bodies
 * of If, Loop and Scan at every level, it is not.
 */
import type { Model } from '../../graph/model.ts';
import type { Assignment } from './assign.ts';

const INT8 = 4;

/** Takes level 4 from the converted MatMulNBits, with `keep` in bodies alone; how many there were. */
export function unsetIntegerProducts(assignment: Assignment, { graph: main }: Model, keep: boolean): number {
  let count = 0;
  for (const graph of assignment.graphs) {
    if (keep && graph === main) continue;
    for (const node of graph.nodes) {
      if (node.qualifiedOp !== 'com.microsoft.MatMulNBits' || !assignment.isConverted(node)) continue;
      if (node.int('accuracy_level', 0) !== INT8) continue;
      node.deleteAttribute('accuracy_level');
      count++;
    }
  }
  return count;
}
