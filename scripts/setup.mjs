/**
 * Makes a checkout ready to run: `npm ci` if it is due, then the build of what is stale. Every npm script starts
 * with it, so that one command is enough from a bare clone; when nothing is due it only hashes the sources.
 */
import { build } from './build.mjs';
import { install } from './lib/install.mjs';
import { ROOT } from './lib/run.mjs';

await install(ROOT);
process.exitCode = (await build()) ? 0 : 1;
