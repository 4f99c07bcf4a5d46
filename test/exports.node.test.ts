/**
 * The public names are a contract. A change shows here; if it is meant, `npm test -- exports -u` writes the new list,
 * and the change log says why.
 */
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { publicExports } from './support/public-exports.ts';

const ENTRIES = { zeropoint: 'index.ts', 'zeropoint/onnx': 'onnx.ts' } as const;

const lists = Object.entries(ENTRIES).map(([entry, file]) => ({
  entry,
  exports: publicExports(fileURLToPath(new URL(`../src/${file}`, import.meta.url))),
}));

test('public names and kinds are those of test/exports.txt', async () => {
  const text = lists
    .map(({ entry, exports }) =>
      [`# ${entry}`, ...exports.map(({ name, kind }) => `${name} ${kind}`), ''].join('\n'),
    )
    .join('\n');
  await expect(text).toMatchFileSnapshot('exports.txt');
});

test.each(lists)('$entry: the listed values are what an import gives', async ({ entry, exports }) => {
  const values = exports.filter(({ kind }) => kind !== 'type').map(({ name }) => name);
  expect(Object.keys(await import(entry)).toSorted()).toEqual(values.toSorted());
});

test.each(lists)('$entry: every public name has a doc comment', ({ exports }) => {
  const bare = exports.filter(({ documented }) => !documented).map(({ name, file }) => `${name} (${file})`);
  expect(bare).toEqual([]);
});
