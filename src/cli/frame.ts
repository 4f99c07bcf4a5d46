/**
 * The frame around a verb: Ctrl-C becomes an abort, an error becomes two lines and an exit code, and the result goes to
 * stdout as text or as one JSON document. Nothing else in the package writes to a stream or sets an exit code.
 */
import { failure, Interrupted } from './errors.ts';
import { ExitCode } from './exit-code.ts';
import { openProgress, type ProgressDisplay } from './progress.ts';
import type { CommonOptions } from './verbs/common.ts';

/** What a verb works with. */
export interface Context {
  readonly signal: AbortSignal;
  readonly progress: ProgressDisplay;
}

/** What a verb found or did. */
export interface Outcome {
  /** For `--json`. Numbers that are not finite become null. */
  readonly json: unknown;
  /** For people; asked for only if they see it. */
  readonly text: () => string;
  /** Default: done. */
  readonly exitCode?: (typeof ExitCode)['gate'];
}

export async function runVerb(
  options: CommonOptions,
  verb: (context: Context) => Promise<Outcome>,
): Promise<void> {
  const progress = openProgress(process.stderr, options.quiet === true);
  const interrupt = interruptSignal();
  try {
    const outcome = await verb({ signal: interrupt.signal, progress });
    progress.end();
    if (options.json) printJson(outcome.json);
    else if (!options.quiet) process.stdout.write(outcome.text());
    if (outcome.exitCode !== undefined) process.exitCode = outcome.exitCode;
  } catch (error) {
    progress.end();
    const { exitCode, lines, json } = failure(error, options);
    if (options.json) printJson({ error: json });
    process.stderr.write(`${lines.join('\n')}\n`);
    process.exitCode = exitCode;
  } finally {
    interrupt.release();
  }
}

function printJson(document: unknown): void {
  process.stdout.write(`${JSON.stringify(document, undefined, 2)}\n`);
}

/** SIGHUP: the terminal was closed. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Aborts at the first of these signals. At the second one the process ends at once; exit handlers still tidy up. */
function interruptSignal(): { readonly signal: AbortSignal; release(): void } {
  const controller = new AbortController();
  const onSignal = (): void => {
    if (controller.signal.aborted) process.exit(ExitCode.interrupted);
    controller.abort(new Interrupted());
  };
  for (const name of SIGNALS) process.on(name, onSignal);
  return {
    signal: controller.signal,
    release: () => SIGNALS.forEach((name) => process.off(name, onSignal)),
  };
}
