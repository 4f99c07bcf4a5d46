/** From what was thrown to what a person, a script and the shell are told. */
import { QuantError } from 'zeropoint';
import { ExitCode } from './exit-code.ts';
import { printable } from './table.ts';

/** Words of the command line that do not go together, or that do not fit the model. Exit code 2. */
export class UsageError extends Error {
  readonly hint: string | undefined;

  constructor(message: string, hint?: string) {
    super(message);
    this.name = 'UsageError';
    this.hint = hint;
  }
}

/** Ctrl-C, SIGTERM or SIGHUP. */
export class Interrupted extends Error {
  /** `left`: what there is now. */
  constructor(left = 'nothing was written') {
    super(`interrupted; ${left}`);
    this.name = 'Interrupted';
  }
}

export interface Failure {
  readonly exitCode: number;
  /** For stderr. */
  readonly lines: readonly string[];
  /** For `--json`. */
  readonly json: Readonly<Record<string, unknown>>;
}

export function failure(error: unknown, { debug = false }: { readonly debug?: boolean }): Failure {
  if (error instanceof Interrupted) {
    return {
      exitCode: ExitCode.interrupted,
      lines: [error.message],
      json: { code: 'INTERRUPTED', message: error.message },
    };
  }
  const { code, message, hint, details } = describe(error);
  const lines = [`error: ${lineByLine(message)}`];
  if (hint !== undefined) lines.push(`hint: ${lineByLine(hint)}`);
  if (debug) lines.push(...stacks(error));
  const exitCode = error instanceof UsageError ? ExitCode.usage : (GATES[code] ?? ExitCode.failed);
  return { exitCode, lines, json: { code, message, hint, details } };
}

/** Failures to keep a bound that the user set. */
const GATES: Readonly<Record<string, number | undefined>> = { BUDGET_EXCEEDED: ExitCode.gate };

/** Messages of runtimes have several lines. */
function lineByLine(text: string): string {
  return text.split('\n').map(printable).join('\n');
}

interface Description {
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

function describe(error: unknown): Description {
  if (error instanceof QuantError) return error;
  if (error instanceof UsageError) return { code: 'USAGE', message: error.message, hint: error.hint };
  return {
    code: 'UNEXPECTED',
    message: `unexpected: ${String(error)}`,
    hint: 'This is a fault of zeropoint, not of your files. Run again with --debug and report what it prints.',
  };
}

/** The stack of an error and of what caused it. */
function stacks(error: unknown): string[] {
  const lines: string[] = [];
  for (let at = error; at instanceof Error; at = at.cause) lines.push(at.stack ?? String(at));
  return lines;
}
