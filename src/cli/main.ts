#!/usr/bin/env node
/**
 * The command line: `zeropoint <verb> ...`. Only the parser is loaded here; a verb's code comes with its first use, so
 * that `--help` answers at once.
 */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { addCalibrate } from './verbs/calibrate.ts';
import { addCheck } from './verbs/check.ts';
import { addInspect } from './verbs/inspect.ts';
import { addPlan } from './verbs/plan.ts';
import { addQuantize } from './verbs/quantize.ts';
import { addVariants } from './verbs/variants.ts';
import { ExitCode } from './exit-code.ts';

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  readonly version: string;
};

const program = new Command('zeropoint')
  .description('Makes ONNX models smaller and faster, and checks what that costs.')
  .version(version)
  .exitOverride()
  .showHelpAfterError('hint: run it with --help to see what it takes.');
addQuantize(program);
addCalibrate(program);
addPlan(program);
addInspect(program);
addVariants(program);
addCheck(program);

// A reader that has seen enough (`| head`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(ExitCode.done);
  process.stderr.write(`error: stdout: expected to write, got ${String(error)}\n`);
  process.exit(ExitCode.failed);
});

try {
  await program.parseAsync();
} catch (error) {
  // Every verb handles its own errors: what arrives here is the parser's, already printed.
  if (!(error instanceof CommanderError)) throw error;
  process.exitCode = error.exitCode === 0 ? ExitCode.done : ExitCode.usage;
  if (error.exitCode !== 0 && process.argv.includes('--json')) {
    const message = error.message.replace(/^error: /, '');
    process.stdout.write(`${JSON.stringify({ error: { code: 'USAGE', message } }, undefined, 2)}\n`);
  }
}
