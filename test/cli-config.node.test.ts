/** `--config`: what a file says, what overrides it, and what is wrong with it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { buildModel, readModel, type Model, type Value } from 'zeropoint/onnx';
import { noise, saveModel, saveNpz } from './support/cli-models.ts';
import { installElsewhere, listing, temporaryFolder, useCli, type CliResult } from './support/cli.ts';

const zeropoint = useCli();

/** x [N, 32] → three MatMul in two scopes, with a Relu between them → y [N, 32] */
function threeProducts(): Model {
  const names = ['/body/a/MatMul', '/body/a/Relu', '/body/b/MatMul', '/body/b/Relu', '/head/MatMul'];
  const model = buildModel(
    (b) => {
      let h = b.input('x', 'float32', ['N', 32]);
      for (const i of [0, 1, 2]) {
        h = b.op('MatMul', [h, b.constant(`w${i}`, noise([32, 32], i + 1))]);
        if (i < 2) h = b.op('Relu', [h]);
      }
      b.output(h, 'y', 'float32', ['N', 32]);
    },
    { opset: 21, irVersion: 10 },
  );
  for (const [i, node] of [...model.graph.nodes].entries()) node.name = names[i];
  return model;
}

interface Report {
  readonly quantized: readonly { readonly node: string }[];
  readonly weights: readonly { readonly name: string; readonly dtype: string; readonly scales: number }[];
  readonly activations: readonly { readonly dtype: string; readonly scale: number }[];
  readonly samples: number;
}

async function prepared(config: unknown, name = 'quant.json'): Promise<string> {
  const cwd = temporaryFolder();
  await saveModel(cwd, threeProducts());
  saveNpz(cwd, { x: noise([40, 32], 9) });
  writeFileSync(join(cwd, name), typeof config === 'string' ? config : JSON.stringify(config));
  return cwd;
}

const call = (cwd: string, ...words: readonly string[]): Promise<CliResult> =>
  zeropoint(['quantize', 'model.onnx', '--config', 'quant.json', ...words], { cwd });

async function done(
  cwd: string,
  ...words: readonly string[]
): Promise<Record<string, unknown> & { report: Report }> {
  const { code, stdout, stderr } = await call(cwd, '--json', '--force', ...words);
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout);
}

const names = ({ report }: { report: Report }): readonly string[] => report.quantized.map(({ node }) => node);
const dtypes = ({ report }: { report: Report }): Record<string, string> =>
  Object.fromEntries(report.weights.map(({ name, dtype }) => [name, dtype]));

