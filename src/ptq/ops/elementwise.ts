/** Add: both operands as activations, a constant one with its own range. onnxruntime: QLinearAdd. */
import { activations, isConstant, type OpPolicy } from './policy.ts';

export const elementwisePolicy: OpPolicy = {
  opTypes: ['Add'],
  kind: 'compute',
  plan(node) {
    if (node.inputs.every(isConstant)) return { reason: 'both operands are constants' };
    return { inputs: activations(node), output: 'own' };
  },
};
