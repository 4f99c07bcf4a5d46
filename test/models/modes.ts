/** The ways of quantizing that a model is tried in, each with what it must keep. */
import {
  convertToFloat16,
  quantizeDynamic,
  quantizeStatic,
  quantizeWeights,
  staticQConfigMapping,
  storeWeights,
  type Model,
} from 'zeropoint/onnx';
import type { Feeds } from './task.ts';

/** A model that was quantized, and how much of it. */
export interface Tried {
  readonly model: Model;
  /** Nodes that compute in the narrow form. */
  readonly nodes: number;
  readonly equalized: boolean;
}

export interface Mode {
  readonly name: string;
  /** Least share of answers that agree with float: below it the mode is broken, not merely lossy. */
  readonly floor: number;
  run(model: Model, batches: () => Promise<readonly Feeds[]>): Promise<Tried>;
}

const WIDE = staticQConfigMapping({ activationDType: 'uint16' });

export const MODES: readonly Mode[] = [
  {
    name: 'static',
    floor: 0.8,
    run: async (model, batches) => counted(await quantizeStatic(model, { batches: await batches() })),
  },
  {
    name: 'static, QOperator form',
    floor: 0.8,
    run: async (model, batches) =>
      counted(await quantizeStatic(model, { batches: await batches() }, { format: 'qoperator' })),
  },
  {
    name: 'static, 16-bit activations',
    floor: 0.8,
    run: async (model, batches) =>
      counted(await quantizeStatic(model, { batches: await batches(), qconfigMapping: WIDE })),
  },
  {
    name: 'dynamic',
    floor: 0.95,
    run: async (model) => counted(await quantizeDynamic(model)),
  },
  {
    name: 'dynamic, convolutions too',
    floor: 0.8,
    run: async (model) => counted(await quantizeDynamic(model, { convolutions: true })),
  },
  {
    name: 'weights, 8 bit',
    floor: 0.98,
    run: async (model) => counted(await quantizeWeights(model, { bits: 8 })),
  },
  {
    name: 'weights, 4 bit',
    floor: 0.9,
    run: async (model) => counted(await quantizeWeights(model, { bits: 4 })),
  },
  {
    name: 'stored weights, int8',
    floor: 0.8,
    run: async (model) => counted(await storeWeights(model)),
  },
  {
    name: 'float16',
    floor: 0.98,
    run: async (model) => {
      const { model: half, report } = await convertToFloat16(model);
      return { model: half, nodes: report.converted, equalized: false };
    },
  },
];

function counted({ model, report }: Awaited<ReturnType<typeof quantizeDynamic>>): Tried {
  return { model, nodes: report.quantized.length, equalized: report.equalized === true };
}
