/** The modes of `zeropoint quantize` that measure no ranges: data is for gptq, and to see what float16 cannot hold. */
import {
  convertToFloat16,
  findOverflows,
  quantizeDynamic,
  quantizeWeights,
  storeWeights,
  type Float16Report,
  type JobOptions,
  type Model,
  type Overflow,
  type QuantizationReport,
  type QuantizeWeightsOptions,
} from 'zeropoint/onnx';
import { openRunner } from '../runtime.ts';
import { excludedNames } from './qconfig.ts';
import type { QuantizeJob } from './quantize.ts';

/** What was done; where weights became integers and the rest float16, `float16` says the second. */
export type Report = (QuantizationReport & { readonly float16?: Float16Report }) | Float16Report;

export interface Written {
  readonly model: Model;
  readonly report: Report;
}

/** Quantizes as the job's mode says, which is not static. */
export async function withoutData(job: QuantizeJob, options: JobOptions = {}): Promise<Written> {
  const { choice, model, mapping: qconfigMapping } = job;
  if (choice.mode === 'float16') return toFloat16(job, model, options);
  if (choice.mode === 'dynamic') return quantizeDynamic(model, { qconfigMapping }, options);
  const quantized =
    choice.weights === 'channels'
      ? await storeWeights(model, { qconfigMapping }, options)
      : await quantizeWeights(model, { ...weightSettings(job), qconfigMapping }, options);
  if (job.options.float16 !== true) return quantized;
  const half = await toFloat16(job, quantized.model, options);
  return { model: half.model, report: { ...quantized.report, float16: half.report } };
}

function weightSettings({
  data,
  options: { weights: bits, blockSize, symmetric, algorithm },
}: QuantizeJob): QuantizeWeightsOptions {
  return {
    ...(algorithm !== undefined && { algorithm }),
    ...(algorithm === 'gptq' && data !== undefined && { batches: () => data.batches(), runner: openRunner }),
    ...(bits !== undefined && { bits }),
    ...(blockSize !== undefined && { blockSize }),
    ...(symmetric !== undefined && { symmetric }),
  };
}

async function toFloat16(
  job: QuantizeJob,
  model: Model,
  options: JobOptions,
): Promise<{ readonly model: Model; readonly report: Float16Report }> {
  const names = excludedNames(job.model, job.options);
  const overflows = await overflowsOf(job, options);
  return convertToFloat16(model, { keep: { names }, ...(overflows && { overflows }) }, options);
}

/** Data is not needed, but shows which activations float16 cannot hold. Names are those of the model before. */
async function overflowsOf(
  { model, data, options: { dryRun } }: QuantizeJob,
  options: JobOptions,
): Promise<readonly Overflow[] | undefined> {
  if (data === undefined || dryRun) return undefined;
  const runner = await openRunner(model);
  try {
    return await findOverflows(model, runner, data.batches(), options);
  } finally {
    await runner.dispose();
  }
}
