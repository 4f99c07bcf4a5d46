/**
 * zeropoint beside onnxruntime's Python quantizer: the same models, settings and data, in one run. Each job is a process of
 * its own, in turn (theirs, ours, theirs, ...), and the least of the rounds counts; then both results are run in turn.
 *
 *   python bench/peer/models.py FOLDER                       makes the models (torch, torchvision, transformers)
 *   npx tsx --tsconfig tsconfig.run.json bench/peer/run.ts FOLDER [--rounds 3] [--only PATTERN] [--write]
 *
 * after a build. Python: ZEROPOINT_PYTHON, else .venv/bin/python. `--only 'minilm: (static|weights)'` takes the jobs
 * whose line, `model: job`, the pattern finds; `--write` writes their rows into docs/peers.md.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { evaluate, type Evaluation } from './evaluate.ts';
import { least, runJob, type Cost } from './job-cost.ts';
import { report } from './report.ts';

/** Settings of a job, as job.mjs and quantize.py read them. */
type Job = Readonly<Record<string, unknown>> & { readonly mode: 'dynamic' | 'static' | 'weights' };

export interface Row {
  readonly model: string;
  readonly job: string;
  readonly ours: Cost;
  /** Why there is none, if it failed. */
  readonly theirs: Cost | string;
  readonly evaluation: Evaluation | undefined;
}

const TABLES = { mode: 'dynamic', weights: 'QInt8', perChannel: false } as const;
const CONVOLUTIONS = { mode: 'dynamic', weights: 'QUInt8', perChannel: false, convolutions: true } as const;
const BLOCKS = { mode: 'weights', blockSize: 32 } as const;
const ranges = (method: string, samples = 128): Job => ({ mode: 'static', method, samples });

const VISION: Readonly<Record<string, Job>> = {
  dynamic: CONVOLUTIONS,
  'static, min/max': ranges('MinMax'),
  'static, percentile': ranges('Percentile'),
  'static, entropy': ranges('Entropy'),
};
const TEXT: Readonly<Record<string, Job>> = {
  dynamic: TABLES,
  'dynamic, by channel': { ...TABLES, perChannel: true },
  'static, min/max': ranges('MinMax'),
  'weights, 4 bits': BLOCKS,
};

/** Histograms of BERT-base and the decoder take the peer more than 18 GB for 128 samples: not among the jobs. */
const JOBS: Readonly<Record<string, Readonly<Record<string, Job>>>> = {
  resnet18: VISION,
  mobilenet_v2: VISION,
  minilm: { ...TEXT, 'static, percentile': ranges('Percentile') },
  bert_base: TEXT,
  decoder_134m: TEXT,
};

const local = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const PYTHON = process.env.ZEROPOINT_PYTHON ?? local('../../.venv/bin/python');
async function compare(folder: string, model: string, name: string, job: Job, rounds: number): Promise<Row> {
  const temporary = mkdtempSync(join(tmpdir(), 'zeropoint-peer-'));
  const [theirFile, ourFile] = ['theirs.onnx', 'ours.onnx'].map((file) => join(temporary, file));
  const source = join(folder, `${model}.onnx`);
  const rest = job.mode === 'static' ? [join(folder, `${model}.npz`)] : [];
  const costs: { theirs: Cost[]; ours: Cost[] } = { theirs: [], ours: [] };
  let failure: string | undefined;
  try {
    for (let round = 0; round < rounds; round++) {
      const words = (out: string): string[] => [source, out, JSON.stringify(job), ...rest];
      const theirs = failure ?? runJob(PYTHON, [local('quantize.py'), ...words(theirFile)]);
      const ours = runJob(process.execPath, [local('job.mjs'), ...words(ourFile)]);
      if (typeof ours === 'string') throw new Error(`${model}, ${name}: expected a result, got: ${ours}`);
      costs.ours.push(ours);
      if (typeof theirs === 'string') failure = theirs;
      else costs.theirs.push(theirs);
    }
    const evaluation =
      failure === undefined
        ? await evaluate(source, { ours: ourFile, theirs: theirFile }, join(folder, `${model}_held.npz`))
        : undefined;
    return {
      model,
      job: name,
      ours: least(costs.ours),
      theirs: failure ?? least(costs.theirs),
      evaluation: evaluation && { ...evaluation, bytes: sizes(ourFile, theirFile) },
    };
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

function sizes(ours: string, theirs: string): Evaluation['bytes'] {
  return { ours: statSync(ours).size, theirs: statSync(theirs).size };
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: 'string' }, only: { type: 'string' }, write: { type: 'boolean' } },
});
const [folder] = positionals;
if (folder === undefined || !existsSync(folder) || !existsSync(PYTHON)) {
  console.error(`peer: expected the folder of models.py and Python at ${PYTHON}, got ${String(folder)}`);
  process.exit(2);
}
const only = new RegExp(values.only ?? '');
const rows: Row[] = [];
for (const [model, jobs] of Object.entries(JOBS)) {
  for (const [name, job] of Object.entries(jobs)) {
    if (!only.test(`${model}: ${name}`)) continue;
    rows.push(await compare(folder, model, name, job, Number(values.rounds ?? 3)));
    console.log(report(rows.slice(-1)).split('\n').at(-1));
  }
}
const text = report(rows);
console.log(`\n${text}`);
if (values.write === true) {
  const path = local('../../docs/peers.md');
  const [head, before] = readFileSync(path, 'utf8').split('<!-- figures -->');
  const machine = `${cpus().length} cores, ${cpus()[0].model}.`;
  writeFileSync(path, `${head}<!-- figures -->\n\n${machine}\n\n${withRowsOf(before, text)}\n`);
}

/** The new table, and of the old one the rows whose jobs were not run. */
function withRowsOf(before: string, table: string): string {
  const rowsIn = (part: string): Map<string, string> =>
    new Map(
      part
        .split('\n')
        .filter((line) => /^\| \w/.test(line) && !line.startsWith('| model '))
        .map((line) => [line.split(' | ').slice(0, 2).join(': ').slice(2), line]),
    );
  const known = new Map([...rowsIn(before), ...rowsIn(table)]);
  const order = Object.entries(JOBS).flatMap(([model, jobs]) =>
    Object.keys(jobs).map((job) => `${model}: ${job}`),
  );
  const heading = table.split('\n').slice(0, 2);
  return [...heading, ...order.flatMap((name) => known.get(name) ?? [])].join('\n');
}
