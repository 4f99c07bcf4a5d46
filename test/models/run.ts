/**
 * Quantizes trained models from packages in every mode that applies, runs the results in onnxruntime at full optimization,
 * and prints how far they are from float. `npm run test:models` installs the packages first; `-- --write` writes
 * docs/models.md. Fails where a mode breaks, or where an output falls below the floor of its mode.
 */
import { writeFileSync } from 'node:fs';
import { sqnr, type Tensor } from 'zeropoint';
import {
  MemorySink,
  ortNode,
  quantizeDynamic,
  quantizeStatic,
  quantizeWeights,
  readModel,
  writeModel,
  type Converted,
  type Model,
} from 'zeropoint/onnx';
import { CATALOGUE, type CatalogueEntry, type Feeds } from './catalogue.ts';

interface Mode {
  readonly name: string;
  /** Least signal to noise of the worst output, in dB: below it the mode is broken, not merely lossy. */
  readonly floor: number;
  run(model: Model, batches: readonly Feeds[]): Promise<Converted>;
}

/** Inputs for calibration, and others to compare on. */
const CALIBRATION_SEEDS = [1, 2, 3, 4, 5, 6, 7, 8];
const TEST_SEEDS = [101, 102, 103, 104];

const MODES: readonly Mode[] = [
  { name: 'static', floor: 5, run: (model, batches) => quantizeStatic(model, { batches }) },
  { name: 'dynamic', floor: 15, run: (model) => quantizeDynamic(model) },
  { name: 'weights, 8 bit', floor: 25, run: (model) => quantizeWeights(model, { bits: 8 }) },
  { name: 'weights, 4 bit', floor: 5, run: (model) => quantizeWeights(model, { bits: 4 }) },
];

interface Row {
  readonly model: string;
  readonly mode: string;
  readonly size: string;
  readonly nodes: string;
  readonly worst: number | undefined;
  readonly note: string;
}

async function outputsOf(model: Model, feeds: readonly Feeds[]): Promise<Record<string, Tensor>[]> {
  const runner = await ortNode(model, { optimization: 'all', threads: 1 });
  const results: Record<string, Tensor>[] = [];
  for (const feed of feeds) results.push(await runner.run(feed));
  await runner.dispose();
  return results;
}

async function bytesOf(model: Model): Promise<Uint8Array> {
  const sink = new MemorySink();
  await writeModel(model, sink);
  return sink.bytes;
}

/** Signal to noise of the worst output over all inputs; outputs that are equal, or zero in float, are left out. */
function worstSqnr(
  expected: readonly Record<string, Tensor>[],
  actual: readonly Record<string, Tensor>[],
): number {
  let worst = Infinity;
  for (const [i, outputs] of expected.entries()) {
    for (const [name, value] of Object.entries(outputs)) {
      const ratio = sqnr(value, actual[i][name]);
      if (!Number.isNaN(ratio) && ratio !== -Infinity) worst = Math.min(worst, ratio);
    }
  }
  return worst;
}

async function tryMode(
  entry: CatalogueEntry,
  model: Model,
  mode: Mode,
  expected: Record<string, Tensor>[],
): Promise<Row> {
  const base = { model: entry.name, mode: mode.name };
  try {
    const { model: quantized, report } = await mode.run(model, CALIBRATION_SEEDS.map(entry.feeds));
    const bytes = await bytesOf(quantized);
    const original = (await bytesOf(model)).length;
    const actual = await outputsOf(await readModel(bytes), TEST_SEEDS.map(entry.feeds));
    return {
      ...base,
      size: `${((100 * bytes.length) / original).toFixed(0)} %`,
      nodes: `${report.quantized.length} of ${report.quantized.length + report.skipped.length}`,
      worst: worstSqnr(expected, actual),
      note: [report.equalized && 'equalized', entry.collapses.includes(mode.name) && 'collapses']
        .filter(Boolean)
        .join(', '),
    };
  } catch (error) {
    const isRefusal = error instanceof Error && 'code' in error && error.code === 'GRAPH_NOT_QUANTIZABLE';
    if (!isRefusal) throw error;
    return { ...base, size: '', nodes: '0', worst: undefined, note: 'does not apply' };
  }
}

const HEADER = '| model | mode | size | nodes quantized | worst output, SQNR | |';

function line({ model, mode, size, nodes, worst, note }: Row): string {
  return `| ${model} | ${mode} | ${size} | ${nodes} | ${worst === undefined ? '' : `${worst.toFixed(1)} dB`} | ${note} |`;
}

function page(rows: readonly Row[]): string {
  return [
    '# Models from packages',
    '',
    'Written by `npm run test:models -- --write`; do not edit. Trained models from npm packages, quantized in every mode with',
    'default settings and run by onnxruntime-node with all optimizations. Inputs are synthetic pictures and sounds (8 to',
    'calibrate, 4 others to compare), so the figures compare modes; they say nothing of detection rates. `collapses`: the answer',
    'is lost on 8-bit activations, by onnxruntime’s quantizer as by ours.',
    '',
    HEADER,
    '|---|---|--:|--:|--:|---|',
    ...rows.map(line),
    '',
  ].join('\n');
}

const rows: Row[] = [];
const failures: string[] = [];
console.log(HEADER);
for (const entry of CATALOGUE) {
  const model = await readModel(entry.path);
  const expected = await outputsOf(model, TEST_SEEDS.map(entry.feeds));
  for (const mode of MODES) {
    const row = await tryMode(entry, model, mode, expected);
    rows.push(row);
    console.log(line(row));
    const isBelow = row.worst !== undefined && row.worst < mode.floor;
    if (isBelow !== entry.collapses.includes(mode.name)) {
      failures.push(`${row.model}, ${row.mode}: expected ${isBelow ? 'at least' : 'below'} ${mode.floor} dB`);
    }
  }
}
if (process.argv.includes('--write'))
  writeFileSync(new URL('../../docs/models.md', import.meta.url), page(rows));
for (const failure of failures) console.error(failure);
console.log(`\n${rows.length - failures.length} passed, ${failures.length} failed`);
process.exitCode = failures.length === 0 ? 0 : 1;
