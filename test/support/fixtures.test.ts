import { describe, expect, test } from 'vitest';
import { loadFixture, loadJson, loadText } from './fixtures.ts';

describe('fixtures, in every runtime', () => {
  test.each(['support/sample.json', 'support/sample.json.gz'])(
    '%s is read as bytes, text and JSON',
    async (name) => {
      const text = '{"text":"grüße","values":[1,-2.5]}\n';
      expect(await loadFixture(name)).toEqual(new TextEncoder().encode(text));
      expect(await loadText(name)).toBe(text);
      expect(await loadJson(name)).toEqual({ text: 'grüße', values: [1, -2.5] });
    },
  );

  test('a missing file rejects', async () => {
    await expect(loadFixture('support/none.json')).rejects.toThrow(/none\.json/);
  });
});
