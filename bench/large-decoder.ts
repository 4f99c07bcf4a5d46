/**
 * Peak memory of `zeropoint quantize` for a decoder of 4.4 GB in external data, which this script writes first: weight-only
 * and dynamic modes are to stay below 300 MB + twice the largest tensor.
 *
 *   npx tsx --tsconfig tsconfig.run.json bench/large-decoder.ts [--folder DIR] [--only WORD] [--run] [--write]
 *
 * after a build. Takes 10 GB of disk in DIR (default: the system's temporary folder) and some minutes. `--only` does the
 * jobs with that word in their name; `--run` also runs each result and the float model (6 GB of memory, 20 GB of disk) and
 * prints the error; `--write` writes docs/large-models.md. Exit code 1 above the limit.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { sqnr, tensor, type Tensor } from 'zeropoint';
import {
  buildModel,
  ortNode,
  writeModel,
  type GraphBuilder,
  type Model,
  type TensorSource,
  type Value,
} from 'zeropoint/onnx';
import { runCommand } from './peak-memory.ts';

const LAYERS = 20;
const HIDDEN = 2048;
const INNER = 5632;
const HEADS = 16;
const VOCABULARY = 16_384;
const TOKENS = 32;
const LARGEST = (VOCABULARY * HIDDEN * 4) / 1e6;
const LIMIT = 300 + 2 * LARGEST;

const JOBS: Readonly<Record<string, readonly string[]>> = {
  'weights, 4 bits': ['--weights', '4'],
  'weights, 4 bits, mse': ['--weights', '4', '--algorithm', 'mse'],
  'weights, 8 bits': ['--weights', '8'],
  'weights, 4 bits, rest in float16': ['--weights', '4', '--float16'],
  float16: ['--float16'],
  dynamic: ['--dynamic'],
  'dynamic, per tensor': ['--dynamic', '--per-tensor'],
};

/**
 * Weights that take no memory: each element is a hash of its place, uniform with the deviation that keeps the size of
 * what a product gives.
 */
function seededWeights(seed: number, rows: number, cols: number): TensorSource {
  const scale = Math.sqrt(3 / rows) / 2 ** 31;
  const byteLength = rows * cols * 4;
  const read = (offset: number, length: number): Promise<Uint8Array> => {
    const first = Math.floor(offset / 4);
    const last = Math.ceil((offset + length) / 4);
    const values = new Float32Array(last - first);
    for (let i = 0; i < values.length; i++) values[i] = scale * hash(seed + first + i);
    return Promise.resolve(new Uint8Array(values.buffer, offset - 4 * first, length));
  };
  return {
    elementType: 'float32',
    shape: [rows, cols],
    byteLength,
    where: 'computed',
    load: () => Promise.reject(new Error(`expected reads in pieces, got a load of ${byteLength} bytes`)),
    read,
  };
}

/** An int32 that looks random. */
function hash(x: number): number {
  let h = Math.imul(x ^ (x >>> 16), 0x45d9f3b);
  h = Math.imul(h ^ (h >>> 16), 0x45d9f3b);
  return h ^ (h >>> 16);
}

class Decoder {
  readonly #b: GraphBuilder;
  #seed = 0;

  constructor(b: GraphBuilder) {
    this.#b = b;
  }

  build(): void {
    const ids = this.#b.input('input_ids', 'int64', [1, TOKENS]);
    let state = this.#op('Gather', [this.#weights('embed_tokens', VOCABULARY, HIDDEN), ids]);
    for (let i = 0; i < LAYERS; i++) {
      state = this.#op('Add', [state, this.#attention(`layers.${i}.attention`, this.#norm(state))]);
      state = this.#op('Add', [state, this.#inner(`layers.${i}.mlp`, this.#norm(state))]);
    }
    const logits = this.#product(this.#norm(state), 'lm_head', HIDDEN, VOCABULARY);
    this.#b.output(logits, 'logits', 'float32', [1, TOKENS, VOCABULARY]);
  }

  #norm(x: Value): Value {
    const mean = this.#op('ReduceMean', [this.#op('Mul', [x, x]), this.#ints('axis', [-1])]);
    return this.#op('Div', [x, this.#op('Sqrt', [this.#op('Add', [mean, this.#float('epsilon', 1e-5)])])]);
  }

  /** Every token sees all others: what a mask would add does not matter here. */
  #attention(name: string, x: Value): Value {
    const width = HIDDEN / HEADS;
    const split = (part: string, perm: number[]): Value => {
      const flat = this.#product(x, `${name}.${part}`, HIDDEN, HIDDEN);
      const parts = this.#op('Reshape', [flat, this.#ints('heads', [1, TOKENS, HEADS, width])]);
      return this.#op('Transpose', [parts], { perm });
    };
    const scores = this.#op('MatMul', [split('q_proj', [0, 2, 1, 3]), split('k_proj', [0, 2, 3, 1])]);
    const weights = this.#op('Softmax', [this.#op('Mul', [scores, this.#float('scale', width ** -0.5)])], {
      axis: -1,
    });
    const seen = this.#op('MatMul', [weights, split('v_proj', [0, 2, 1, 3])]);
    const joined = this.#op('Transpose', [seen], { perm: [0, 2, 1, 3] });
    const flat = this.#op('Reshape', [joined, this.#ints('joined', [1, TOKENS, HIDDEN])]);
    return this.#product(flat, `${name}.o_proj`, HIDDEN, HIDDEN);
  }

  #inner(name: string, x: Value): Value {
    const gate = this.#product(x, `${name}.gate_proj`, HIDDEN, INNER);
    const open = this.#op('Mul', [gate, this.#op('Sigmoid', [gate])]);
    const up = this.#product(x, `${name}.up_proj`, HIDDEN, INNER);
    return this.#product(this.#op('Mul', [open, up]), `${name}.down_proj`, INNER, HIDDEN);
  }

  #product(x: Value, name: string, rows: number, cols: number): Value {
    return this.#op('MatMul', [x, this.#weights(name, rows, cols)]);
  }

  #weights(name: string, rows: number, cols: number): Value {
    this.#seed += rows * cols;
    return this.#b.graph.addInitializer(`${name}.weight`, seededWeights(this.#seed, rows, cols));
  }

  #float(name: string, value: number): Value {
    return this.#b.constant(this.#b.graph.freshName(name), tensor(Float32Array.of(value), []));
  }

  #ints(name: string, values: readonly number[]): Value {
    const data = BigInt64Array.from(values, BigInt);
    return this.#b.constant(this.#b.graph.freshName(name), tensor(data, [data.length]));
  }

  #op(...args: Parameters<GraphBuilder['op']>): Value {
    return this.#b.op(...args);
  }
}

