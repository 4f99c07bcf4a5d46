/**
 * Attention masks that only data shows: a mask computed from inputs, or a causal one stored as a large constant. After
 * calibration the range of the masked scores tells.
 */
import type { Graph } from '../graph/graph.ts';
import type { Value } from '../graph/value.ts';
import { observerFromJSON, type ObserverState } from '../observers/index.ts';
import { feedsSoftmax, MASK_ADVICE, MASK_LIMIT } from './ops/attention-mask.ts';
import type { Plan } from './plan.ts';

/** First outputs of the planned nodes that are to stay in float for their calibrated range, with the reason. */
export function maskedNodes(graph: Graph, plan: Plan): ReadonlyMap<string, string> {
  const masked = new Map<string, string>();
  const isMasked = (value: Value | undefined): boolean =>
    value !== undefined && hasMaskRange(plan, value.name);
  for (const { output, named } of plan.nodes) {
    const value = graph.value(output);
    const node = value?.producer;
    if (node === undefined || named === true) continue;
    const isSoftmax = node.is('Softmax');
    if (isSoftmax ? isMasked(node.inputs[0]) : isMasked(value) && feedsSoftmax(value)) {
      masked.set(output, MASK_ADVICE);
    }
  }
  return masked;
}

function hasMaskRange(plan: Plan, name: string): boolean {
  const state = plan.activations[plan.shared[name] ?? name]?.state;
  return state !== undefined && reachesMask(state);
}

/** Observers of extremes and of histograms know their minimum, and count the infinities that they skip. */
function reachesMask(state: ObserverState): boolean {
  const observer = observerFromJSON(state);
  const low = 'minVal' in observer && typeof observer.minVal === 'number' ? observer.minVal : Infinity;
  const infinities = 'infinities' in observer ? Number(observer.infinities) : 0;
  return low <= MASK_LIMIT || infinities > 0;
}
