/**
 * What `variants` gains: time and memory beside the recipe of transformers.js' removed Python scripts, and preset web beside
 * preset transformersjs-3.
 *
 *   python bench/peer/models.py FOLDER                       makes the models (torch, torchvision, transformers)
 *   npx tsx --tsconfig tsconfig.run.json bench/variants.ts FOLDER [--rounds 3] [--only cost|presets] [--write]
 *
 * after a build. Python: ZEROPOINT_PYTHON, else .venv/bin/python. `--write` writes docs/variants.md. Exit code 1 if the whole
 * set takes more than a third of the recipe's time, or more than half of its memory.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { GraphError } from 'zeropoint';
import { variants, VARIANT_DTYPES, type VariantDType, type VariantPreset } from 'zeropoint/onnx';
import { evaluateErrors, type Evaluation } from './peer/evaluate.ts';
import { least, runJob, type Cost } from './peer/job-cost.ts';

const COST_MODEL = 'bert_base';
const MODELS = ['minilm', 'bert_base', 'resnet18', 'mobilenet_v2'] as const;
const FASTER = 3;
const SMALLER = 2;

const local = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const PYTHON = process.env.ZEROPOINT_PYTHON ?? local('../.venv/bin/python');

function inFolder<T>(work: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'zeropoint-variants-'));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  const result = work(folder);
  if (result instanceof Promise) return result.finally(remove) as T;
  remove();
  return result;
}

function succeed(cost: Cost | string, what: string): Cost {
  if (typeof cost === 'string') throw new Error(`${what}: expected a result, got: ${cost}`);
  return cost;
}

function make(model: string, folder: string, dtypes: readonly string[]): Cost {
  const words = [local('peer/variants.mjs'), model, folder, 'transformersjs-3', ...dtypes];
  return succeed(runJob(process.execPath, words), `zeropoint ${dtypes.join()}`);
}

interface CostRow {
  readonly job: string;
  readonly theirs: Cost;
  readonly ours: Cost;
}

/** Each variant in a process of its own, and all in one; theirs and ours in turn. */
function measureCosts(folder: string, rounds: number): readonly CostRow[] {
  const model = join(folder, `${COST_MODEL}.onnx`);
  const jobs = {
    ...Object.fromEntries(VARIANT_DTYPES.map((dtype) => [dtype, [dtype]])),
    all: VARIANT_DTYPES,
  };
  return Object.entries(jobs).map(([job, dtypes]) => {
    const theirs: Cost[] = [];
    const ours: Cost[] = [];
    for (let round = 0; round < rounds; round++) {
      const words = (out: string): string[] => [local('peer/variants.py'), model, out, ...dtypes];
      theirs.push(
        succeed(
          inFolder((out) => runJob(PYTHON, words(out))),
          `Python ${job}`,
        ),
      );
      ours.push(inFolder((out) => make(model, out, dtypes)));
    }
    const row = { job, theirs: least(theirs), ours: least(ours) };
    console.log(costCells(row).join('  '));
    return row;
  });
}

const COST_COLUMNS = [
  '',
  'call, s',
  'faster',
  'process, s',
  'faster',
  'CPU, s',
  'less',
  'peak, MB',
  'of theirs',
];

function costCells({ job, theirs, ours }: CostRow): string[] {
  return [
    job,
    `${theirs.seconds.toFixed(1)} → ${ours.seconds.toFixed(1)}`,
    (theirs.seconds / ours.seconds).toFixed(1),
    `${theirs.process.toFixed(1)} → ${ours.process.toFixed(1)}`,
    (theirs.process / ours.process).toFixed(1),
    `${cpuOf(theirs).toFixed(1)} → ${cpuOf(ours).toFixed(1)}`,
    (cpuOf(theirs) / cpuOf(ours)).toFixed(1),
    `${theirs.megabytes.toFixed(0)} → ${ours.megabytes.toFixed(0)}`,
    `${((100 * ours.megabytes) / theirs.megabytes).toFixed(0)} %`,
  ];
}

const cpuOf = ({ cpu = NaN }: Cost): number => cpu;

function isWithinGoal({ theirs, ours }: CostRow): boolean {
  return theirs.process >= FASTER * ours.process && theirs.megabytes >= SMALLER * ours.megabytes;
}

