/** Checks what is fed to a model against what it takes, so that a mistake is named before the runtime stumbles. */
import { CalibrationError } from '../errors.ts';
import type { Dim } from '../graph/value-type.ts';
import { asTensor } from '../tensor/cast.ts';
import type { DType } from '../tensor/dtype.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { Feeds, RunnerValue } from './types.ts';

/** `float32 [N, 1, 28, 28]`; an axis of any size without a name is `?`, and an unknown rank `[...]`. */
export function formatRunnerValue({ dtype, shape }: TypeAndShape): string {
  return `${dtype} [${shape?.map((dim) => dim ?? '?').join(', ') ?? '...'}]`;
}

/** What a tensor or an array in a file is. */
export interface TensorFacts {
  readonly dtype: DType;
  readonly shape: readonly number[];
}

interface TypeAndShape {
  readonly dtype: DType;
  readonly shape: readonly Dim[] | undefined;
}

/**
 * The feeds as tensors, by the names of the inputs.
 * @throws CalibrationError CALIBRATION_INPUT for a missing or unknown name, another dtype, rank or fixed size.
 */
export function checkFeeds(
  inputs: readonly RunnerValue[],
  feeds: Feeds,
  where = 'run',
): Record<string, Tensor> {
  checkNames(inputs, Object.keys(feeds), where);
  const tensors: Record<string, Tensor> = {};
  for (const input of inputs) {
    const tensor = asTensor(feeds[input.name], `${where}: input '${input.name}'`);
    checkInput(input, tensor, where);
    tensors[input.name] = tensor;
  }
  return tensors;
}

/** Throws CALIBRATION_INPUT unless `names` are exactly those of the inputs. */
export function checkNames(inputs: readonly RunnerValue[], names: readonly string[], where: string): void {
  const wanted = inputs.map((input) => input.name);
  const missing = wanted.filter((name) => !names.includes(name));
  const extra = names.filter((name) => !wanted.includes(name));
  if (missing.length === 0 && extra.length === 0) return;
  throw new CalibrationError(`${where}: expected inputs ${quote(wanted)}, got ${quote(names)}`, {
    code: 'CALIBRATION_INPUT',
    hint: nameHint(inputs, missing, extra),
    details: { missing, extra },
  });
}

function nameHint(
  inputs: readonly RunnerValue[],
  missing: readonly string[],
  extra: readonly string[],
): string {
  if (missing.length === 0) return `Leave out ${quote(extra)}: the model has no such input.`;
  const needed = inputs.filter((input) => missing.includes(input.name));
  const list = needed.map((input) => `'${input.name}' as ${formatRunnerValue(input)}`).join(', ');
  return extra.length === missing.length && extra.length === 1
    ? `Rename '${extra[0]}' to '${missing[0]}', or name arrays after the model's inputs: ${list}.`
    : `Name arrays after the model's inputs; still needed: ${list}.`;
}

/** Throws CALIBRATION_INPUT unless dtype and rank are the input's and every fixed axis has its size. */
export function checkInput(input: RunnerValue, given: TensorFacts, where: string): void {
  if (given.dtype === input.dtype && fitsShape(input.shape, given.shape)) return;
  throw inputError(input, given, where);
}

/** What is wrong with an array, and what would be right. */
export function inputError(input: RunnerValue, given: TensorFacts, where: string): CalibrationError {
  return new CalibrationError(
    `${where}: input '${input.name}': expected ${formatRunnerValue(input)}, got ${formatRunnerValue(given)}`,
    {
      code: 'CALIBRATION_INPUT',
      hint: inputHint(input, given),
      details: { input: input.name, dtype: given.dtype, shape: given.shape },
    },
  );
}

function inputHint(input: RunnerValue, given: TensorFacts): string {
  const wanted = formatRunnerValue(input);
  if (given.dtype !== input.dtype && given.dtype === 'uint8' && input.dtype === 'float32') {
    return `Prepare the values as in training (for images often x / 255) and store them as ${wanted}.`;
  }
  if (given.dtype !== input.dtype) return `Store the values as ${wanted}.`;
  return `Store the values with the axes of the input: ${wanted}, the first axis counts samples.`;
}

/** True if a tensor of shape `given` can be an input of shape `wanted`. */
export function fitsShape(wanted: readonly Dim[] | undefined, given: readonly number[]): boolean {
  if (wanted === undefined) return true;
  return (
    wanted.length === given.length &&
    wanted.every((dim, axis) => typeof dim !== 'number' || dim === given[axis])
  );
}

function quote(names: readonly string[]): string {
  return names.length === 0 ? 'none' : names.map((name) => `'${name}'`).join(', ');
}
