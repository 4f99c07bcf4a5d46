/**
 * Conv:
 *
 *   x → DynamicQuantizeLinear → ConvInteger(·, W) → Cast → Mul(x_scale · w_scale [C, 1, 1]) [→ Add(bias [C, 1, 1])]
 *
 * Only on request: onnxruntime does not fuse the chain, and its float Conv is faster. On one thread of an x64 with VNNI eight
 * models took 1.1 to 2.5 times as long as in float (docs/dynamic.md).
 *
 * Codes of int8 are stored as uint8, 128 higher, with a zero point of 128: the same integers, but for int8 weights
 * onnxruntime 1.30 has a loop that takes four times as long on x64 and twelve times in WebAssembly.
 *
 * Cases:
 * 1. A constant float32 weight, and a constant bias or none. By channel if the observer is symmetric; else one scale, since
 *    ConvInteger has one zero point.
 * 2. Weight or bias are computed or not float32: left.
 */
import type { Attribute } from '../../graph/attribute.ts';
import { bytesOf } from '../../graph/tensor-source.ts';
import { inputOf } from '../../passes/access.ts';
import type { DType } from '../../tensor/dtype.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { emptyReason, loadFloat32 } from '../constants.ts';
import { isSymmetricSpec } from '../observer-spec.ts';
import type { Arrangement } from '../quantized-weights.ts';
import type { DynamicForm } from './form.ts';
import { replaceByProduct } from './integer-product.ts';

const INT8_TO_UINT8 = 128;

export const CONV: DynamicForm = {
  quantizesInput: true,
  onRequest: 'Conv is faster in float (option convolutions)',
  obstacle({ inputs: [, weight, bias] }) {
    if (weight?.constant === undefined) return 'its weight is computed';
    if (weight.elementType !== 'float32') return `its weight is ${weight.elementType}, not float32`;
    if (bias !== undefined && bias.constant === undefined) return 'its bias is computed';
    return emptyReason(weight);
  },
  async rewrite(node, spec, writer) {
    const axis = isSymmetricSpec(spec) ? 0 : undefined;
    const weight = await writer.weight(inputOf(node, 1), { spec, axis, arrange: UNSIGNED });
    const { scales, codes } = weight.stored;
    const perChannel = [codes.shape[0], ...codes.shape.slice(2).map(() => 1)];
    const scale = new Tensor('float32', scales.size === 1 ? [] : perChannel, scales.data);
    const [, , bias] = node.inputs;
    const stored =
      bias &&
      writer.constant(
        'bias',
        { name: bias.name, number: writer.number() },
        new Tensor('float32', perChannel, (await loadFloat32(bias)).data),
      );
    const attributes: Record<string, Attribute> = Object.fromEntries(node.attributes);
    replaceByProduct(node, writer, { opType: 'ConvInteger', attributes, weight, scale, bias: stored });
  },
};

/** One zero point, and uint8. */
const UNSIGNED: Arrangement = {
  shape: (shape) => shape,
  codes({ dtype, data }) {
    // Copied bytes: the low 8 bits of `code + shift`, whichever sign the dtype has.
    const codes = Uint8Array.from(bytesOf(data));
    const shift = shiftOf(dtype);
    for (let i = 0; i < codes.length; i++) codes[i] += shift;
    return codes;
  },
  grid: (grid) => ({
    ...grid,
    dtype: 'uint8',
    // Symmetric zero points are equal in all channels, and others come as one.
    zeroPoints: new Tensor('uint8', [], Uint8Array.of(Number(grid.zeroPoints.data[0]) + shiftOf(grid.dtype))),
  }),
};

function shiftOf(dtype: DType): number {
  return dtype === 'int8' ? INT8_TO_UINT8 : 0;
}
