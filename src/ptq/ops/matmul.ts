/**
 * MatMul: a constant B is a weight with one scale a column if it is a matrix; any other operand is an activation.
 * onnxruntime: QLinearMatMul, which needs a quantized output to be chosen at all.
 */
import { ACTIVATION, isConstant, type OpPolicy } from './policy.ts';

export const matmulPolicy: OpPolicy = {
  opTypes: ['MatMul'],
  kind: 'compute',
  plan(node) {
    const [, weight] = node.inputs;
    if (!isConstant(weight)) return { inputs: [ACTIVATION, ACTIVATION], output: 'own' };
    const axis = weight.dims?.length === 2 ? 1 : undefined;
    return { inputs: [ACTIVATION, { kind: 'weight', axis }], output: 'own' };
  },
};
