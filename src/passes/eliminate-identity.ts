/**
 * Identity and Dropout (outside training) go: whoever read their output reads their input.
 *
 * Cases:
 * 1. Identity, or Dropout whose mask nobody reads: removed.
 * 2. Dropout with training_mode that is not constantly false, or with a mask in use: left.
 * 3. Identity from a graph input or initializer to a graph output: left, the output needs a node of its own.
 */
import type { Model } from '../graph/model.ts';
import type { Node } from '../graph/node.ts';
import { onCopy, type PassResult } from './pass.ts';

/** Removes Identity and inference-time Dropout; see the cases above. */
export function eliminateIdentity(model: Model): Promise<PassResult> {
  return onCopy(model, eliminateIdentityInPlace);
}

/** The same on a model that the caller owns. */
export async function eliminateIdentityInPlace(model: Model): Promise<Omit<PassResult, 'model'>> {
  let modified = false;
  for (const node of Array.from(model.graph.allNodes())) {
    const [input] = node.inputs;
    const [output] = node.outputs;
    if (input === undefined || output === undefined || !isIdentity(node) || node.graph === undefined)
      continue;
    if (
      output.isOutput &&
      (input.isInput || input.isInitializer || input.isOutput || input.graph !== output.graph)
    ) {
      continue;
    }
    node.graph.replaceAllUses(output, input);
    node.graph.removeNode(node);
    modified = true;
  }
  return { modified, skipped: [] };
}

function isIdentity(node: Node): boolean {
  if (node.is('Identity')) return true;
  if (!node.is('Dropout')) return false;
  const mask = node.outputs[1];
  if (mask !== undefined && !mask.isUnused) return false;
  const training = node.inputs[2];
  return training === undefined || training.constant?.tensor?.data[0] === 0;
}
