/**
 * Relu and Clip. Behind a quantized op they cost nothing: the output grid of that op ends where they would clip, so
 * `convert` removes them where the grid lies inside their interval, and keeps them where it does not.
 */
import type { Node } from '../../graph/node.ts';
import type { Value } from '../../graph/value.ts';
import { firstIsData, type Interval, type OpPolicy } from './policy.ts';

/** Clip took its bounds as attributes before opset 11, as inputs since. */
async function clipRange(node: Node): Promise<Interval | undefined> {
  const low = await bound(node, 'min', node.inputs[1], -Infinity);
  const high = await bound(node, 'max', node.inputs[2], Infinity);
  return low === undefined || high === undefined ? undefined : [low, high];
}

async function bound(
  node: Node,
  name: string,
  input: Value | undefined,
  open: number,
): Promise<number | undefined> {
  if (input === undefined) return node.float(name, open);
  const held = await input.constant?.load();
  return held?.size === 1 ? Number(held.data[0]) : undefined;
}

const RANGES: Readonly<Record<string, (node: Node) => Promise<Interval | undefined>>> = {
  Relu: () => Promise.resolve([0, Infinity]),
  Clip: clipRange,
};

export const clampPolicy: OpPolicy = {
  opTypes: ['Relu', 'Clip'],
  kind: 'clamp',
  plan: (node) => ({ inputs: firstIsData(node), output: 'own' }),
  clampRange: (node) => RANGES[node.opType](node),
};
