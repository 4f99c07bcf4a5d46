/** A configuration from a file: JSON, or a module whose default export it is. */
import { readFile } from 'node:fs/promises';
import { dirname, extname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { safeParse } from 'valibot';
import { UsageError } from '../errors.ts';
import { describeIssue } from './describe-issue.ts';
import { CONFIG, type Config } from './schema.ts';

const HINT = 'docs/config.md and schema/quant.schema.json in the package say what there is.';

/** Everything that is wrong is said, up to this many things. */
const SHOWN_ISSUES = 5;

/**
 * Reads and checks a file; the path of its data is made absolute.
 * @throws UsageError for a file that cannot be read or loaded, and for everything in it that is not as the schema says
 */
export async function readConfig(path: string): Promise<Config> {
  const value = await load(path);
  // An array would pass for an object without keys.
  if (Array.isArray(value)) throw new UsageError(`${path}: expected an object, got an array`, HINT);
  const { success, output, issues } = safeParse(CONFIG, value);
  if (!success) {
    const texts = issues.slice(0, SHOWN_ISSUES).map((issue) => describeIssue(issue, CONFIG));
    throw new UsageError(`${path}: ${texts.join(`\n${path}: `)}`, HINT);
  }
  const { calibration } = output;
  if (calibration?.data === undefined) return output;
  const data = resolve(dirname(path), calibration.data);
  return { ...output, calibration: { ...calibration, data } };
}

const LOADERS: Readonly<Record<string, (path: string) => Promise<unknown>>> = {
  '.json': loadJson,
  '.js': loadModule,
  '.mjs': loadModule,
  '.ts': loadTypeScript,
  '.mts': loadTypeScript,
};

async function load(path: string): Promise<unknown> {
  const ending = extname(path);
  if (Object.hasOwn(LOADERS, ending)) return LOADERS[ending](path);
  throw new UsageError(
    `--config: expected a file of ${Object.keys(LOADERS).join(', ')}, got ${path}`,
    'JSON and modules whose default export is the configuration can be read.',
  );
}

async function loadJson(path: string): Promise<unknown> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new UsageError(`${path}: expected a file to read, got ${reason(cause)}`);
  });
  try {
    // Editors on Windows begin files with a mark.
    return JSON.parse(text.replace(/^\uFEFF/, '')) as unknown;
  } catch (cause) {
    throw new UsageError(
      `${path}: expected JSON, got ${reason(cause)}`,
      'JSON has no comments and no commas at the end; a .mjs file may have both.',
    );
  }
}

async function loadModule(path: string): Promise<unknown> {
  const module = await import(pathToFileURL(resolve(path)).href).catch((cause: unknown) => {
    throw new UsageError(`${path}: expected a module that loads, got ${reason(cause)}`);
  });
  const { default: config } = module as { readonly default?: unknown };
  if (config !== undefined) return config;
  throw new UsageError(`${path}: expected a default export, got none`, 'Write: export default { ... };');
}

/** Node reads TypeScript from 22.18 on, Deno and Bun always. */
async function loadTypeScript(path: string): Promise<unknown> {
  const readsIt =
    'Bun' in globalThis ||
    'Deno' in globalThis ||
    ('typescript' in process.features && Boolean(process.features.typescript));
  if (readsIt) return loadModule(path);
  throw new UsageError(
    `${path}: expected a runtime that reads TypeScript (Node from 22.18, Deno, Bun), got Node ${process.versions.node}`,
    'Name it .mjs and leave out the types, or write JSON.',
  );
}

function reason(cause: unknown): string {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  if (code === 'ENOENT') return 'nothing there';
  if (code === 'EISDIR') return 'a folder';
  return cause instanceof Error ? cause.message : String(cause);
}
