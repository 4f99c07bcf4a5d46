/**
 * Values that are compared with each other: Equal(MaxPool(s), s) keeps the peaks of a map of scores. On a grid neighbours
 * become equal, and a peak becomes a plateau of peaks. So what is compared stays in float, from the last op that computes it
 * on: with one convolution of 58 in float, lines found by M-LSD agree with float in 83 instead of 31 of 100.
 */
import type { Node } from '../../graph/node.ts';
import type { Value } from '../../graph/value.ts';
import { reaches } from './reaches.ts';

/** What a node is told that is left in float for this. */
export const COMPARISON_ADVICE =
  'its values are compared with each other, and codes would make neighbours equal';

/** Tests that a tie passes. */
const COMPARES = new Set(['Equal', 'GreaterOrEqual', 'LessOrEqual']);

/** Ops that move elements, choose some, or change each by a rising function: what was equal stays equal. */
const KEEPS_ORDER = new Set(
  (
    'MaxPool ReduceMax ReduceMin Reshape Flatten Transpose Squeeze Unsqueeze Slice Split Concat Pad Resize Expand Tile ' +
    'Identity DepthToSpace SpaceToDepth Relu LeakyRelu Clip Sigmoid HardSigmoid Tanh Softplus Exp Log Sqrt'
  ).split(' '),
);

/** {@link COMPARISON_ADVICE} if the node's first output goes into such a test, else undefined. */
export function comparisonAdvice(node: Node): string | undefined {
  return feedsComparison(node.outputs[0]) ? COMPARISON_ADVICE : undefined;
}

function feedsComparison(value: Value | undefined): boolean {
  return reaches(value, ({ consumers }) => {
    const readers = [...consumers].filter(({ domain }) => domain === '');
    if (readers.some(comparesData)) return true;
    return readers.filter(({ opType }) => KEEPS_ORDER.has(opType)).flatMap(({ outputs }) => outputs);
  });
}

/** Against a constant a tie is as rare as in float. */
function comparesData({ opType, inputs }: Node): boolean {
  return COMPARES.has(opType) && inputs.every((input) => input !== undefined && input.constant === undefined);
}
