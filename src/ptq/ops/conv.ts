/**
 * Conv: uint8 or int8 activations, weights by output channel (axis 0), int32 bias. onnxruntime: QLinearConv.
 * ConvTranspose: the same with output channels on axis 1; onnxruntime 1.30 computes it in float from the stored integers,
 * so it is quantized only between integers, for its size and for runtimes that have a kernel.
 */
import type { Node } from '../../graph/node.ts';
import {
  ACTIVATION,
  isConstant,
  KEEP,
  type InputRole,
  type OpPlan,
  type OpPolicy,
  type Refusal,
} from './policy.ts';

export const convPolicy: OpPolicy = {
  opTypes: ['Conv'],
  kind: 'compute',
  plan: (node) => convolution(node, 0),
};

export const convTransposePolicy: OpPolicy = {
  opTypes: ['ConvTranspose'],
  kind: 'carry',
  // With groups axis 1 counts the channels of one group: there are fewer scales than biases.
  plan: (node) => convolution(node, node.int('group', 1) === 1 ? 1 : undefined),
};

function convolution(node: Node, axis: number | undefined): OpPlan | Refusal {
  const [, weight, bias] = node.inputs;
  if (!isConstant(weight)) return { reason: 'its weight is not a constant' };
  // A bias that is computed stays float: onnxruntime fuses that too.
  const biasRole: InputRole = isConstant(bias) ? { kind: 'bias', factor: 1 } : KEEP;
  return {
    inputs: [ACTIVATION, { kind: 'weight', axis }, ...(bias === undefined ? [] : [biasRole])],
    output: 'own',
  };
}
