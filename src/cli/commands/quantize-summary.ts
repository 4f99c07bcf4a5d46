/** What `zeropoint quantize` says when it is done. */
import type { OutputError } from 'zeropoint/onnx';
import { bytes, counted, percent, table } from '../table.ts';
import { halfLines, nodeLines } from './node-lines.ts';
import { uncheckedBecause } from './output-form.ts';
import type { QuantizeJob, QuantizeResult } from './quantize.ts';
import type { Verification } from './verify.ts';
import type { Report } from './without-data.ts';

/** Below these an output is likely to hurt: about 2 % noise, and one decision in fifty. */
const LOW_SQNR = 17;
const LOW_AGREEMENT = 0.98;

export function summary(job: QuantizeJob, result: QuantizeResult): string {
  const { input, output, report, seconds } = result;
  const { samples: seen = 0, raisedOpset } = report.mode === 'float16' ? {} : report;
  const samples = seen === 0 ? '' : `, calibrated on ${counted(seen, 'sample')}`;
  const head = table([
    ['wrote', `${output.file}  (${report.mode}${samples}, ${seconds.toFixed(1)} s)`],
    ['size', `${bytes(input.size)} → ${bytes(output.size)}  (${percent(output.size / input.size)})`],
    ...decoders(result),
    ...(raisedOpset === undefined
      ? []
      : [['opset', `${raisedOpset.from} → ${raisedOpset.to}, which has the integer forms`]]),
  ]);
  const parts = [
    head,
    whatBecame(report),
    ...(isUnseen(job, report)
      ? ['activations were not looked at; --calibrate shows those that float16 cannot hold\n']
      : []),
    errorTable(job, result),
    nextStep(job, result),
  ];
  return parts.join('\n');
}

function whatBecame(report: Report): string {
  if (report.mode === 'float16') return halfLines(report);
  return nodeLines(report) + (report.float16 === undefined ? '' : halfLines(report.float16));
}

function isUnseen({ data }: QuantizeJob, report: Report): boolean {
  return data === undefined && (report.mode === 'float16' || report.float16 !== undefined);
}

function decoders({ calibration }: QuantizeResult): readonly (readonly string[])[] {
  const names = new Set((calibration ?? []).flatMap(({ decoder }) => decoder ?? []));
  return [...names].map((name) => ['decoder', name]);
}

function errorTable(job: QuantizeJob, { verification }: QuantizeResult): string {
  if (verification === null) return `not checked: ${uncheckedBecause(job.choice, job.options)}\n`;
  const { runtime, inputs, samples, outputs } = verification;
  if (inputs === 'nothing')
    return `loaded by ${runtime}; not compared, since there is no data (--calibrate)\n`;
  const rows = outputs.map(({ name, sqnr, cosine, maxAbsError, agreement }) => [
    `  ${name}`,
    sqnr === undefined ? '-' : sqnr === Infinity ? 'equal' : `${sqnr.toFixed(1)} dB`,
    cosine?.toFixed(5) ?? '-',
    maxAbsError.toPrecision(3),
    agreement === undefined ? '-' : percent(agreement),
  ]);
  const where = inputs === 'data' ? (job.options.calibrate ?? 'data') : inputs;
  return [
    `error against the original, on ${counted(samples, 'sample')} of ${where}, by ${runtime}\n`,
    table(
      [['  output', 'SQNR', 'cosine', 'max error', 'agreement'], ...rows],
      ['left', 'right', 'right', 'right', 'right'],
    ),
  ].join('');
}

function nextStep({ input, output, options, choice }: QuantizeJob, { verification }: QuantizeResult): string {
  if (verification !== null && isPoor(verification)) {
    const better =
      choice.mode === 'weight-only'
        ? finerWeights(
            choice.weights === 'channels' ? 8 : (options.weights ?? options.settings?.weights?.bits),
            input,
          )
        : remedy(options.observer, options.calibrate, choice.mode, input);
    if (better !== undefined) return `the error is large; try: ${better}\n`;
  }
  // Nobody asked for float16: it stands in for integers, for which data was missing.
  if (choice.mode === 'float16' && !options.float16 && !options.bfloat16 && !options.settings) {
    return `for int8, a quarter of the size: zeropoint quantize ${input} --calibrate data.npz\n`;
  }
  return `next: zeropoint inspect ${output}\n`;
}

function isPoor({ outputs }: Verification): boolean {
  return outputs.some(
    // A NaN is not below anything, and as poor as it gets.
    ({ sqnr = Infinity, agreement = 1 }: OutputError) => !(sqnr >= LOW_SQNR && agreement >= LOW_AGREEMENT),
  );
}

function finerWeights(bits: number | undefined, input: string): string | undefined {
  return bits === 8 ? undefined : `zeropoint quantize ${input} --weights ${bits === 2 ? 4 : 8} --force`;
}

function remedy(
  observer: string | undefined,
  data: string | undefined,
  mode: string,
  input: string,
): string | undefined {
  if (mode !== 'static' || data === undefined) return undefined;
  const next = observer === undefined || observer === 'minmax' ? 'mse' : 'percentile';
  return observer === next
    ? undefined
    : `zeropoint quantize ${input} --calibrate ${data} --observer ${next} --force`;
}
