/**
 * The main job on real input: one command makes an int8 model from a float one and 256 calibration samples; then both
 * are measured on 3,000 held-out images of Fashion-MNIST: size, accuracy and latency, side by side.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createRunner, type ModelRunner } from 'zeropoint/onnx';
import { accuracy, heldOut, latency, type Latencies } from './measure.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const DATA = 'examples/demo/data';
const FLOAT = `${DATA}/fmnist_resdw.onnx`;
const OUT = '.cache/demo';
const INT8 = `${OUT}/fmnist_resdw.int8.onnx`;

interface Figures {
  readonly size: number;
  readonly accuracy: number;
  readonly latency: Latencies;
}

process.chdir(ROOT);
quantize();
const images = await heldOut(`${DATA}/held_out.npz`);
const runners = [await open(FLOAT), await open(INT8)];
const latencies = await latency(runners, images);
const figures: Figures[] = [];
for (const [i, file] of [FLOAT, INT8].entries()) {
  figures.push({
    size: statSync(file).size,
    accuracy: await accuracy(runners[i], images),
    latency: latencies[i],
  });
}
print(figures[0], figures[1], runners[0].name);
for (const runner of runners) await runner.dispose();

/**
 * Runs the command as a user would type it. `--per-tensor`, because this model is small: its 458 channels' scales would
 * take 3 % of the float file and win no accuracy.
 */
function quantize(): void {
  mkdirSync(OUT, { recursive: true });
  const args = [
    'quantize',
    FLOAT,
    '--calibrate',
    `${DATA}/calibration.npz`,
    '--per-tensor',
    '--output',
    INT8,
    '--force',
  ];
  console.log(`$ zeropoint ${args.join(' ')}\n`);
  const { status } = spawnSync(process.execPath, ['dist/cli/main.js', ...args], { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

/** One thread and all optimizations: what an application on a busy machine has. */
function open(file: string): Promise<ModelRunner> {
  return createRunner(file, { threads: 1, optimization: 'all' });
}

function print(float: Figures, int8: Figures, runtime: string): void {
  const ms = (value: number): string => `${value.toFixed(2)} ms`;
  const rows = [
    ['', 'float32', 'int8', ''],
    [
      'size',
      `${(float.size / 1000).toFixed(1)} KB`,
      `${(int8.size / 1000).toFixed(1)} KB`,
      `${((100 * int8.size) / float.size).toFixed(1)} %`,
    ],
    [
      `accuracy, ${images.count} held-out images`,
      `${(100 * float.accuracy).toFixed(2)} %`,
      `${(100 * int8.accuracy).toFixed(2)} %`,
      `${signed(100 * (int8.accuracy - float.accuracy))} points`,
    ],
    ...[...float.latency].map(([batch, time]) => {
      const other = int8.latency.get(batch) ?? Number.NaN;
      return [`latency, batch ${batch}`, ms(time), ms(other), `${(time / other).toFixed(1)} times as fast`];
    }),
  ];
  console.log(`\n${table(rows)}\n${runtime}, 1 thread, median of interleaved runs\n`);
  console.log(`next: node dist/cli/main.js inspect ${INT8}`);
}

function signed(value: number): string {
  return `${value > 0 ? '+' : ''}${value.toFixed(2)}`;
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const line = (row: readonly string[]): string =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('   ');
  return rows.map((row) => `${line(row).trimEnd()}\n`).join('');
}
