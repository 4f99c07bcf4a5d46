/**
 * Pairs around operators that onnxruntime computes in float, for `coverage: 'all'`: NPUs and other runtimes have integer
 * kernels for them. Normalizations: the scale as a weight per tensor, the bias int32. The rest by the plain rule: float
 * inputs and the first output have a grid of their own.
 */
import {
  ACTIVATION,
  activations,
  firstIsData,
  isConstant,
  KEEP,
  type InputRole,
  type OpPolicy,
} from './policy.ts';

/** LayerNormalization has its bias left out at times; mean and variance of BatchNormalization stay float. */
const normalizationPolicy: OpPolicy = {
  opTypes: ['LayerNormalization', 'InstanceNormalization', 'BatchNormalization'],
  kind: 'compute',
  plan(node) {
    const [, scale, bias, ...rest] = node.inputs;
    if (!isConstant(scale)) return { reason: 'its scale is not a constant' };
    const biasRole: InputRole = isConstant(bias) ? { kind: 'bias', factor: 1 } : KEEP;
    const inputs = [ACTIVATION, { kind: 'weight', axis: undefined } as const, biasRole];
    return { inputs: [...inputs, ...rest.map(() => KEEP)].slice(0, node.inputs.length), output: 'own' };
  },
};

const operandsPolicy: OpPolicy = {
  opTypes: 'Sub Div Min Max Sum Mean Pow PRelu Einsum'.split(' '),
  kind: 'compute',
  plan(node) {
    if (node.inputs.every(isConstant)) return { reason: 'its operands are constants' };
    return { inputs: activations(node), output: 'own' };
  },
};

const dataPolicy: OpPolicy = {
  opTypes: (
    'Neg Abs Exp Log Sqrt Reciprocal Tanh Erf Gelu HardSigmoid HardSwish Elu Selu Celu Mish Softplus Softsign LogSoftmax ' +
    'CumSum SpaceToDepth GlobalMaxPool LpPool GlobalLpPool ReduceMean ReduceSum ReduceSumSquare ReduceL1 ReduceL2'
  ).split(' '),
  kind: 'compute',
  plan: (node) =>
    isConstant(node.inputs[0])
      ? { reason: 'its data is a constant' }
      : { inputs: firstIsData(node), output: 'own' },
};

export const PLAIN_POLICIES: readonly OpPolicy[] = [normalizationPolicy, operandsPolicy, dataPolicy];
