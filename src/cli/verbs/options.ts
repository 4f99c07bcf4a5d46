/** Options that `quantize` and `calibrate` share: which data, and how ranges are chosen from it. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import type { ActivationDType, ConvertOptions, Coverage, WeightDType } from 'zeropoint/onnx';
import type { Config } from '../config/schema.ts';
import { collect, parseCount, parseSeed } from './common.ts';

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

const ACTIVATION_DTYPES: readonly ActivationDType[] = ['uint8', 'int8', 'uint16', 'int16'];
const WEIGHT_DTYPES: readonly WeightDType[] = ['int8', 'uint8', 'int4', 'uint4'];
/** Which operators static mode quantizes. */
export const COVERAGE_NAMES = ['kernels', 'all'] as const satisfies readonly Coverage[];
/** Forms of static mode. */
export const FORMAT_NAMES = ['qdq', 'qoperator'] as const satisfies readonly ConvertOptions['format'][];
/** Names and aliases of the library's TARGETS, which is not loaded for `--help`. */
export const TARGET_NAMES = [
  'onnxruntime-cpu',
  'onnxruntime-cpu-avx2',
  'onnxruntime-arm',
  'onnxruntime-web',
  'webgpu',
  'node-cpu',
  'ort-node-cpu',
  'web-wasm',
  'ort-web-wasm',
  'web-webgpu',
  'ort-web-webgpu',
] as const;

/** How nodes are to be quantized. */
export interface ConfigurationOptions {
  /** Path of a configuration. */
  readonly config?: string;
  /** What the file says that no word can say; src/cli/config/with-config.ts puts it here. */
  readonly settings?: Config;
  readonly target?: (typeof TARGET_NAMES)[number];
  readonly coverage?: Coverage;
  /** Static mode: layers whose channels differ much are equalized before; undefined: true. */
  readonly equalize?: boolean;
  readonly perTensor?: boolean;
  readonly observer?: ObserverName;
  readonly activationDtype?: ActivationDType;
  readonly weightDtype?: WeightDType;
  readonly reduceRange?: boolean;
  readonly exclude?: readonly string[];
}

/** Which samples are looked at, and how images become numbers. */
export interface DataOptions {
  readonly calibrate?: string;
  readonly samples?: number;
  readonly batchSize?: number;
  readonly shuffle?: number | true;
  readonly size?: readonly number[];
  readonly crop?: readonly number[];
  readonly mean?: readonly number[];
  readonly std?: readonly number[];
  readonly scale?: number;
  readonly layout?: 'NCHW' | 'NHWC';
  readonly channels?: 'rgb' | 'bgr' | 'gray';
}

/** Words about activations, their codes and their operators, as commander names them: no other mode has them. */
export const INTEGER_WORDS: string[] = [
  'observer',
  'activationDtype',
  'weightDtype',
  'reduceRange',
  'perTensor',
  'coverage',
  'equalize',
  'static',
  'dynamic',
];

/** What `--plan` has decided already. */
export const DECIDED_BY_PLAN: string[] = [...INTEGER_WORDS, 'exclude', 'target', 'config'];

export function addConfigurationOptions(command: Command): void {
  const options = [
    new Option(
      '--config <file>',
      'a .json, .mjs, .js or .ts file that says all this and more; words override it',
    ),
    new Option(
      '--target <name>',
      'where the result is to run: decides what nothing else does (default: onnxruntime-cpu)',
    ).choices(TARGET_NAMES),
    new Option(
      '--coverage <which>',
      'static: what onnxruntime computes in integers, or operators that NPUs do too (default: kernels)',
    )
      .choices(COVERAGE_NAMES)
      .conflicts('dynamic'),
    // Both words, or commander would take silence for --equalize, which overrides the file.
    new Option('--equalize', 'static: equalize layers whose channels differ much (default)').conflicts(
      'dynamic',
    ),
    new Option('--no-equalize', 'static: leave such layers as they are').conflicts('dynamic'),
    new Option('--per-tensor', 'one scale for each weight instead of one for each channel'),
    new Option('--observer <name>', 'how ranges are chosen from the data').choices(OBSERVER_NAMES),
    new Option(
      '--activation-dtype <dtype>',
      'uint8 is fast everywhere, int8 on ARM; 16 bits are for NPUs',
    ).choices(ACTIVATION_DTYPES),
    new Option('--weight-dtype <dtype>', 'codes of weights (default: int8)').choices(WEIGHT_DTYPES),
    new Option(
      '--reduce-range',
      '8-bit weights with a bit less: x64 without VNNI would saturate between with all eight',
    ),
    new Option(
      '--exclude <pattern>',
      'leave nodes of this name in float, those without one as reports call them: MatMul(output); * stands for anything (repeatable)',
    ).argParser(collect),
  ];
  for (const option of options) command.addOption(option);
}

export function addDataOptions(command: Command): void {
  command
    .option(
      '-c, --calibrate <data>',
      '.npz with an array for each input, .npy for a single input, .jsonl with a sample a line, or a folder of images',
    )
    .option('--samples <count>', 'samples to calibrate with (default: all)', parseCount)
    .option(
      '--batch-size <count>',
      'samples in one run (default: what the model fixes, else 1 to 32, fewer the larger the model)',
      parseCount,
    )
    .option('--shuffle [seed]', 'with --samples: draw them at random instead of taking the first', parseSeed)
    .option('--size <n|HxW>', 'images: length of the shorter side, or both sides', parsePixels)
    .option(
      '--crop <n|HxW>',
      'images: what is cut out of the middle then (default: what the model takes)',
      parsePixels,
    )
    .option('--mean <numbers>', 'images: subtracted from each channel: 0.485,0.456,0.406', parseNumbers)
    .option('--std <numbers>', 'images: each channel is divided by it then: 0.229,0.224,0.225', parseNumbers)
    .option('--scale <number>', 'images: pixels are multiplied by it first (default: 1/255)', parseNumber)
    .addOption(
      new Option('--layout <axes>', 'images: order of the axes (default: as the model says)').choices([
        'NCHW',
        'NHWC',
      ]),
    )
    .addOption(
      new Option(
        '--channels <order>',
        'images: (default: rgb, or gray if the model takes one channel)',
      ).choices(['rgb', 'bgr', 'gray']),
    );
}

/** `224` or `224x320`: height, then width. */
function parsePixels(text: string): readonly number[] {
  const sizes = text.split('x').map(Number);
  const isSize = /^[0-9]+(x[0-9]+)?$/.test(text) && sizes.every((size) => size >= 1 && size <= 65_535);
  if (isSize) return sizes;
  throw new InvalidArgumentError(
    'Expected a number of pixels from 1 to 65535, or height x width: 224 or 224x320.',
  );
}

/** `0.5` or `0.485,0.456,0.406` */
function parseNumbers(text: string): readonly number[] {
  const numbers = text.split(',').map((part) => (part.trim() === '' ? Number.NaN : Number(part)));
  if (numbers.every(Number.isFinite)) return numbers;
  throw new InvalidArgumentError('Expected a number, or one for each channel: 0.485,0.456,0.406.');
}

function parseNumber(text: string): number {
  const [number, ...more] = parseNumbers(text);
  if (more.length === 0) return number;
  throw new InvalidArgumentError('Expected one number.');
}
