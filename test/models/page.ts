/** docs/models.md: a table of figures, and what they count. */
import type { Agreement, Task } from './task.ts';

/** A model in a mode. Without figures where the mode does not apply. */
export interface Row {
  readonly model: string;
  readonly mode: string;
  readonly note: string;
  /** Of the float model's bytes. */
  readonly size?: number;
  readonly nodes?: number;
  readonly sqnr?: number;
  readonly agreement?: Agreement;
  readonly auc?: { readonly float: number; readonly quantized: number } | undefined;
}

export const HEADER = [
  '| model | mode | size | nodes | worst output | agreement | AUC, float → quantized | |',
  '|---|---|--:|--:|--:|---|---|---|',
].join('\n');

export function line({ model, mode, size, nodes, sqnr, agreement, auc, note }: Row): string {
  const cells = [
    model,
    mode,
    size === undefined ? '' : `${(100 * size).toFixed(0)} %`,
    String(nodes ?? ''),
    sqnr === undefined ? '' : `${sqnr.toFixed(1)} dB`,
    agreement === undefined ? '' : agreementInWords(agreement),
    auc === undefined ? '' : `${auc.float.toFixed(3)} → ${auc.quantized.toFixed(3)}`,
    note,
  ];
  return `| ${cells.join(' | ')} |`;
}

function agreementInWords({ share, detail }: Agreement): string {
  const percent = `${(100 * share).toFixed(1)} %`;
  return detail === undefined ? percent : `${percent}, ${detail}`;
}

export function page(rows: readonly Row[], tasks: ReadonlyMap<string, Task>): string {
  return [
    '# Models from packages',
    '',
    'Written by `npm run test:models -- --write`; do not edit. Trained models from npm packages, quantized in every mode with',
    'default settings and run by onnxruntime-node with all optimizations. `worst output`: signal to noise of the worst output',
    'over all inputs. `agreement`: with the float model, counted as said below. `AUC`: area under the ROC curve where the',
    'inputs have labels. `nodes`: how many compute in the narrow form.',
    '',
    HEADER,
    ...rows.map(line),
    '',
    '## What agreement counts, and on what',
    '',
    ...[...tasks].map(([name, { measure, inputs }]) => `- ${name}: ${measure}. Inputs: ${inputs}.`),
    '',
  ].join('\n');
}
