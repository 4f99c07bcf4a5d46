/** clean → raiseOpset (where the form needs it) → prepare → equalizeLayers → calibrate → convert, in one call. */
import { checkOptions, type Rule } from '../errors/check-options.ts';
import { byType, FUNCTION, ITERABLE, withMethods } from '../errors/option-rules.ts';
import { checkModel, type Model } from '../graph/model.ts';
import type { QConfigMapping } from '../qconfig/qconfig-mapping.ts';
import { createRunner } from '../runners/index.ts';
import type { ModelRunner } from '../runners/types.ts';
import { calibrate, type Batches } from './calibrate.ts';
import { convert, type Converted, type ConvertOptions } from './convert.ts';
import { staticQConfigMapping } from './default-qconfig.ts';
import type { PrepareOptions } from './prepare.ts';
import { checkFormat } from './qoperator/check-format.ts';
import { CONVERT_RULES } from './option-rules.ts';
import { READY_RULES, readyStatic } from './ready-static.ts';

/** Data and configuration of {@link quantizeStatic}. */
export interface QuantizeStaticOptions extends PrepareOptions {
  /** Calibration data: inputs by name, some batches of it. A hundred samples that look like real use will do. */
  readonly batches: Batches;
  /** Default: `staticQConfigMapping()`: uint8 activations by min/max, int8 weights by channel. */
  readonly qconfigMapping?: QConfigMapping;
  /**
   * Runs the float model for calibration. Default: onnxruntime-node, else onnxruntime-web, whichever is installed. A
   * function is called with the model to run, and what it gives is disposed of at the end. A runner that is given as such
   * must run the model that is prepared (`clean`, then `raiseOpset` if needed) and is not disposed of.
   */
  readonly runner?: ModelRunner | ((model: Model) => Promise<ModelRunner>);
  /**
   * Equalize layers whose channels differ so much that int8 would suffer (`equalizeLayers`). Default true; not done where a
   * runner is given.
   */
  readonly equalize?: boolean;
}

const RULES = {
  ...READY_RULES,
  batches: ITERABLE,
  runner: byType({ function: FUNCTION, object: withMethods('a ModelRunner', 'run') }),
} satisfies Record<keyof QuantizeStaticOptions, Rule>;

/**
 * Static post-training quantization: integers for weights and activations, QDQ form. The model is not changed. A model
 * whose opset has no form for what the mapping asks is raised to the oldest that has one, and the report says so.
 *
 * @throws what prepare, calibrate and convert throw; GraphError naming a weight with NaN or an infinity; UnsupportedError RUNTIME_MISSING if there is nothing to run with
 * @example
 * const { model, report } = await quantizeStatic(await readModel('model.onnx'), { batches });
 * await writeModel(model, 'model.int8.onnx');
 */
export async function quantizeStatic(
  model: Model,
  settings: QuantizeStaticOptions,
  options: ConvertOptions = {},
): Promise<Converted> {
  checkModel('quantizeStatic', model);
  checkOptions('quantizeStatic', settings, RULES);
  if (settings.batches === undefined) throw noBatches();
  checkOptions('quantizeStatic', options, CONVERT_RULES);
  const {
    batches,
    qconfigMapping = staticQConfigMapping(),
    runner = createRunner,
    equalize = true,
    coverage = 'kernels',
  } = settings;
  // A runner that is given computes the values of the model as it was: they must keep their loudness then.
  const wanted = { qconfigMapping, coverage, equalize: equalize && typeof runner === 'function' };
  const { model: ready, plan, equalized, raisedOpset } = await readyStatic(model, wanted);
  checkFormat(plan, options);
  const own = typeof runner === 'function' ? await runner(ready) : runner;
  try {
    const { signal, onProgress } = options;
    const following = { model: ready, ...(signal && { signal }), ...(onProgress && { onProgress }) };
    const calibrated = await calibrate(plan, own, batches, following);
    const { model: converted, report } = await convert(ready, calibrated, options);
    return {
      model: converted,
      report: { ...report, ...(equalized && { equalized }), ...(raisedOpset && { raisedOpset }) },
    };
  } finally {
    if (typeof runner === 'function') await own.dispose();
  }
}

/** Before anything is computed. */
function noBatches(): TypeError {
  return new TypeError('quantizeStatic: expected { batches } that can be iterated, got none');
}
