/** `zeropoint plan merge`: one plan of several. */
import { mergePlanFiles, missingShards, type PlanFile } from 'zeropoint/onnx';
import { UsageError } from '../errors.ts';
import { checkOutput } from '../files.ts';
import { runVerb } from '../frame.ts';
import { readPlan } from '../read-plan.ts';
import { counted, table } from '../table.ts';
import type { PlanMergeOptions } from '../verbs/plan.ts';
import { writeText } from './write-text.ts';

export async function mergePlans(paths: readonly string[], options: PlanMergeOptions): Promise<void> {
  await runVerb(options, async () => {
    const { output, force = false, dryRun = false } = options;
    if (paths.length < 2) {
      throw new UsageError(`plan merge: expected two plans or more, got ${paths.length}`);
    }
    if (!dryRun) await checkOutput(output, force);
    const files: PlanFile[] = [];
    for (const path of paths) files.push(await readPlan(path));
    const merged = mergePlanFiles(files);
    if (!dryRun) await writeText(output, `${JSON.stringify(merged)}\n`, force);
    const missing = missingShards(merged);
    const { samples } = merged.plan;
    return {
      json: { output, samples, plans: paths.length, missingShards: missing },
      text: () => summary(options, merged, paths.length, missing),
    };
  });
}

function summary(
  { output, dryRun }: PlanMergeOptions,
  { plan, model }: PlanFile,
  count: number,
  missing: readonly number[],
): string {
  const rows = table([
    [
      dryRun ? 'would write' : 'wrote',
      `${output}  (${counted(plan.samples, 'sample')} of ${counted(count, 'plan')})`,
    ],
  ]);
  const next =
    missing.length === 0
      ? `zeropoint quantize ${model.name} --plan ${output}`
      : `merge the missing shards too: ${missing.join(', ')}`;
  return `${rows}\nnext: ${next}\n`;
}
