/**
 * What each algorithm of quantizeWeights gives: output against float, accuracy and size of trained models, then the time
 * for a large weight. The models are not all in this repository: pass the folder that has them.
 * Run after a build: `npx tsx --tsconfig tsconfig.run.json bench/weights.ts FOLDER [SAMPLES]`.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { sqnr, tensor } from 'zeropoint';
import {
  buildModel,
  quantizeWeights,
  readModel,
  type Model,
  type QuantizeWeightsOptions,
  type WeightAlgorithm,
} from 'zeropoint/onnx';
import { bytesOf, calibration, run, TRAINED } from './trained-models.ts';

const MODELS = new Set(['fmnist_vit', 'fmnist_vit_outlier', 'spam_bert_tiny']);
const ALGORITHMS: readonly WeightAlgorithm[] = ['rtn', 'mse', 'hqq', 'gptq'];
/** Beside four algorithms in 4 and 2 bits: what else docs/weight-only.md compares. Embeddings are 8 bits unless said. */
const OTHERS: Readonly<Record<string, QuantizeWeightsOptions>> = {
  '8 bits, rtn': { bits: 8 },
  '8 bits, mse': { bits: 8, algorithm: 'mse' },
  '4 bits, symmetric, rtn': { symmetric: true },
  '4 bits, symmetric, mse': { symmetric: true, algorithm: 'mse' },
  '4 bits, embeddings too, rtn': { embeddings: 4 },
  '4 bits, rtn, last product 8 bits': { overrides: [] },
  '4 bits, gptq, last product 8 bits': { algorithm: 'gptq', overrides: [] },
  NF4: { format: 'bnb4' },
  FP4: { format: 'bnb4', bnb4Type: 'fp4' },
};

const [folder, limit = '5000'] = process.argv.slice(2);
if (folder === undefined || !existsSync(folder)) {
  console.error('weights: expected the folder of the models, got ' + String(folder));
  process.exit(2);
}

const decibels = (value: number): string => `${value.toFixed(1)} dB`;
const percent = (value: number): string => `${(100 * value).toFixed(2)} %`;

/** Ways to quantize, by what they are called in the table. */
function waysOf(model: Model): [name: string, options: QuantizeWeightsOptions][] {
  const last = [...model.graph.nodes].findLast((node) => node.is('MatMul') || node.is('Gemm'));
  const overrides = last === undefined ? [] : [{ nodes: last.name, bits: 8 } as const];
  return [
    ...([4, 2] as const).flatMap((bits) =>
      ALGORITHMS.map((algorithm): [string, QuantizeWeightsOptions] => [
        `${bits} bits, ${algorithm}`,
        { bits, algorithm },
      ]),
    ),
    ...Object.entries(OTHERS).map(([name, options]): [string, QuantizeWeightsOptions] => [
      name,
      options.overrides === undefined ? options : { ...options, overrides },
    ]),
  ];
}

console.log('| model | weights | size | accuracy | SQNR of the logits |\n|---|---|--:|--:|--:|');
for (const { name, data: open } of TRAINED.filter((entry) => MODELS.has(entry.name))) {
  const data = await open(folder);
  const count = Math.min(data.count, Number(limit));
  const model = await readModel(join(folder, `${name}.onnx`));
  const original = await bytesOf(model);
  const float = await run(original, data, count);
  console.log(
    `| ${name} | float32 | ${(original.length / 1000).toFixed(0)} KB | ${percent(float.accuracy)} | |`,
  );
  for (const [way, options] of waysOf(model)) {
    const batches = options.algorithm === 'gptq' ? calibration(data) : undefined;
    const bytes = await bytesOf((await quantizeWeights(model, { ...options, batches })).model);
    const result = await run(bytes, data, count);
    const size = `${((100 * bytes.length) / original.length).toFixed(0)} %`;
    console.log(
      `| ${name} | ${way} | ${size} | ${percent(result.accuracy)} | ${decibels(sqnr(float.logits, result.logits))} |`,
    );
  }
}

/** Of the weight whose time is taken: K = N, 4.2 M weights. */
const WIDTH = 2048;
const ROUNDS = 3;

function large(): {
  readonly model: Model;
  readonly batches: readonly { readonly x: ReturnType<typeof tensor> }[];
} {
  let state = 1;
  const noise = (count: number): Float32Array =>
    Float32Array.from({ length: count }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state / 2 ** 32 - 0.5;
    });
  const model = buildModel((b) => {
    const x = b.input('x', 'float32', ['M', WIDTH]);
    b.output(b.op('MatMul', [x, b.constant('w', tensor(noise(WIDTH ** 2), [WIDTH, WIDTH]))]), 'y', 'float32');
  });
  return { model, batches: [{ x: tensor(noise(512 * WIDTH), [512, WIDTH]) }] };
}

async function fastest(model: Model, options: QuantizeWeightsOptions): Promise<number> {
  let least = Infinity;
  // gptq takes long enough for one round to tell.
  for (let round = 0; round < (options.algorithm === 'gptq' ? 1 : ROUNDS); round++) {
    const start = performance.now();
    await quantizeWeights(model, options);
    least = Math.min(least, (performance.now() - start) / 1000);
  }
  return least;
}

console.log(`\n| MatMul of ${WIDTH} x ${WIDTH} | seconds, 4 bits | 2 bits |\n|---|--:|--:|`);
const { model: wide, batches } = large();
for (const algorithm of ALGORITHMS) {
  const times = [];
  for (const bits of [4, 2] as const) times.push(await fastest(wide, { bits, algorithm, batches }));
  console.log(`| ${algorithm} | ${times.map((time) => time.toFixed(2)).join(' | ')} |`);
}
