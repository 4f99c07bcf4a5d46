/**
 * Add and Mul: both operands as activations, a constant one with its own range. onnxruntime: QLinearAdd, QLinearMul (there
 * is none for Sub, Div, Min, Max and Pow). Where picks between two activations: QLinearWhere.
 */
import type { Node } from '../../graph/node.ts';
import type { Value } from '../../graph/value.ts';
import { feedsSoftmax, holdsMask, MASK_ADVICE } from './attention-mask.ts';
import { ACTIVATION, activations, isConstant, KEEP, type OpPolicy } from './policy.ts';

const GELU_ADVICE = 'onnxruntime fuses it with Erf or Tanh into Gelu, which is computed in float';

export const elementwisePolicy: OpPolicy = {
  opTypes: ['Add', 'Mul'],
  kind: 'carry',
  plan(node) {
    if (node.inputs.every(isConstant)) return { reason: 'both operands are constants' };
    const advice = maskAdvice(node) ?? (isPartOfGelu(node) ? GELU_ADVICE : undefined);
    return { inputs: activations(node), output: 'own', advice };
  },
};

export const wherePolicy: OpPolicy = {
  opTypes: ['Where'],
  kind: 'carry',
  plan: (node) => ({ inputs: [KEEP, ACTIVATION, ACTIVATION], output: 'own', advice: maskAdvice(node) }),
};

function maskAdvice(node: Node): string | undefined {
  const isMasked = feedsSoftmax(node.outputs[0]) && node.inputs.some(holdsMask);
  return isMasked ? MASK_ADVICE : undefined;
}

/** x · (erf(x/√2) + 1) and its relatives: an operand comes from Erf or Tanh by nothing but sums and products with constants. */
function isPartOfGelu(node: Node): boolean {
  return node.inputs.some((input) => comesFromErf(input));
}

/** Sums and products with constants between Erf or Tanh and the last product: exports have up to three. */
const MOST_STEPS = 8;

function comesFromErf(value: Value | undefined): boolean {
  for (let step = 0; step <= MOST_STEPS; step++) {
    const producer: Node | undefined = value?.producer;
    if (producer === undefined) return false;
    if (producer.is('Erf') || producer.is('Tanh')) return true;
    if (!producer.is('Add') && !producer.is('Mul')) return false;
    const [a, b] = producer.inputs;
    value = isConstant(a) ? b : isConstant(b) ? a : undefined;
  }
  return false;
}
