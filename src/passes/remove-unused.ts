/**
 * Removes what no graph output needs: nodes none of whose outputs is used, then initializers and Constant nodes that
 * nothing reads; in bodies of If, Loop and Scan too. Graph inputs stay: they are the model's signature. Nodes whose op has side effects do not exist in ONNX.
 */
import type { Graph } from '../graph/graph.ts';
import type { Model } from '../graph/model.ts';
import { onCopy, type PassResult } from './pass.ts';

/** Removes nodes and initializers that no output needs. */
export function removeUnused(model: Model): Promise<PassResult> {
  return onCopy(model, async (copy) => ({ modified: removeUnusedInPlace(copy), skipped: [] }));
}

/** The same on a model that the caller owns. */
export function removeUnusedInPlace(model: Model): boolean {
  return removeFrom(model.graph);
}

function removeFrom(graph: Graph): boolean {
  let modified = false;
  // Backwards, and bodies before what they may read, so that a chain of unused nodes goes in one pass.
  for (const node of graph.nodes.toArray().reverse()) {
    if (node.outputs.some((output) => output !== undefined && !output.isUnused)) {
      for (const body of node.subgraphs) modified = removeFrom(body) || modified;
      continue;
    }
    graph.removeNode(node);
    modified = true;
  }
  for (const value of Array.from(graph.initializers)) {
    if (value.isInput || !value.isUnused) continue;
    graph.removeValue(value);
    modified = true;
  }
  return modified;
}
