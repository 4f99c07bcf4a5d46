/** Ops that move elements and change none: the output has the grid of the input. Concat joins several grids into one. */
import { activations, firstIsData, type OpPolicy } from './policy.ts';

export const movementPolicy: OpPolicy = {
  opTypes: ['Reshape', 'Flatten', 'Transpose', 'Squeeze', 'Unsqueeze'],
  kind: 'carry',
  plan: (node) => ({ inputs: firstIsData(node), output: 'shared' }),
};

/** onnxruntime: QLinearConcat, which requantizes each input to the grid of the output. */
export const concatPolicy: OpPolicy = {
  opTypes: ['Concat'],
  kind: 'carry',
  plan: (node) => ({ inputs: activations(node), output: 'own' }),
};
