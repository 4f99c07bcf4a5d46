/**
 * Activation functions with integer kernels: onnxruntime's QLinearLeakyRelu and QLinearSigmoid look their 256 results up,
 * QLinearSoftmax sums exponentials from such a table. Others (Tanh, HardSigmoid, Gelu, Elu, ...) run in float.
 */
import { holdsMask, MASK_ADVICE } from './attention-mask.ts';
import { firstIsData, type OpPolicy } from './policy.ts';

export const activationPolicy: OpPolicy = {
  opTypes: ['LeakyRelu', 'Sigmoid'],
  kind: 'carry',
  plan: (node) => ({ inputs: firstIsData(node), output: 'own' }),
};

/**
 * Its output ends in [0, 1] whatever the data: as onnxruntime's quantizer, scale 1/255. With a scale as fine as calibration
 * finds for even weights, QLinearSoftmax of 1.30 gives zeros.
 */
export const softmaxPolicy: OpPolicy = {
  opTypes: ['Softmax'],
  kind: 'carry',
  plan: (node) => ({
    inputs: firstIsData(node),
    output: 'own',
    range: [0, 1],
    advice: holdsMask(node.inputs[0]) ? MASK_ADVICE : undefined,
  }),
};
