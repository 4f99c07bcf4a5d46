/**
 * The same variants by zeropoint, in a process of its own, with the same report as variants.py. Usage: node variants.mjs MODEL
 * FOLDER PRESET DTYPE...; files are called as there.
 */
import { join } from 'node:path';
import { variants } from 'zeropoint/onnx';
import { peakBytes } from '../../scripts/lib/peak.mjs';

const [model, folder, preset, ...dtypes] = process.argv.slice(2);
const start = performance.now();
const result = await variants(model, {
  preset,
  dtypes,
  overwrite: true,
  open: (file) => join(folder, file),
});
const seconds = (performance.now() - start) / 1000;
if (result.skipped.length > 0) console.error(result.skipped);
const { userCPUTime, systemCPUTime } = process.resourceUsage();
const cpu = (userCPUTime + systemCPUTime) / 1e6;
console.log(JSON.stringify({ seconds, cpu, megabytes: peakBytes() / 2 ** 20 }));
