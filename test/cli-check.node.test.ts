/** `zeropoint check`: the table, and --run in onnxruntime-node. The web targets are in cli-check.browser.test.ts. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { memorySource, quantizeDynamic, readModel, writeModel } from 'zeropoint/onnx';
import { installElsewhere, temporaryFolder, useCli } from './support/cli.ts';
import { convNet, noise, saveNpz, saveModel, twoInputs } from './support/cli-models.ts';

const zeropoint = useCli();

/** A folder with `float.onnx` (two MatMul and an Add) and `int8.onnx`, which computes them in integers. */
async function models(): Promise<string> {
  const cwd = temporaryFolder();
  await saveModel(cwd, twoInputs(), 'float.onnx');
  await saveModel(cwd, (await quantizeDynamic(twoInputs())).model, 'int8.onnx');
  return cwd;
}

describe('by the table', () => {
  it('says where a model runs, and on what the table was probed', async () => {
    const cwd = await models();
    const { code, stdout, stderr } = await zeropoint(['check', 'float.onnx'], { cwd });
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^float\.onnx: 3 nodes\n/);
    expect(stdout).toMatch(
      /ort-node-cpu +runs +table of onnxruntime-node 1\.30\.0 \(cpu\), probed \d{4}-\d\d-\d\d on /,
    );
    expect(stdout).toMatch(/ort-web-wasm +runs +/);
    expect(stdout).toMatch(/ort-web-webgpu +runs +.*swiftshader\n$/);
  });

  it('names what falls back, which fails a target with --no-fallback only', async () => {
    const cwd = await models();
    const words = ['check', 'int8.onnx', '--target', 'web-webgpu'];
    const { code, stdout } = await zeropoint(words, { cwd });
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /falls back +MatMulInteger-10 +uint8\/int8 +2 nodes +WebGPU has no integer arithmetic/,
    );
    const strict = await zeropoint([...words, '--no-fallback'], { cwd });
    expect(strict.code).toBe(3);
    expect(strict.stdout).toContain('falls back (FAILS)');
  });

  it('ends with 3 where a target fails; --json has the nodes', async () => {
    const cwd = temporaryFolder();
    const model = convNet();
    model.opsetImports.set('', 28);
    await saveModel(cwd, model, 'new.onnx');
    const { code, stdout, stderr } = await zeropoint(
      ['check', 'new.onnx', '--json', '--target', 'ort-node-cpu@1.30'],
      { cwd },
    );
    expect([code, stderr]).toEqual([3, '']);
    const { version, comparison, targets } = JSON.parse(stdout);
    expect([version, comparison, targets.length]).toEqual(['1.30.0', null, 1]);
    expect(targets[0]).toMatchObject({
      target: 'ort-node-cpu',
      verdict: 'missing',
      passed: false,
      run: null,
    });
    expect(targets[0].findings.map(({ op }: { op: string }) => op).toSorted()).toEqual([
      'Conv',
      'Flatten',
      'Gemm',
      'Relu',
    ]);
  });
});

describe('--run in onnxruntime-node', () => {
  const node = ['--run', '--target', 'ort-node-cpu'];

  it('loads, runs and compares; says load time, memory and error', async () => {
    const cwd = await models();
    const { code, stdout } = await zeropoint(['check', 'float.onnx', ...node], { cwd });
    expect(code).toBe(0);
    expect(stdout).toContain(
      'run and compared with float.onnx in onnxruntime-node 1.30.0 (cpu), on made-up inputs; at least 20 dB\n',
    );
    expect(stdout).toMatch(/ort-node-cpu +\d.* m?s +\d.* m?s +[\d.]+ [KM]?B +(equal|\d+\.\d dB) +\S+ +ok\n/);
  });

  it('compares with --float on --data, within a bound of the caller', async () => {
    const cwd = await models();
    await saveNpz(cwd, { a: noise([20, 16], 5), b: noise([20, 16], 6) });
    const words = ['check', 'int8.onnx', ...node, '--float', 'float.onnx', '--data', 'data.npz', '--json'];
    const { code, stdout } = await zeropoint(words, { cwd });
    expect(code).toBe(0);
    const { comparison, targets } = JSON.parse(stdout);
    expect(comparison).toMatchObject({
      reference: 'float.onnx',
      inputs: 'data.npz',
      minSqnr: 10,
      samples: 8,
    });
    const { run } = targets[0];
    expect(run.problem).toBeNull();
    expect(run.outputs).toMatchObject([{ name: 'y' }]);
    expect(run.outputs[0].sqnr).toBeGreaterThan(25);
    expect(run.peakBytes).toBeGreaterThan(0);
    const strict = await zeropoint([...words, '--min-sqnr', '80'], { cwd });
    expect(strict.code).toBe(3);
    expect(JSON.parse(strict.stdout).targets[0].run.problem).toMatchObject({
      kind: 'wrong numbers',
      message: expect.stringMatching(
        /^output 'y': expected at least 80 dB of signal to noise .*, got \d+\.\d dB/,
      ),
    });
  });

  it('wrong numbers fail: another model than the float one', async () => {
    const cwd = await models();
    const other = twoInputs();
    for (const w of other.graph.initializers) w.initializer = memorySource(noise([16, 16], 99));
    await saveModel(cwd, other, 'other.onnx');
    const { code, stdout } = await zeropoint(['check', 'other.onnx', ...node, '--float', 'float.onnx'], {
      cwd,
    });
    expect(code).toBe(3);
    expect(stdout).toMatch(/ort-node-cpu fails \(wrong numbers\): output 'y'/);
  });

  it('a model that the runtime refuses fails its target, with what it said', async () => {
    const cwd = await models();
    const broken = twoInputs();
    const [matMul] = broken.graph.nodes;
    broken.graph.addNode({ opType: 'Blur', name: 'blur', inputs: [matMul.outputs[0]], outputs: ['blurred'] });
    await saveModel(cwd, broken, 'broken.onnx');
    const { code, stdout } = await zeropoint(['check', 'broken.onnx', ...node, '--float', 'float.onnx'], {
      cwd,
    });
    expect(code).toBe(3);
    expect(stdout).toMatch(/unknown +Blur +float32 +1 node +this operator was not probed/);
    expect(stdout).toMatch(/ort-node-cpu fails \(load\): .*Blur/);
    const alone = await zeropoint(['check', 'broken.onnx', ...node], { cwd });
    expect(alone.code).toBe(3);
    expect(alone.stdout).toMatch(/in no runtime: it is refused, on nothing: it was loaded alone/);
    expect(alone.stdout).toMatch(/ort-node-cpu fails \(load\): .*Blur/);
  });
});

