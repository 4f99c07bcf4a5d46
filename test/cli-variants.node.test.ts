/** `zeropoint variants`: a folder as transformers.js has it, from float models. */
import {
  chmodSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { tensor } from 'zeropoint';
import { buildModel, readModel, VARIANT_DTYPES, variantFile as nameOf, writeModel } from 'zeropoint/onnx';
import { listing, temporaryFolder, useCli } from './support/cli.ts';
import { noise, saveModel, torchNamed, twoInputs } from './support/cli-models.ts';
import { countOps, variantFile } from './support/variants.ts';

const zeropoint = useCli();

const CONFIG = '{\n  "model_type": "bert",\n  "eps": 1e-12\n}\n';
const README = '---\nlicense: mit\n---\n\n# A model\n';

interface Repository {
  readonly models: Readonly<Record<string, string>>;
  readonly config?: string;
  readonly readme?: string;
}

/** A folder with models of the fixtures in `onnx/`. */
function repository({ models, config = CONFIG, readme = README }: Repository): string {
  const cwd = temporaryFolder();
  mkdirSync(join(cwd, 'onnx'));
  for (const [file, fixture] of Object.entries(models)) {
    copyFileSync(fileURLToPath(variantFile(fixture)), join(cwd, 'onnx', file));
  }
  writeFileSync(join(cwd, 'config.json'), config);
  writeFileSync(join(cwd, 'README.md'), readme);
  return cwd;
}

const text = (cwd: string, name: string): string => readFileSync(join(cwd, name), 'utf8');

describe('zeropoint variants', () => {
  it('makes all of them, compares them, and says in README.md which there are', async () => {
    const cwd = repository({ models: { 'model.onnx': 'transformer' } });
    const { code, stdout, stderr } = await zeropoint(['variants', '.'], { cwd });
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^wrote 7 variants of 1 model to .*\/onnx, preset web \(/);
    expect(stdout).toMatch(
      /model_q4f16\.onnx +1\d\.\d KB +7\d\.\d % +\d\d\.\d dB {2}cpu, wasm, webgpu \(shader-f16\)\n/,
    );
    expect(stdout).toMatch(/model_quantized\.onnx +\d\d\.\d KB +\d\d\.\d % +\d\d\.\d dB {2}cpu, wasm\n/);
    expect(stdout).toMatch(
      /error: signal to noise against float, worst output, on made-up inputs, by onnxruntime/,
    );
    const made = VARIANT_DTYPES.map((dtype) => `onnx/${nameOf('model', dtype)}`);
    expect(listing(cwd)).toEqual(['README.md', 'config.json', 'onnx', 'onnx/model.onnx', ...made].toSorted());
    expect(text(cwd, 'config.json')).toBe(CONFIG);
    expect(text(cwd, 'README.md')).toContain(`${README}\n## Applied Quantizations\n`);
    expect(text(cwd, 'README.md')).toContain('- ✅ `q8`: `model_quantized.onnx` (');
  });

  it('--dtype of several base files; --json has sizes, errors and where each runs', async () => {
    const models = { 'decoder_model_merged.onnx': 'transformer', 'vision_encoder.onnx': 'conv' };
    const cwd = repository({ models });
    const words = ['variants', 'onnx', '--dtype', 'q4,fp16', '--no-readme', '--json'];
    const { code, stdout } = await zeropoint(words, { cwd });
    expect(code).toBe(0);
    const { variants, bases, preset } = JSON.parse(stdout);
    expect(preset).toBe('web');
    expect(bases.map(({ base }: { base: string }) => base)).toEqual([
      'decoder_model_merged',
      'vision_encoder',
    ]);
    expect(variants).toHaveLength(4);
    expect(variants[0]).toMatchObject({
      file: 'decoder_model_merged_q4.onnx',
      dtype: 'q4',
      runsOn: { cpu: true, wasm: true, webgpu: true },
      verification: { inputs: 'made-up inputs', outputs: [{ name: 'y' }] },
    });
    expect(text(cwd, 'README.md')).toBe(README);
  });

  it("--compat transformersjs-3: the scripts' graph, by the model type of config.json", async () => {
    const cwd = repository({ models: { 'model.onnx': 'mlp' } });
    const words = ['variants', '.', '--compat', 'transformersjs-3', '--dtype', 'q8', '--no-verify'];
    expect((await zeropoint(words, { cwd })).code).toBe(0);
    const scale = async (): Promise<readonly number[] | undefined> =>
      (await readModel(join(cwd, 'onnx/model_quantized.onnx'))).graph.value('W1_scale')?.constant?.shape;
    expect(await scale()).toEqual([40]);
    expect((await zeropoint([...words, '--model-type', 'whisper', '--force'], { cwd })).code).toBe(0);
    expect(await scale()).toEqual([]);
  });

  it('external data has the names, and config.json the counts, that transformers.js wants; files of an earlier run go', async () => {
    const cwd = repository({ models: { 'model.onnx': 'transformer' } });
    const words = ['variants', '.', '--dtype', 'q4', '--no-verify'];
    expect((await zeropoint([...words, '--external-data', '2KB'], { cwd })).code).toBe(0);
    const chunks = listing(join(cwd, 'onnx')).filter((name) => name.startsWith('model_q4.onnx_data'));
    expect(chunks.length).toBeGreaterThan(1);
    expect(text(cwd, 'config.json')).toBe(
      '{\n  "model_type": "bert",\n  "eps": 1e-12,\n  "transformers.js_config": {\n    "use_external_data_format": {\n' +
        `      "model_q4.onnx": ${chunks.length}\n    }\n  }\n}\n`,
    );
    expect((await readModel(join(cwd, 'onnx/model_q4.onnx'))).graph.outputs).toHaveLength(1);
    expect((await zeropoint([...words, '--force'], { cwd })).code).toBe(0);
    expect(listing(join(cwd, 'onnx'))).toEqual(['model.onnx', 'model_q4.onnx']);
    expect(JSON.parse(text(cwd, 'config.json'))).toMatchObject({
      'transformers.js_config': { use_external_data_format: { 'model_q4.onnx': 0 } },
    });
  });

  it('models beside config.json: variants go into onnx/, and a line says what to do with the float ones', async () => {
    const cwd = temporaryFolder();
    await saveModel(cwd, twoInputs());
    writeFileSync(join(cwd, 'config.json'), CONFIG);
    const { code, stderr } = await zeropoint(['variants', '.', '--dtype', 'fp16'], { cwd });
    expect([code, stderr]).toEqual([0, expect.stringContaining('move the float ones there')]);
    expect(listing(cwd)).toEqual(['README.md', 'config.json', 'model.onnx', 'onnx', 'onnx/model_fp16.onnx']);
  });

  it('a config.json and a README.md that are links, as in a Hugging Face cache, become files; what they point to stays', async () => {
    const cwd = repository({ models: {} });
    mkdirSync(join(cwd, 'blobs'));
    copyFileSync(fileURLToPath(variantFile('mlp')), join(cwd, 'blobs/model'));
    symlinkSync('../blobs/model', join(cwd, 'onnx/model.onnx'));
    for (const name of ['config.json', 'README.md']) {
      renameSync(join(cwd, name), join(cwd, 'blobs', name));
      symlinkSync(`blobs/${name}`, join(cwd, name));
    }
    const words = ['variants', '.', '--dtype', 'q4', '--external-data', '1KB'];
    const { code, stderr } = await zeropoint(words, { cwd });
    expect([code, stderr]).toEqual([0, '']);
    expect(text(cwd, 'blobs/config.json')).toBe(CONFIG);
    expect(text(cwd, 'blobs/README.md')).toBe(README);
    expect(text(cwd, 'config.json')).toContain('"model_q4.onnx"');
    expect(text(cwd, 'README.md')).toContain('- ✅ `q4`');
  });

  it('one model: variants go beside it, and no README.md is touched that is no model card', async () => {
    const cwd = temporaryFolder();
    await saveModel(cwd, twoInputs(), 'net.onnx');
    await saveModel(cwd, twoInputs(), 'other.onnx');
    writeFileSync(join(cwd, 'README.md'), README);
    const { code, stdout } = await zeropoint(['variants', 'net.onnx', '--dtype', 'q8'], { cwd });
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^wrote 1 variant of 1 model/)]);
    expect(listing(cwd)).toEqual(['README.md', 'net.onnx', 'net_quantized.onnx', 'other.onnx']);
    expect(text(cwd, 'README.md')).toBe(README);
  });

  it('a decoder with a cache is compared too: its first step, with an empty cache', async () => {
    const cwd = temporaryFolder();
    cpSync(new URL('fixtures/transformersjs/decoder/', import.meta.url), cwd, { recursive: true });
    const { code, stdout } = await zeropoint(['variants', '.', '--dtype', 'q8', '--json'], { cwd });
    expect(code).toBe(0);
    const [{ file, verification }] = JSON.parse(stdout).variants;
    expect(file).toBe('decoder_model_merged_quantized.onnx');
    expect(verification.inputs).toBe('made-up inputs');
    const logits = verification.outputs.find(({ name }: { name: string }) => name === 'logits');
    expect(logits.sqnr).toBeGreaterThan(15);
  });

  it('--dry-run writes nothing and knows the sizes', async () => {
    const cwd = repository({ models: { 'model.onnx': 'transformer' } });
    const before = listing(cwd);
    const dry = await zeropoint(['variants', '.', '--dry-run', '--json'], { cwd });
    expect(dry.code).toBe(0);
    expect(listing(cwd)).toEqual(before);
    const real = await zeropoint(['variants', '.', '--no-verify', '--json'], { cwd });
    const sizes = ({ stdout }: { stdout: string }): number[] =>
      JSON.parse(stdout).variants.map(({ size }: { size: number }) => size);
    expect(sizes(dry)).toEqual(sizes(real));
  });
});

