/** Conv: uint8 or int8 activations, weights by output channel (axis 0), int32 bias. onnxruntime: QLinearConv. */
import { ACTIVATION, isConstant, KEEP, type OpPolicy } from './policy.ts';

export const convPolicy: OpPolicy = {
  opTypes: ['Conv'],
  kind: 'compute',
  plan(node) {
    const [, weight, bias] = node.inputs;
    if (!isConstant(weight)) return { reason: 'its weight is not a constant' };
    return {
      inputs: [
        ACTIVATION,
        { kind: 'weight', axis: 0 },
        // A bias that is computed stays float: onnxruntime fuses that too.
        ...(bias === undefined ? [] : [isConstant(bias) ? ({ kind: 'bias', factor: 1 } as const) : KEEP]),
      ],
      output: 'own',
    };
  },
};
