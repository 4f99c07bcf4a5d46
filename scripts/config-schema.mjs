/**
 * schema/quant.schema.json, for editors and other programs, of the schema that the command line checks configurations with:
 * `npm run build && node scripts/config-schema.mjs && npm run format`. A test holds the two together.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { toJsonSchema } from '@valibot/to-json-schema';
import { ROOT } from './lib/run.mjs';

const FILE = join(ROOT, 'schema/quant.schema.json');

/** What the file holds. */
export function configSchema(schema) {
  const { $schema, ...rest } = toJsonSchema(schema, { target: 'draft-07' });
  return { $schema, title: 'Configuration of zeropoint quantize', ...rest };
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { CONFIG } = await import(pathToFileURL(join(ROOT, 'dist/cli/config/schema.js')).href);
  mkdirSync(dirname(FILE), { recursive: true });
  writeFileSync(FILE, `${JSON.stringify(configSchema(CONFIG), undefined, 2)}\n`);
}
