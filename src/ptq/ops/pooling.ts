/**
 * Pooling. A maximum is one of its inputs, so MaxPool shares their grid; an average gets a grid of its own, since
 * averages spread less than what they average. onnxruntime: MaxPool, ReduceMax and ReduceMin on integers,
 * QLinear(Global)AveragePool; GlobalMaxPool, LpPool and the other reductions in float.
 */
import { firstIsData, type OpPolicy } from './policy.ts';

/** MaxPool, ReduceMax and ReduceMin take 8-bit integers since opset 12. */
const EXTREMES_OPSET = 12;

export const maxPoolPolicy: OpPolicy = {
  opTypes: ['MaxPool'],
  kind: 'carry',
  plan(node, opset) {
    if (opset < EXTREMES_OPSET) return { reason: `MaxPool takes integers since opset ${EXTREMES_OPSET}` };
    if (node.outputs[1] !== undefined) return { reason: 'its second output gives positions' };
    return { inputs: firstIsData(node), output: 'shared' };
  },
};

export const extremesPolicy: OpPolicy = {
  opTypes: ['ReduceMax', 'ReduceMin'],
  kind: 'carry',
  plan(node, opset) {
    // onnxruntime drops the pairs at any opset, and then refuses its own result.
    if (opset < EXTREMES_OPSET)
      return { reason: `${node.opType} takes integers since opset ${EXTREMES_OPSET}` };
    return { inputs: firstIsData(node), output: 'shared' };
  },
};

export const averagePoolPolicy: OpPolicy = {
  opTypes: ['AveragePool', 'GlobalAveragePool'],
  kind: 'carry',
  plan: (node) => ({ inputs: firstIsData(node), output: 'own' }),
};
