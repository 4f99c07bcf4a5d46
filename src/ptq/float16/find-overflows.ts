/** Runs data through a float32 model and lists the values that float16 cannot hold. */
import { checkOptions } from '../../errors/check-options.ts';
import { CalibrationError } from '../../errors.ts';
import type { Model } from '../../graph/model.ts';
import type { ModelRunner } from '../../runners/types.ts';
import type { Batches } from '../calibrate.ts';
import type { JobOptions } from '../job.ts';
import { JOB_RULES } from '../option-rules.ts';
import { inferKinds } from './infer-kinds.ts';

/** A value of the main graph that leaves the range. */
export interface Overflow {
  readonly value: string;
  /** Largest finite magnitude that was seen. */
  readonly largest: number;
}

/** Largest finite float16. */
const LARGEST_FLOAT16 = 65504;

/**
 * Values that a node of the main graph gives and whose magnitude exceeds 65504 somewhere in `batches`, for
 * `convertToFloat16(model, {overflows})`, which keeps the nodes that give or read them in float32. Values inside If, Loop
 * and Scan bodies and local functions cannot be fetched and are not looked at. Infinities are not counted: float16 has them.
 *
 * @param runner a runner of the same model
 * @throws CalibrationError CALIBRATION_EMPTY if there is no batch, CALIBRATION_INPUT if one does not fit the inputs
 * @example const overflows = await findOverflows(model, await createRunner(model), batches);
 */
export async function findOverflows(
  model: Model,
  runner: ModelRunner,
  batches: Batches,
  options: JobOptions = {},
): Promise<readonly Overflow[]> {
  checkOptions('findOverflows', options, JOB_RULES);
  const { signal, onProgress } = options;
  const fetch = floatValues(model);
  const largest = new Map<string, number>();
  let done = 0;
  for await (const batch of batches) {
    signal?.throwIfAborted();
    const results = await runner.run(batch, { fetch, signal });
    for (const name of fetch) {
      const { data } = results[name];
      largest.set(name, Math.max(largest.get(name) ?? 0, largestFinite(data as Float32Array)));
    }
    done++;
    onProgress?.({ stage: 'calibrate', done, unit: 'batches' });
  }
  if (done === 0) {
    throw new CalibrationError('findOverflows: expected at least one batch, got none', {
      code: 'CALIBRATION_EMPTY',
    });
  }
  return [...largest]
    .filter(([, magnitude]) => magnitude > LARGEST_FLOAT16)
    .map(([value, magnitude]) => ({ value, largest: magnitude }));
}

/** float32 values that nodes of the main graph compute. */
function floatValues(model: Model): string[] {
  const kinds = inferKinds(model, 'float16').kinds;
  return [...model.graph.nodes]
    .filter((node) => !node.is('Constant'))
    .flatMap((node) => node.outputs)
    .filter((value) => value !== undefined)
    .filter((value) => kinds.get(value) === 'float32')
    .map((value) => value.name);
}

function largestFinite(data: Float32Array): number {
  let largest = 0;
  for (let i = 0; i < data.length; i++) {
    const magnitude = Math.abs(data[i]);
    if (magnitude > largest && magnitude < Infinity) largest = magnitude;
  }
  return largest;
}
