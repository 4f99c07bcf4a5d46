/**
 * A product whose operands are quantized, as float:
 *
 *   codes(x) · codes(W) → Cast → Mul(x_scale · w_scale) [→ Add(bias)]
 */
import type { AttributeInput } from '../../graph/attribute.ts';
import type { Node } from '../../graph/node.ts';
import type { Value } from '../../graph/value.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { DynamicWriter, WeightValues } from './writer.ts';

/** TensorProto.DataType of float32, for Cast. */
const FLOAT = 1;

export interface IntegerProduct {
  readonly opType: 'MatMulInteger' | 'ConvInteger';
  readonly attributes?: Readonly<Record<string, AttributeInput>>;
  readonly weight: WeightValues;
  /** Of the weight, in a shape that broadcasts to the product. */
  readonly scale: Tensor;
  readonly bias: Value | undefined;
}

/** Puts the product in the place of `node`. */
export function replaceByProduct(node: Node, writer: DynamicWriter, product: IntegerProduct): void {
  const { opType, attributes = {}, weight, bias } = product;
  const { codes, scale, zeroPoint } = writer.input(node);
  const inputs = [codes, weight.codes, zeroPoint, weight.zeroPoint];
  const integers = writer.before(node, { opType, part: 'product', inputs, attributes });
  const cast = { opType: 'Cast', part: 'float', inputs: [integers], attributes: { to: FLOAT } } as const;
  const float = writer.before(node, cast);
  const scales = [scale, writer.scale(weight, product.scale)];
  const factors = [float, writer.before(node, { opType: 'Mul', part: 'rescale', inputs: scales })];
  if (bias === undefined) return writer.replace(node, { opType: 'Mul', inputs: factors });
  const scaled = writer.before(node, { opType: 'Mul', part: 'scaled', inputs: factors });
  writer.replace(node, { opType: 'Add', inputs: [scaled, bias] });
}
