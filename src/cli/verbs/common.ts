/** Options that every verb has, and the frame that every verb runs in. */
import { InvalidArgumentError, Option, type Command } from 'commander';

export interface CommonOptions {
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly debug?: boolean;
}

/** Of verbs that read models. */
export interface ModelOptions extends CommonOptions {
  /** Bytes. */
  readonly maxStructure?: number;
}

/** As {@link addCommonOptions}, for verbs that read models. */
export function addModelOptions(command: Command): Command {
  return addCommonOptions(
    command.option(
      '--max-structure <size>',
      'memory for the nodes and names of a model at most, besides tensors (default: 256MiB, some 65,000 nodes)',
      parseSize,
    ),
  );
}

/** What {@link addModelOptions} says, for the library. */
export function readOptions({ maxStructure }: ModelOptions): { readonly maxStructureBytes?: number } {
  return maxStructure === undefined ? {} : { maxStructureBytes: maxStructure };
}

export function addCommonOptions(command: Command): Command {
  return command
    .option('--json', 'print one JSON document on stdout; progress goes to stderr')
    .option('--quiet', 'print nothing but errors')
    .option('--debug', 'print the stack of an error');
}

/** For `.option`: a whole number of at least 1. */
export function parseCount(text: string): number {
  const count = Number(text);
  if (/^[0-9]+$/.test(text) && count >= 1 && Number.isSafeInteger(count)) return count;
  throw new InvalidArgumentError('Expected a whole number of at least 1.');
}

/** For `.option`: a whole number from 0. */
export function parseSeed(text: string): number {
  if (/^[0-9]+$/.test(text) && Number(text) < 2 ** 32) return Number(text);
  throw new InvalidArgumentError('Expected a whole number from 0 to 4294967295.');
}

/** For `.option` that may be given several times. */
export function collect(text: string, previous: readonly string[] = []): readonly string[] {
  return [...previous, text];
}

/** An option whose value is one of some numbers. */
export function numberOption(flags: string, description: string, numbers: readonly number[]): Option {
  const option = new Option(flags, description).argParser((text) => {
    const number = Number(text);
    if (text !== '' && numbers.includes(number)) return number;
    throw new InvalidArgumentError(`Allowed choices are ${numbers.join(', ')}.`);
  });
  option.argChoices = numbers.map(String);
  return option;
}

const UNITS = { '': 1, KB: 1e3, MB: 1e6, GB: 1e9, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 } as const;

/** For `.option`: bytes, such as `500000`, `500MB` or `1GiB`. */
export function parseSize(text: string): number {
  const [, count, unit] = /^([0-9]+)(|[KMG]i?B)$/.exec(text) ?? [];
  const size = Number(count) * UNITS[unit as keyof typeof UNITS];
  if (size >= 1 && Number.isSafeInteger(size)) return size;
  throw new InvalidArgumentError('Expected a size, such as 500MB or 1GiB.');
}
