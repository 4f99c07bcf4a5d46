/**
 * Reads files of `test/fixtures/` in every runtime that the tests run in: from disk in Node, Deno and Bun, by
 * fetch in a browser. Core tests must use it instead of `node:fs`, so that the same file runs everywhere
 * (`npm run test:runtimes`). A top-level await makes the cases known before tests are declared:
 *
 * ```ts
 * import { loadJson } from '../test/support/fixtures.ts';
 * const cases = await loadJson<readonly Case[]>('torch/quantize-per-tensor.json.gz');
 * test.each(cases)('$name', ...);
 * ```
 *
 * `name` is the path below `test/fixtures/`, with `/`. A name that ends in `.gz` is read uncompressed.
 */

// The bundles of the runtimes run lie in `test/.runtimes/`, so this relative path holds for them too.
const FOLDER = new URL('../fixtures/', import.meta.url);

/** The bytes of a fixture, uncompressed if its name ends in `.gz`. Rejects if there is no such file. */
export async function loadFixture(name: string): Promise<Uint8Array<ArrayBuffer>> {
  const url = new URL(name, FOLDER);
  const bytes = url.protocol === 'file:' ? await readFromDisk(url) : await readByFetch(url);
  return name.endsWith('.gz') ? gunzip(bytes) : bytes;
}

/** The text of a fixture (UTF-8). */
export async function loadText(name: string): Promise<string> {
  return new TextDecoder().decode(await loadFixture(name));
}

/** A parsed JSON fixture. The caller names the type: fixtures are ours and are not validated. */
export async function loadJson<T>(name: string): Promise<T> {
  return JSON.parse(await loadText(name)) as T;
}

async function readFromDisk(url: URL): Promise<Uint8Array<ArrayBuffer>> {
  const { readFile } = await import('node:fs/promises');
  return new Uint8Array(await readFile(url));
}

async function readByFetch(url: URL): Promise<Uint8Array<ArrayBuffer>> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`fixture: expected ${url.pathname}, got status ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

async function gunzip(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
