import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const CLI = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));

export interface ProcessCost {
  /** Largest resident size of the whole process, in megabytes (10^6 bytes). */
  readonly megabytes: number;
  /** From start to end of the process. */
  readonly seconds: number;
}

const PEAK = new URL('../scripts/lib/peak.mjs', import.meta.url).href;

/** Prints the peak to a file when the process ends; in bytes. */
const probe = (report: string): string =>
  `data:text/javascript,import{writeFileSync}from'node:fs';import{peakBytes}from${JSON.stringify(PEAK)};process.on('exit',()=>writeFileSync(${JSON.stringify(report)},String(peakBytes())))`;

/** Runs `zeropoint` with `args` in a process of its own. Throws what it said if it fails. */
export function runCommand(args: readonly string[]): ProcessCost {
  const folder = mkdtempSync(join(tmpdir(), 'zeropoint-peak-'));
  const report = join(folder, 'peak');
  try {
    const start = performance.now();
    const run = spawnSync(process.execPath, ['--import', probe(report), CLI, ...args], { encoding: 'utf8' });
    if (run.status !== 0) throw new Error(run.stderr);
    const seconds = (performance.now() - start) / 1000;
    return { megabytes: Number(readFileSync(report, 'utf8')) / 1e6, seconds };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
