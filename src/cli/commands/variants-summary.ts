/** What `zeropoint variants` says when it is done. */
import type { RunsOn } from 'zeropoint/onnx';
import { bytes, counted, percent, table } from '../table.ts';
import type { VariantsWords } from '../verbs/variants.ts';
import type { CheckedVariant, VariantsOutcome } from './variants.ts';

export function variantsSummary(outcome: VariantsOutcome, words: VariantsWords): string {
  const { variants, skipped, bases, folder, preset, seconds, changed } = outcome;
  const verb = words.dryRun ? 'would write' : 'wrote';
  const head = `${verb} ${counted(variants.length, 'variant')} of ${counted(bases.length, 'model')} to ${folder}, preset ${preset} (${seconds.toFixed(1)} s)\n`;
  const floats = bases.map(({ file, size }) => [`  ${file}`, bytes(size), '', '', '']);
  const rows = variants.map((variant) => row(variant, outcome));
  const cells = [['  file', 'size', 'saved', 'error', 'runs on'], ...floats, ...rows];
  const parts = [head, table(cells, ['left', 'right', 'right', 'right', 'left'])];
  const notes = [
    ...(outcome.dtype === undefined ? [] : [`dtype for pages: ${JSON.stringify(outcome.dtype)}`]),
    ...bases.flatMap(({ file, note }) => (note === undefined ? [] : [`${file}: ${note}`])),
    ...skipped.map(({ dtype, reason }) => `no ${dtype}: ${reason}`),
    ...variants.flatMap(({ file, note }) => (note === undefined ? [] : [`${file} is a ${note}`])),
    ...(changed.length === 0 ? [] : [`changed: ${changed.join(', ')}`]),
    ...errorNotes(variants),
  ];
  if (notes.length > 0) parts.push(`${notes.join('\n')}\n`);
  return parts.join('\n');
}

function row(variant: CheckedVariant, { bases }: VariantsOutcome): string[] {
  const { base, file, size, runsOn } = variant;
  const whole = bases.find((candidate) => candidate.base === base)?.size ?? size;
  return [`  ${file}`, bytes(size), percent(1 - size / whole), errorOf(variant), places(runsOn)];
}

/** SQNR of the worst output. */
function errorOf({ verification }: CheckedVariant): string {
  if (verification === null || verification.inputs === 'nothing') return '-';
  const ratios = verification.outputs.flatMap(({ sqnr }) => (sqnr === undefined ? [] : [sqnr]));
  if (ratios.length === 0) return '-';
  // NaN is the worst of all.
  const worst = ratios.some(Number.isNaN) ? NaN : Math.min(...ratios);
  return worst === Infinity ? 'equal' : `${worst.toFixed(1)} dB`;
}

function places({ cpu, wasm, webgpu }: RunsOn): string {
  const gpu = webgpu === 'shader-f16' ? ['webgpu (shader-f16)'] : webgpu ? ['webgpu'] : [];
  return [...(cpu ? ['cpu'] : []), ...(wasm ? ['wasm'] : []), ...gpu].join(', ');
}

function errorNotes(variants: readonly CheckedVariant[]): string[] {
  const checked = variants.flatMap(({ verification }) => verification ?? []);
  const [first] = checked;
  if (first === undefined) return [];
  const idle = variants.filter(({ verification }) => verification?.inputs === 'nothing');
  const loaded = idle.map(({ file }) => file).join(', ');
  return [
    `error: signal to noise against float, worst output, on made-up inputs, by ${first.runtime}`,
    ...(idle.length === 0 ? [] : [`loaded, not compared, since made-up inputs do not fit: ${loaded}`]),
  ];
}
