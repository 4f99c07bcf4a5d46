/** What was decided about the file that `zeropoint quantize` writes: its name, where weights lie, whether it is looked at. */
import type { WriteModelOptions } from 'zeropoint/onnx';
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

/** Throws UsageError for a word about a mode that is not the one that was found sensible. */
export function checkModeWords({ mode }: ModeDecision, options: QuantizeOptions): void {
  const { format, coverage, dedicatedPairs, convolutions, settings } = options;
  if (convolutions && mode !== 'dynamic') throw modeError('dynamic', 'convolutions', mode, 'Add --dynamic');
  if (mode === 'static') return checkIntegerForm(options);
  // What a file says of static mode is idle where a word chooses another one.
  const words = [
    ['format', settings?.format === undefined ? format : undefined],
    ['coverage', settings?.coverage === undefined ? coverage : undefined],
    ['dedicated-pairs', settings?.dedicatedPairs === undefined && dedicatedPairs ? '' : undefined],
  ];
  const word = words.find(([, value]) => value !== undefined);
  if (word !== undefined)
    throw modeError('static', word.join(' ').trim(), mode, 'Add --static and --calibrate');
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
    `quantize: expected ${expected} mode for --${word}, got ${got}`,
    `${deed}, or leave --${word.split(' ')[0]} out.`,
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
