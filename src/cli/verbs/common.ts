/** Options that every verb has, and the frame that every verb runs in. */
import { InvalidArgumentError, type Command } from 'commander';

export interface CommonOptions {
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly debug?: boolean;
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
