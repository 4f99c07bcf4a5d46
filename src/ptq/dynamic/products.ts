/**
 * MatMul and Gemm:
 *
 *   x → DynamicQuantizeLinear → MatMulInteger(·, W) → Cast → Mul(x_scale · w_scale) [→ Add(bias)]
 *
 * onnxruntime fuses the whole chain into one DynamicQuantizeMatMul. Gemm's alpha goes into the weight's scale, its transB into
 * the stored weight, its beta into the stored bias.
 *
 * Cases:
 * 1. MatMul with a constant float32 matrix as B.
 * 2. Gemm with a constant float32 B and transA = 0.
 * 3. B is computed (attention), is no matrix, or is not float32: left in float, with the reason.
 */
import type { Node } from '../../graph/node.ts';
import type { Value } from '../../graph/value.ts';
import { inputOf } from '../../passes/access.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { emptyReason, loadFloat32 } from '../constants.ts';
import type { DynamicForm } from './form.ts';
import { replaceByProduct } from './integer-product.ts';
import { SWAPPED } from './swap-last-axes.ts';
import type { DynamicWriter } from './writer.ts';

export const MATMUL: DynamicForm = {
  quantizesInput: true,
  obstacle: ({ inputs: [, weight] }) => weightObstacle(weight),
  async rewrite(node, spec, writer) {
    const weight = await writer.weight(inputOf(node, 1), { spec, axis: 1 });
    const { scales } = weight.stored;
    replaceByProduct(node, writer, { opType: 'MatMulInteger', weight, scale: scales, bias: undefined });
  },
};

export const GEMM: DynamicForm = {
  quantizesInput: true,
  obstacle(node) {
    const [, weight, bias] = node.inputs;
    const reason = weightObstacle(weight);
    if (reason !== undefined) return reason;
    if (node.int('transA', 0) !== 0) return 'it transposes its first operand';
    const isScaled = node.float('beta', 1) !== 1;
    return isScaled && bias !== undefined && bias.constant === undefined
      ? 'it scales a computed bias'
      : undefined;
  },
  async rewrite(node, spec, writer) {
    const request = node.int('transB', 0) === 1 ? { spec, axis: 0, arrange: SWAPPED } : { spec, axis: 1 };
    const weight = await writer.weight(inputOf(node, 1), request);
    const { scaleData, scales } = weight.stored;
    const alpha = node.float('alpha', 1);
    const scale = new Tensor(
      'float32',
      scales.shape,
      Float32Array.from(scaleData, (s) => s * alpha),
    );
    const bias = await scaledBias(node, writer);
    replaceByProduct(node, writer, { opType: 'MatMulInteger', weight, scale, bias });
  },
};

function weightObstacle(weight: Value | undefined): string | undefined {
  if (weight?.constant === undefined) return 'its second operand is computed';
  if (weight.elementType !== 'float32') return `its weight is ${weight.elementType}, not float32`;
  if (weight.dims?.length !== 2) return `its weight has ${weight.dims?.length} axes, not 2`;
  return emptyReason(weight);
}

/** The bias, times Gemm's beta. */
async function scaledBias(node: Node, writer: DynamicWriter): Promise<Value | undefined> {
  const [, , bias] = node.inputs;
  const beta = node.float('beta', 1);
  if (beta === 1 || bias === undefined) return bias;
  const { shape, data } = await loadFloat32(bias);
  const scaled = data.map((value) => value * beta);
  return writer.constant(
    'bias',
    { name: bias.name, number: writer.number() },
    new Tensor('float32', shape, scaled),
  );
}
