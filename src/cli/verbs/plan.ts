/** `zeropoint plan`: its words. */
import type { Command } from 'commander';
import { addCommonOptions, type CommonOptions } from './common.ts';

export interface PlanMergeOptions extends CommonOptions {
  readonly output: string;
  readonly force?: boolean;
  readonly dryRun?: boolean;
}

export function addPlan(program: Command): void {
  const plan = program.command('plan').description('work with plans that `calibrate` wrote');
  const merge = plan
    .command('merge')
    .description('make one plan of plans that were calibrated on parts of the data')
    .argument('<plans...>', 'paths of two plans or more')
    .requiredOption('-o, --output <file>', 'where to write')
    .option('--force', 'overwrite the output')
    .option('--dry-run', 'check that they fit together, write nothing');
  addCommonOptions(merge).action(async (plans: readonly string[], options: PlanMergeOptions) => {
    const { mergePlans } = await import('../commands/plan-merge.ts');
    await mergePlans(plans, options);
  });
}
