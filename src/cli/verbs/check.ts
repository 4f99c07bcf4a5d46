/** `zeropoint check`: its words. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import type { CheckTarget } from 'zeropoint/onnx';
import { addModelOptions, parseCount, type ModelOptions } from './common.ts';

/** Targets by what they are called; the library's CHECK_TARGETS and their short names. */
const TARGETS: Readonly<Record<string, CheckTarget | undefined>> = {
  'ort-node-cpu': 'ort-node-cpu',
  'node-cpu': 'ort-node-cpu',
  'ort-web-wasm': 'ort-web-wasm',
  'web-wasm': 'ort-web-wasm',
  'transformersjs-wasm': 'transformersjs-wasm',
  'ort-web-webgpu': 'ort-web-webgpu',
  'web-webgpu': 'ort-web-webgpu',
};

export interface CheckedPlaces {
  readonly targets: readonly CheckTarget[];
  /** Release of onnxruntime, if one was named. */
  readonly version?: string;
}

export interface CheckWords extends ModelOptions {
  readonly target?: CheckedPlaces;
  readonly run?: boolean;
  /** Path of the model that outputs are compared with. */
  readonly float?: string;
  readonly data?: string;
  readonly samples?: number;
  /** dB. */
  readonly minSqnr?: number;
  readonly browser?: string;
  readonly adapter?: 'swiftshader' | 'default';
  /** False: a node that falls back to the CPU fails its target. */
  readonly fallback: boolean;
}

export function addCheck(program: Command): void {
  const command = program
    .command('check')
    .description(
      'say whether a model runs where it is meant to: by a table, and with --run by running it there',
    )
    .argument('<model>', 'path of an ONNX model')
    .addOption(
      new Option(
        '--target <list>',
        'ort-node-cpu, ort-web-wasm, transformersjs-wasm, ort-web-webgpu, or several with commas; @1.30 names a release (default: all)',
      ).argParser(parseTargets),
    )
    .option('--no-fallback', 'fail also where nodes fall back from WebGPU to the CPU');
  addRunOptions(command);
  addModelOptions(command).action(async (model: string, words: CheckWords) => {
    const { checkModel } = await import('../commands/check.ts');
    await checkModel(model, words);
  });
  // Started by --run, so that memory and crashes are those of the model alone.
  program.command('check-child', { hidden: true }).action(async () => {
    const { serveParent } = await import('../commands/check-child.ts');
    serveParent();
  });
}

function addRunOptions(command: Command): void {
  command
    .option('--run', 'load and run the model in each; the web targets in a fresh headless Chromium')
    .option('--float <model>', 'with --run: compare with this model (default: with the file itself, unfused)')
    .option('--data <file>', 'with --run: .npz, .npy or .jsonl (default: made-up inputs)')
    .option('--samples <count>', 'with --data: how many samples, from the first (default: 8)', parseCount)
    .option(
      '--min-sqnr <dB>',
      'with --run: less signal to noise is wrong numbers (default: 20; with --float 10)',
      parseDecibels,
    )
    .option(
      '--browser <path>',
      'with --run: Chromium or Chrome (default: CHROMIUM, or the first that is found)',
    )
    .addOption(
      new Option(
        '--adapter <name>',
        'with --run: what WebGPU computes on (default: swiftshader, on the CPU)',
      ).choices(['swiftshader', 'default']),
    );
}

function parseTargets(text: string): CheckedPlaces {
  const names = text.split(',').map((name) => name.trim().split('@'));
  const targets = names.map(([name]) => (Object.hasOwn(TARGETS, name) ? TARGETS[name] : undefined));
  const versions = new Set(names.flatMap(([, version]) => version ?? []));
  if (targets.includes(undefined) || versions.size > 1 || names.some(({ length }) => length > 2)) {
    throw new InvalidArgumentError(
      'Expected ort-node-cpu, ort-web-wasm, transformersjs-wasm or ort-web-webgpu, several with commas, of one release (@1.30).',
    );
  }
  const [version] = versions;
  // None is undefined, as was seen just above.
  return { targets: targets as readonly CheckTarget[], ...(version !== undefined && { version }) };
}

function parseDecibels(text: string): number {
  const number = Number(text);
  if (text.trim() !== '' && Number.isFinite(number)) return number;
  throw new InvalidArgumentError('Expected a number of decibels, such as 20.');
}
