/** What was decided about the file that `zeropoint quantize` writes: its name, where weights lie, whether it is looked at. */
import type { Mode, WriteModelOptions } from 'zeropoint/onnx';
import type { Config, Level } from '../config/schema.ts';
import { UsageError } from '../errors.ts';
import type { ModeDecision } from '../mode.ts';
import type { FileOptions, QuantizeOptions } from '../verbs/quantize.ts';

/** `q4.onnx`, `fp16.onnx`, `q4f16.onnx`; undefined for int8. */
export function ending(
  { mode, weights, half }: ModeDecision,
  { weights: bits, settings }: QuantizeOptions,
): string | undefined {
  if (mode === 'float16') return half === 'bfloat16' ? 'bf16.onnx' : 'fp16.onnx';
  if (mode !== 'weight-only') return undefined;
  const suffix = half?.replace('loat', '') ?? '';
  if (weights === 'channels') return suffix === '' ? undefined : `int8${suffix}.onnx`;
  return `q${bits ?? settings?.weights?.bits ?? 4}${suffix}.onnx`;
}

/** Throws UsageError for a word or a key about a mode that is not the one that was found sensible. */
export function checkModeWords(choice: ModeDecision, options: QuantizeOptions): void {
  const { mode } = choice;
  if (options.convolutions && mode !== 'dynamic')
    throw modeError('dynamic', '--convolutions', mode, 'Add --dynamic');
  if (mode === 'static') return checkIntegerForm(options);
  const staticWord = words(STATIC_WORDS, options)[0];
  if (staticWord !== undefined) throw modeError('static', staticWord, mode, 'Add --static and --calibrate');
  const hasCodes = mode === 'dynamic' || choice.weights === 'channels';
  const codeWord = hasCodes ? undefined : words(CODE_WORDS, options)[0];
  if (codeWord !== undefined)
    throw modeError('static or dynamic', codeWord, mode, 'Add --dynamic, or --static and --calibrate');
  checkLevels(mode, options);
}

/** Words that speak of fixed ranges and of the pairs that hold them. */
const STATIC_WORDS = {
  format: '--format',
  coverage: '--coverage',
  equalize: '--equalize',
  dedicatedPairs: '--dedicated-pairs',
  observer: '--observer',
  activationDtype: '--activation-dtype',
} as const;

/** Words that speak of codes by channel or tensor; those in blocks have their own. */
const CODE_WORDS = {
  weightDtype: '--weight-dtype',
  reduceRange: '--reduce-range',
  perTensor: '--per-tensor',
} as const;

/** Those that were said, with their values. What a file says of a mode is idle where a word chooses another one. */
function words(known: Readonly<Record<string, string>>, options: QuantizeOptions): readonly string[] {
  // Keys of the tables are names of options; those of a file have the same names.
  const [said, inFile] = [options, options.settings ?? {}] as readonly Readonly<Record<string, unknown>>[];
  return Object.entries(known)
    .filter(([name]) => said[name] !== undefined && inFile[name] === undefined)
    .map(([name, word]) => asWord(word, said[name]));
}

function asWord(word: string, value: unknown): string {
  if (value === true) return word;
  return value === false ? word.replace('--', '--no-') : `${word} ${String(value)}`;
}

/** Ranges are measured in static mode alone: what a file says of them is idle only where a word chose another mode. */
function checkLevels(mode: Mode, options: QuantizeOptions): void {
  const { settings, config, dynamic, weights, float16, bfloat16 } = options;
  if (settings === undefined || [dynamic, weights, float16, bfloat16].some(Boolean)) return;
  const key = activationKey(settings);
  if (key === undefined) return;
  throw new UsageError(
    `${config}: expected static mode for ${key}, got ${mode}`,
    'Activations get no types or ranges of their own there: write "mode": "static" and give data, or leave it out.',
  );
}

/** The first key about activations, `opTypes.Conv.activation.dtype`. */
function activationKey({ global, opTypes, namePatterns, nodes }: Config): string | undefined {
  const sections = Object.entries({ opTypes, namePatterns, nodes });
  const levels: readonly (readonly [string, Level | undefined])[] = [
    ['global', global],
    ...sections.flatMap(([section, entries]) =>
      Object.entries(entries ?? {}).map(([name, level]) => [`${section}.${name}`, level] as const),
    ),
  ];
  for (const [name, level] of levels) {
    const [key] = typeof level === 'object' ? Object.keys(level?.activation ?? {}) : [];
    if (key !== undefined) return `${name}.activation.${key}`;
  }
  return undefined;
}

/** What QOperator form has no operators for; what is said of single nodes is looked at once there is a plan. */
function checkIntegerForm({
  format,
  dedicatedPairs,
  activationDtype,
  weightDtype,
  settings,
}: QuantizeOptions): void {
  if (format !== 'qoperator') return;
  const { global } = settings ?? {};
  const level = typeof global === 'object' && global !== null ? global : {};
  const activation = activationDtype ?? level.activation?.dtype ?? 'uint8';
  const weight = weightDtype ?? level.weight?.dtype ?? 'int8';
  if (!activation.endsWith('int8'))
    throw formError(`${activation} activations`, 'Integer operators have 8 bits only');
  if (!weight.endsWith('int8')) throw formError(`${weight} weights`, 'Integer operators have 8 bits only');
  if (activation === 'int8' && weight === 'uint8')
    throw formError('int8 activations with uint8 weights', 'There is no integer operator for them');
  if (dedicatedPairs) throw formError('--dedicated-pairs', 'Integer operators have no pairs');
}

function formError(what: string, why: string): UsageError {
  return new UsageError(
    `quantize: expected --format qdq for ${what}, got qoperator`,
    `${why}: leave one of the two out.`,
  );
}

function modeError(expected: string, word: string, got: string, deed: string): UsageError {
  return new UsageError(
    `quantize: expected ${expected} mode for ${word}, got ${got}`,
    `${deed}, or leave ${word.split(' ')[0]} out.`,
  );
}

/** Where weights go, as writeModel says it. */
export function placement({ externalData }: FileOptions): Pick<WriteModelOptions, 'externalData'> {
  if (externalData === undefined) return {};
  if (externalData === false) return { externalData: 'embed' };
  if (externalData === true) return { externalData: {} };
  return { externalData: typeof externalData === 'number' ? { chunkSize: externalData } : externalData };
}

/** Why the result is not looked at; undefined if it is. */
export function uncheckedBecause({ half }: ModeDecision, { verify }: QuantizeOptions): string | undefined {
  if (!verify) return '--no-verify';
  return half === 'bfloat16' ? 'onnxruntime computes nothing in bfloat16 on a CPU' : undefined;
}
