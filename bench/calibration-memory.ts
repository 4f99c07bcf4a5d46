/**
 * Peak memory of `zeropoint quantize` for 256 samples, ten times and a hundred times as many: it must not grow with them.
 * Run: `npx tsx bench/calibration-memory.ts` after a build. Prints the peak resident size of the whole process.
 */
import { mkdtempSync, openSync, rmSync, writeSync, closeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runCommand } from './peak-memory.ts';

const MODEL = fileURLToPath(new URL('../examples/demo/data/fmnist_resdw.onnx', import.meta.url));
const SAMPLES = [256, 2560, 25_600];
const OBSERVERS = ['minmax', 'histogram'];
const PIXELS = 28 * 28;
const ROUNDS = 3;

/** A .npy of uniform noise, written row by row so that this process stays small. */
function writeNoise(path: string, samples: number): void {
  const file = openSync(path, 'w');
  const text = `{'descr': '<f4', 'fortran_order': False, 'shape': (${samples}, 1, 28, 28), }`;
  const header = Buffer.from(`${text.padEnd(117)}\n`);
  writeSync(file, Buffer.concat([Buffer.from('\x93NUMPY\x01\x00', 'latin1'), Buffer.from([118, 0]), header]));
  let state = 1;
  for (let i = 0; i < samples; i++) {
    const row = Float32Array.from({ length: PIXELS }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state / 2 ** 32;
    });
    writeSync(file, new Uint8Array(row.buffer));
  }
  closeSync(file);
}

function peakMegabytes(folder: string, data: string, observer: string): number {
  const words = ['--calibrate', data, '--observer', observer, '--force', '--quiet', '--no-verify'];
  return runCommand(['quantize', MODEL, ...words, '-o', join(folder, 'out.onnx')]).megabytes;
}

const folder = mkdtempSync(join(tmpdir(), 'zeropoint-memory-'));
try {
  console.log('observer   samples  peak MB (least of 3)  against 256 samples');
  for (const observer of OBSERVERS) {
    let first: number | undefined;
    for (const samples of SAMPLES) {
      const data = join(folder, `${samples}.npy`);
      writeNoise(data, samples);
      const peak = Math.min(...Array.from({ length: ROUNDS }, () => peakMegabytes(folder, data, observer)));
      first ??= peak;
      const ratio = ((peak / first) * 100).toFixed(1);
      console.log(
        `${observer.padEnd(10)} ${String(samples).padStart(7)}  ${peak.toFixed(1).padStart(20)}  ${ratio.padStart(16)} %`,
      );
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
