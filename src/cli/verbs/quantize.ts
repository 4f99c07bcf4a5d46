/** `zeropoint quantize`: its words. */
import { Option, type Command } from 'commander';
import { addCommonOptions, collect, parseCount, parseSeed, type CommonOptions } from './common.ts';

/** Names of `--observer`; commands/qconfig.ts has an observer for each. */
export const OBSERVER_NAMES = [
  'minmax',
  'moving-average',
  'histogram',
  'percentile',
  'entropy',
  'mse',
] as const;
export type ObserverName = (typeof OBSERVER_NAMES)[number];

export interface QuantizeOptions extends CommonOptions {
  readonly calibrate?: string;
  readonly output?: string;
  readonly dynamic?: boolean;
  readonly static?: boolean;
  readonly perTensor?: boolean;
  readonly observer?: ObserverName;
  readonly activationDtype?: 'uint8' | 'int8';
  readonly samples?: number;
  readonly batchSize?: number;
  readonly shuffle?: number | true;
  readonly exclude?: readonly string[];
  readonly force?: boolean;
  readonly dryRun?: boolean;
  readonly verify: boolean;
}

export function addQuantize(program: Command): void {
  const command = program
    .command('quantize')
    .description('write an int8 model beside the original, and compare the two')
    .argument('<model>', 'path of an ONNX model')
    .option(
      '-c, --calibrate <file>',
      '.npz with an array for each input, or .npy for a single input; first axis: samples',
    )
    .option('-o, --output <file>', 'where to write (default: model.int8.onnx beside the model)')
    .addOption(
      new Option('--static', 'activations get fixed scales from calibration data').conflicts('dynamic'),
    )
    .option('--dynamic', 'activations get their scales at run time; needs no data')
    .option('--per-tensor', 'one scale for each weight instead of one for each channel')
    .addOption(new Option('--observer <name>', 'how ranges are chosen from the data').choices(OBSERVER_NAMES))
    .addOption(
      new Option('--activation-dtype <dtype>', 'uint8 is fast everywhere, int8 on ARM').choices([
        'uint8',
        'int8',
      ]),
    )
    .option('--samples <count>', 'samples to calibrate with (default: all)', parseCount)
    .option('--batch-size <count>', 'samples in one run (default: 32, or what the model fixes)', parseCount)
    .option('--shuffle [seed]', 'with --samples: draw them at random instead of taking the first', parseSeed)
    .option(
      '--exclude <pattern>',
      'leave nodes of this name in float; * stands for anything (repeatable)',
      collect,
    )
    .option('--force', 'overwrite the output')
    .option('--dry-run', 'show what would be done, write nothing')
    .option('--no-verify', 'do not load and compare the result');
  addCommonOptions(command).action(async (model: string, options: QuantizeOptions) => {
    const { quantize } = await import('../commands/quantize.ts');
    await quantize(model, options);
  });
}
