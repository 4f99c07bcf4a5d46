/**
 * Pooling. A maximum is one of its inputs, so MaxPool shares their grid; an average gets a grid of its own, since
 * averages spread less than what they average. onnxruntime: MaxPool on integers, QLinear(Global)AveragePool.
 */
import { firstIsData, type OpPolicy } from './policy.ts';

/** MaxPool takes 8-bit integers since opset 12. */
const MAX_POOL_OPSET = 12;

export const maxPoolPolicy: OpPolicy = {
  opTypes: ['MaxPool'],
  kind: 'carry',
  plan(node, opset) {
    if (opset < MAX_POOL_OPSET) return { reason: `MaxPool takes integers since opset ${MAX_POOL_OPSET}` };
    if (node.outputs[1] !== undefined) return { reason: 'its second output gives positions' };
    return { inputs: firstIsData(node), output: 'shared' };
  },
};

export const averagePoolPolicy: OpPolicy = {
  opTypes: ['AveragePool', 'GlobalAveragePool'],
  kind: 'carry',
  plan: (node) => ({ inputs: firstIsData(node), output: 'own' }),
};
