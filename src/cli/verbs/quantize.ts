/** `zeropoint quantize`: its words. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import type { WeightAlgorithm } from 'zeropoint/onnx';
import { addModelOptions, numberOption, parseSize, type ModelOptions } from './common.ts';
import {
  addConfigurationOptions,
  addDataOptions,
  DECIDED_BY_PLAN,
  FORMAT_NAMES,
  INTEGER_WORDS,
  type ConfigurationOptions,
  type DataOptions,
} from './options.ts';

/** How a model is written. */
export interface FileOptions {
  /** Static mode: pairs for the runtime to fuse, or its integer operators. */
  readonly format?: (typeof FORMAT_NAMES)[number];
  /** Static mode: a pair for each reader of a value. */
  readonly dedicatedPairs?: boolean;
  readonly names?: 'short' | 'onnxruntime';
  /** Weights beside the model, in files of this many bytes; false: in the model. */
  readonly externalData?: boolean | number | { readonly threshold?: number; readonly chunkSize?: number };
}

export interface QuantizeOptions extends ModelOptions, DataOptions, ConfigurationOptions, FileOptions {
  readonly output?: string;
  readonly plan?: string;
  readonly dynamic?: boolean;
  /** Dynamic mode: Conv too. */
  readonly convolutions?: boolean;
  readonly static?: boolean;
  readonly weights?: 2 | 4 | 8;
  readonly blockSize?: number;
  readonly symmetric?: boolean;
  readonly algorithm?: WeightAlgorithm;
  readonly accuracyLevel?: 0 | 1 | 2 | 3 | 4;
  /** Bits of tables; false: they stay in float. */
  readonly embeddings?: false | 4 | 8;
  readonly float16?: boolean;
  readonly bfloat16?: boolean;
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
    );
  addModeOptions(command);
  addWeightsOptions(command);
  addDataOptions(command);
  addConfigurationOptions(command);
  addFileOptions(command);
  command
    .option('--force', 'overwrite the output, and remove external data that it has no more')
    .option('--dry-run', 'show what would be done, write nothing')
    .option('--no-verify', 'do not load and compare the result');
  addModelOptions(command).action(async (model: string, options: QuantizeOptions) => {
    const { quantize } = await import('../commands/quantize.ts');
    await quantize(model, options);
  });
}

function addModeOptions(command: Command): void {
  const options = [
    new Option('--static', 'activations get fixed scales from calibration data').conflicts('dynamic'),
    new Option(
      '--format <form>',
      "static: pairs for the runtime to fuse, or onnxruntime's integer operators (default: qdq)",
    )
      .choices(FORMAT_NAMES)
      .conflicts(['dynamic', 'weights', 'float16']),
    new Option(
      '--dedicated-pairs',
      'static: a pair for each reader of a value, for TensorRT, instead of one for all',
    ).conflicts(['dynamic', 'weights', 'float16']),
    new Option(
      '--plan <file>',
      'static, with the ranges that `zeropoint calibrate` kept; --calibrate is for the comparison then',
    ).conflicts(DECIDED_BY_PLAN),
    new Option('--dynamic', 'activations get their scales at run time; needs no data'),
    new Option('--convolutions', 'dynamic: convolutions too, which get smaller and slower by it'),
  ];
  for (const option of options) command.addOption(option);
}

const NOT_BESIDE_WEIGHTS = [...INTEGER_WORDS, 'plan'];

function addWeightsOptions(command: Command): void {
  const options = [
    numberOption(
      '--weights <bits>',
      'weights alone, in blocks of 2, 4 or 8 bits; needs no data, made for transformers and WebGPU',
      [2, 4, 8],
    ).conflicts(NOT_BESIDE_WEIGHTS),
    numberOption(
      '--block-size <count>',
      'with --weights: weights that share a scale (default: 32)',
      [16, 32, 64, 128, 256],
    ),
    new Option('--symmetric', 'with --weights: no zero points'),
    new Option(
      '--algorithm <name>',
      'with --weights: how codes are chosen (default: rtn); gptq is the most exact, and needs --calibrate',
    ).choices(['rtn', 'mse', 'hqq', 'gptq']),
    numberOption(
      '--accuracy-level <level>',
      'with --weights: least precision of activations, 1 float32, 2 float16, 3 bfloat16, 4 int8 (default: 4, the fastest)',
      [0, 1, 2, 3, 4],
    ),
    new Option(
      '--embeddings <bits>',
      'with --weights: bits of tables, 4 or 8 (default: 8), or none to leave them in float',
    ).argParser(parseEmbeddings),
    new Option(
      '--float16',
      'compute in float16; with --weights: all but those. Data (--calibrate) shows what float16 cannot hold',
    ).conflicts([...NOT_BESIDE_WEIGHTS, 'bfloat16']),
    new Option(
      '--bfloat16',
      'as --float16, in bfloat16, for GPUs; not checked, since onnxruntime has no such arithmetic on a CPU',
    ).conflicts(NOT_BESIDE_WEIGHTS),
  ];
  for (const option of options) command.addOption(option);
}

function addFileOptions(command: Command): void {
  command
    .addOption(
      new Option('--names <style>', 'how what is added is named (default: short)').choices([
        'short',
        'onnxruntime',
      ]),
    )
    .option(
      '--external-data [size]',
      'weights in files beside the model: model.onnx_data, model.onnx_data_1, ..., none larger than this (default: 1GiB)',
      parseSize,
    )
    .option('--no-external-data', 'all in one file (default: as the model was, or what 2 GiB enforces)');
}

function parseEmbeddings(text: string): false | 4 | 8 {
  const known = new Map<string, false | 4 | 8>([
    ['none', false],
    ['4', 4],
    ['8', 8],
  ]);
  const bits = known.get(text);
  if (bits !== undefined) return bits;
  throw new InvalidArgumentError('Allowed choices are 4, 8, none.');
}