function decoder(): Model {
  return buildModel((b) => new Decoder(b).build());
}

/** Sizes of a model and its data, in megabytes. */
function megabytesOf(folder: string, start: string): number {
  const files = readdirSync(folder).filter((name) => name.startsWith(start));
  return files.reduce((sum, name) => sum + statSync(join(folder, name)).size, 0) / 1e6;
}

function removeModel(folder: string, file: string): void {
  for (const name of readdirSync(folder)) if (name.startsWith(basename(file))) rmSync(join(folder, name));
}

async function logitsOf(path: string): Promise<Tensor> {
  const runner = await ortNode(path);
  const ids = BigInt64Array.from({ length: TOKENS }, (_, i) => BigInt((i * 997) % VOCABULARY));
  try {
    const { logits } = await runner.run({ input_ids: tensor(ids, [1, TOKENS]) });
    return logits;
  } finally {
    await runner.dispose();
  }
}

interface Result {
  readonly job: string;
  /** The quantized model. */
  readonly file: string;
  /** Of the model and its data. */
  readonly megabytes: number;
  readonly seconds: number;
  readonly peak: number;
}

function quantize(folder: string, float: string, job: string): Result {
  const name = `${job.replaceAll(/\W+/g, '-')}.onnx`;
  const file = join(folder, name);
  const words = [...JOBS[job], '--no-verify', '--quiet', '-o', file];
  const { megabytes: peak, seconds } = runCommand(['quantize', float, ...words]);
  return { job, file, megabytes: megabytesOf(folder, name), seconds, peak };
}

const COLUMNS = ['job', 'size, MB', 'seconds', 'peak, MB', 'of the limit'];

function cells({ job, megabytes, seconds, peak }: Result): string[] {
  return [job, megabytes.toFixed(0), seconds.toFixed(1), peak.toFixed(0), (peak / LIMIT).toFixed(2)];
}

/** SQNR of each result, in decibels. To be called last: a new process begins with the peak memory of its parent. */
async function errors(float: string, results: readonly Result[]): Promise<string[]> {
  const expected = await logitsOf(float);
  const ratios: string[] = [];
  for (const { file } of results) ratios.push(sqnr(expected, await logitsOf(file)).toFixed(1));
  return ratios;
}

function table(columns: readonly string[], rows: readonly (readonly string[])[]): string {
  const rule = columns.map((_column, i) => (i === 0 ? '---' : '--:'));
  return [columns, rule, ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
}

const { values } = parseArgs({
  options: {
    folder: { type: 'string' },
    only: { type: 'string' },
    run: { type: 'boolean' },
    write: { type: 'boolean' },
  },
});
const folder = mkdtempSync(join(values.folder ?? tmpdir(), 'zeropoint-decoder-'));
try {
  const float = join(folder, 'decoder.onnx');
  await writeModel(decoder(), float, { externalData: {} });
  const size = megabytesOf(folder, 'decoder.onnx').toFixed(0);
  const about = `${LAYERS} layers, ${size} MB. Limit: 300 MB + 2 · ${LARGEST.toFixed(0)} MB = ${LIMIT.toFixed(0)} MB.`;
  console.log(`${about}\n`);
  const results: Result[] = [];
  for (const job of Object.keys(JOBS).filter((name) => name.includes(values.only ?? ''))) {
    const result = quantize(folder, float, job);
    console.log(cells(result).join('  '));
    if (result.peak > LIMIT) process.exitCode = 1;
    if (values.run !== true) removeModel(folder, result.file);
    results.push(result);
  }
  const ratios = values.run === true ? await errors(float, results) : undefined;
  const columns = [...COLUMNS, ...(ratios === undefined ? [] : ['SQNR, dB'])];
  const rows = results.map((result, i) => [...cells(result), ...(ratios === undefined ? [] : [ratios[i]])]);
  const text = `${about}\n\n${table(columns, rows)}`;
  console.log(`\n${text}`);
  if (values.write === true) {
    const path = fileURLToPath(new URL('../docs/large-models.md', import.meta.url));
    const [head] = readFileSync(path, 'utf8').split('<!-- figures -->');
    writeFileSync(path, `${head}<!-- figures -->\n\n${text}\n`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
