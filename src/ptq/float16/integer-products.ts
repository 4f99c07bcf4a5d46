/**
 * MatMulNBits of accuracy level 4 in float16. onnxruntime (1.30) runs a float16 node in float32 where its neighbours have
 * no float16 kernels, with a Cast before its scales; its integer kernel packs weights when the model is loaded, finds no
 * constant scales by then, and gives zeros. At optimization level `all` the Cast is folded in time; below it, and in bodies
 * of If, Loop and Scan at every level, it is not.
 */
import type { Model } from '../../graph/model.ts';
import type { Node } from '../../graph/node.ts';
import type { Value } from '../../graph/value.ts';
import type { Assignment } from './assign.ts';
import type { Kept } from './keep.ts';

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

const STORED_PRODUCT: Kept = {
  reason:
    'onnxruntime would make a MatMulNBits of accuracy level 4 of it, which gives zeros in float16 on a CPU',
  narrowConstants: true,
};

/**
 * A product and the DequantizeLinear of its weight become a MatMulNBits of level 4 when they are loaded, whatever the file
 * says: so both compute in float32, with `keep` in bodies alone. undefined for other nodes.
 */
export function keepStoredProduct(node: Node, { graph: main }: Model, keep: boolean): Kept | undefined {
  if (keep && node.graph === main) return undefined;
  const isStored = isProductOf(node, (weight) => isStoredWeight(weight?.producer));
  const feedsOne =
    isStoredWeight(node) &&
    [...(node.outputs[0]?.consumers ?? [])].some((reader) =>
      isProductOf(reader, (weight) => weight === node.outputs[0]),
    );
  return isStored || feedsOne ? STORED_PRODUCT : undefined;
}

function isProductOf(node: Node, isWeight: (value: Value | undefined) => boolean): boolean {
  return (node.is('MatMul') || node.is('Gemm')) && isWeight(node.inputs[1]);
}

function isStoredWeight(node: Node | undefined): boolean {
  return node?.is('DequantizeLinear') === true && node.inputs[0]?.constant !== undefined;
}
