/** `zeropoint variants`: its words. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import type { VariantDType } from 'zeropoint/onnx';
import { addModelOptions, parseSize, type ModelOptions } from './common.ts';

/** Names of the library's VARIANT_DTYPES, which is not loaded for `--help`. */
export const DTYPE_NAMES = [
  'fp16',
  'q8',
  'int8',
  'uint8',
  'q4',
  'q4f16',
  'bnb4',
] as const satisfies readonly VariantDType[];

export interface VariantsWords extends ModelOptions {
  readonly all?: boolean;
  readonly dtype?: readonly VariantDType[];
  readonly compat?: 'transformersjs-3';
  readonly preset?: 'web';
  readonly modelType?: string;
  /** Path of a JSON file: a dtype for each base file. */
  readonly plan?: string;
  /** Bytes. */
  readonly maxSize?: number;
  /** Weights beside the models, in files of this many bytes; false: in the models. */
  readonly externalData?: boolean | number;
  readonly config: boolean;
  readonly readme: boolean;
  readonly verify: boolean;
  readonly force?: boolean;
  readonly dryRun?: boolean;
}

export function addVariants(program: Command): void {
  const command = program
    .command('variants')
    .description('write every file that transformers.js can ask for, and compare each with the float model')
    .argument(
      '<source>',
      'a folder with float models (model.onnx, decoder_model_merged.onnx, ...), or with an onnx/ of them, or one model',
    );
  for (const option of recipeOptions()) command.addOption(option);
  command
    .option(
      '--external-data [size]',
      'weights in files beside the models, none larger than this (default: for 1GiB of weights and more, in files of 1GiB)',
      parseSize,
    )
    .option('--no-external-data', 'everything in the models themselves')
    .option('--no-config', 'leave config.json as it is')
    .option('--no-readme', 'leave README.md as it is')
    .option('--no-verify', 'do not load and compare the results')
    .option('--force', 'overwrite files; go on with models that are quantized already')
    .option('--dry-run', 'show what would be written, and its size; write nothing');
  addModelOptions(command).action(async (source: string, words: VariantsWords) => {
    const { makeVariants } = await import('../commands/variants.ts');
    await makeVariants(source, words);
  });
}

function recipeOptions(): readonly Option[] {
  return [
    new Option('--all', `all dtypes: ${DTYPE_NAMES.join(', ')} (default)`).conflicts(['dtype', 'plan']),
    new Option('--dtype <list>', 'these dtypes, such as q4,q4f16').argParser(parseDTypes).conflicts('plan'),
    new Option(
      '--plan <file>',
      'one dtype for each model, as JSON: {"embed_tokens": "fp16", "decoder_model_merged": "q4"}; config.json tells it to pages',
    ).conflicts('maxSize'),
    new Option(
      '--max-size <size>',
      'only the best dtype whose files take no more, such as 200MB; config.json tells it to pages',
    ).argParser(parseSize),
    new Option('--preset <name>', 'recipes: web, for onnxruntime-web (default)')
      .choices(['web'])
      .conflicts('compat'),
    new Option(
      '--compat <name>',
      'recipes of the scripts that transformers.js had, integer for integer',
    ).choices(['transformersjs-3']),
    new Option(
      '--model-type <name>',
      'with --compat: what the model is (default: model_type of config.json), which decides on scales by channel',
    ),
  ];
}

function parseDTypes(text: string, previous: readonly VariantDType[] = []): readonly VariantDType[] {
  const names: readonly string[] = DTYPE_NAMES;
  const given = text.split(',').map((name) => name.trim());
  const unknown = given.find((name) => !names.includes(name));
  if (unknown !== undefined) throw new InvalidArgumentError(`Allowed choices are ${names.join(', ')}.`);
  // They are all in the list.
  return [...previous, ...(given as VariantDType[])];
}
