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
import { convertToFloat16, type Float16Options } from '../../ptq/float16/convert-to-float16.ts';
import type { Float16Report } from '../../ptq/float16/report.ts';
import { quantizeDynamic } from '../../ptq/quantize-dynamic.ts';
import type { QuantizationReport } from '../../ptq/report.ts';
import { storeWeights } from '../../ptq/store-weights.ts';
import type { QuantizeWeightsOptions } from '../../ptq/weight-only/options.ts';
import { quantizeWeights } from '../../ptq/weight-only/quantize-weights.ts';
import { QConfigMapping } from '../../qconfig/qconfig-mapping.ts';
import type { VariantDType } from './dtypes.ts';
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

type Step = (
  model: Model,
  facts: RecipeFacts,
  job: ConvertOptions,
) => Promise<{ readonly model: Model; readonly report: VariantReport }>;

/** A mapping for some operators alone. */
function only(...opTypes: readonly string[]): QConfigMapping {
  const mapping = new QConfigMapping().setGlobal(null);
  for (const opType of opTypes) mapping.setObjectType(opType, onnxQConfig());
  return mapping;
}

const half =
  (options: Float16Options): Step =>
  (model, _facts, job) =>
    convertToFloat16(model, options, job);

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

/** Convolutions are computed in float: onnxruntime has no faster form in 8 bits, and WebGPU none at all. */
const convolutions: Step = (model, _facts, job) =>
  storeWeights(model, { qconfigMapping: only('Conv', 'ConvTranspose') }, job);

const products =
  (weightDType: 'int8' | 'uint8'): Step =>
  (model, _facts, job) => {
    const qconfigMapping = staticQConfigMapping({ weightDType }).setObjectType('Gather', null);
    return quantizeDynamic(model, { qconfigMapping }, job);
  };

const WEB_HALF = half({ keepIntegerProducts: true });

const WEB: Readonly<Record<VariantDType, readonly Step[]>> = {
  fp16: [WEB_HALF],
  q8: [products('int8'), tables, convolutions],
  int8: [products('int8'), tables, convolutions],
  uint8: [products('uint8'), tables, convolutions],
  q4: [weights(EMBEDDINGS), convolutions],
  q4f16: [weights(EMBEDDINGS), convolutions, WEB_HALF],
  bnb4: [weights({ ...EMBEDDINGS, format: 'bnb4' }), convolutions],
};

/** Operators for which the scripts take uint8 in q8: old onnxruntime-web had no int8 ConvInteger. */
const UINT8_OPS = new Set(['Conv', 'GroupQueryAttention', 'MultiHeadAttention']);

function usualDType({ graph }: Model): 'int8' | 'uint8' {
  return [...graph.allNodes()].some(({ opType }) => UINT8_OPS.has(opType)) ? 'uint8' : 'int8';
}

const integers =
  (dtype: 'int8' | 'uint8' | undefined): Step =>
  (model, { modelType }, job) => {
    const on = modelType !== undefined && !isByChannelOff(modelType);
    const weightDType = dtype ?? usualDType(model);
    return quantizeDynamic(
      model,
      { rules: 'onnxruntime', perChannel: on, reduceRange: on, weightDType },
      job,
    );
  };

/** The scripts leave Gemm, convolutions and tables as they are. */
const PRODUCTS_ALONE = { embeddings: false, qconfigMapping: only('MatMul') } as const;

const fourBits = weights({ ...PRODUCTS_ALONE, symmetric: true, accuracyLevel: 0 });

const SCRIPT_HALF = half({ keep: { opTypes: 'transformersjs-3' }, clampRule: 'transformersjs-3' });

const TRANSFORMERSJS_3: Readonly<Record<VariantDType, readonly Step[]>> = {
  fp16: [SCRIPT_HALF],
  q8: [integers(undefined)],
  int8: [integers('int8')],
  uint8: [integers('uint8')],
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
 * @throws what the steps throw, such as GraphError for a weight with NaN
 */
export async function makeVariant(
  model: Model,
  { preset, dtype, modelType }: Recipe,
  job: Omit<ConvertOptions, 'names' | 'format'>,
): Promise<Made | { readonly reason: string }> {
  const { names, recipes } = PRESETS[preset];
  let made: Made = { model, reports: [] };
  for (const step of recipes[dtype]) {
    try {
      // The first step makes integers of some nodes, the next ones of others.
      const next = await step(made.model, { modelType }, { ...job, names, allowQuantized: true });
      made = { model: next.model, reports: [...made.reports, next.report] };
    } catch (error) {
      if (!(error instanceof GraphError && error.code === 'GRAPH_NOT_QUANTIZABLE')) throw error;
      job.signal?.throwIfAborted();
    }
  }
  return made.reports.length === 0 ? { reason: idleReason(dtype, model) } : made;
}
