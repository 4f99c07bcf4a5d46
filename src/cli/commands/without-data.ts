/** The modes of `zeropoint quantize` that need no data. */
import { quantizeDynamic, quantizeWeights, type Converted, type JobOptions } from 'zeropoint/onnx';
import type { QuantizeJob } from './quantize.ts';

/** Quantizes as the job's mode says, which is not static. */
export function withoutData(job: QuantizeJob, options: JobOptions = {}): Promise<Converted> {
  const { choice, model, mapping: qconfigMapping, options: words } = job;
  if (choice.mode === 'dynamic') return quantizeDynamic(model, { qconfigMapping }, options);
  const { weights: bits, blockSize, symmetric } = words;
  const settings = {
    ...(bits !== undefined && { bits }),
    ...(blockSize !== undefined && { blockSize }),
    ...(symmetric !== undefined && { symmetric }),
  };
  return quantizeWeights(model, { ...settings, qconfigMapping }, options);
}
