/**
 * Nodes in bodies of If, Loop and Scan stay in float: calibration sees the values of the main graph, and a value in a body
 * has another one at each turn, or none.
 */
import { GraphError } from '../errors.ts';
import type { Graph } from '../graph/graph.ts';
import { inferElementTypes } from '../passes/infer-element-types.ts';
import type { Node } from '../graph/node.ts';
import type { SkippedNode } from '../passes/pass.ts';
import { counted } from './check-model.ts';
import { consider, type Surroundings, type Wishes } from './consider.ts';

/** What a node in a body is told that would be quantized in the main graph. */
export const BODY_REASON =
  'it lies in a body of If, Loop or Scan, and static quantization takes nodes of the main graph only';

/** The nodes of all bodies in `graph`, each with the reason; `types` are those of its values. */
export function* skipBodies(
  graph: Graph,
  wishes: Wishes,
  { types, ...around }: Surroundings,
): Generator<readonly [Node, string]> {
  for (const { subgraphs } of graph.nodes) {
    for (const body of subgraphs) {
      const surroundings = { ...around, types: inferElementTypes(body, types) };
      for (const node of body.nodes) {
        const selected = consider(node, wishes, surroundings);
        yield [node, typeof selected === 'string' ? selected : BODY_REASON];
      }
      yield* skipBodies(body, wishes, surroundings);
    }
  }
}

/**
 * Other nodes may say other reasons, but this one tells what to do.
 *
 * @throws GraphError GRAPH_NOT_QUANTIZABLE if no node was chosen, and some would have been in the main graph
 */
export function checkNotAllInBodies(count: number, skipped: readonly SkippedNode[]): void {
  const inBodies = skipped.filter(({ reason }) => reason === BODY_REASON);
  if (count > 0 || inBodies.length === 0) return;
  const list = counted(
    inBodies.map(({ opType }) => opType),
    ', ',
  );
  throw new GraphError(
    `quantize: expected a node in the main graph that can be quantized, got none; in bodies of If, Loop and Scan are ${list}`,
    {
      code: 'GRAPH_NOT_QUANTIZABLE',
      hint:
        'Static quantization takes nodes of the main graph only. Use dynamic mode (quantizeDynamic, --dynamic), which ' +
        'quantizes MatMul, Gemm, Gather and LSTM in bodies too (Conv on request), or export the model without control flow.',
      details: { skipped },
    },
  );
}
