/** What `zeropoint check` says when it is done. */
import { bytes, counted, table } from '../table.ts';
import type { CheckedTarget, CheckOutcome } from './check.ts';
import type { TargetRun } from './check-run.ts';

export function checkSummary(outcome: CheckOutcome): string {
  const { file, comparison, targets } = outcome;
  const head = `${file}: ${counted(targets[0].nodes, 'node')}\n`;
  const overview = table([
    ['  target', 'verdict', 'by'],
    ...targets.map((target) => [`  ${target.target}`, verdictOf(target), source(target)]),
  ]);
  const parts = [head + overview, ...targets.flatMap(findingLines)];
  if (comparison !== null) {
    const { reference, runtime, samples, minSqnr } = comparison;
    const inputs = samples === 0 ? 'nothing: it was loaded alone' : comparison.inputs;
    parts.push(
      `run and compared with ${reference} in ${runtime}, on ${inputs}; at least ${minSqnr} dB\n` +
        table(
          [
            ['  target', 'load', 'run', 'memory', 'SQNR', 'max error', ''],
            ...targets.flatMap(({ target, run }) => (run === null ? [] : [runRow(target, run)])),
          ],
          ['left', 'right', 'right', 'right', 'right', 'right', 'left'],
        ),
      ...targets.flatMap(runNotes),
    );
  }
  return parts.join('\n');
}

function verdictOf({ verdict, passed }: CheckedTarget): string {
  return passed ? verdict : `${verdict} (FAILS)`;
}

function source({ runtime, place, probed }: CheckedTarget): string {
  return `table of ${runtime}, probed ${probed} on ${place}`;
}

function findingLines({ target, findings }: CheckedTarget): readonly string[] {
  if (findings.length === 0) return [];
  const rows = findings.map(({ support, op, version, types, count, advice }) => [
    `  ${support}`,
    version === null || op.includes('.') ? op : `${op}-${version}`,
    types,
    counted(count, 'node'),
    advice,
  ]);
  return [`on ${target}\n${table(rows)}`];
}

function runRow(target: string, { loadMs, runMs, peakBytes, outputs, problem }: TargetRun): string[] {
  const ratios = outputs.flatMap(({ sqnr }) => (sqnr === undefined ? [] : [sqnr]));
  const errors = outputs.map(({ maxAbsError }) => maxAbsError);
  return [
    `  ${target}`,
    time(loadMs),
    time(runMs),
    peakBytes === null ? '-' : bytes(peakBytes),
    ratios.length === 0 ? '-' : decibels(worst(ratios)),
    errors.length === 0 ? '-' : Math.max(...errors).toPrecision(3),
    problem === null ? 'ok' : 'FAILS',
  ];
}

/** NaN is the worst of all. */
function worst(ratios: readonly number[]): number {
  return ratios.some(Number.isNaN) ? NaN : Math.min(...ratios);
}

function decibels(ratio: number): string {
  return ratio === Infinity ? 'equal' : `${ratio.toFixed(1)} dB`;
}

function time(ms: number | null): string {
  if (ms === null) return '-';
  return ms < 1000 ? `${ms.toFixed(ms < 10 ? 1 : 0)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

function runNotes({ target, run }: CheckedTarget): readonly string[] {
  if (run === null) return [];
  const { problem, fallbacks, place } = run;
  const lines = [
    ...(place === null ? [] : [`${target} ran in ${place}`]),
    ...(problem === null ? [] : [`${target} fails (${problem.kind}): ${problem.message}`]),
    ...(fallbacks.length === 0
      ? []
      : [`${target} left to the CPU: ${fallbacks.map(({ op, count }) => `${op} ${count}`).join(', ')}`]),
  ];
  return lines.length === 0 ? [] : [`${lines.join('\n')}\n`];
}
