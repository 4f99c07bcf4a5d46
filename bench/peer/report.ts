/** The table of docs/peers.md. Ratios are theirs over ours: above 1 we are faster, or need less. */
import type { Row } from './run.ts';

const HEADER = [
  '| model | job | call, s | faster | process, s | faster | peak, MB | of theirs | file, MB | run, ms | of theirs | SQNR, dB |',
  '|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|',
];

export function report(rows: readonly Row[]): string {
  return [...HEADER, ...rows.map(line)].join('\n');
}

function line({ model, job, ours, theirs, evaluation }: Row): string {
  const cells =
    typeof theirs === 'string' || evaluation === undefined
      ? [
          seconds(ours.seconds),
          `theirs ${String(theirs)}`,
          seconds(ours.process),
          '',
          ours.megabytes.toFixed(0),
          '',
          '',
          '',
          '',
          '',
        ]
      : [
          `${seconds(theirs.seconds)} → ${seconds(ours.seconds)}`,
          times(theirs.seconds / ours.seconds),
          `${seconds(theirs.process)} → ${seconds(ours.process)}`,
          times(theirs.process / ours.process),
          `${theirs.megabytes.toFixed(0)} → ${ours.megabytes.toFixed(0)}`,
          (ours.megabytes / theirs.megabytes).toFixed(2),
          `${megabytes(evaluation.bytes.theirs)} → ${megabytes(evaluation.bytes.ours)}`,
          `${evaluation.milliseconds.theirs.toFixed(1)} → ${evaluation.milliseconds.ours.toFixed(1)}`,
          (evaluation.milliseconds.ours / evaluation.milliseconds.theirs).toFixed(2),
          `${evaluation.decibels.theirs.toFixed(1)} → ${evaluation.decibels.ours.toFixed(1)}`,
        ];
  return `| ${[model, job, ...cells].join(' | ')} |`;
}

const seconds = (value: number): string => value.toFixed(value < 1 ? 2 : 1);
const times = (value: number): string => `${value.toFixed(1)} ×`;
const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);