describe('one dtype for a page', () => {
  const models = { 'embed_tokens.onnx': 'gather', 'decoder_model_merged.onnx': 'transformer' };

  it('--plan: a dtype for each model, made and told to pages', async () => {
    const cwd = repository({ models });
    const plan = { embed_tokens: 'fp16', decoder_model_merged: 'q4' };
    writeFileSync(join(cwd, 'plan.json'), JSON.stringify(plan));
    const { code, stdout } = await zeropoint(['variants', '.', '--plan', 'plan.json', '--no-verify'], {
      cwd,
    });
    expect([code, stdout]).toEqual([0, expect.stringContaining(`dtype for pages: ${JSON.stringify(plan)}`)]);
    expect(listing(join(cwd, 'onnx'))).toEqual(
      [...Object.keys(models), 'embed_tokens_fp16.onnx', 'decoder_model_merged_q4.onnx'].toSorted(),
    );
    expect(JSON.parse(text(cwd, 'config.json'))).toMatchObject({ 'transformers.js_config': { dtype: plan } });
  });

  it.each([
    ['{"embed_tokens": "q4"}', 2, 'got none for decoder_model_merged'],
    [
      '{"embed_tokens": "q4", "decoder_model_merged": "q4", "decoder": "q4"}',
      2,
      'got one for decoder, which is not there',
    ],
    [
      '{"embed_tokens": "q5", "decoder_model_merged": "q4"}',
      2,
      'expected plan.embed_tokens one of fp32, fp16',
    ],
    ['{"embed_tokens": 4}', 1, 'expected a JSON object of dtypes by model, got {"embed_tokens":4}'],
    ['q4', 1, 'expected a JSON object of dtypes by model, got SyntaxError'],
  ])('--plan %s is refused', async (plan, code, message) => {
    const cwd = repository({ models });
    writeFileSync(join(cwd, 'plan.json'), plan);
    const before = listing(cwd);
    const result = await zeropoint(['variants', '.', '--plan', 'plan.json'], { cwd });
    expect([result.code, result.stderr]).toEqual([code, expect.stringContaining(message)]);
    expect(listing(cwd)).toEqual(before);
  });

  it('--max-size: the best that fits, counted over all models', async () => {
    const cwd = repository({ models });
    const sizes = JSON.parse((await zeropoint(['variants', '.', '--dry-run', '--json'], { cwd })).stdout)
      .variants as readonly { readonly dtype: string; readonly size: number }[];
    const total = (dtype: string): number =>
      sizes.filter((variant) => variant.dtype === dtype).reduce((sum, { size }) => sum + size, 0);
    const chosen = async (maxSize: number): Promise<unknown> => {
      const words = ['variants', '.', '--max-size', String(maxSize), '--no-verify', '--json', '--force'];
      const { code, stdout } = await zeropoint(words, { cwd });
      expect(code).toBe(0);
      return JSON.parse(stdout).dtype;
    };
    expect(total('fp16')).toBeGreaterThan(total('q8'));
    expect(await chosen(total('fp16'))).toBe('fp16');
    expect(await chosen(total('fp16') - 1)).toBe('q8');
    expect(await chosen(1_000_000)).toBe('fp32');
    expect(JSON.parse(text(cwd, 'config.json'))).toMatchObject({
      'transformers.js_config': { dtype: 'fp32' },
    });
    const { code, stderr } = await zeropoint(['variants', '.', '--max-size', '1KB', '--force'], { cwd });
    expect([code, stderr]).toEqual([
      3,
      expect.stringMatching(/expected a dtype of at most 1000 bytes, got \d+ for the smallest, q4f16/),
    ]);
  });

  it('--max-size of a float model whose external data pages do not find: not fp32, and a line says why', async () => {
    const cwd = repository({ models: {} });
    for (const [name, bytes] of Object.entries(await torchNamed(twoInputs()))) {
      writeFileSync(join(cwd, 'onnx', name), bytes);
    }
    // What an earlier export left is none of this model's.
    writeFileSync(join(cwd, 'onnx/model.onnx_data'), 'old');
    const { code, stdout } = await zeropoint(['variants', '.', '--max-size', '1MB', '--no-verify'], { cwd });
    expect(code).toBe(0);
    expect(stdout).toContain('dtype for pages: "fp16"\n');
    expect(stdout).toContain('model.onnx: pages cannot load it: its external data is in model.onnx.data, ');
    expect(JSON.parse(text(cwd, 'config.json'))['transformers.js_config']).toEqual({ dtype: 'fp16' });
  });
});

