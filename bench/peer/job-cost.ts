/** What a job costs in a process of its own, which prints {seconds, megabytes} as its last line. */
import { spawnSync } from 'node:child_process';

/** What one side's process says of itself, and how long it took from outside. */
export interface Cost {
  /** The call alone. */
  readonly seconds: number;
  /** Start and imports too. */
  readonly process: number;
  readonly megabytes: number;
  /** Of all threads, start and imports too, where the process says so: what other work on the machine changes least. */
  readonly cpu?: number;
}

const OUT_OF_MEMORY = 3;

/** Runs one side's job; why it failed, if it did. */
export function runJob(command: string, args: readonly string[]): Cost | string {
  const start = performance.now();
  const run = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 2 ** 28 });
  const whole = (performance.now() - start) / 1000;
  if (run.status === OUT_OF_MEMORY) return 'needs > 18 GB';
  if (run.status !== 0) {
    console.error(`${command} ${args.join(' ')}: ${run.stderr.slice(-2000)}`);
    const [error] = /\w*Error\b/.exec(run.stderr.trim().split('\n').at(-1) ?? '') ?? [];
    return `fails${error === undefined ? '' : `: ${error}`}`;
  }
  const said = JSON.parse(run.stdout.trim().split('\n').at(-1) ?? '') as Omit<Cost, 'process'>;
  return { ...said, process: whole };
}

/** The least of what rounds took: disturbances only add. */
export function least(costs: readonly Cost[]): Cost {
  const of = (key: keyof Cost): number => Math.min(...costs.map((cost) => cost[key] ?? Infinity));
  const cpu = of('cpu');
  const rest = Number.isFinite(cpu) ? { cpu } : {};
  return { seconds: of('seconds'), process: of('process'), megabytes: of('megabytes'), ...rest };
}
