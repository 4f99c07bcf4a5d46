/**
 * Gemm: alpha·A'·B' + beta·C with B as the weight. onnxruntime: QGemm, which exists with integer and with float
 * output, and wants the bias at scale alpha·scale(A)·scale(B); beta is folded into the stored bias.
 */
import type { Dim } from '../../graph/value-type.ts';
import type { Value } from '../../graph/value.ts';
import { ACTIVATION, isConstant, KEEP, type InputRole, type OpPolicy } from './policy.ts';

export const gemmPolicy: OpPolicy = {
  opTypes: ['Gemm'],
  kind: 'compute',
  plan(node) {
    const [, weight, bias] = node.inputs;
    const channelAxis = node.int('transB', 0) === 1 ? 0 : 1;
    const weightRole: InputRole = isConstant(weight) ? { kind: 'weight', axis: channelAxis } : ACTIVATION;
    const alpha = node.float('alpha', 1);
    if (alpha === 0) return { reason: 'its alpha is 0: nothing of the product is left' };
    const beta = node.float('beta', 1);
    // A row vector is added to every row; any other C, or one that beta scales, is added in float.
    const isRow = isRowOf(bias, weight?.dims?.[channelAxis]);
    const biasRole: InputRole =
      isRow && beta === 1 && weightRole.kind === 'weight' ? { kind: 'bias', factor: alpha } : KEEP;
    return { inputs: [ACTIVATION, weightRole, ...(bias === undefined ? [] : [biasRole])], output: 'wide' };
  },
};

/** [N] or [1, N]; one element for all columns has no scale for each of them. */
function isRowOf(bias: Value | undefined, columns: Dim | undefined): boolean {
  const dims = isConstant(bias) ? bias.dims : undefined;
  return dims?.at(-1) === columns && (dims?.length === 1 || (dims?.length === 2 && dims[0] === 1));
}
