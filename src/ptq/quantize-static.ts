/** clean → prepare → calibrate → convert, in one call. */
import type { Model } from '../graph/model.ts';
import { clean } from '../passes/clean.ts';
import type { QConfigMapping } from '../qconfig/qconfig-mapping.ts';
import { createRunner } from '../runners/index.ts';
import type { ModelRunner } from '../runners/types.ts';
import { calibrate, type Batches } from './calibrate.ts';
import { convert, type Converted, type ConvertOptions } from './convert.ts';
import { prepare } from './prepare.ts';

export interface QuantizeStaticOptions {
  /** Calibration data: inputs by name, some batches of it. A hundred samples that look like real use will do. */
  readonly batches: Batches;
  /** Default: `staticQConfigMapping()`: uint8 activations by min/max, int8 weights by channel. */
  readonly qconfigMapping?: QConfigMapping;
  /**
   * Runs the float model for calibration. Default: onnxruntime-node, else onnxruntime-web, whichever is installed. A runner
   * that is given must run the cleaned model (`clean`) and is not disposed of.
   */
  readonly runner?: ModelRunner;
}

/**
 * Static post-training quantization: integers for weights and activations, QDQ form. The model is not changed.
 *
 * @throws what prepare, calibrate and convert throw; UnsupportedError RUNTIME_MISSING if there is nothing to run with
 * @example
 * const { model, report } = await quantizeStatic(await readModel('model.onnx'), { batches });
 * await writeModel(model, 'model.int8.onnx');
 */
export async function quantizeStatic(
  model: Model,
  { batches, qconfigMapping, runner }: QuantizeStaticOptions,
  options: ConvertOptions = {},
): Promise<Converted> {
  const cleaned = (await clean(model)).model;
  const plan = prepare(cleaned, qconfigMapping);
  const own = runner ?? (await createRunner(cleaned));
  try {
    return await convert(cleaned, await calibrate(plan, own, batches, options), options);
  } finally {
    if (runner === undefined) await own.dispose();
  }
}
