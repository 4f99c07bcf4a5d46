/** `zeropoint quantize`: its words. */
import { Option, type Command } from 'commander';
import type { WeightAlgorithm } from 'zeropoint/onnx';
import { addCommonOptions, type CommonOptions } from './common.ts';
import {
  addConfigurationOptions,
  addDataOptions,
  DECIDED_BY_PLAN,
  INTEGER_WORDS,
  type ConfigurationOptions,
  type DataOptions,
} from './options.ts';

export interface QuantizeOptions extends CommonOptions, DataOptions, ConfigurationOptions {
  readonly output?: string;
  readonly plan?: string;
  readonly dynamic?: boolean;
  readonly static?: boolean;
  readonly weights?: 2 | 4 | 8;
  readonly blockSize?: number;
  readonly symmetric?: boolean;
  readonly algorithm?: WeightAlgorithm;
  readonly float16?: boolean;
  readonly force?: boolean;
  readonly dryRun?: boolean;
  readonly verify: boolean;
}

export function addQuantize(program: Command): void {
  const command = program
    .command('quantize')
    .description('write a smaller model beside the original, and compare the two')
    .argument('<model>', 'path of an ONNX model')
    .option(
      '-o, --output <file>',
      'where to write (default: model.int8.onnx beside the model; q4, say, with --weights 4, fp16 with --float16)',
    )
    .addOption(
      new Option('--static', 'activations get fixed scales from calibration data').conflicts('dynamic'),
    )
    .option('--dynamic', 'activations get their scales at run time; needs no data');
  addWeightsOptions(command);
  command.addOption(
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
  addCommonOptions(command).action(async (model: string, words: QuantizeWords) => {
    const { quantize } = await import('../commands/quantize.ts');
    await quantize(model, numbered(words));
  });
}

function addWeightsOptions(command: Command): void {
  command
    .addOption(
      new Option(
        '--weights <bits>',
        'weights alone, in blocks of 2, 4 or 8 bits; needs no data, made for transformers and WebGPU',
      )
        .choices(['2', '4', '8'])
        .conflicts([...INTEGER_WORDS, 'plan']),
    )
    .addOption(
      new Option('--block-size <count>', 'with --weights: weights that share a scale (default: 32)').choices([
        '16',
        '32',
        '64',
        '128',
        '256',
      ]),
    )
    .option('--symmetric', 'with --weights: no zero points')
    .addOption(
      new Option(
        '--algorithm <name>',
        'with --weights: how codes are chosen (default: rtn); gptq is the most exact, and needs --calibrate',
      ).choices(['rtn', 'mse', 'hqq', 'gptq']),
    )
    .addOption(
      new Option(
        '--float16',
        'compute in float16; with --weights: all but those. Data (--calibrate) shows what float16 cannot hold',
      ).conflicts([...INTEGER_WORDS, 'plan']),
    );
}

/** As commander gives them: choices are text. */
type QuantizeWords = Omit<QuantizeOptions, 'weights' | 'blockSize'> & {
  readonly weights?: '2' | '4' | '8';
  readonly blockSize?: string;
};

function numbered({ weights, blockSize, ...words }: QuantizeWords): QuantizeOptions {
  return {
    ...words,
    // The choices are these three.
    ...(weights !== undefined && { weights: Number(weights) as 2 | 4 | 8 }),
    ...(blockSize !== undefined && { blockSize: Number(blockSize) }),
  };
}
