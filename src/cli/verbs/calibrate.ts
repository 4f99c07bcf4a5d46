/** `zeropoint calibrate`: its words. */
import { InvalidArgumentError, type Command } from 'commander';
import { addModelOptions, type ModelOptions } from './common.ts';
import {
  addConfigurationOptions,
  addDataOptions,
  type ConfigurationOptions,
  type DataOptions,
} from './options.ts';

export interface CalibrateOptions extends ModelOptions, DataOptions, ConfigurationOptions {
  readonly output?: string;
  readonly shard?: { readonly index: number; readonly count: number };
  readonly resume?: boolean;
  readonly force?: boolean;
  readonly dryRun?: boolean;
}

export function addCalibrate(program: Command): void {
  const command = program
    .command('calibrate')
    .description('measure ranges on data and keep them in a plan, to quantize with later')
    .argument('<model>', 'path of an ONNX model')
    .option('-o, --output <file>', 'where to write the plan (default: model.plan.json beside the model)')
    .option('--shard <i/n>', 'only this part of the batches: 2/8 is the second of eight', parseShard)
    .option('--resume', 'go on where an earlier call was stopped');
  addDataOptions(command);
  addConfigurationOptions(command);
  command
    .option('--force', 'overwrite the output; forget what an earlier call kept')
    .option('--dry-run', 'show what would be done, write nothing');
  addModelOptions(command).action(async (model: string, options: CalibrateOptions) => {
    const { calibrateModel } = await import('../commands/calibrate.ts');
    await calibrateModel(model, options);
  });
}

function parseShard(text: string): { index: number; count: number } {
  const [, index, count] = (/^([0-9]{1,9})\/([0-9]{1,9})$/.exec(text) ?? []).map(Number);
  if (index >= 1 && index <= count) return { index, count };
  throw new InvalidArgumentError('Expected a part and the number of parts, such as 2/8.');
}
