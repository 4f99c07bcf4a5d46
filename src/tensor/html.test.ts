import { expect, test } from 'vitest';
import { escapeHtml, htmlTable } from './html.ts';
import { tensor } from './tensor.ts';

const cells = (html: string): string[] =>
  [...html.matchAll(/<td[^>]*>([^<]*)<\/td>/g)].map(([, text]) => text);

test('a matrix becomes rows and columns with the printed values', () => {
  const html = htmlTable(
    tensor([
      [0.5, 1],
      [2, -0.25],
    ]),
  );
  expect(html).toContain('<caption>float32 [2, 2]</caption>');
  expect(html.match(/<tr>/g)).toHaveLength(2);
  expect(cells(html)).toEqual(['0.5000', '1.0000', '2.0000', '-0.2500']);
});

test('a scalar is one cell, an empty tensor none', () => {
  expect(cells(htmlTable(tensor(3)))).toEqual(['3.']);
  expect(cells(htmlTable(tensor([])))).toEqual([]);
});

test('leading axes label the rows', () => {
  const html = htmlTable(tensor(new Int8Array(8), [2, 2, 2]));
  expect([...html.matchAll(/<th>([^<]*)<\/th>/g)].map(([, text]) => text)).toEqual([
    '0, 0',
    '0, 1',
    '1, 0',
    '1, 1',
  ]);
});

test('more than 1000 elements: 3 rows and 3 columns at each end', () => {
  const html = htmlTable(tensor(new Float32Array(10_000), [100, 100]));
  expect(html.match(/<tr>/g)).toHaveLength(7);
  expect(cells(html)).toHaveLength(6 * 7);
});

test('text is escaped', () => {
  expect(escapeHtml('<a href="x">&')).toBe('&lt;a href=&quot;x&quot;&gt;&amp;');
});