describe('bad input', () => {
  it.each([
    [
      'an unknown target',
      ['float.onnx', '--target', 'ort-web-webgl'],
      2,
      /Expected ort-node-cpu, ort-web-wasm/,
    ],
    [
      'a release that was not probed',
      ['float.onnx', '--target', 'ort-web-wasm@1.2'],
      2,
      /version of onnxruntime of 1\.30\.0, got 1\.2/,
    ],
    ['--float without --run', ['int8.onnx', '--float', 'float.onnx'], 2, /--float: expected --run beside it/],
    ['--adapter without --run', ['int8.onnx', '--adapter', 'default'], 2, /--adapter: expected --run beside/],
    [
      '--samples without --data',
      ['int8.onnx', '--run', '--samples', '2'],
      2,
      /--samples: expected --data beside it, got none/,
    ],
    [
      '--min-sqnr without a number',
      ['float.onnx', '--run', '--min-sqnr', 'many'],
      2,
      /Expected a number of decibels/,
    ],
    ['no model', ['none.onnx'], 1, /none\.onnx/],
    ['bytes that are no model', ['text.onnx'], 1, /text\.onnx: expected/],
    [
      'a browser that is not there',
      ['float.onnx', '--run', '--target', 'web-wasm', '--browser', 'no/chromium'],
      1,
      /check --run: expected Chromium or Chrome, got nothing at no\/chromium\nhint: Install one/,
    ],
    [
      'a browser that is none',
      ['float.onnx', '--run', '--target', 'web-wasm', '--browser', process.execPath],
      1,
      /expected a browser that starts, got: /,
    ],
  ])('%s', async (_, words, expected, message) => {
    const cwd = await models();
    writeFileSync(join(cwd, 'text.onnx'), 'this is text, and no model at all');
    const { code, stdout, stderr } = await zeropoint(['check', ...words], { cwd });
    expect([code, stdout]).toEqual([expected, '']);
    expect(stderr).toMatch(message);
  });

  it('external data that is missing', async () => {
    const cwd = await models();
    const model = await readModel(join(cwd, 'float.onnx'));
    await writeModel(model, join(cwd, 'external.onnx'), { externalData: { threshold: 1 } });
    expect((await zeropoint(['check', 'external.onnx', '--run', '--target', 'node-cpu'], { cwd })).code).toBe(
      0,
    );
    rmSync(join(cwd, 'external.onnx_data'));
    const { code, stderr } = await zeropoint(['check', 'external.onnx'], { cwd });
    expect(code).toBe(1);
    expect(stderr).toMatch(/external\.onnx_data/);
  });

  it('no onnxruntime: the table answers, --run says what to install', async () => {
    const { zeropoint: alone } = installElsewhere(zeropoint);
    const cwd = await models();
    expect((await alone(['check', 'float.onnx'], { cwd })).code).toBe(0);
    const { code, stderr } = await alone(['check', 'float.onnx', '--run'], { cwd });
    expect(code).toBe(1);
    expect(stderr).toMatch(/npm install onnxruntime-node/);
  });
});
