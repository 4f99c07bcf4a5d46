/**
 * onnxruntime's fused operators of transformers:
 *
 *   Attention → DynamicQuantizeLinear → QAttention
 *   EmbedLayerNormalization → QEmbedLayerNormalization
 *
 * Weights of Attention are as the QConfig says, by column; the five constants of EmbedLayerNormalization are tables: uint8
 * with one scale (tables.ts).
 *
 * Cases:
 * 1. Attention with a constant float32 weight and a bias; mask and past are handed on.
 * 2. EmbedLayerNormalization with constant float32 tables, gamma and beta, with segments or not.
 * 3. Inputs, outputs or attributes that the integer operator does not have: left.
 */
import type { Attribute } from '../../graph/attribute.ts';
import type { Node } from '../../graph/node.ts';
import type { Value } from '../../graph/value.ts';
import { inputOf } from '../../passes/access.ts';
import { emptyReason } from '../constants.ts';
import { MICROSOFT } from '../quantize-copy.ts';
import type { DynamicForm } from './form.ts';
import { TABLE_SPEC } from './tables.ts';

/** Of QAttention and of QEmbedLayerNormalization (contrib operators of onnxruntime, version 1). */
const ATTENTION_ATTRIBUTES = [
  'num_heads',
  'unidirectional',
  'past_present_share_buffer',
  'mask_filter_value',
];
const EMBED_ATTRIBUTES = ['epsilon'];

export const ATTENTION: DynamicForm = {
  quantizesInput: true,
  obstacle(node) {
    const [, weight, bias, , , ...more] = node.inputs;
    if (bias === undefined) return 'it has no bias, which QAttention needs';
    if (more.some((input) => input !== undefined)) return 'it has inputs that QAttention does not know';
    return unknownAttribute(node, ATTENTION_ATTRIBUTES) ?? constantObstacle('weight', weight);
  },
  async rewrite(node, spec, writer) {
    const weight = await writer.weight(inputOf(node, 1), { spec, axis: 1 });
    const { codes, scale, zeroPoint } = writer.input(node);
    const [, , bias, mask, past] = node.inputs;
    const grids = [scale, writer.scale(weight), mask, zeroPoint, weight.zeroPoint, past];
    writer.replace(node, {
      opType: 'QAttention',
      domain: MICROSOFT,
      inputs: [codes, weight.codes, bias, ...grids],
      attributes: attributesOf(node),
    });
  },
};

/** Word, position and segment embedding (which may be absent), gamma, beta. */
const EMBED_CONSTANTS = [2, 3, 4, 5, 6];
const SEGMENT_TABLE = 4;
const [MASK, POSITION_IDS] = [7, 8];

export const EMBED_LAYER_NORMALIZATION: DynamicForm = {
  quantizesInput: false,
  obstacle(node) {
    const obstacle = embeddingObstacle(node);
    if (obstacle !== undefined) return obstacle;
    return EMBED_CONSTANTS.filter((index) => index !== SEGMENT_TABLE || node.inputs[index] !== undefined)
      .map((index) => constantObstacle(`input ${index}`, node.inputs[index]))
      .find((reason) => reason !== undefined);
  },
  async rewrite(node, _weight, writer) {
    const parts: Record<'codes' | 'scales' | 'zeroPoints', (Value | undefined)[]> = {
      codes: [],
      scales: [],
      zeroPoints: [],
    };
    for (const index of EMBED_CONSTANTS) {
      const value = node.inputs[index];
      const table = value && (await writer.weight(value, { spec: TABLE_SPEC, axis: undefined }));
      parts.codes.push(table?.codes);
      parts.scales.push(table && writer.scale(table));
      parts.zeroPoints.push(table?.zeroPoint);
    }
    const ids = node.inputs.slice(0, 2);
    const { codes, scales, zeroPoints } = parts;
    writer.replace(node, {
      opType: 'QEmbedLayerNormalization',
      domain: MICROSOFT,
      inputs: [...ids, ...codes, node.inputs[MASK], ...scales, ...zeroPoints],
      attributes: attributesOf(node),
    });
  },
};

/** What an EmbedLayerNormalization has that QEmbedLayerNormalization has not. */
export function embeddingObstacle(node: Node): string | undefined {
  if (node.outputs.length > 2) return 'it has a third output, which QEmbedLayerNormalization has not';
  if (node.inputs[POSITION_IDS] !== undefined) return 'its positions are an input';
  return unknownAttribute(node, EMBED_ATTRIBUTES);
}

function constantObstacle(name: string, value: Value | undefined): string | undefined {
  if (value?.constant === undefined) return `its ${name} is computed`;
  if (value.elementType !== 'float32') return `its ${name} is ${value.elementType}, not float32`;
  return emptyReason(value);
}

/** onnxruntime refuses nodes with an attribute that their operator does not have. */
function unknownAttribute({ attributes }: Node, known: readonly string[]): string | undefined {
  const unknown = [...attributes.keys()].find((name) => !known.includes(name));
  return unknown && `its attribute ${unknown} has no integer form`;
}

function attributesOf({ attributes }: Node): Record<string, Attribute> {
  return Object.fromEntries(attributes);
}
