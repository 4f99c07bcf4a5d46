/**
 * How each variant is made, one table a preset.
 *
 * - `transformersjs-3`: integers, scales and graph of the Python scripts that transformers.js had until January 2026
 *   (`quantize.py`, and `convert.py` where the model type is known), see docs/variants.md.
 * - `web`: what runs best in onnxruntime-web 1.30. Embeddings and convolutions are stored small too, products have zero
 *   points, Gemm counts, weights of 8-bit products have a scale a column, and float16 keeps what overflows.
 */
import { GraphError } from '../../errors.ts';
import type { Model } from '../../graph/model.ts';
import type { ConvertOptions } from '../../ptq/convert.ts';
import { onnxQConfig, staticQConfigMapping } from '../../ptq/default-qconfig.ts';
import { convertToFloat16 } from '../../ptq/float16/convert-to-float16.ts';
import type { Float16Report } from '../../ptq/float16/report.ts';
import { quantizeDynamic } from '../../ptq/quantize-dynamic.ts';
import type { QuantizationReport } from '../../ptq/report.ts';
import { storeWeights } from '../../ptq/store-weights.ts';
import type { QuantizeWeightsOptions } from '../../ptq/weight-only/options.ts';
import { quantizeWeights } from '../../ptq/weight-only/quantize-weights.ts';
import { QConfigMapping } from '../../qconfig/qconfig-mapping.ts';
import { float16OptionsFor } from '../targets.ts';
import type { VariantDType } from './dtypes.ts';
import type { LastSteps } from './last-steps.ts';
import { isByChannelOff } from './model-types.ts';

/** Recipes by name. */
export type VariantPreset = 'web' | 'transformersjs-3';

/** What one step of a recipe did. */
export type VariantReport = QuantizationReport | Float16Report;

/** What all steps gave. */
export type Made = { readonly model: Model; readonly reports: readonly VariantReport[] };

export interface RecipeFacts {
  /** `model_type` of config.json. */
  readonly modelType: string | undefined;
}

/** What a step gives; undefined if it finds nothing to do. */
export type StepResult = { readonly model: Model; readonly report: VariantReport } | undefined;

export type Step = (
  model: Model,
  facts: RecipeFacts,
  job: ConvertOptions,
) => Promise<NonNullable<StepResult>>;

/** Steps one after the other, or what says which, by the model. Steps that recipes share are taken over, see LastSteps. */
type Steps = readonly Step[] | ((model: Model) => readonly Step[]);

/** A mapping for some operators alone. */
function only(...opTypes: readonly string[]): QConfigMapping {
  const mapping = new QConfigMapping().setGlobal(null);
  for (const opType of opTypes) mapping.setObjectType(opType, onnxQConfig());
  return mapping;
}

const weights =
  (options: QuantizeWeightsOptions): Step =>
  (model, _facts, job) =>
    quantizeWeights(model, options, job);

/**
 * Tables in 8 bits with a scale a row. No GatherBlockQuantized: onnxruntime-web's builds with WebGPU, which transformers.js
 * takes, have none on the CPU, so that no page could load it with device `wasm` (`npm run test:transformersjs` does).
 */
const EMBEDDINGS = { embeddings: 8, embeddingForm: 'rows' } as const;
const tables = weights({ ...EMBEDDINGS, bits: 8, qconfigMapping: only('Gather') });

/** Convolutions are computed in float: WebGPU has no ConvInteger, and codes of activations cost accuracy. CPUs lose time. */
const convolutions: Step = (model, _facts, job) =>
  storeWeights(model, { qconfigMapping: only('Conv', 'ConvTranspose') }, job);

const products =
  (weightDType: 'int8' | 'uint8'): Step =>
  (model, _facts, job) => {
    const qconfigMapping = staticQConfigMapping({ weightDType }).setObjectType('Gather', null);
    return quantizeDynamic(model, { qconfigMapping }, job);
  };

/** A CPU loses nothing by what WebGPU needs. */
const WEB_HALF: Step = (model, _facts, job) =>
  convertToFloat16(model, float16OptionsFor(model, 'webgpu'), job);
const WEB_INT8 = [products('int8'), tables, convolutions];
const WEB_Q4 = [weights(EMBEDDINGS), convolutions];

