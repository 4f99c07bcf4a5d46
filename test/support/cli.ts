/**
 * The command line as a child process. It is bundled from the sources once a test file, so that tests need no build and
 * each start costs no more than a user's.
 */
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, onTestFinished } from 'vitest';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const CACHE = join(ROOT, '.cache');

export interface CliResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  /** Working directory. */
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  /** A module that runs the command line, given before it. */
  readonly runner?: string;
  /** Shell words before the command, such as `ulimit -f 8;`. */
  readonly before?: string;
  /** Called with all of stderr so far and a way to send a signal. */
  readonly onStderr?: (text: string, kill: (signal: NodeJS.Signals) => void) => void;
  /** Called every few milliseconds while it runs. */
  readonly onTick?: (kill: (signal: NodeJS.Signals) => void) => void;
}

export interface Cli {
  (args: readonly string[], options: CliOptions): Promise<CliResult>;
  /** Where the bundle lies. */
  folder(): string;
}

/** Bundles the command line before the tests of this file. */
export function useCli(): Cli {
  let folder = '';
  beforeAll(async () => {
    mkdirSync(CACHE, { recursive: true });
    // Two levels below the repository, as dist/cli/main.js is: that is where it finds package.json.
    folder = mkdtempSync(join(CACHE, 'cli-'));
    await bundle(folder);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return Object.assign(
    (args: readonly string[], options: CliOptions) => run(join(folder, 'main.js'), args, options),
    { folder: () => folder },
  );
}

/** The command line installed where no runtime is, and where this repository has its runtimes. */
export function installElsewhere(cli: Cli): {
  readonly zeropoint: (args: readonly string[], options: CliOptions) => Promise<CliResult>;
  readonly runtimes: Readonly<Record<'onnxruntime-node' | 'onnxruntime-web', string>>;
} {
  const place = temporaryFolder();
  const modules = join(ROOT, 'node_modules');
  cpSync(cli.folder(), join(place, 'dist/cli'), { recursive: true });
  cpSync(join(ROOT, 'package.json'), join(place, 'package.json'));
  for (const name of ['commander', 'fflate', 'valibot']) {
    cpSync(join(modules, name), join(place, 'node_modules', name), { recursive: true });
  }
  return {
    zeropoint: (args, options) => run(join(place, 'dist/cli/main.js'), args, options),
    runtimes: {
      'onnxruntime-node': join(modules, 'onnxruntime-node'),
      'onnxruntime-web': join(modules, 'onnxruntime-web'),
    },
  };
}

async function bundle(outdir: string): Promise<void> {
  await build({
    entryPoints: [join(ROOT, 'src/cli/main.ts')],
    alias: { zeropoint: join(ROOT, 'src/index.ts'), 'zeropoint/onnx': join(ROOT, 'src/onnx.ts') },
    external: ['commander', 'fflate', 'valibot', 'onnxruntime-node', 'onnxruntime-web', 'playwright-core'],
    outdir,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    logLevel: 'error',
  });
}

function run(
  main: string,
  args: readonly string[],
  { cwd, env = {}, before, runner, onStderr, onTick }: CliOptions,
): Promise<CliResult> {
  const command = [process.execPath, ...(runner === undefined ? [] : [runner]), main, ...args];
  // exec: the signal that a test sends must reach Node, not the shell.
  const [file, ...rest] =
    before === undefined ? command : ['sh', '-c', `${before} exec "$@"`, 'sh', ...command];
  return new Promise((resolve, reject) => {
    const child = spawn(file, rest, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
      onStderr?.(stderr, (signal) => child.kill(signal));
    });
    const ticks = onTick && setInterval(() => onTick((signal) => child.kill(signal)), 20);
    child.on('error', reject);
    child.on('close', (code) => {
      clearInterval(ticks);
      resolve({ code, stdout, stderr });
    });
  });
}

/** A folder of its own for one test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'zeropoint-cli-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Everything in a folder, hidden files and inner folders included. */
export function listing(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).toSorted();
}
