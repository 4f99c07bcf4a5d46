/** The modes of `zeropoint quantize` that measure no ranges: data is for gptq, and to see what float16 cannot hold. */
import type { OnnxBackend } from 'zeropoint';
import {
  convertToFloat16,
  findOverflows,
  findTarget,
  float16OptionsFor,
  quantizeDynamic,
  quantizeWeights,
  storeWeights,
  type CopyOptions,
  type Float16Report,
  type Model,
  type Overflow,
  type QuantizationReport,
  type QuantizeWeightsOptions,
} from 'zeropoint/onnx';
import { algorithmOf, choosesByData } from '../mode.ts';
import { openRunner } from '../runtime.ts';
import { matchingNames, patternSource } from '../config/node-names.ts';
import { UsageError } from '../errors.ts';
import { floatNodes } from './qconfig.ts';
import type { QuantizeJob } from './quantize.ts';

/** What was done; where weights became integers and the rest float16, `float16` says the second. */
export type Report = (QuantizationReport & { readonly float16?: Float16Report }) | Float16Report;

export interface Written {
  readonly model: Model;
  readonly report: Report;
}

/**
 * Quantizes as the job's mode says, which is not static.
 * @throws UsageError for settings that the mode or the model does not have
 */
export async function withoutData(job: QuantizeJob, options: CopyOptions = {}): Promise<Written> {
  try {
    return await narrowed(job, options);
  } catch (error) {
    // That is what the library has for options that contradict each other or name nothing.
    if (error instanceof RangeError && error.message.includes(': expected '))
      throw new UsageError(error.message);
    throw error;
  }
}

async function narrowed(job: QuantizeJob, options: CopyOptions): Promise<Written> {
  const { choice, model, mapping: qconfigMapping } = job;
  if (choice.mode === 'float16') return toFloat16(job, model, options);
  if (choice.mode === 'dynamic') {
    const { convolutions = false } = job.options;
    return quantizeDynamic(model, { qconfigMapping, convolutions }, options);
  }
  const quantized =
    choice.weights === 'channels'
      ? await storeWeights(model, { qconfigMapping }, options)
      : await quantizeWeights(model, { ...weightSettings(job), qconfigMapping }, options);
  if (choice.half === undefined) return quantized;
  const half = await toFloat16(job, quantized.model, options);
  return { model: half.model, report: { ...quantized.report, float16: half.report } };
}

/** Words about blocks over what the file says. */
function weightSettings({ options, model, data, choice }: QuantizeJob): QuantizeWeightsOptions {
  const algorithm = algorithmOf(choice, options);
  const { weights: bits, blockSize, symmetric, accuracyLevel, embeddings, settings, config } = options;
  const { overrides = [], format, ...fromFile } = settings?.weights ?? {};
  const words = Object.entries({ bits, blockSize, symmetric, accuracyLevel, embeddings, algorithm });
  // Its builds with WebGPU have no GatherBlockQuantized on the CPU.
  const embeddingForm =
    targetOf(options) === 'onnxruntime-web' && (embeddings ?? fromFile.embeddings) !== 4 ? 'rows' : 'blocks';
  return {
    embeddingForm,
    ...fromFile,
    ...Object.fromEntries(words.filter(([, value]) => value !== undefined)),
    ...(choosesByData(choice, options) &&
      data !== undefined && { batches: () => data.batches(), runner: openRunner }),
    ...(format !== undefined && format !== 'by-channel' && { format }),
    overrides: overrides.map(({ nodes, ...others }, i) => {
      matchingNames(model, nodes, `${config}: weights.overrides.${i}.nodes`);
      return { ...others, nodes: new RegExp(`^${patternSource(nodes)}$`) };
    }),
  };
}

function targetOf({ target = 'onnxruntime-cpu' }: QuantizeJob['options']): OnnxBackend {
  return findTarget(target) ?? 'onnxruntime-cpu';
}

async function toFloat16(
  job: QuantizeJob,
  model: Model,
  options: CopyOptions,
): Promise<{ readonly model: Model; readonly report: Float16Report }> {
  const { choice, mapping, options: words } = job;
  const section = job.options.settings?.float16;
  const { keepIO, keepOpTypes: opTypes, clampRule } = typeof section === 'object' ? section : {};
  const names = mapping === undefined ? [] : floatNodes(job.model, mapping);
  const overflows = await overflowsOf(job, options);
  const forTarget = float16OptionsFor(model, targetOf(words));
  const keep = { ...forTarget.keep, names, ...(opTypes && { opTypes }) };
  const isAsked = (words.accuracyLevel ?? words.settings?.weights?.accuracyLevel) !== undefined;
  const keepIntegerProducts = forTarget.keepIntegerProducts || isAsked;
  const half = { dtype: choice.half, keep, keepIO, clampRule, overflows, keepIntegerProducts };
  return convertToFloat16(model, half, options);
}

/** Data is not needed, but shows which activations float16 cannot hold. Names are those of the model before. */
async function overflowsOf(
  { model, data, options: { dryRun } }: QuantizeJob,
  { signal, onProgress }: CopyOptions,
): Promise<readonly Overflow[] | undefined> {
  if (data === undefined || dryRun) return undefined;
  const runner = await openRunner(model);
  try {
    const following = { ...(signal && { signal }), ...(onProgress && { onProgress }) };
    return await findOverflows(model, runner, data.batches(), following);
  } finally {
    await runner.dispose();
  }
}
