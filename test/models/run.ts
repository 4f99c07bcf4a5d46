/**
 * Quantizes trained models from packages in every mode, runs the results in onnxruntime at full optimization on inputs of
 * the kind that each is for, and prints how far the answers agree with float. `npm run test:models` installs the packages
 * first; `-- --write` writes docs/models.md; `-- --only NAME` tries models whose name holds NAME. Fails where a mode
 * breaks, or answers agree less than the floor of the mode says. Without Debian's packages inputs are synthetic: it says so then.
 */
import { writeFileSync } from 'node:fs';
import { MemorySink, ortNode, readModel, writeModel, type Model } from 'zeropoint/onnx';
import { CATALOGUE, type CatalogueEntry } from './catalogue.ts';
import { MODES, type Mode } from './modes.ts';
import { HEADER, line, page, type Row } from './page.ts';
import { floats, type Feeds, type Outputs, type Run, type Task } from './task.ts';

/** A model in float: what the modes are compared with. */
interface Original {
  readonly entry: CatalogueEntry;
  readonly task: Task;
  readonly model: Model;
  readonly bytes: number;
  readonly answers: readonly Outputs[];
}

async function withRun<T>(model: Model, use: (run: Run) => Promise<T>): Promise<T> {
  const runner = await ortNode(model, { optimization: 'all', threads: 1 });
  try {
    return await use((feeds) => runner.run(feeds));
  } finally {
    await runner.dispose();
  }
}

async function bytesOf(model: Model): Promise<Uint8Array> {
  const sink = new MemorySink();
  await writeModel(model, sink);
  return sink.bytes;
}

async function openOriginal(entry: CatalogueEntry): Promise<Original> {
  const model = await readModel(entry.path);
  const task = await entry.task();
  const { length } = await bytesOf(model);
  return { entry, task, model, bytes: length, answers: await withRun(model, task.answers) };
}

/** Signal to noise over all inputs, of the worst output; outputs that are equal, or zero in float, are left out. */
function worstSqnr(expected: readonly Outputs[], actual: readonly Outputs[]): number {
  const sums = new Map<string, { signal: number; noise: number }>();
  for (const [i, outputs] of expected.entries()) {
    for (const name of Object.keys(outputs)) {
      const sum = sums.get(name) ?? { signal: 0, noise: 0 };
      sums.set(name, sum);
      const other = floats(actual[i], name);
      floats(outputs, name).forEach((value, k) => {
        sum.signal += value ** 2;
        sum.noise += (value - other[k]) ** 2;
      });
    }
  }
  const ratios = [...sums.values()].map(({ signal, noise }) => 10 * Math.log10(signal / noise));
  return Math.min(...ratios.filter((ratio) => !Number.isNaN(ratio)));
}

async function tryMode(
  original: Original,
  mode: Mode,
  calibration: () => Promise<readonly Feeds[]>,
): Promise<Row> {
  const { entry, task, model, answers } = original;
  const base = { model: entry.name, mode: mode.name };
  try {
    const { model: quantized, nodes, equalized } = await mode.run(model, calibration);
    const bytes = await bytesOf(quantized);
    const actual = await withRun(await readModel(bytes), task.answers);
    return {
      ...base,
      size: bytes.length / original.bytes,
      nodes,
      sqnr: worstSqnr(answers, actual),
      agreement: task.agreement(answers, actual),
      auc: task.auc && { float: task.auc(answers), quantized: task.auc(actual) },
      note: [equalized && 'equalized', entry.lossy[mode.name]].filter(Boolean).join('; '),
    };
  } catch (error) {
    const reason = refusal(error);
    if (reason === undefined) throw error;
    return { ...base, note: reason };
  }
}

/** Why a mode has nothing to do, in a few words; undefined for other errors. */
function refusal(error: unknown): string | undefined {
  const isRefusal = error instanceof Error && 'code' in error && error.code === 'GRAPH_NOT_QUANTIZABLE';
  if (!isRefusal) return undefined;
  const [, reasons] = error.message.split('got none. ');
  const [commonest] = (reasons ?? error.message).split('; ');
  return `does not apply: ${commonest.replace(/ \(\d+\)$/, '')}`;
}

/** What a mode must keep on synthetic inputs: the catalogue's expectations are of real ones. */
const SYNTHETIC_FLOOR = 0.5;

/** What is not as the catalogue says. */
function complaint({ model, mode, agreement }: Row, { floor }: Mode, original: Original): string | undefined {
  if (agreement === undefined) return undefined;
  const { isReal } = original.task;
  const least = isReal ? floor : SYNTHETIC_FLOOR;
  const isBelow = agreement.share < least;
  if (isBelow === (isReal && Object.hasOwn(original.entry.lossy, mode))) return undefined;
  const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
  const expected = `${isBelow ? 'at least' : 'as the catalogue says, less than'} ${percent(least)}`;
  return `${model}, ${mode}: expected agreement of ${expected}, got ${percent(agreement.share)}`;
}

const [, only = ''] = process.argv.slice(process.argv.indexOf('--only'));
const isWritten = process.argv.includes('--write');
const entries = process.argv.includes('--only')
  ? CATALOGUE.filter(({ name }) => name.includes(only))
  : CATALOGUE;
const rows: Row[] = [];
const failures: string[] = [];
const tasks = new Map<string, Task>();
console.log(HEADER);
for (const entry of entries) {
  const original = await openOriginal(entry);
  tasks.set(entry.name, original.task);
  if (!original.task.isReal) console.error(`${entry.name}: ${original.task.inputs}`);
  let known: Promise<readonly Feeds[]> | undefined;
  const calibration = (): Promise<readonly Feeds[]> =>
    (known ??= withRun(original.model, original.task.calibration));
  for (const mode of MODES) {
    const row = await tryMode(original, mode, calibration);
    rows.push(row);
    console.log(line(row));
    const failure = complaint(row, mode, original);
    if (failure !== undefined) failures.push(failure);
  }
}
if (isWritten) {
  const isWhole = entries === CATALOGUE && [...tasks.values()].every(({ isReal }) => isReal);
  if (isWhole) writeFileSync(new URL('../../docs/models.md', import.meta.url), page(rows, tasks));
  else failures.push('--write: expected all models with real inputs, got some, or synthetic inputs');
}
for (const failure of failures) console.error(failure);
console.log(`\n${rows.length - failures.length} passed, ${failures.length} failed`);
process.exitCode = failures.length === 0 ? 0 : 1;
