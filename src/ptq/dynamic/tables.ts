/**
 * Gather from a constant table: the rows are picked as integers and become floats behind the Gather,
 *
 *   Gather(table, i) → Gather(codes, i) → DequantizeLinear(scale, zeroPoint)
 *
 * Tables are always uint8 with one scale, whatever dtype weights have: nothing multiplies them as integers, and one scale
 * fits every axis and rank. onnxruntime's quantizer does the same.
 *
 * Cases:
 * 1. Gather along any axis of a constant float32 with two axes or more.
 * 2. The table is computed, a vector (shapes and scalars that graphs compute with), or not float32: left.
 */
import { inputOf } from '../../passes/access.ts';
import { emptyReason } from '../constants.ts';
import { onnxQConfig } from '../default-qconfig.ts';
import { observerSpec } from '../observer-spec.ts';
import type { DynamicForm } from './form.ts';

/** uint8, affine, one scale. */
export const TABLE_SPEC = observerSpec(onnxQConfig().activation);

export const GATHER: DynamicForm = {
  quantizesInput: false,
  obstacle({ inputs: [table] }) {
    if (table?.constant === undefined) return 'its table is computed';
    if (table.elementType !== 'float32') return `its table is ${table.elementType}, not float32`;
    if (table.constant.shape.length < 2) return 'its table is a vector';
    return emptyReason(table);
  },
  async rewrite(node, _weight, writer) {
    const table = await writer.weight(inputOf(node, 0), { spec: TABLE_SPEC, axis: undefined });
    const axis = node.int('axis', 0);
    const picked = writer.before(node, {
      opType: 'Gather',
      part: 'integers',
      inputs: [table.codes, inputOf(node, 1)],
      attributes: { axis },
    });
    writer.replace(node, {
      opType: 'DequantizeLinear',
      inputs: [picked, writer.scale(table), table.zeroPoint],
    });
  },
};
