/**
 * Relu and Clip. Behind a quantized op they cost nothing: the output grid of that op ends where they would clip, so
 * `convert` removes them where the grid lies inside their interval, and keeps them where it does not.
 */
import type { Node } from '../../graph/node.ts';
import type { Value } from '../../graph/value.ts';
import { firstIsData, type OpPolicy } from './policy.ts';

/** Clip took its bounds as attributes before opset 11, as inputs since. */
function clipRange(node: Node): readonly [number, number] | undefined {
  const low = bound(node, 'min', node.inputs[1], -Infinity);
  const high = bound(node, 'max', node.inputs[2], Infinity);
  return low === undefined || high === undefined ? undefined : [low, high];
}

function bound(node: Node, name: string, input: Value | undefined, open: number): number | undefined {
  if (input === undefined) return node.float(name, open);
  const held = input.constant?.tensor;
  return held?.size === 1 ? Number(held.data[0]) : undefined;
}

const RANGES: Readonly<Record<string, (node: Node) => readonly [number, number] | undefined>> = {
  Relu: () => [0, Infinity],
  Clip: clipRange,
};

export const clampPolicy: OpPolicy = {
  opTypes: ['Relu', 'Clip'],
  kind: 'clamp',
  plan: (node) => ({ inputs: firstIsData(node), output: 'own' }),
  clampRange: (node) => RANGES[node.opType]?.(node),
};
