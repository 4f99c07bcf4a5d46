/** Prints what Node makes of the jobs, as VariantDigests: its files lie in a temporary folder, as a person's would. */
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { variants } from 'zeropoint/onnx';
import { VARIANT_JOBS, type VariantJob } from './variant-jobs.ts';

/** This is bundled into `test/.runtimes/`. */
const FIXTURES = new URL('../fixtures/', import.meta.url);

async function digestsOf({ model, options }: VariantJob): Promise<Readonly<Record<string, string>>> {
  const folder = mkdtempSync(join(tmpdir(), 'zeropoint-variants-'));
  try {
    const files = { 'model.onnx': fileURLToPath(new URL(model, FIXTURES)) };
    const made = await variants(files, { ...options, open: (name) => join(folder, name) });
    const names = made.variants.flatMap((variant) => variant.files.map(({ name }) => name));
    const digest = (name: string): string =>
      createHash('sha256')
        .update(readFileSync(join(folder, name)))
        .digest('hex');
    return Object.fromEntries(names.map((name) => [name, digest(name)]));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const digests: Record<string, Readonly<Record<string, string>>> = {};
for (const [name, job] of Object.entries(VARIANT_JOBS)) digests[name] = await digestsOf(job);
console.log(JSON.stringify(digests));