interface PresetRow extends Pick<Evaluation, 'bytes' | 'decibels'> {
  readonly model: string;
  readonly dtype: VariantDType;
}

/** Ours is preset web, theirs transformersjs-3, as made for a model type with both options off. */
function comparePresets(folder: string, model: string): Promise<readonly PresetRow[]> {
  const source = join(folder, `${model}.onnx`);
  return inFolder(async (out) => {
    const rows: PresetRow[] = [];
    for (const dtype of VARIANT_DTYPES) {
      const files = {
        ours: await made(source, join(out, 'web.onnx'), 'web', dtype),
        theirs: await made(source, join(out, 'compat.onnx'), 'transformersjs-3', dtype),
      };
      const decibels = await evaluateErrors(source, files, join(folder, `${model}_held.npz`));
      const bytes = { ours: statSync(files.ours).size, theirs: statSync(files.theirs).size };
      const row = { model, dtype, decibels, bytes };
      console.log(presetCells(row).join('  '));
      rows.push(row);
    }
    return rows;
  });
}

/** The file at `path`, made; the float model where the recipe finds nothing to do, as the scripts had it. */
async function made(
  source: string,
  path: string,
  preset: VariantPreset,
  dtype: VariantDType,
): Promise<string> {
  try {
    await variants(source, { preset, dtypes: [dtype], overwrite: true, open: () => path });
    return path;
  } catch (error) {
    if (error instanceof GraphError && error.code === 'GRAPH_NOT_QUANTIZABLE') return source;
    throw error;
  }
}

const PRESET_COLUMNS = ['model', 'dtype', 'size, MB', 'SQNR, dB'];

/** A float model equals itself. */
function shown(value: number, digits: number): string {
  return value === Infinity ? 'equal' : value.toFixed(digits);
}

function presetCells({ model, dtype, bytes, decibels }: PresetRow): string[] {
  const pair = ({ ours, theirs }: { ours: number; theirs: number }, digits: number, per = 1): string =>
    `${shown(theirs / per, digits)} → ${shown(ours / per, digits)}`;
  return [model, dtype, pair(bytes, 1, 1e6), pair(decibels, 1)];
}

function table(columns: readonly string[], rows: readonly (readonly string[])[], texts: number): string {
  const rule = columns.map((_column, i) => (i < texts ? '---' : '--:'));
  return [columns, rule, ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: 'string' }, only: { type: 'string' }, write: { type: 'boolean' } },
});
const [folder] = positionals;
if (folder === undefined || !existsSync(folder) || !existsSync(PYTHON)) {
  console.error(`variants: expected the folder of models.py and Python at ${PYTHON}, got ${String(folder)}`);
  process.exit(2);
}

const parts: Readonly<Record<string, () => Promise<string> | string>> = {
  cost() {
    const rows = measureCosts(folder, Number(values.rounds ?? 3));
    if (!rows.every((row) => row.job !== 'all' || isWithinGoal(row))) process.exitCode = 1;
    return table(COST_COLUMNS, rows.map(costCells), 1);
  },
  async presets() {
    const rows: PresetRow[] = [];
    for (const model of MODELS) rows.push(...(await comparePresets(folder, model)));
    return table(PRESET_COLUMNS, rows.map(presetCells), 2);
  },
};

/** Each table has a place in the page: between its mark and the next heading. */
function write(name: string, text: string): void {
  const path = local('../docs/variants.md');
  const page = readFileSync(path, 'utf8');
  const mark = `<!-- figures: ${name} -->`;
  const at = page.indexOf(mark);
  if (at < 0) throw new Error(`${path}: expected ${mark}, got none`);
  const next = page.indexOf('\n#', at);
  const rest = next < 0 ? '' : page.slice(next);
  const machine = `${cpus().length} cores, ${cpus()[0].model}.`;
  writeFileSync(path, `${page.slice(0, at)}${mark}\n\n${machine}\n\n${text}\n${rest}`);
}

for (const [name, part] of Object.entries(parts)) {
  if (values.only !== undefined && values.only !== name) continue;
  const text = await part();
  console.log(`\n${text}\n`);
  if (values.write === true) write(name, text);
}