describe('zeropoint quantize --config', () => {
  it('levels: the narrower one wins; what it leaves out is as in global', async () => {
    const cwd = await prepared({
      mode: 'static',
      calibration: { data: 'data.npz', samples: 8 },
      global: { activation: { dtype: 'int8' }, weight: { perChannel: false } },
      opTypes: { MatMul: { weight: { dtype: 'uint8' } }, Relu: null },
      namePatterns: { '/body/*': { weight: { perChannel: true } } },
      nodes: { '/head': { weight: { dtype: 'int4' } }, '/body/b/MatMul': 'float' },
    });
    const result = await done(cwd);
    expect(names(result)).toEqual(['/body/a/MatMul', '/body/a/Relu', '/head/MatMul']);
    expect(result.report).toMatchObject({ samples: 8 });
    expect(result.report.weights).toMatchObject([
      { name: 'w0', dtype: 'int8', scales: 32 },
      { name: 'w2', dtype: 'int4', scales: 1 },
    ]);
    expect(new Set(result.report.activations.map(({ dtype }) => dtype))).toEqual(new Set(['int8']));
    expect(result.mode).toEqual({ mode: 'static', reason: 'as quant.json says' });
  });

  it('16 bits, observers with their settings, and reduceRange reach the model', async () => {
    const of = async (global: unknown): Promise<Report> =>
      (await done(await prepared({ mode: 'static', calibration: { data: 'data.npz' }, global }))).report;
    const plain = await of({});
    const wide = await of({ activation: { dtype: 'uint16' } });
    expect(wide.activations[0].dtype).toBe('uint16');
    expect(wide.activations[0].scale).toBeLessThan(plain.activations[0].scale / 250);
    const cut = await of({ activation: { observer: 'percentile', percentile: 90 } });
    expect(cut.activations[0].scale).toBeLessThan(0.95 * plain.activations[0].scale);
    const reduced = await of({ activation: { reduceRange: true } });
    expect(reduced.activations[0].scale).toBeGreaterThan(1.9 * plain.activations[0].scale);
  });

  it('words override the file; --exclude adds to its own', async () => {
    const cwd = await prepared({
      mode: 'static',
      target: 'onnxruntime-arm',
      calibration: { data: 'data.npz', samples: 8 },
      exclude: ['/head/*'],
      names: 'onnxruntime',
    });
    const own = await done(cwd);
    expect(own.report.activations[0].dtype).toBe('int8');
    expect(names(own)).not.toContain('/head/MatMul');
    const said = await done(cwd, '--activation-dtype', 'uint8', '--samples', '16', '--exclude', '/body/a/*');
    expect(said.report).toMatchObject({ samples: 16 });
    expect(said.report.activations[0].dtype).toBe('uint8');
    expect(names(said)).toEqual(['/body/b/MatMul', '/body/b/Relu']);
    const dynamic = await done(cwd, '--dynamic');
    expect(dynamic.mode).toEqual({ mode: 'dynamic', reason: 'as --dynamic says' });
    const { graph } = await readModel(join(cwd, 'model.int8.onnx'));
    expect([...graph.initializers].map(({ name }) => name)).toContain('w0_quantized');
  });

  it('weights with overrides, the rest in float16, in files of their own', async () => {
    const cwd = await prepared({
      weights: { bits: 4, blockSize: 16, overrides: [{ nodes: '/head/*', bits: 8 }] },
      float16: { keepIO: false },
      exclude: ['/body/b/*'],
      externalData: { threshold: 0, chunkSize: 1000 },
    });
    const result = await done(cwd);
    expect(result.mode).toMatchObject({ mode: 'weight-only', half: 'float16' });
    expect(listing(cwd)).toContain('model.q4f16.onnx_data_1');
    const { graph } = await readModel(join(cwd, 'model.q4f16.onnx'));
    const blocks = [...graph.nodes].filter(({ opType }) => opType === 'MatMulNBits');
    expect(blocks.map((node) => node.int('bits', 0))).toEqual([4, 8]);
    expect(graph.inputs.map(({ elementType }) => elementType)).toEqual(['float16']);
  });

  it('by-channel: int8 for storage, with float16 too', async () => {
    const cwd = await prepared({ weights: { format: 'by-channel' } });
    expect(dtypes(await done(cwd))).toEqual({ w0: 'int8', w1: 'int8', w2: 'int8' });
    await done(cwd, '--float16');
    expect(listing(cwd)).toContain('model.fp16.onnx');
  });

  it('a module can be read, and calibrate takes the same file', async () => {
    const cwd = await prepared(
      `export default { calibration: { data: 'data.npz' }, global: { activation: { dtype: 'int8' } } };`,
      'quant.mjs',
    );
    const words = ['model.onnx', '--config', 'quant.mjs', '--json'];
    const { report } = JSON.parse((await zeropoint(['quantize', ...words], { cwd })).stdout);
    expect(report.activations[0].dtype).toBe('int8');
    expect((await zeropoint(['calibrate', ...words], { cwd })).code).toBe(0);
    const planned = ['quantize', 'model.onnx', '--plan', 'model.plan.json', '--force', '--json'];
    const fromPlan = JSON.parse((await zeropoint(planned, { cwd })).stdout);
    expect(fromPlan.report.activations).toEqual(report.activations);
  });

  it('works where only the package and its dependencies are installed', async () => {
    const cwd = await prepared({ mode: 'dynamic' });
    const { zeropoint: elsewhere } = installElsewhere(zeropoint);
    const words = ['quantize', 'model.onnx', '--config', 'quant.json', '--no-verify'];
    const { code, stderr } = await elsewhere(words, { cwd });
    expect([code, stderr]).toEqual([0, 'mode: dynamic, as quant.json says\n']);
  });
});

