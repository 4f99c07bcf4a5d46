import { copyFileSync, mkdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { encodeNpy, readModel, writeModel } from 'zeropoint/onnx';
import { convNet, noise, purelyConv, saveModel, saveNpz, twoInputs } from './support/cli-models.ts';
import { installElsewhere, listing, temporaryFolder, useCli } from './support/cli.ts';

const zeropoint = useCli();

/** Figures of the results on noise that these models keep; the models are tiny and the weights random. */
const MIN_SQNR = 25;
const MIN_COSINE = 0.998;

async function prepared(batch?: number): Promise<{ cwd: string; model: string; data: string }> {
  const cwd = temporaryFolder();
  const model = await saveModel(cwd, convNet(batch));
  return { cwd, model, data: saveNpz(cwd, { image: noise([40, 1, 8, 8]) }) };
}

describe('zeropoint', () => {
  it('prints its version and its verbs', async () => {
    const cwd = temporaryFolder();
    const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
    expect(await zeropoint(['--version'], { cwd })).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
    const help = await zeropoint(['--help'], { cwd });
    expect(help.code).toBe(0);
    expect(help.stdout).toMatch(/quantize[^]*inspect/);
  });

  it.each([
    ['an unknown verb', ['squeeze', 'model.onnx']],
    ['an unknown option', ['inspect', 'model.onnx', '--wrong']],
    ['no model', ['quantize']],
    ['an unknown observer', ['quantize', 'model.onnx', '--observer', 'best']],
    ['a number that is none', ['quantize', 'model.onnx', '--samples', '1.5']],
    ['an unknown form', ['quantize', 'model.onnx', '--static', '--format', 'qlinear']],
    ['a form of static mode in another', ['quantize', 'model.onnx', '--dynamic', '--format', 'qoperator']],
    ['two modes', ['quantize', 'model.onnx', '--static', '--dynamic']],
  ])('exits with 2 for %s', async (_, args) => {
    const { code, stdout, stderr } = await zeropoint(args, { cwd: temporaryFolder() });
    expect(code).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toMatch(/^error: .*\n/);
  });
});

describe('zeropoint quantize', () => {
  it('writes model.int8.onnx beside the model and says what it did', async () => {
    const { cwd } = await prepared();
    const { code, stdout, stderr } = await zeropoint(['quantize', 'model.onnx', '-c', 'data.npz'], { cwd });
    expect(stderr).toBe('mode: static, a conv net: 1 convolution, and there is data\n');
    expect(code).toBe(0);
    expect(listing(cwd)).toEqual(['data.npz', 'model.int8.onnx', 'model.onnx']);
    expect(stdout).toMatch(/^wrote +model\.int8\.onnx +\(static, calibrated on 40 samples, /);
    expect(stdout).toMatch(/scores +\d+\.\d dB/);
    expect(stdout).toMatch(/next: zeropoint inspect model\.int8\.onnx\n$/);
    const ops = [...(await readModel(join(cwd, 'model.int8.onnx'))).graph.nodes].map((node) => node.opType);
    expect(ops).toContain('QuantizeLinear');
  });

  it('--format qoperator: integer operators; a usage error where the mode is not static', async () => {
    const { cwd } = await prepared();
    const words = ['quantize', 'model.onnx', '--format', 'qoperator'];
    const refused = await zeropoint(words, { cwd });
    expect(refused.code).toBe(2);
    expect(refused.stderr).toMatch(/expected static mode for --format qoperator, got /);
    const { code } = await zeropoint([...words, '-c', 'data.npz'], { cwd });
    expect(code).toBe(0);
    const ops = [...(await readModel(join(cwd, 'model.int8.onnx'))).graph.nodes].map((node) => node.opType);
    expect(ops).toEqual(['QuantizeLinear', 'QLinearConv', 'Flatten', 'QGemm']);
  });

  it.each([
    [['--dynamic', '--activation-dtype', 'int8'], 'static mode for --activation-dtype int8, got dynamic'],
    [['--dynamic', '--observer', 'entropy'], 'static mode for --observer entropy, got dynamic'],
    // Chosen, for want of data.
    [['--observer', 'mse'], 'static mode for --observer mse, got dynamic'],
  ])('%j: a usage error, since the mode has no such thing', async (words, message) => {
    const { cwd } = await prepared();
    const { code, stderr } = await zeropoint(['quantize', 'model.onnx', ...words], { cwd });
    expect(stderr).toMatch(new RegExp(`^error: quantize: expected ${message}$`, 'm'));
    expect(code).toBe(2);
    expect(listing(cwd)).toEqual(['data.npz', 'model.onnx']);
  });

  it('words about the codes of weights hold for dynamic mode and weights by channel', async () => {
    const { cwd } = await prepared();
    for (const words of [['--dynamic'], ['--target', 'onnxruntime-web']]) {
      const own = ['--weight-dtype', 'uint8', '--per-tensor', '--reduce-range', '--dry-run'];
      const { code, stderr } = await zeropoint(['quantize', 'model.onnx', ...words, ...own], { cwd });
      expect(code, stderr).toBe(0);
    }
  });

  it.each([
    ['--samples', '2'],
    ['--batch-size', '2'],
    ['--shuffle'],
    ['--size', '8'],
    ['--crop', '8'],
    ['--mean', '0'],
    ['--std', '1'],
    ['--scale', '1'],
    ['--layout', 'NCHW'],
    ['--channels', 'gray'],
  ])('%s without --calibrate: a usage error', async (...words) => {
    const { cwd } = await prepared();
    const { code, stderr } = await zeropoint(['quantize', 'model.onnx', '--dynamic', ...words], { cwd });
    expect(stderr).toMatch(`error: ${words[0]}: expected data (--calibrate) that it speaks of, got none\n`);
    expect(code).toBe(2);
  });

  it('--dynamic --convolutions: ConvInteger too; a usage error where the mode is not dynamic', async () => {
    const { cwd } = await prepared();
    const words = ['quantize', 'model.onnx', '--convolutions'];
    const refused = await zeropoint([...words, '--float16'], { cwd });
    expect(refused.code).toBe(2);
    expect(refused.stderr).toMatch(/expected dynamic mode for --convolutions, got float16/);
    expect((await zeropoint([...words, '--dynamic'], { cwd })).code).toBe(0);
    const ops = [...(await readModel(join(cwd, 'model.int8.onnx'))).graph.nodes].map((node) => node.opType);
    expect(ops).toContain('ConvInteger');
  });

  it(`--json gives one document, with errors of the outputs (SQNR ≥ ${MIN_SQNR} dB)`, async () => {
    const { cwd } = await prepared();
    const args = ['quantize', 'model.onnx', '-c', 'data.npz', '--json', '--output', 'small.onnx'];
    const { code, stdout } = await zeropoint(args, { cwd });
    expect(code).toBe(0);
    const result = JSON.parse(stdout);
    expect(result.output).toEqual({ file: 'small.onnx', size: readFileSync(join(cwd, 'small.onnx')).length });
    expect(result.mode.mode).toBe('static');
    expect(result.report.samples).toBe(40);
    const [scores] = result.verification.outputs;
    expect(result.verification).toMatchObject({ samples: 40, inputs: 'data' });
    expect(scores.name).toBe('scores');
    expect(scores.sqnr).toBeGreaterThan(MIN_SQNR);
    expect(scores.cosine).toBeGreaterThan(MIN_COSINE);
  });

  it('gives the same bytes for .npz packed, .npy, and any batch size', async () => {
    const { cwd } = await prepared();
    writeFileSync(join(cwd, 'data.npy'), encodeNpy(noise([40, 1, 8, 8])));
    const files = [];
    for (const words of [
      ['-c', 'data.npz'],
      ['-c', 'data.npy'],
      ['-c', 'data.npz', '--batch-size', '7'],
    ]) {
      const { code } = await zeropoint(['quantize', 'model.onnx', ...words, '--force', '--no-verify'], {
        cwd,
      });
      expect(code).toBe(0);
      files.push(readFileSync(join(cwd, 'model.int8.onnx')));
    }
    expect(files[1].equals(files[0])).toBe(true);
    expect(files[2].equals(files[0])).toBe(true);
  });

  it('takes batches of the size that the model fixes, and leaves out what does not fill one', async () => {
    const { cwd } = await prepared(16);
    const { code, stdout } = await zeropoint(['quantize', 'model.onnx', '-c', 'data.npz', '--json'], { cwd });
    expect(code).toBe(0);
    expect(JSON.parse(stdout).report.samples).toBe(32);
    const refused = await zeropoint(
      ['quantize', 'model.onnx', '-c', 'data.npz', '--batch-size', '8', '--force'],
      { cwd },
    );
    expect(refused.stderr).toContain(
      'error: calibrate: expected batches of 16, which the model fixes, got 8',
    );
  });

  it('--samples takes the first, --shuffle others, the same ones for the same seed', async () => {
    const { cwd } = await prepared();
    const grids = [];
    for (const words of [[], ['--shuffle', '1'], ['--shuffle', '1'], ['--shuffle', '2']]) {
      const args = [
        'quantize',
        'model.onnx',
        '-c',
        'data.npz',
        '--samples',
        '5',
        '--json',
        '--force',
        ...words,
      ];
      const { report } = JSON.parse((await zeropoint(args, { cwd })).stdout);
      expect(report.samples).toBe(5);
      grids.push(JSON.stringify(report.activations));
    }
    expect(grids[1]).not.toBe(grids[0]);
    expect(grids[2]).toBe(grids[1]);
    expect(grids[3]).not.toBe(grids[1]);
  });

  it('--dry-run writes nothing and tells a size within 15 % of the original size (dynamic: exactly)', async () => {
    const { cwd } = await prepared();
    for (const [mode, tolerance] of [
      ['--static', 0.15],
      ['--dynamic', 0],
    ] as const) {
      const words = ['quantize', 'model.onnx', '-c', 'data.npz', mode, '--json'];
      const before = listing(cwd);
      const plan = JSON.parse((await zeropoint([...words, '--dry-run'], { cwd })).stdout);
      expect(listing(cwd)).toEqual(before);
      const { output, report } = JSON.parse((await zeropoint([...words, '--force'], { cwd })).stdout);
      expect(Math.abs(plan.expectedSize - output.size)).toBeLessThanOrEqual(tolerance * plan.size);
      expect(plan.quantized).toEqual(report.quantized);
    }
  });

  it('--quiet prints nothing, --no-verify says that nothing was checked', async () => {
    const { cwd } = await prepared();
    const words = ['quantize', 'model.onnx', '-c', 'data.npz', '--no-verify', '--force'];
    expect(await zeropoint([...words, '--quiet'], { cwd })).toEqual({ code: 0, stdout: '', stderr: '' });
    expect((await zeropoint(words, { cwd })).stdout).toContain('not checked: --no-verify');
  });

  it('--exclude leaves nodes in float by pattern', async () => {
    const { cwd } = await prepared();
    const words = ['quantize', 'model.onnx', '-c', 'data.npz', '--json', '--exclude'];
    const { report } = JSON.parse((await zeropoint([...words, 'conv*'], { cwd })).stdout);
    expect(report.quantized.map((node: { opType: string }) => node.opType)).not.toContain('Conv');
    expect(report.skipped.map((node: { opType: string }) => node.opType)).toContain('Conv');
    const refused = await zeropoint([...words, 'nothing*', '--force'], { cwd });
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain("error: --exclude: expected the name of a node, got 'nothing*'");
    expect(JSON.parse(refused.stdout).error.code).toBe('USAGE');
  });

  it.each(['moving-average', 'histogram', 'percentile', 'mse'])(
    `--observer %s keeps SQNR ≥ ${MIN_SQNR} dB`,
    async (observer) => {
      const { cwd } = await prepared();
      const args = ['quantize', 'model.onnx', '-c', 'data.npz', '--json', '--observer', observer];
      const { verification } = JSON.parse((await zeropoint(args, { cwd })).stdout);
      expect(verification.outputs[0].sqnr).toBeGreaterThan(MIN_SQNR);
    },
  );

  it('--activation-dtype int8 and --per-tensor change what they say', async () => {
    const { cwd } = await prepared();
    const args = [
      'quantize',
      'model.onnx',
      '-c',
      'data.npz',
      '--json',
      '--activation-dtype',
      'int8',
      '--per-tensor',
    ];
    const { report } = JSON.parse((await zeropoint(args, { cwd })).stdout);
    expect(new Set(report.activations.map((value: { dtype: string }) => value.dtype))).toEqual(
      new Set(['int8']),
    );
    expect(new Set(report.weights.map((weight: { scales: number }) => weight.scales))).toEqual(new Set([1]));
  });

  it.each([
    [['--activation-dtype', 'uint16', '--weight-dtype', 'int4'], 'uint16', 'int4', 21],
    [['--activation-dtype', 'int16', '--observer', 'percentile'], 'int16', 'int8', 21],
    [['--weight-dtype', 'uint8', '--reduce-range'], 'uint8', 'uint8', 17],
  ])('%j: those are the codes', async (words, activation, weight, opset) => {
    const { cwd } = await prepared();
    const args = ['quantize', 'model.onnx', '-c', 'data.npz', '--json', ...words];
    const { report } = JSON.parse((await zeropoint(args, { cwd })).stdout);
    const dtypes = (rows: { dtype: string }[]): string[] => [...new Set(rows.map(({ dtype }) => dtype))];
    expect(dtypes(report.activations)).toEqual([activation]);
    expect(dtypes(report.weights)).toEqual([weight]);
    const model = await readModel(join(cwd, 'model.int8.onnx'));
    expect(model.opset).toBe(opset);
    const codes = [...model.graph.initializers].filter(({ elementType, dims }) => {
      return elementType === weight && dims?.length === 4;
    });
    const largest = codes.map(async ({ constant }) => {
      return Math.max(...Array.from((await constant?.load())?.data ?? [], Number));
    });
    expect(codes.length).toBeGreaterThan(0);
    if (words.includes('--reduce-range')) expect(Math.max(...(await Promise.all(largest)))).toBe(127);
  });

  it('--reduce-range is for weights of 8 bits', async () => {
    const { cwd } = await prepared();
    const words = ['--reduce-range', '--weight-dtype', 'uint4'];
    const { code, stderr } = await zeropoint(['quantize', 'model.onnx', '-c', 'data.npz', ...words], { cwd });
    expect(code).toBe(2);
    expect(stderr).toMatch(/--reduce-range: expected 8-bit weights/);
  });

  it('raises an old opset where weights by channel need it, and says so', async () => {
    const { cwd } = await prepared();
    const model = convNet();
    model.opsetImports.set('', 11);
    await saveModel(cwd, model, 'old.onnx');
    const words = ['quantize', 'old.onnx', '-c', 'data.npz', '--dry-run'];
    expect((await zeropoint(words, { cwd })).code).toBe(0);
    const { stdout } = await zeropoint(words.slice(0, -1), { cwd });
    expect(stdout).toMatch(/^opset +11 → 13/m);
    expect((await readModel(join(cwd, 'old.int8.onnx'))).opset).toBe(13);
  });

  it('without data: dynamic for matrix products, compared on made-up inputs', async () => {
    const cwd = temporaryFolder();
    await saveModel(cwd, twoInputs(), 'mlp.onnx');
    const done = await zeropoint(['quantize', 'mlp.onnx', '--json'], { cwd });
    expect(done.stderr).toBe('mode: dynamic, no convolutions, and no data to calibrate with\n');
    const { verification } = JSON.parse(done.stdout);
    expect(verification.inputs).toBe('made-up inputs');
    expect(verification.outputs[0].sqnr).toBeGreaterThan(MIN_SQNR);
    expect(listing(cwd)).toEqual(['mlp.int8.onnx', 'mlp.onnx']);
  });

  it('without data: a conv net becomes float16, with the reason, and what data would allow', async () => {
    const cwd = temporaryFolder();
    await saveModel(cwd, purelyConv());
    const { code, stdout, stderr } = await zeropoint(['quantize', 'model.onnx'], { cwd });
    expect([code, stderr]).toEqual([
      0,
      'mode: float16, a conv net: 1 convolution, and no data to measure ranges on, which integers need\n',
    ]);
    expect(stdout).toMatch(/^for int8, .*: zeropoint quantize model\.onnx --calibrate data\.npz$/m);
    expect(listing(cwd)).toEqual(['model.fp16.onnx', 'model.onnx']);
    const refused = await zeropoint(['quantize', 'model.onnx', '--static'], { cwd });
    expect(refused.code).toBe(2);
    expect(refused.stderr).toMatch(/^hint: .*--calibrate data\.npz/m);
  });

  it.each([
    ['web-webgpu', 'weight-only', ['DequantizeLinear', 'Conv'], undefined],
    ['onnxruntime-arm', 'static', ['QuantizeLinear'], 'int8'],
    ['onnxruntime-cpu', 'static', ['QuantizeLinear'], 'uint8'],
  ])('--target %s: %s, with its codes', async (target, mode, ops, activation) => {
    const cwd = temporaryFolder();
    await saveModel(cwd, purelyConv());
    saveNpz(cwd, { image: noise([8, 1, 8, 8]) });
    const words = ['quantize', 'model.onnx', '-c', 'data.npz', '--target', target, '--json'];
    const { code, stdout, stderr } = await zeropoint(words, { cwd });
    expect(code, stderr).toBe(0);
    const { report, verification, output } = JSON.parse(stdout);
    expect(output.file).toBe('model.int8.onnx');
    expect(report.mode).toBe(mode);
    expect(report.activations[0]?.dtype).toBe(activation);
    expect(verification.outputs[0].sqnr).toBeGreaterThan(MIN_SQNR);
    const nodes = [...(await readModel(join(cwd, 'model.int8.onnx'))).graph.nodes].map((node) => node.opType);
    expect(nodes).toEqual(expect.arrayContaining(ops));
  });

  it('--force replaces a file, but no link', async () => {
    const { cwd } = await prepared();
    writeFileSync(join(cwd, 'precious'), 'keep');
    symlinkSync('precious', join(cwd, 'model.int8.onnx'));
    const refused = await zeropoint(['quantize', 'model.onnx', '-c', 'data.npz', '--force'], { cwd });
    expect([refused.code, readFileSync(join(cwd, 'precious'), 'utf8')]).toEqual([1, 'keep']);
    const args = ['quantize', 'model.onnx', '-c', 'data.npz', '-o', 'out.onnx'];
    writeFileSync(join(cwd, 'out.onnx'), 'old');
    expect((await zeropoint([...args, '--force'], { cwd })).code).toBe(0);
    expect(readFileSync(join(cwd, 'out.onnx')).length).toBeGreaterThan(100);
  });

  it('--force removes external data of the model that it replaces, and none that the input needs', async () => {
    const cwd = temporaryFolder();
    const external = { externalData: { threshold: 0, chunkSize: 1024 }, overwrite: true };
    await writeModel(twoInputs(), join(cwd, 'model.onnx'), external);
    const chunks = listing(cwd);
    expect(chunks).toEqual(['model.onnx', 'model.onnx_data', 'model.onnx_data_1']);
    for (const name of chunks) copyFileSync(join(cwd, name), join(cwd, name.replace('model', 'a')));
    writeFileSync(join(cwd, 'model.onnx_data_1.txt'), 'notes');
    const words = [
      'quantize',
      'model.onnx',
      '--weights',
      '8',
      '--no-verify',
      '--no-external-data',
      '--force',
      '-o',
    ];
    // a.onnx names the data of model.onnx, as a copy of the model alone does.
    expect((await zeropoint([...words, 'a.onnx'], { cwd })).code).toBe(0);
    expect(listing(cwd)).toEqual(['a.onnx', ...chunks, 'model.onnx_data_1.txt'].toSorted());
    copyFileSync(join(cwd, 'model.onnx'), join(cwd, 'b.onnx'));
    expect((await zeropoint(['quantize', 'b.onnx', ...words.slice(2), 'model.onnx'], { cwd })).code).toBe(0);
    expect(listing(cwd)).toEqual(expect.arrayContaining([...chunks]));
    renameSync(join(cwd, 'b.onnx'), join(cwd, 'model.onnx'));
    expect((await zeropoint([...words, 'model.onnx'], { cwd })).code).toBe(0);
    expect(listing(cwd)).toEqual(['a.onnx', 'model.onnx', 'model.onnx_data_1.txt']);
  });

  it('can replace the model itself', async () => {
    const { cwd, model } = await prepared();
    const { length } = readFileSync(model);
    const args = ['quantize', 'model.onnx', '-c', 'data.npz', '-o', 'model.onnx', '--force', '--json'];
    const result = JSON.parse((await zeropoint(args, { cwd })).stdout);
    expect(result.input.size).toBe(length);
    expect(result.output.size).toBe(readFileSync(model).length);
    expect(listing(cwd)).toEqual(['data.npz', 'model.onnx']);
  });

  it('finds a runtime in the project of the working directory, or says how to get one', async () => {
    const { cwd } = await prepared();
    const { zeropoint: elsewhere, runtimes } = installElsewhere(zeropoint);
    const words = ['quantize', 'model.onnx', '-c', 'data.npz', '--json'];
    const missing = await elsewhere(words, { cwd });
    expect(missing.code).toBe(1);
    expect(missing.stderr).toContain(
      'error: runner: expected onnxruntime-node or onnxruntime-web, got neither',
    );
    expect(missing.stderr).toContain('hint: Run: npm install onnxruntime-node');
    expect(listing(cwd)).toEqual(['data.npz', 'model.onnx']);
    for (const runtime of ['onnxruntime-web', 'onnxruntime-node'] as const) {
      mkdirSync(join(cwd, 'node_modules'), { recursive: true });
      symlinkSync(runtimes[runtime], join(cwd, 'node_modules', runtime));
      const { stdout } = await elsewhere([...words, '--force'], { cwd });
      expect(JSON.parse(stdout).verification.runtime).toContain(runtime);
    }
  });
});

describe('zeropoint inspect', () => {
  it('shows ops, types and the largest tensors', async () => {
    const { cwd } = await prepared();
    const { code, stdout } = await zeropoint(['inspect', 'model.onnx'], { cwd });
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /input +image: float32\[N, 1, 8, 8\]\noutput +scores: float32\[N, 3\]\nparameters +936\n/,
    );
    expect(stdout).toMatch(/4 nodes\n {2}Conv +1\n/);
    expect(stdout).toMatch(/largest tensors\n {2}weight +float32\[288, 3\] +3\.5 KB\n/);
  });

  it('--json gives the same facts as data', async () => {
    const { cwd } = await prepared();
    const facts = JSON.parse((await zeropoint(['inspect', 'model.onnx', '--json'], { cwd })).stdout);
    expect(facts).toMatchObject({
      irVersion: 8,
      opsets: { 'ai.onnx': 17 },
      inputs: [{ name: 'image', type: 'float32[N, 1, 8, 8]' }],
      ops: { Conv: 1, Relu: 1, Flatten: 1, Gemm: 1 },
      nodes: 4,
      parameters: 936,
      weightBytes: { float32: 3744 },
      externalData: {},
    });
  });
});