describe('bad input: exit code 1, a reason, and the folder as it was', () => {
  async function refused(cwd: string, words: readonly string[], code = 1): Promise<string> {
    const before = listing(cwd);
    const result = await zeropoint(['variants', '.', ...words], { cwd });
    expect(result.code, result.stderr).toBe(code);
    expect(listing(cwd)).toEqual(before);
    return result.stderr;
  }

  it('a folder without models, and none at all', async () => {
    const cwd = temporaryFolder();
    expect(await refused(cwd, [])).toContain('expected float models such as model.onnx, got no file');
    const { code, stderr } = await zeropoint(['variants', 'nowhere'], { cwd });
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(/nowhere: expected a folder or a model, got nothing there/),
    ]);
  });

  it('a model without its external data', async () => {
    const cwd = repository({ models: { 'model.onnx': 'mlp' } });
    const elsewhere = temporaryFolder();
    await writeModel(twoInputs(), join(elsewhere, 'embed_tokens.onnx'), { externalData: { threshold: 0 } });
    copyFileSync(join(elsewhere, 'embed_tokens.onnx'), join(cwd, 'onnx/embed_tokens.onnx'));
    expect(await refused(cwd, [])).toMatch(
      /embed_tokens\.onnx: .*expected external data in "embed_tokens.onnx_data", got no such file/,
    );
  });

  it('a model that has one of its files of external data, and not the other', async () => {
    const cwd = repository({ models: {} });
    const chunks = { externalData: { threshold: 0, chunkSize: 512 } };
    await writeModel(twoInputs(), join(cwd, 'onnx/model.onnx'), chunks);
    rmSync(join(cwd, 'onnx/model.onnx_data_1'));
    expect(await refused(cwd, [])).toMatch(
      /model\.onnx: .*expected external data in "model.onnx_data_1", got no such file/,
    );
    writeFileSync(join(cwd, 'onnx/model.onnx_data_1'), 'short');
    expect(await refused(cwd, [])).toMatch(/model\.onnx.*model\.onnx_data_1/s);
  });

  it.each(['[]', 'null', '"bert"', '', '{"model_type": '])('a config.json of %j', async (config) => {
    const cwd = repository({ models: { 'model.onnx': 'mlp' }, config });
    expect(await refused(cwd, [])).toMatch(/config\.json: expected a JSON object, got /);
  });

  it('a config.json in which transformers.js_config is no object', async () => {
    const config = '{"transformers.js_config": 5}';
    const cwd = repository({ models: { 'model.onnx': 'mlp' }, config });
    const words = ['--dtype', 'q4', '--no-verify', '--external-data', '1KB'];
    expect(await refused(cwd, words)).toMatch(
      /config\.json: expected transformers\.js_config to be a JSON object, got 5/,
    );
  });

  it('a config.json that is not JSON; --no-config leaves it alone', async () => {
    const cwd = repository({ models: { 'model.onnx': 'mlp' }, config: '{"model_type": "bert",}' });
    expect(await refused(cwd, [])).toMatch(/config\.json: expected a JSON object, got /);
    const words = ['variants', '.', '--dtype', 'q4', '--no-config', '--no-verify'];
    expect((await zeropoint(words, { cwd })).code).toBe(0);
    expect(text(cwd, 'config.json')).toBe('{"model_type": "bert",}');
  });

  it('a config.json and a README.md that cannot be read, unless they are left alone', async () => {
    const cwd = repository({ models: { 'model.onnx': 'mlp' } });
    rmSync(join(cwd, 'config.json'));
    mkdirSync(join(cwd, 'config.json'));
    expect(await refused(cwd, [])).toMatch(
      /config\.json: expected a file that can be read, .*\n.*--no-config/,
    );
    const words = ['variants', '.', '--dtype', 'q4', '--no-verify', '--no-config'];
    expect((await zeropoint(words, { cwd })).code).toBe(0);
    expect(text(cwd, 'README.md')).toContain('- ✅ `q4`');
    rmSync(join(cwd, 'README.md'));
    mkdirSync(join(cwd, 'README.md'));
    expect(await refused(cwd, ['--no-config'])).toMatch(
      /README\.md: expected a file that can be read, .*\n.*--no-readme/,
    );
    expect((await zeropoint([...words, '--no-readme', '--force'], { cwd })).code).toBe(0);
  });

  it('a README.md that is a link to nothing: before anything is made', async () => {
    const cwd = repository({ models: { 'model.onnx': 'mlp' } });
    rmSync(join(cwd, 'README.md'));
    symlinkSync('nowhere', join(cwd, 'README.md'));
    // It would come first if models were read first.
    writeFileSync(join(cwd, 'onnx/model.onnx'), 'no model');
    expect(await refused(cwd, [])).toMatch(
      /README\.md: expected no file there, got something else\n.*--no-readme/,
    );
  });

  it('a quantized model says what it holds; --force goes on with what is float', async () => {
    const cwd = repository({ models: { 'model.onnx': 'mlp' } });
    const words = ['variants', 'onnx', '--compat', 'transformersjs-3', '--dtype', 'q4', '--no-verify'];
    await zeropoint(words, { cwd });
    copyFileSync(join(cwd, 'onnx/model_q4.onnx'), join(cwd, 'onnx/model.onnx'));
    expect(await refused(cwd, ['--dtype', 'q8'])).toContain('got one that is quantized (1 MatMulNBits)');
    expect((await zeropoint(['variants', '.', '--dtype', 'q8', '--force'], { cwd })).code).toBe(0);
    expect(countOps(await readModel(join(cwd, 'onnx/model_quantized.onnx')))).toMatchObject({
      MatMulNBits: 1,
      MatMulInteger: 2,
    });
  });

  it('a name that is taken, a model that is there twice, words that do not go together', async () => {
    const cwd = repository({ models: { 'model.onnx': 'mlp', 'model_q4.onnx': 'mlp' } });
    expect(await refused(cwd, [])).toMatch(
      /model_q4\.onnx: expected no file there, got an existing one\n.*Leave its dtype out/,
    );
    expect(await refused(cwd, ['--all', '--dtype', 'q4'], 2)).toContain('cannot be used with');
    expect(await refused(cwd, ['--dtype', 'q5'], 2)).toContain('Allowed choices are fp16, q8');
    await saveModel(cwd);
    expect(await refused(cwd, [])).toMatch(/model\.onnx: expected it in one place, got it in /);
  });

  it('external data under a name that a variant would have', async () => {
    const cwd = repository({ models: { 'model.onnx': 'mlp' } });
    writeFileSync(join(cwd, 'onnx/model_q4.onnx_data'), 'whose is this?');
    for (const words of [['--external-data', '1KB'], [], ['--max-size', '8KB']]) {
      expect(await refused(cwd, ['--dtype', 'q4', ...words])).toMatch(
        /model_q4\.onnx_data: expected no file there, got an existing one/,
      );
    }
    expect((await zeropoint(['variants', '.', '--dtype', 'q4', '--force'], { cwd })).code).toBe(0);
    expect(listing(join(cwd, 'onnx'))).toEqual(['model.onnx', 'model_q4.onnx']);
  });

  it('a folder in the place of a file, whatever the words', async () => {
    const cwd = repository({ models: { 'model.onnx': 'mlp' } });
    mkdirSync(join(cwd, 'onnx/model_q4.onnx'));
    expect(await refused(cwd, ['--dtype', 'q4'])).toContain('model_q4.onnx: expected');
    expect(await refused(cwd, ['--dtype', 'q4', '--force'])).toContain('model_q4.onnx: expected');
  });

  it('a disk that is full: the folder is as it was', async () => {
    const cwd = repository({ models: { 'model.onnx': 'transformer' } });
    const before = listing(cwd);
    const words = ['variants', '.', '--dtype', 'q4,fp16'];
    const { code, stderr } = await zeropoint(words, { cwd, before: 'ulimit -f 8;' });
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(/onnx\/model_\w+\.onnx: expected to write the file, got a file too large/),
    ]);
    expect(listing(cwd)).toEqual(before);
  });

  it('a variant that the runtime does not load', async () => {
    const cwd = repository({ models: {} });
    const unknown = buildModel((b) => {
      const product = b.op('MatMul', [b.input('x', 'float32', [1, 32]), b.constant('w', noise([32, 32]))]);
      b.output(b.op('org.Nowhere', [product]), 'y', 'float32', [1, 32]);
    });
    unknown.opsetImports.set('org', 1);
    await saveModel(join(cwd, 'onnx'), unknown);
    expect(await refused(cwd, ['--dtype', 'q4'])).toMatch(/Nowhere/);
  });

  it('a second model that cannot be quantized: nothing of the first is left', async () => {
    const cwd = repository({ models: { 'a.onnx': 'mlp' } });
    const bad = buildModel((b) => {
      const weight = b.constant('w', tensor([NaN, 1, 1, 1], [2, 2]));
      b.output(b.op('MatMul', [b.input('x', 'float32', [1, 2]), weight]), 'y', 'float32', [1, 2]);
    });
    await saveModel(join(cwd, 'onnx'), bad, 'b.onnx');
    expect(await refused(cwd, ['--dtype', 'q8'])).toContain('w: expected finite weights, got NaN');
  });

  it('a folder that cannot be written to', async () => {
    const cwd = repository({ models: { 'model.onnx': 'mlp' } });
    chmodSync(cwd, 0o555);
    const { code, stderr } = await zeropoint(['variants', '.', '--dtype', 'q4'], { cwd });
    chmodSync(cwd, 0o755);
    // Root may write anywhere.
    if (process.getuid?.() !== 0)
      expect([code, stderr]).toEqual([1, expect.stringContaining('expected a folder to write to')]);
  });

  it('Ctrl-C leaves nothing behind', async () => {
    const cwd = repository({ models: { 'model.onnx': 'transformer' } });
    const before = listing(cwd);
    let sent = false;
    const { code } = await zeropoint(['variants', '.'], {
      cwd,
      onTick: (kill) => {
        if (sent || !listing(cwd).some((name) => name.includes('.zeropoint.'))) return;
        sent = true;
        kill('SIGINT');
      },
    });
    if (sent && code !== 0) expect([code, listing(cwd)]).toEqual([130, before]);
  });
});
