/** What is no kernel: the range search of HistogramObserver, and the start of the command line. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { HistogramObserver, tensor } from 'zeropoint';
import { measure, median } from './measure.ts';
import type { OtherFigure } from './report.ts';
import type { Torch } from './torch.ts';

const SEARCH_GOAL_MS = 1;
const START_GOAL_MS = 60;
const STARTS = 15;

const ms = (seconds: number): string => `${(seconds * 1e3).toFixed(2)} ms`;

export async function measureOthers(torch: Torch | undefined, x: Float32Array): Promise<OtherFigure[]> {
  const others = await measureSearch(torch, x);
  const start = measureStart();
  return start === undefined ? others : [...others, start];
}

async function measureSearch(torch: Torch | undefined, x: Float32Array): Promise<OtherFigure[]> {
  const observer = new HistogramObserver();
  observer.observe(tensor(x));
  const figures = await measure(
    {
      ours: () => void observer.calculateQParams(),
      ...(torch && { torch: { ask: (seconds: number) => torch.time('search', [x.length], seconds) } }),
    },
    { rounds: 9, windowSeconds: 0.04 },
  );
  const name = 'HistogramObserver: calculateQParams after 1e6 values';
  const rows: OtherFigure[] = [];
  if (figures.ours) rows.push({ name, figure: ms(figures.ours.seconds), goal: `≤ ${SEARCH_GOAL_MS} ms` });
  if (figures.torch) rows.push({ name: `${name}, torch`, figure: ms(figures.torch.seconds), goal: '-' });
  return rows;
}

/** `zeropoint --help` less a bare Node, medians of interleaved starts; undefined before the command line is built. */
function measureStart(): OtherFigure | undefined {
  const cli = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
  if (!existsSync(cli)) return undefined;
  const seconds = (args: readonly string[]): number => {
    const start = performance.now();
    const { status } = spawnSync(process.execPath, args, { stdio: 'ignore' });
    if (status !== 0) throw new Error(`${args.join(' ')}: expected exit code 0, got ${status}`);
    return (performance.now() - start) / 1e3;
  };
  const bare: number[] = [];
  const help: number[] = [];
  for (let i = 0; i < STARTS; i++) {
    bare.push(seconds(['-e', '0']));
    help.push(seconds([cli, '--help']));
  }
  return {
    name: '`zeropoint --help`, over a bare Node',
    figure: ms(median(help) - median(bare)),
    goal: `≤ ${START_GOAL_MS} ms`,
  };
}
