/** Runs programs for the scripts. Plain Node, no dependency: setup uses it before anything is installed. */
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository. */
export const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** Where the scripts keep what they can make again. */
export const CACHE = join(ROOT, '.cache');

/**
 * Runs a program in the repository without stdin. Resolves to its exit code and what it printed;
 * with `inherit: true` the output goes to ours as it comes and is not returned.
 */
export function run(command, args, { inherit = false, cwd = ROOT, env = {}, timeoutMs } = {}) {
  const stdio = ['ignore', inherit ? 'inherit' : 'pipe', inherit ? 'inherit' : 'pipe'];
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, stdio, env: { ...process.env, ...env }, timeout: timeoutMs });
    const chunks = [];
    const errors = [];
    child.stdout?.on('data', (chunk) => chunks.push(chunk));
    child.stderr?.on('data', (chunk) => errors.push(chunk));
    child.on('error', reject);
    child.on('close', (code, signal) => {
      const stdout = Buffer.concat(chunks).toString();
      const stderr = Buffer.concat(errors).toString() + (signal ? `\nended by ${signal}\n` : '');
      resolve({ code: code ?? 1, stdout, stderr, output: stdout + stderr });
    });
  });
}

/** Runs a command-line tool of an installed package with this Node: `runTool('typescript', 'tsc', [...])`. */
export function runTool(packageName, bin, args, options) {
  return run(process.execPath, [toolPath(packageName, bin), ...args], options);
}

function toolPath(packageName, bin) {
  const manifestPath = join(ROOT, 'node_modules', packageName, 'package.json');
  const manifest = createRequire(import.meta.url)(manifestPath);
  const relative = typeof manifest.bin === 'string' ? manifest.bin : manifest.bin[bin];
  return join(dirname(manifestPath), relative);
}

/** npm itself, by the copy that runs us where there is one (`npm run` sets npm_execpath), else from PATH. */
export function runNpm(args, options) {
  const own = process.env.npm_execpath;
  return own?.endsWith('.js') ? run(process.execPath, [own, ...args], options) : run('npm', args, options);
}
