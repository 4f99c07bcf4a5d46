/**
 * The forms of onnxruntime's Python quantizer (1.30, dynamic, IntegerOps), for files equal to those that it made. Against our
 * own (index.ts):
 *
 *   Conv       always, one scale a weight, codes in the dtype asked for, bias → Reshape → Add at run time
 *   Gather     also from vectors; a product that reads the rows reads their codes
 *   Transpose  of a value that there are codes of: Transpose of the codes → DequantizeLinear
 *   Gemm       only without alpha, beta and transA
 *
 * Cases:
 * 1. As in the files of our own forms, for MatMul, LSTM, Attention and EmbedLayerNormalization.
 * 2. Transpose of a value that an earlier node has quantized; any other is left.
 */
import type { Attribute } from '../../graph/attribute.ts';
import type { Node } from '../../graph/node.ts';
import type { Value } from '../../graph/value.ts';
import { inputOf, outputOf } from '../../passes/access.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { emptyReason } from '../constants.ts';
import { ATTENTION, EMBED_LAYER_NORMALIZATION } from './attention.ts';
import { CONV } from './conv.ts';
import type { DynamicForm } from './form.ts';
import { replaceByProduct } from './integer-product.ts';
import { LSTM } from './lstm.ts';
import { GEMM, MATMUL } from './products.ts';
import { TABLE_SPEC } from './tables.ts';
import type { DynamicWriter } from './writer.ts';

const PLAIN_GEMM: DynamicForm = {
  ...GEMM,
  obstacle(node, coded) {
    const isScaled = node.float('alpha', 1) !== 1 || node.float('beta', 1) !== 1;
    return isScaled ? 'it scales its product or its bias' : GEMM.obstacle(node, coded);
  },
};

const CONV_BY_TENSOR: DynamicForm = {
  quantizesInput: true,
  obstacle: (node) => CONV.obstacle(node, new Set()),
  async rewrite(node, spec, writer) {
    const weight = await writer.weight(inputOf(node, 1), { spec, axis: undefined });
    const [, , bias] = node.inputs;
    const product = { opType: 'ConvInteger', attributes: attributesOf(node), weight } as const;
    const { scales: scale, codes } = weight.stored;
    replaceByProduct(node, writer, {
      ...product,
      scale,
      bias: bias && reshaped(node, bias, codes.shape, writer),
    });
  },
};

/** `[C]` → `[1, C, 1, ...]` */
function reshaped(node: Node, bias: Value, { length }: readonly number[], writer: DynamicWriter): Value {
  const shape = BigInt64Array.from({ length }, (_, axis) => (axis === 1 ? -1n : 1n));
  const of = { name: outputOf(node).name, number: writer.number() };
  const inputs = [bias, writer.constant('bias_shape', of, new Tensor('int64', [length], shape))];
  return writer.before(node, { opType: 'Reshape', part: 'reshaped_bias', inputs });
}

const ANY_GATHER: DynamicForm = {
  quantizesInput: false,
  codes: outputOf,
  obstacle({ inputs: [table] }) {
    if (table?.constant === undefined) return 'its table is computed';
    return table.elementType === 'float32'
      ? emptyReason(table)
      : `its table is ${table.elementType}, not float32`;
  },
  async rewrite(node, _weight, writer) {
    const table = await writer.weight(inputOf(node, 0), { spec: TABLE_SPEC, axis: undefined });
    const { codes, zeroPoint } = table;
    onCodes(node, { codes, scale: writer.scale(table), zeroPoint }, writer);
  },
};

const TRANSPOSE: DynamicForm = {
  quantizesInput: false,
  codes: outputOf,
  obstacle: (node, coded) =>
    coded.has(inputOf(node, 0)) ? undefined : 'nobody before it reads its input as integers',
  rewrite(node, _weight, writer) {
    onCodes(node, writer.coded(inputOf(node, 0)), writer);
    return Promise.resolve();
  },
};

/** An operator that moves elements, on codes; a DequantizeLinear behind it is for whoever wants floats. */
function onCodes(node: Node, grid: ReturnType<DynamicWriter['coded']>, writer: DynamicWriter): void {
  const inputs = [grid.codes, ...node.inputs.slice(1).filter((input) => input !== undefined)];
  const output = outputOf(node);
  const { opType } = node;
  const codes = writer.before(node, { opType, part: 'integers', inputs, attributes: attributesOf(node) });
  writer.offer(output, { ...grid, codes });
  writer.replace(node, { opType: 'DequantizeLinear', inputs: [codes, grid.scale, grid.zeroPoint] });
}

function attributesOf({ attributes }: Node): Record<string, Attribute> {
  return Object.fromEntries(attributes);
}

export const ONNXRUNTIME_FORMS: Readonly<Record<string, DynamicForm>> = {
  MatMul: MATMUL,
  Gemm: PLAIN_GEMM,
  Gather: ANY_GATHER,
  Transpose: TRANSPOSE,
  LSTM,
  Conv: CONV_BY_TENSOR,
  'com.microsoft.Attention': ATTENTION,
  'com.microsoft.EmbedLayerNormalization': EMBED_LAYER_NORMALIZATION,
};
