import { readFileSync } from 'node:fs';
import { safeParse } from 'valibot';
import { describe, expect, it } from 'vitest';
import { describeIssue } from './describe-issue.ts';
import { CONFIG } from './schema.ts';

function issuesOf(value: unknown): readonly string[] {
  const { success, issues } = safeParse(CONFIG, value);
  return success ? [] : issues.map((issue) => describeIssue(issue, CONFIG));
}

describe('schema/quant.schema.json', () => {
  it('says what the command line checks; if not: npm run build && node scripts/config-schema.mjs && npm run format', async () => {
    // A script, without types.
    const path = '../../../scripts/config-schema.mjs';
    const { configSchema } = (await import(path)) as { readonly configSchema: (schema: unknown) => unknown };
    const file = readFileSync(new URL('../../../schema/quant.schema.json', import.meta.url), 'utf8');
    expect(configSchema(CONFIG)).toEqual(JSON.parse(file));
  });
});

describe('issues name the path, what was expected, what came, and what was probably meant', () => {
  it.each([
    [{ activaton: {} }, /^expected \$schema, mode, .*, got 'activaton'/],
    [{ taget: 'webgpu' }, /got 'taget', did you mean 'target'\?$/],
    [{ mode: 'statc' }, /^mode: expected 'static' \| .*, got 'statc', did you mean 'static'\?$/],
    [
      { opTypes: { Conv: { weight: { dtype: 'int9' } } } },
      /^opTypes\.Conv\.weight\.dtype: expected 'int8' \| .*, got 'int9', did you mean 'int8'\?$/,
    ],
    [
      { nodes: { '/a/b': { weigth: {} } } },
      /^nodes\.\/a\/b: expected activation, weight, got 'weigth', did you mean 'weight'\?$/,
    ],
    [{ weights: { overrides: [{ bits: 8 }] } }, /^weights\.overrides\.0: .*nodes/],
    [{ calibration: { samples: 0 } }, /^calibration\.samples: expected >=1, got 0$/],
    [{ externalData: { chunkSize: '1GiB' } }, /^externalData\.chunkSize: expected number, got '1GiB'$/],
  ])('%j: %s', (value, message) => {
    expect(issuesOf(value)).toEqual([expect.stringMatching(message)]);
  });

  it('what is right has none', () => {
    expect(
      issuesOf({
        $schema: './quant.schema.json',
        global: { activation: { dtype: 'uint16', observer: 'percentile', percentile: 99.9 } },
        opTypes: { MatMul: 'float' },
        nodes: { head: null },
        weights: { overrides: [{ nodes: '*head', bits: 8 }] },
        float16: { keepIO: ['x'] },
        externalData: true,
      }),
    ).toEqual([]);
  });
});
