/**
 * What decides whether a backend has a kernel for a node, beside operator and version: element types, and for some
 * operators a number of axes, a mode or a width. The probe names what it tried by these words, and `check` looks nodes up
 * by the same ones: `float32`, `float32/uint8/axis`, `float32/4bit/zp`.
 */
import type { ElementType } from '../../graph/element-type.ts';
import type { Node } from '../../graph/node.ts';
import type { Value } from '../../graph/value.ts';

/** Element type of a value; undefined where the file does not tell. */
export type TypeOf = (value: Value | undefined) => ElementType | undefined;

/** Stands for a word that the file does not tell. */
export const UNTOLD = '?';

/** Words between slashes. */
export function signatureOf(node: Node, typeOf: TypeOf): string {
  const rule = Object.hasOwn(RULES, node.qualifiedOp) ? RULES[node.qualifiedOp] : FIRST_INPUT;
  return rule.map((part) => part(node, typeOf) ?? UNTOLD).join('/');
}

type Part = (node: Node, typeOf: TypeOf) => string | undefined;

const input =
  (index: number): Part =>
  ({ inputs }, typeOf) =>
    typeOf(inputs[index]);
const output: Part = ({ outputs }, typeOf) => typeOf(outputs[0]);
const word =
  (attribute: string, fallback: string): Part =>
  (node) =>
    node.string(attribute, fallback);
const bits: Part = (node) => `${node.int('bits', 4)}bit`;
/** Whether input `index` is there. */
const zeroPoints =
  (index: number): Part =>
  ({ inputs }) =>
    inputs[index] === undefined ? 'symmetric' : 'zp';

/** `tensor`, `axis` or `block`: how many scales, the shape of input 1, there are. */
const grain: Part = (node) => {
  if (node.int('block_size', 0) > 0) return 'block';
  const { dims, constant } = node.inputs[1] ?? {};
  const shape = constant?.shape ?? dims;
  if (shape === undefined) return undefined;
  return shape.length === 0 || (shape.length === 1 && shape[0] === 1) ? 'tensor' : 'axis';
};

/** `2d`, from the shape of a weight, of a window or of input 0. */
const spatial =
  (weight?: number): Part =>
  (node) => {
    const dims = (weight === undefined ? undefined : node.inputs[weight]?.dims) ?? node.inputs[0]?.dims;
    const rank = node.ints('kernel_shape')?.length ?? (dims && dims.length - 2);
    return rank === undefined ? undefined : `${rank}d`;
  };

const FIRST_INPUT: readonly Part[] = [input(0)];
const SECOND_INPUT: readonly Part[] = [input(1)];
const GIVEN: readonly Part[] = [output];
const NOTHING: readonly Part[] = [];

function rows(ops: string, rule: readonly Part[]): Record<string, readonly Part[]> {
  return Object.fromEntries(ops.split(' ').map((op) => [op, rule]));
}

/** Operators that {@link FIRST_INPUT} does not say enough of. */
const RULES: Readonly<Record<string, readonly Part[]>> = {
  ...rows('If Loop Scan', NOTHING),
  ...rows('Where SequenceAt com.microsoft.QLinearWhere', SECOND_INPUT),
  ...rows('Cast Bernoulli EyeLike', [input(0), output]),
  ...rows('CastLike Pow Gather com.microsoft.MatMulIntegerToFloat', [input(0), input(1)]),
  ...rows('Constant ConstantOfShape RandomNormal RandomUniform OneHot', GIVEN),
  ...rows('RandomNormalLike RandomUniformLike Multinomial', GIVEN),
  ...rows('QuantizeLinear com.microsoft.QuantizeLinear', [input(0), output, grain]),
  ...rows('DequantizeLinear com.microsoft.DequantizeLinear', [input(0), input(1), grain]),
  ...rows('MatMulInteger ConvInteger com.microsoft.DynamicQuantizeMatMul', [input(0), input(1)]),
  ...rows('com.microsoft.DynamicQuantizeLSTM com.microsoft.QAttention', [input(0), input(1)]),
  ...rows('QLinearMatMul com.microsoft.QGemm', [input(0), input(3)]),
  ...rows('QLinearConv com.microsoft.QLinearConv', [input(0), input(3), spatial(3)]),
  ...rows('com.microsoft.EmbedLayerNormalization com.microsoft.QEmbedLayerNormalization', [input(2)]),
  ...rows('com.microsoft.QLinearConcat', [input(2)]),
  ...rows('com.microsoft.MatMulNBits', [input(0), bits, zeroPoints(3)]),
  ...rows('com.microsoft.GatherBlockQuantized', [input(0), input(2), bits, zeroPoints(3)]),
  ...rows('com.microsoft.MatMulBnb4', [
    input(0),
    (node) => (node.int('quant_type', 1) === 0 ? 'fp4' : 'nf4'),
  ]),
  ...rows('Conv ConvTranspose com.microsoft.FusedConv', [input(0), spatial(1)]),
  ...rows('MaxPool AveragePool LpPool', [input(0), spatial()]),
  ...rows('Resize Upsample', [input(0), word('mode', 'nearest')]),
  ...rows('Pad', [input(0), word('mode', 'constant')]),
};