describe('nodes without a name', () => {
  /** As `prepared`, without a single name; the products give h0 to h2. */
  async function nameless(config: unknown = {}): Promise<string> {
    const cwd = temporaryFolder();
    const model = threeProducts();
    let product = 0;
    for (const node of model.graph.nodes) {
      node.name = '';
      if (node.is('MatMul') && !node.outputs[0]?.isOutput)
        model.graph.rename(node.outputs[0] as Value, `h${product++}`);
    }
    await saveModel(cwd, model);
    saveNpz(cwd, { x: noise([40, 32], 9) });
    writeFileSync(join(cwd, 'quant.json'), JSON.stringify(config));
    return cwd;
  }

  it.each([
    ['static', ['-c', 'data.npz']],
    ['dynamic', ['--dynamic']],
    ['weight-only', ['--weights', '4']],
    ['weight-only', ['--config', 'quant.json']],
  ])('--exclude calls them as reports do; %s, %j', async (mode, words) => {
    const cwd = await nameless({ weights: { format: 'by-channel' } });
    const args = ['quantize', 'model.onnx', ...words, '--json', '--force', '--no-verify', '--exclude'];
    for (const pattern of ['MatMul(h1)', 'MatMul(*1)', '*h1*']) {
      const { code, stdout, stderr } = await zeropoint([...args, pattern], { cwd });
      expect(code, stderr).toBe(0);
      const result: { mode: { mode: string }; report: Report } = JSON.parse(stdout);
      expect(result.mode.mode).toBe(mode);
      expect(names(result)).toContain('MatMul(h0)');
      expect(names(result)).not.toContain('MatMul(h1)');
    }
  });

  it('calibrate takes the same words, and its plan has no range for them', async () => {
    const cwd = await nameless();
    const args = ['calibrate', 'model.onnx', '-c', 'data.npz', '-o', 'plan.json', '--exclude', 'MatMul(h1)'];
    const { code, stderr } = await zeropoint(args, { cwd });
    expect(code, stderr).toBe(0);
    const { stdout } = await zeropoint(['quantize', 'model.onnx', '--plan', 'plan.json', '--json'], { cwd });
    expect(names(JSON.parse(stdout))).toEqual(expect.arrayContaining(['MatMul(h0)']));
    expect(names(JSON.parse(stdout))).not.toContain('MatMul(h1)');
  });

  it('a configuration means them by nodes and by namePatterns', async () => {
    const cwd = await nameless({
      nodes: { 'MatMul(h0)': null },
      namePatterns: { 'MatMul(*1)': { weight: { dtype: 'uint8' } } },
    });
    const result = await done(cwd, '-c', 'data.npz');
    expect(names(result)).not.toContain('MatMul(h0)');
    expect(Object.values(dtypes(result)).toSorted()).toEqual(['int8', 'uint8']);
  });

  it('a name that none of them is called by is refused, with what they are called', async () => {
    const cwd = await nameless();
    const { code, stderr } = await zeropoint(
      ['quantize', 'model.onnx', '--dynamic', '--exclude', 'MatMul(h9)'],
      {
        cwd,
      },
    );
    expect(code).toBe(2);
    expect(stderr).toMatch(
      /--exclude: expected the name of a node, got 'MatMul\(h9\)', .*did you mean 'MatMul\(h\d\)'/,
    );
  });
});

