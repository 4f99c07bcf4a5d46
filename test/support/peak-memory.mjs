/** `node peak-memory.mjs <module> <its arguments>`: runs it and ends stderr with `peak <KB>`, the most memory it held. */
import { pathToFileURL } from 'node:url';
import { peakBytes } from '../../scripts/lib/peak.mjs';

process.on('exit', () => process.stderr.write(`peak ${peakBytes() / 1024}\n`));
// The module sees the arguments that it would see if it were run by itself.
process.argv.splice(1, 1);
await import(pathToFileURL(process.argv[1]).href);