const WEB: Readonly<Record<VariantDType, Steps>> = {
  fp16: [WEB_HALF],
  q8: WEB_INT8,
  int8: WEB_INT8,
  uint8: [products('uint8'), tables, convolutions],
  q4: WEB_Q4,
  q4f16: [...WEB_Q4, WEB_HALF],
  bnb4: [weights({ ...EMBEDDINGS, format: 'bnb4' }), convolutions],
};

/** Operators for which the scripts take uint8 in q8: old onnxruntime-web had no int8 ConvInteger. */
const UINT8_OPS = new Set(['Conv', 'GroupQueryAttention', 'MultiHeadAttention']);

function usualDType({ graph }: Model): 'int8' | 'uint8' {
  return [...graph.allNodes()].some(({ opType }) => UINT8_OPS.has(opType)) ? 'uint8' : 'int8';
}

const integers =
  (weightDType: 'int8' | 'uint8'): Step =>
  (model, { modelType }, job) => {
    const on = modelType !== undefined && !isByChannelOff(modelType);
    return quantizeDynamic(
      model,
      { rules: 'onnxruntime', perChannel: on, reduceRange: on, weightDType },
      job,
    );
  };

/** The scripts leave Gemm, convolutions and tables as they are. */
const PRODUCTS_ALONE = { embeddings: false, qconfigMapping: only('MatMul') } as const;

const fourBits = weights({ ...PRODUCTS_ALONE, symmetric: true, accuracyLevel: 0 });

const SCRIPT_HALF: Step = (model, _facts, job) =>
  convertToFloat16(model, { keep: { opTypes: 'transformersjs-3' }, clampRule: 'transformersjs-3' }, job);

const INTEGERS = { int8: [integers('int8')], uint8: [integers('uint8')] } as const;

const TRANSFORMERSJS_3: Readonly<Record<VariantDType, Steps>> = {
  fp16: [SCRIPT_HALF],
  q8: (model) => INTEGERS[usualDType(model)],
  ...INTEGERS,
  q4: [fourBits],
  q4f16: [fourBits, SCRIPT_HALF],
  bnb4: [weights({ ...PRODUCTS_ALONE, format: 'bnb4' })],
};

const PRESETS = {
  web: { names: 'short', recipes: WEB },
  'transformersjs-3': { names: 'onnxruntime', recipes: TRANSFORMERSJS_3 },
} as const satisfies Record<VariantPreset, object>;

/** Names of the presets. */
export const VARIANT_PRESETS = Object.keys(PRESETS);

export interface Recipe extends RecipeFacts {
  readonly preset: VariantPreset;
  readonly dtype: VariantDType;
}

/** How many operators a reason names. */
const SHOWN_OPS = 6;

function idleReason(dtype: VariantDType, { graph }: Model): string {
  const ops = [...new Set(Array.from(graph.allNodes(), ({ qualifiedOp }) => qualifiedOp))];
  const names = ops.slice(0, SHOWN_OPS).join(', ') + (ops.length > SHOWN_OPS ? ', ...' : '');
  return `nothing in it that ${dtype} changes (${names})`;
}

/**
 * Makes a variant. Steps that find nothing to do are left out; `reason` says so if all were.
 *
 * @param last what the variant made before had in common with this one is taken from there
 * @throws what the steps throw, such as GraphError for a weight with NaN
 */
export async function makeVariant(
  model: Model,
  { preset, dtype, modelType }: Recipe,
  job: Omit<ConvertOptions, 'names' | 'format'>,
  last: LastSteps<Step, StepResult>,
): Promise<Made | { readonly reason: string }> {
  const { names, recipes } = PRESETS[preset];
  const chosen: Steps = recipes[dtype];
  const steps = typeof chosen === 'function' ? chosen(model) : chosen;
  let made: Made = { model, reports: [] };
  for (const [index, step] of steps.entries()) {
    const { model: before } = made;
    // The first step makes integers of some nodes, the next ones of others.
    const options = { ...job, names, allowQuantized: true };
    const result = await last.run(index, before, step, () =>
      unlessIdle(step(before, { modelType }, options), job),
    );
    if (result !== undefined) made = { model: result.model, reports: [...made.reports, result.report] };
  }
  return made.reports.length === 0 ? { reason: idleReason(dtype, model) } : made;
}

async function unlessIdle(
  work: ReturnType<Step>,
  { signal }: Pick<ConvertOptions, 'signal'>,
): Promise<StepResult> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof GraphError && error.code === 'GRAPH_NOT_QUANTIZABLE')) throw error;
    signal?.throwIfAborted();
    return undefined;
  }
}
