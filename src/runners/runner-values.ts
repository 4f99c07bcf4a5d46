/** Inputs and outputs of a model as a runner declares them. */
import { UnsupportedError } from '../errors.ts';
import { isOurs } from '../graph/element-type.ts';
import type { Model } from '../graph/model.ts';
import { formatType } from '../graph/value-type.ts';
import type { Value } from '../graph/value.ts';
import type { RunnerValue } from './types.ts';

/**
 * What must be fed to a model. Inputs with an initializer need not be (IR 4 on; before, every initializer was listed as
 * an input).
 * @throws UnsupportedError UNSUPPORTED_DTYPE for inputs that are no tensors of numbers
 */
export function inputValues({ graph }: Model): readonly RunnerValue[] {
  return graph.inputs.filter((input) => !graph.initializers.has(input)).map(inputValue);
}

/** The outputs that are tensors of numbers. */
export function outputValues({ graph }: Model): readonly RunnerValue[] {
  return graph.outputs.flatMap((output) => tensorValue(output) ?? []);
}

function inputValue(value: Value): RunnerValue {
  const input = tensorValue(value);
  if (input !== undefined) return input;
  throw new UnsupportedError(
    `runner: expected input '${value.name}' to be a tensor of numbers, got ${formatType(value.type)}`,
    {
      code: 'UNSUPPORTED_DTYPE',
      details: { input: value.name },
    },
  );
}

/** undefined for what is no tensor, or has elements that we have no dtype for (strings). */
function tensorValue({ name, elementType, dims }: Value): RunnerValue | undefined {
  if (elementType === undefined || !isOurs(elementType)) return undefined;
  // A size of 0 or -1 in a file means unknown, and so does an empty name.
  const shape = dims?.map((dim) => (typeof dim === 'number' && dim <= 0 ? undefined : dim || undefined));
  return { name, dtype: elementType, shape };
}
