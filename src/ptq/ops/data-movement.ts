/**
 * Ops that move elements and change none: the outputs have the grid of the input, and onnxruntime runs them on the codes
 * (all but Pad, whose pairs it leaves standing). Concat joins several grids into one.
 */
import type { Node } from '../../graph/node.ts';
import { ACTIVATION, activations, firstIsData, isConstant, KEEP, type OpPolicy } from './policy.ts';

export const movementPolicy: OpPolicy = {
  opTypes: [
    'Reshape',
    'Flatten',
    'Transpose',
    'Squeeze',
    'Unsqueeze',
    'Slice',
    'Split',
    'Expand',
    'Tile',
    'DepthToSpace',
    'GatherElements',
  ],
  kind: 'carry',
  plan: (node) => ({ inputs: firstIsData(node), output: 'shared' }),
};

/** Gather: rows of a constant table (an embedding) are stored as codes, a quarter of the size, wherever it stands. */
export const gatherPolicy: OpPolicy = {
  opTypes: ['Gather'],
  kind: 'carry',
  plan: (node) => ({
    inputs: [ACTIVATION, KEEP],
    output: 'shared',
    always: isConstant(node.inputs[0]) && !isConstant(node.inputs[1]),
  }),
};

/** Pad: zeros, and copies of what is there, lie on the grid of the input; another value gets the output its own. */
export const padPolicy: OpPolicy = {
  opTypes: ['Pad'],
  kind: 'carry',
  plan: (node) => ({ inputs: firstIsData(node), output: padsWithCodes(node) ? 'shared' : 'own' }),
};

function padsWithCodes(node: Node): boolean {
  if (node.string('mode', 'constant') !== 'constant') return true;
  // Since opset 11 an input, before that an attribute.
  const value = node.inputs[2];
  if (value === undefined) return node.float('value', 0) === 0;
  return value.constant?.tensor?.data[0] === 0;
}

/** Resize: neighbours and their averages stay within the range; cubic interpolation overshoots. */
export const resizePolicy: OpPolicy = {
  opTypes: ['Resize'],
  kind: 'carry',
  plan: (node) => ({
    inputs: firstIsData(node),
    output: node.string('mode', 'nearest') === 'cubic' ? 'own' : 'shared',
  }),
};

/** onnxruntime: QLinearConcat, which requantizes each input to the grid of the output. */
export const concatPolicy: OpPolicy = {
  opTypes: ['Concat'],
  kind: 'carry',
  plan: (node) => ({ inputs: activations(node), output: 'own' }),
};
