/** What variants change in config.json and README.md: that, and nothing else. */
import { describe, expect, it } from 'vitest';
import { modelTypeOf, withVariantsInConfig, withVariantsInReadme } from 'zeropoint/onnx';

const CONFIG = `{
    "model_type": "bert",
    "eps": 1e-05,
    "big": 12345678901234567890,
    "list": [1,2, 3.0],
    "transformers.js_config": {"kv_cache_dtype": {"q4f16": "float16"}}
}
`;

describe('config.json', () => {
  it('says the chunks of files with external data', () => {
    expect(withVariantsInConfig(CONFIG, { chunks: { 'model.onnx': 0, 'model_q4.onnx': 2 } })).toBe(
      CONFIG.replace(
        '"float16"}}',
        '"float16"},\n    "use_external_data_format": {\n        "model_q4.onnx": 2\n    }}',
      ),
    );
  });

  it('stays as it is, to the byte, if there is nothing to say or it says so', () => {
    for (const text of [
      CONFIG,
      '{"transformers.js_config":{"use_external_data_format":{"model_q4.onnx":1}} }',
    ]) {
      const chunks = { 'model.onnx': 0, 'model_q4.onnx': text === CONFIG ? 0 : 1 };
      expect(withVariantsInConfig(text, { chunks })).toBe(text);
    }
    const all = '{"transformers.js_config": {"use_external_data_format": true}}';
    expect(withVariantsInConfig(all, { chunks: { 'model.onnx': 1 } })).toBe(all);
  });

  it('true for all files becomes a count for each that has external data', () => {
    const text = '{"transformers.js_config": {"use_external_data_format": true, "x": 1}}';
    expect(withVariantsInConfig(text, { chunks: { 'model.onnx': 1, 'model_q4.onnx': 0 } })).toBe(
      '{"transformers.js_config": {"use_external_data_format": {"model.onnx":1}, "x": 1}}',
    );
    expect(withVariantsInConfig(text, { chunks: { 'model.onnx': 0 } })).toBe(
      '{"transformers.js_config": {"use_external_data_format": false, "x": 1}}',
    );
  });

  it('a key of the base file does not hold for a variant without external data', () => {
    const text = '{"transformers.js_config": {"use_external_data_format": {"model": true}}}';
    expect(withVariantsInConfig(text, { chunks: { 'model.onnx': 1, 'model_q4.onnx': 0 } })).toBe(
      '{"transformers.js_config": {"use_external_data_format": {"model": true, "model_q4.onnx": 0}}}',
    );
    const other = '{"transformers.js_config": {"use_external_data_format": {"decoder_model": true}}}';
    const chunks = { 'decoder_model_merged_q4.onnx': 1 };
    expect(withVariantsInConfig(other, { chunks })).toContain('"decoder_model_merged_q4.onnx": 1');
  });

  it('the dtype, for all files or for each', () => {
    expect(withVariantsInConfig('{}', { chunks: {}, dtype: 'q4' })).toBe(
      '{"transformers.js_config": {"dtype":"q4"}}',
    );
    const dtype = { embed_tokens: 'fp16', decoder_model_merged: 'q4' };
    const edited = withVariantsInConfig(CONFIG, { chunks: {}, dtype });
    expect(JSON.parse(edited)).toMatchObject({
      model_type: 'bert',
      'transformers.js_config': { kv_cache_dtype: { q4f16: 'float16' }, dtype },
    });
    expect(edited).toContain('12345678901234567890');
  });

  it('a byte order mark stays', () => {
    expect(withVariantsInConfig('\ufeff{}', { chunks: {}, dtype: 'q8' })).toMatch(/^\ufeff\{"transf/);
    expect(modelTypeOf(`\ufeff${CONFIG}`)).toBe('bert');
  });

  it.each([
    ['{"a": 1,}', /expected a JSON object, got .*JSON/],
    ['', /got .*JSON/],
    ['[1]', /got an array/],
    ['null', /got null/],
    ['"x"', /got a string/],
  ])('%s is refused', (text, message) => {
    expect(() => withVariantsInConfig(text, { chunks: {} })).toThrow(message);
    expect(() => modelTypeOf(text)).toThrow(message);
  });
});

const README = `---
license: mit
tags:
# Applied Quantizations
---

# A model

\`\`\`sh
## Applied Quantizations
\`\`\`

Text.
`;

const facts = {
  bases: ['model'],
  sizes: { 'model_q4.onnx': 1_234_567, 'model_fp16.onnx': 123_456_789 },
  reasons: { bnb4: 'no products' },
} as const;

const SECTION = `## Applied Quantizations

### Based on \`model.onnx\`

- ✅ \`fp16\`: \`model_fp16.onnx\` (123.5 MB)
- ❌ \`q8\`
- ❌ \`int8\`
- ❌ \`uint8\`
- ✅ \`q4\`: \`model_q4.onnx\` (1.2 MB)
- ❌ \`q4f16\`
- ❌ \`bnb4\`: no products
`;

describe('README.md', () => {
  it('gets the section at its end; front matter and code are not taken for headings', () => {
    expect(withVariantsInReadme(README, facts)).toBe(`${README}\n${SECTION}`);
    expect(withVariantsInReadme('', facts)).toBe(SECTION);
  });

  it('has the section replaced where it is, up to the next heading of its level', () => {
    const before = `# A\n\n## Applied Quantizations\n\nold\n\n### Based on x\n\n- old\n\n## Next\n\ntext\n`;
    const after = withVariantsInReadme(before, facts);
    expect(after).toBe(`# A\n\n${SECTION}\n## Next\n\ntext\n`);
    expect(withVariantsInReadme(after, facts)).toBe(after);
    expect(withVariantsInReadme(`${README}\n${SECTION}`, facts)).toBe(`${README}\n${SECTION}`);
  });

  const withOld = (heading: string): string => `# A\n\n${heading}\n\nold\n\n`;

  it.each([
    ['License\n-------'],
    ['License\n===='],
    ['The license\nof mine\n---'],
    ['<h2>License</h2>'],
    ['<div align="center">\n<h2 align="center">\n  License\n</h2>\n\n</div>'],
    ['<h2>\n  <a name="license"></a>License</h2>'],
    ['# License #'],
    ['##'],
    ['---'],
    ['* * *'],
  ])('has the section end before %j', (next) => {
    const rest = `${next}\nMIT, text of mine\n`;
    const after = withVariantsInReadme(withOld('## Applied Quantizations') + rest, facts);
    expect(after).toBe(`# A\n\n${SECTION}\n${rest}`);
    expect(withVariantsInReadme(after, facts)).toBe(after);
  });

  it.each([
    ['- old\n- older\n\n### Next\n---still text'],
    ['```sh\n# not a heading\nnor this\n---\n```sh\n## nor this, in the same code\n```'],
    ['1. ```sh\n   # not a heading\n   ```'],
    ['<!-- old:\n## Gone\n-->'],
    ['<pre>\n## Text\n</pre>'],
    ['    ## Code\n    ---'],
    ['> ## Quoted'],
    ['- ```\n  # a fence that the item ends'],
    ['- item\ntext of it\n\ntext\n```\n# not a heading\n```'],
  ])('does not have it end in %j', (inside) => {
    const text = `${withOld('## Applied Quantizations')}${inside}\n\n## Next\n`;
    expect(withVariantsInReadme(text, facts)).toBe(`# A\n\n${SECTION}\n## Next\n`);
  });

  it.each([
    ['Applied Quantizations\n---'],
    ['## applied quantizations ##'],
    ['<h2>Applied Quantizations</h2>'],
    ['<h2 align="center">\nApplied Quantizations\n</h2>'],
  ])('finds the section under %j', (heading) => {
    expect(withVariantsInReadme(`${withOld(heading)}## Next\n`, facts)).toBe(`# A\n\n${SECTION}\n## Next\n`);
  });

  it.each([
    ['<!--\n## Applied Quantizations\n\nlater\n-->'],
    ['<!-- a\n\nApplied Quantizations\n---\n-->'],
    ['~~~\n```\n## Applied Quantizations\n~~~'],
    ['````\n```\n## Applied Quantizations\n````'],
    ['- ```\n  ## Applied Quantizations\n  ```'],
    ['- Applied Quantizations\n---'],
    ['    Applied Quantizations\n---'],
    ['text\nApplied Quantizations\n---'],
  ])('does not take %j for it', (text) => {
    expect(withVariantsInReadme(`# A\n\n${text}\n`, facts)).toBe(`# A\n\n${text}\n\n${SECTION}`);
  });

  it('finds the section where line ends are mixed, and keeps those of the rest', () => {
    const text = '# A\r\n\ntext\n## Applied Quantizations\n\nold\r\n## Next\n\r\ntext\n';
    const section = SECTION.replaceAll('\n', '\r\n');
    expect(withVariantsInReadme(text, facts)).toBe(`# A\r\n\ntext\n${section}\r\n## Next\n\r\ntext\n`);
  });

  it('keeps line ends', () => {
    const crlf = withVariantsInReadme(README.replaceAll('\n', '\r\n'), facts);
    expect(crlf).toBe(`${README}\n${SECTION}`.replaceAll('\n', '\r\n'));
  });
});
