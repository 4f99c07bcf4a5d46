/** clean → raiseOpset (where the form needs it) → prepare → calibrate → convert, in one call. */
import type { Model } from '../graph/model.ts';
import { clean } from '../passes/clean.ts';
import { raiseOpset } from '../passes/raise-opset.ts';
import type { QConfigMapping } from '../qconfig/qconfig-mapping.ts';
import { createRunner } from '../runners/index.ts';
import type { ModelRunner } from '../runners/types.ts';
import { calibrate, type Batches } from './calibrate.ts';
import { convert, type Converted, type ConvertOptions } from './convert.ts';
import { staticQConfigMapping } from './default-qconfig.ts';
import { opsetToPrepare, prepare } from './prepare.ts';

/** Data and configuration of {@link quantizeStatic}. */
export interface QuantizeStaticOptions {
  /** Calibration data: inputs by name, some batches of it. A hundred samples that look like real use will do. */
  readonly batches: Batches;
  /** Default: `staticQConfigMapping()`: uint8 activations by min/max, int8 weights by channel. */
  readonly qconfigMapping?: QConfigMapping;
  /**
   * Runs the float model for calibration. Default: onnxruntime-node, else onnxruntime-web, whichever is installed. A runner
   * that is given must run the model that is prepared (`clean`, then `raiseOpset` if needed) and is not disposed of.
   */
  readonly runner?: ModelRunner;
}

/**
 * Static post-training quantization: integers for weights and activations, QDQ form. The model is not changed. A model
 * whose opset has no form for what the mapping asks is raised to the oldest that has one, and the report says so.
 *
 * @throws what prepare, calibrate and convert throw; UnsupportedError RUNTIME_MISSING if there is nothing to run with
 * @example
 * const { model, report } = await quantizeStatic(await readModel('model.onnx'), { batches });
 * await writeModel(model, 'model.int8.onnx');
 */
export async function quantizeStatic(
  model: Model,
  { batches, qconfigMapping = staticQConfigMapping(), runner }: QuantizeStaticOptions,
  options: ConvertOptions = {},
): Promise<Converted> {
  const cleaned = (await clean(model)).model;
  const ready = (await raiseOpset(cleaned, opsetToPrepare(cleaned, qconfigMapping))).model;
  const plan = prepare(ready, qconfigMapping);
  const own = runner ?? (await createRunner(ready));
  try {
    const { model: converted, report } = await convert(
      ready,
      await calibrate(plan, own, batches, options),
      options,
    );
    if (ready.opset === model.opset) return { model: converted, report };
    return { model: converted, report: { ...report, raisedOpset: { from: model.opset, to: ready.opset } } };
  } finally {
    if (runner === undefined) await own.dispose();
  }
}
