/**
 * LSTM → com.microsoft.DynamicQuantizeLSTM, which quantizes what it reads by itself.
 *
 *   W [directions, 4·hidden, inputs]  → codes [directions, inputs, 4·hidden]
 *   R [directions, 4·hidden, hidden]  → codes [directions, hidden, 4·hidden]
 *   scales and zero points: [directions], or [directions, 4·hidden] by channel
 *
 * Weights are int8 and symmetric whatever dtype others have: the operator wants zero points of 0 for scales by channel.
 * onnxruntime's quantizer does the same.
 *
 * Cases:
 * 1. LSTM with constant float32 W and R, of one or two directions.
 * 2. W or R is computed, or the batch comes first (layout 1), which the operator does not know: left.
 */
import type { Attribute } from '../../graph/attribute.ts';
import type { Node } from '../../graph/node.ts';
import type { Value } from '../../graph/value.ts';
import { inputOf, present } from '../../passes/access.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { emptyReason } from '../constants.ts';
import { onnxQConfig } from '../default-qconfig.ts';
import { observerSpec, isPerChannelSpec } from '../observer-spec.ts';
import type { ObserverSpec } from '../plan.ts';
import { MICROSOFT } from '../quantize-copy.ts';
import type { Arrangement } from '../quantized-weights.ts';
import type { DynamicForm } from './form.ts';
import { SWAPPED } from './swap-last-axes.ts';
import type { DynamicWriter, WeightValues } from './writer.ts';

/** X, W, R, B, sequence_lens, initial_h, initial_c, P; the scales and zero points come behind them. */
const INPUTS = 8;

export const LSTM: DynamicForm = {
  quantizesInput: false,
  obstacle(node) {
    if (node.int('layout', 0) !== 0) return 'its batch axis comes first (layout 1)';
    return weightObstacle('W', node.inputs[1]) ?? weightObstacle('R', node.inputs[2]);
  },
  async rewrite(node, spec, writer) {
    const w = await storeWeight(inputOf(node, 1), spec, writer);
    const r = await storeWeight(inputOf(node, 2), spec, writer);
    const rest = Array.from({ length: INPUTS - 3 }, (_, i) => node.inputs[i + 3]);
    const grids = [w, r].flatMap((weight) => [writer.scale(weight), weight.zeroPoint]);
    writer.replace(node, {
      opType: 'DynamicQuantizeLSTM',
      domain: MICROSOFT,
      inputs: [inputOf(node, 0), w.codes, r.codes, ...rest, ...grids],
      attributes: attributesOf(node),
    });
  },
};

function weightObstacle(name: string, value: Value | undefined): string | undefined {
  if (value?.constant === undefined) return `its ${name} is computed`;
  if (value.elementType !== 'float32') return `its ${name} is ${value.elementType}, not float32`;
  if (value.dims?.length !== 3) return `its ${name} has ${value.dims?.length} axes, not 3`;
  return emptyReason(value);
}

/** Channels are laid along one axis to be quantized: directions, or rows of all directions. */
function storeWeight(value: Value, spec: ObserverSpec, writer: DynamicWriter): Promise<WeightValues> {
  const [directions, rows, cols] = present(value.constant, `${value.name}: expected a constant`).shape;
  const byRow = isPerChannelSpec(spec);
  const reduceRange = spec.args.reduceRange === true;
  return writer.weight(value, {
    spec: observerSpec(onnxQConfig({ reduceRange }).weight),
    axis: 0,
    shape: byRow ? [directions * rows, cols] : [directions, rows * cols],
    arrange: byRow ? ROWS : SWAPPED,
  });
}

const ROWS: Arrangement = {
  ...SWAPPED,
  grid(grid, shape) {
    const rows = shape.slice(0, 2);
    const { scales, zeroPoints } = grid;
    return {
      ...grid,
      scales: new Tensor('float32', rows, scales.data),
      zeroPoints: new Tensor(zeroPoints.dtype, rows, zeroPoints.data),
    };
  },
};

/** The LSTM's, without layout, which is 0. */
function attributesOf({ attributes }: Node): Record<string, Attribute> {
  return Object.fromEntries([...attributes].filter(([name]) => name !== 'layout'));
}
