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
  type OpPlan,
  type OpPolicy,
} from './policy.ts';

/** A bias is left out at times; mean and variance of BatchNormalization stay float. */
const normalizationPolicy: OpPolicy = {
  opTypes:
    'LayerNormalization InstanceNormalization BatchNormalization GroupNormalization RMSNormalization'.split(
      ' ',
    ),
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

/** A policy of ops whose first input is data, and whose others are axes, pads and bounds. */
function dataPolicy(ops: string, outputs: Pick<OpPlan, 'output' | 'coded'>): OpPolicy {
  return {
    opTypes: ops.split(' '),
    kind: 'compute',
    plan: (node) =>
      isConstant(node.inputs[0])
        ? { reason: 'its data is a constant' }
        : { inputs: firstIsData(node), ...outputs },
  };
}

const functionPolicy = dataPolicy(
  'Neg Abs Exp Log Sqrt Reciprocal Sign Floor Ceil Round Sin Cos Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh Tanh Erf ' +
    'Gelu HardSigmoid HardSwish Elu Selu Celu Mish Softplus Softsign Shrink ThresholdedRelu LogSoftmax CumSum ' +
    'GlobalMaxPool LpPool GlobalLpPool LRN LpNormalization MeanVarianceNormalization ' +
    'ReduceMean ReduceSum ReduceSumSquare ReduceL1 ReduceL2 ReduceProd ReduceLogSum ReduceLogSumExp',
  { output: 'own' },
);

/** Elements that are moved, chosen, or left out for zeros: all of them lie on the grid of the input. */
const chosenPolicy = dataPolicy('SpaceToDepth GatherND Trilu ReverseSequence', { output: 'shared' });

/** Some of the input's elements, and where they lay. */
const topPolicy = dataPolicy('TopK', { output: 'shared', coded: 1 });

/** Positions have no grid. */
const positionPolicy = dataPolicy('ArgMax ArgMin', { output: 'own', coded: 0 });

/** Elements of the first input, and of the third in their places. */
const scatterPolicy: OpPolicy = {
  opTypes: ['ScatterElements', 'ScatterND'],
  kind: 'compute',
  plan(node) {
    if (isConstant(node.inputs[0]) && isConstant(node.inputs[2])) return { reason: 'its data are constants' };
    return { inputs: [ACTIVATION, KEEP, ACTIVATION], output: 'own' };
  },
};

/** onnxruntime's sum of embeddings: rows of constant tables, scale and bias, whose ids and masks are integers. */
const embeddingPolicy: OpPolicy = {
  opTypes: ['com.microsoft.EmbedLayerNormalization'],
  kind: 'compute',
  plan: (node) => ({
    inputs: node.inputs.map((input, index) =>
      isConstant(input) && index > 1 && index < 7 ? ACTIVATION : KEEP,
    ),
    output: 'own',
  }),
};

export const PLAIN_POLICIES: readonly OpPolicy[] = [
  normalizationPolicy,
  operandsPolicy,
  functionPolicy,
  chosenPolicy,
  topPolicy,
  positionPolicy,
  scatterPolicy,
  embeddingPolicy,
];
