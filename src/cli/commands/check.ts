/** `zeropoint check`: looks every node up, runs the model if asked to, and ends with 3 if a target fails. */
import { check, failsCheck, readModel, type CheckReport, type Model, type TargetCheck } from 'zeropoint/onnx';
import { UsageError } from '../errors.ts';
import { runVerb } from '../frame.ts';
import { ExitCode } from '../exit-code.ts';
import { readOptions } from '../verbs/common.ts';
import type { CheckWords } from '../verbs/check.ts';
import { runTargets, type RunReport, type TargetRun } from './check-run.ts';
import { checkSummary } from './check-summary.ts';

/** What was found; printed as it is by `--json`. */
export interface CheckOutcome {
  readonly file: string;
  /** Release of onnxruntime that the table is of. */
  readonly version: string;
  /** How outputs were compared; null without `--run`. */
  readonly comparison: RunReport['comparison'] | null;
  readonly targets: readonly CheckedTarget[];
}

export interface CheckedTarget extends TargetCheck {
  /** null without `--run`. */
  readonly run: TargetRun | null;
  readonly passed: boolean;
}

/** Words that say how to run, and the word that each of them speaks of. */
const RUN_WORDS = {
  float: 'run',
  data: 'run',
  minSqnr: 'run',
  browser: 'run',
  adapter: 'run',
  samples: 'data',
} as const satisfies Partial<Record<keyof CheckWords, keyof CheckWords>>;

export async function checkModel(path: string, words: CheckWords): Promise<void> {
  await runVerb(words, async (context) => {
    checkWords(words);
    const model = await readModel(path, readOptions(words));
    const report = await lookUp(model, words);
    const targets = report.targets.map(({ target }) => target);
    const ran = words.run ? await runTargets({ path, model, targets, words, context }) : undefined;
    const outcome: CheckOutcome = {
      file: path,
      version: report.version,
      comparison: ran?.comparison ?? null,
      targets: report.targets.map((target, i) => {
        const run = ran?.targets[i] ?? null;
        return { ...target, run, passed: passes(target, run, words) };
      }),
    };
    const fails = outcome.targets.some(({ passed }) => !passed);
    return {
      json: outcome,
      text: () => checkSummary(outcome),
      ...(fails && { exitCode: ExitCode.gate }),
    };
  });
}

function checkWords(words: CheckWords): void {
  for (const [name, needed] of Object.entries(RUN_WORDS)) {
    // Keys are those of the table.
    if (words[name as keyof typeof RUN_WORDS] === undefined || words[needed]) continue;
    const spelt = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    const why = needed === 'run' ? 'Without --run nothing is run.' : 'Made-up inputs are one sample.';
    throw new UsageError(`--${spelt}: expected --${needed} beside it, got none`, why);
  }
}

/** A release that was not probed is a word that names nothing. */
async function lookUp(model: Model, { target }: CheckWords): Promise<CheckReport> {
  try {
    return await check(model, target ?? {});
  } catch (error) {
    if (error instanceof RangeError) throw new UsageError(error.message);
    throw error;
  }
}

/** What was run is judged by that; the table speaks of other machines, and of one release. */
function passes(
  { verdict, findings }: TargetCheck,
  run: TargetRun | null,
  { fallback }: CheckWords,
): boolean {
  if (run !== null) return run.problem === null && (fallback || run.fallbacks.length === 0);
  return !failsCheck(verdict) && (fallback || findings.every(({ support }) => support !== 'falls back'));
}
