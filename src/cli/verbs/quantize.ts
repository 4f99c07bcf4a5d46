/** `zeropoint quantize`: its words. */
import { Option, type Command } from 'commander';
import { addCommonOptions, type CommonOptions } from './common.ts';
import {
  addConfigurationOptions,
  addDataOptions,
  DECIDED_BY_PLAN,
  type ConfigurationOptions,
  type DataOptions,
} from './options.ts';

export interface QuantizeOptions extends CommonOptions, DataOptions, ConfigurationOptions {
  readonly output?: string;
  readonly plan?: string;
  readonly dynamic?: boolean;
  readonly static?: boolean;
  readonly force?: boolean;
  readonly dryRun?: boolean;
  readonly verify: boolean;
}

export function addQuantize(program: Command): void {
  const command = program
    .command('quantize')
    .description('write an int8 model beside the original, and compare the two')
    .argument('<model>', 'path of an ONNX model')
    .option('-o, --output <file>', 'where to write (default: model.int8.onnx beside the model)')
    .addOption(
      new Option('--static', 'activations get fixed scales from calibration data').conflicts('dynamic'),
    )
    .option('--dynamic', 'activations get their scales at run time; needs no data')
    .addOption(
      new Option(
        '--plan <file>',
        'static, with the ranges that `zeropoint calibrate` kept; --calibrate is for the comparison then',
      ).conflicts(DECIDED_BY_PLAN),
    );
  addDataOptions(command);
  addConfigurationOptions(command);
  command
    .option('--force', 'overwrite the output')
    .option('--dry-run', 'show what would be done, write nothing')
    .option('--no-verify', 'do not load and compare the result');
  addCommonOptions(command).action(async (model: string, options: QuantizeOptions) => {
    const { quantize } = await import('../commands/quantize.ts');
    await quantize(model, options);
  });
}