describe('what is wrong with a configuration', () => {
  it.each([
    [{ mod: 'static' }, /^error: quant\.json: expected .*, got 'mod', did you mean 'mode'\?$/m],
    [
      { nodes: { '/body/c/MatMul': null } },
      /^error: quant\.json: nodes: expected the name of a node, got '\/body\/c\/MatMul', which matches none, did you mean '\/body\/[ab]\/MatMul'\?$/m,
    ],
    [{ namePatterns: { 'tail*': null } }, /^error: quant\.json: namePatterns: .*got 'tail\*'/m],
    [{ exclude: ['tail*'] }, /^error: quant\.json: exclude: .*got 'tail\*'/m],
    [{ opTypes: { MatMull: null } }, /^error: quant\.json: opTypes: .*did you mean 'MatMul'\?$/m],
    [{ weights: { overrides: [{ nodes: 'tail' }] } }, /weights\.overrides\.0\.nodes: .*got 'tail'/],
    [
      { weights: { overrides: [{ nodes: '*Relu', bits: 8 }] } },
      /expected overrides to name nodes with a weight/,
    ],
    [{ weights: { format: 'bnb4', bits: 8 } }, /expected options\.bits one of 4 with bnb4, got 8/],
    [{ float16: { keepOpTypes: ['Cnv'] } }, /keep\.opTypes: Cnv: expected something that the model has/],
    [{ mode: 'static', weights: {} }, /mode: expected 'weight-only' beside 'weights', got 'static'/],
    [{ mode: 'static' }, /expected calibration data .*as quant\.json says/],
    [
      { global: { weight: { observer: 'mse' } } },
      /global\.weight\.observer: expected 'minmax' or 'moving-average' for a scale a channel, got 'mse'/,
    ],
    [
      { calibration: { data: 'data.npz' }, opTypes: { MatMul: { activation: { bins: 64 } } } },
      /opTypes\.MatMul\.activation\.bins: expected observer 'histogram', .*, got 'minmax'/,
    ],
    [
      { mode: 'dynamic', global: { activation: { dtype: 'int8' } } },
      /^error: quant\.json: expected static mode for global\.activation\.dtype, got dynamic$/m,
    ],
    [
      // Dynamic is chosen, since there is no data.
      { nodes: { '/body/a/MatMul': { activation: { observer: 'mse' } } } },
      /expected static mode for nodes\.\/body\/a\/MatMul\.activation\.observer, got dynamic/,
    ],
    ['{ "mode": "static", }', /^error: quant\.json: expected JSON, got/m],
    ['[]', /^error: quant\.json: expected an object, got an array$/m],
  ])('%j exits with 2 and says where', async (config, message) => {
    const cwd = await prepared(config);
    const { code, stderr } = await call(cwd);
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
    expect(listing(cwd)).toEqual(['data.npz', 'model.onnx', 'quant.json']);
  });

  it.each([
    ['nothing.json', /nothing\.json: expected a file to read, got nothing there/],
    ['quant.yaml', /--config: expected a file of \.json, .*, got quant\.yaml/],
    ['broken.mjs', /broken\.mjs: expected a module that loads, got/],
    ['empty.mjs', /empty\.mjs: expected a default export, got none/],
  ])('%s', async (name, message) => {
    const cwd = await prepared({});
    writeFileSync(join(cwd, 'broken.mjs'), 'export default {');
    writeFileSync(join(cwd, 'empty.mjs'), 'export const config = {};');
    const { code, stderr } = await zeropoint(['quantize', 'model.onnx', '--config', name], { cwd });
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
  });

  it('what it says of activations and data is idle where a word chooses another mode', async () => {
    const cwd = await prepared({
      global: { activation: { dtype: 'int8' } },
      calibration: { samples: 8, images: { size: 8 } },
    });
    for (const words of [['--dynamic'], ['--weights', '4'], ['--float16']]) {
      const { code, stderr } = await call(cwd, '--dry-run', ...words);
      expect(code, stderr).toBe(0);
    }
  });

  it('.ts is read where the runtime reads it, and refused with a way out elsewhere', async () => {
    const cwd = await prepared(`export default { mode: 'dynamic' as const };`, 'quant.ts');
    const { code, stderr } = await zeropoint(['quantize', 'model.onnx', '--config', 'quant.ts'], { cwd });
    if ('typescript' in process.features && process.features.typescript) expect(code, stderr).toBe(0);
    else
      expect([code, stderr]).toEqual([
        2,
        expect.stringMatching(/expected a runtime that reads TypeScript .*\n.*\.mjs/),
      ]);
  });
});
