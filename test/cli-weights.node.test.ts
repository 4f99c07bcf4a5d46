/** `zeropoint quantize --weights`: weights alone, without data. */
import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { buildModel, readModel } from 'zeropoint/onnx';
import { noise, saveModel, saveNpz } from './support/cli-models.ts';
import { listing, temporaryFolder, useCli } from './support/cli.ts';

const zeropoint = useCli();
const MODEL = fileURLToPath(new URL('./fixtures/ort/static/digits_mlp.onnx', import.meta.url));

function prepared(): string {
  const cwd = temporaryFolder();
  copyFileSync(MODEL, join(cwd, 'model.onnx'));
  return cwd;
}

describe('zeropoint quantize --weights', () => {
  it.each([2, 4, 8])('%i: writes model.qN.onnx with MatMulNBits of that width', async (bits) => {
    const cwd = prepared();
    const args = ['quantize', 'model.onnx', '--weights', String(bits), '--block-size', '16', '--symmetric'];
    const { code, stdout, stderr } = await zeropoint(args, { cwd });
    expect(stderr).toBe('mode: weight-only, as --weights says\n');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^wrote +model\.q\d\.onnx +\(weight-only, /);
    expect(listing(cwd)).toEqual(['model.onnx', `model.q${bits}.onnx`]);
    const nodes = [...(await readModel(join(cwd, `model.q${bits}.onnx`))).graph.nodes];
    const blocks = nodes.filter(({ opType }) => opType === 'MatMulNBits');
    expect(blocks).toHaveLength(3);
    for (const node of blocks) {
      expect([node.int('bits', 0), node.int('block_size', 0)]).toEqual([bits, 16]);
      expect(node.inputs[3]).toBeUndefined();
    }
  });

  it.each(['rtn', 'mse', 'hqq', 'gptq'])(
    '--algorithm %s: chooses the codes so, and says it in --json',
    async (name) => {
      const cwd = prepared();
      saveNpz(cwd, { input: noise([20, 64]) });
      const args = [
        'quantize',
        'model.onnx',
        '--weights',
        '4',
        '--algorithm',
        name,
        '-c',
        'data.npz',
        '--json',
      ];
      const { code, stdout } = await zeropoint(args, { cwd });
      expect(code).toBe(0);
      const { report, calibration } = JSON.parse(stdout);
      expect(report.weights.map(({ algorithm }: { algorithm: string }) => algorithm)).toEqual([
        name,
        name,
        name,
      ]);
      expect(report.samples).toBe(name === 'gptq' ? 20 : 0);
      expect(calibration?.[0].source).toBe(name === 'gptq' ? 'data.npz' : undefined);
    },
  );
  it('overrides of a configuration: an algorithm for some nodes; gptq among them needs data', async () => {
    const cwd = prepared();
    saveNpz(cwd, { input: noise([20, 64]) });
    const overrides = [{ nodes: '/2/*', algorithm: 'gptq' }];
    const config = { weights: { bits: 4, algorithm: 'mse', overrides } };
    writeFileSync(join(cwd, 'quant.json'), JSON.stringify(config));
    const words = ['quantize', 'model.onnx', '--config', 'quant.json', '--json'];
    const refused = await zeropoint(words, { cwd });
    expect(refused.code).toBe(2);
    expect(refused.stderr).toMatch(/expected calibration data \(--calibrate\) for --algorithm gptq/);
    const { code, stdout, stderr } = await zeropoint([...words, '-c', 'data.npz'], { cwd });
    expect(code, stderr).toBe(0);
    const { report } = JSON.parse(stdout);
    expect(report.weights.map(({ algorithm }: { algorithm: string }) => algorithm)).toEqual([
      'mse',
      'gptq',
      'mse',
    ]);
    expect(report.samples).toBe(20);
  });

  it('--accuracy-level reaches the nodes, and --embeddings none leaves tables in float', async () => {
    const cwd = temporaryFolder();
    const model = buildModel((b) => {
      const rows = b.op(
        'Gather',
        [b.constant('table', noise([8, 32])), b.input('x', 'int64', ['N'])],
        {},
        't',
      );
      b.output(b.op('MatMul', [rows, b.constant('w', noise([32, 32], 2))]), 'y', 'float32', ['N', 32]);
    });
    await saveModel(cwd, model);
    const words = ['quantize', 'model.onnx', '--weights', '4', '--json', '--force'];
    const plain = JSON.parse((await zeropoint(words, { cwd })).stdout);
    expect(plain.report.quantized).toHaveLength(2);
    const { stdout } = await zeropoint([...words, '--accuracy-level', '1', '--embeddings', 'none'], { cwd });
    expect(JSON.parse(stdout).report.skipped).toMatchObject([{ opType: 'Gather' }]);
    const nodes = [...(await readModel(join(cwd, 'model.q4.onnx'))).graph.nodes];
    expect(nodes.find(({ opType }) => opType === 'MatMulNBits')?.int('accuracy_level', 0)).toBe(1);
  });

  it('--names onnxruntime, --external-data with a size: names and files as they say', async () => {
    const cwd = prepared();
    const words = ['quantize', 'model.onnx', '--dynamic', '--names', 'onnxruntime', '--external-data', '4KB'];
    const { code, stderr } = await zeropoint(words, { cwd });
    expect(code, stderr).toBe(0);
    expect(listing(cwd)).toEqual([
      'model.int8.onnx',
      'model.int8.onnx_data',
      'model.int8.onnx_data_1',
      'model.onnx',
    ]);
    expect(
      [...(await readModel(join(cwd, 'model.int8.onnx'))).graph.initializers].map(({ name }) => name),
    ).toContain('0.weight_quantized');
    const whole = ['quantize', 'model.int8.onnx', '--float16', '--no-external-data', '-o', 'one.onnx'];
    expect((await zeropoint(whole, { cwd })).code).toBe(0);
    expect(listing(cwd).filter((name) => name.startsWith('one'))).toEqual(['one.onnx']);
  });

  it('--dry-run says the size and writes nothing; --exclude leaves a node in float', async () => {
    const cwd = prepared();
    const args = ['quantize', 'model.onnx', '--weights', '4', '--exclude', '/0/*', '--dry-run', '--json'];
    const { code, stdout } = await zeropoint(args, { cwd });
    expect(code).toBe(0);
    const { quantized, skipped, output } = JSON.parse(stdout);
    expect(output).toBe('model.q4.onnx');
    expect(quantized).toHaveLength(2);
    expect(skipped.map(({ node }: { node: string }) => node)).toContain('/0/Gemm');
    expect(listing(cwd)).toEqual(['model.onnx']);
  });

  it.each([
    [['--block-size', '64'], /expected --weights beside --block-size, got none/],
    [['--symmetric'], /expected --weights beside --symmetric, got none/],
    [['--algorithm', 'mse'], /expected --weights beside --algorithm, got none/],
    [
      ['--weights', '4', '--algorithm', 'gptq'],
      /expected calibration data \(--calibrate\) for --algorithm gptq, got none[^]*or --algorithm mse/,
    ],
    [['--weights', '4', '--algorithm', 'awq'], /Allowed choices are rtn, mse, hqq, gptq/],
    [['--accuracy-level', '1'], /expected --weights beside --accuracy-level, got none/],
    [['--weights', '4', '--embeddings', '2'], /Allowed choices are 4, 8, none/],
    [['--weights', '3'], /Allowed choices are 2, 4, 8/],
    [['--weights', '4', '--block-size', '33'], /Allowed choices are 16, 32, 64, 128, 256/],
    [['--weights', '4', '--observer', 'mse'], /cannot be used with/],
    [['--weights', '4', '--dynamic'], /cannot be used with/],
    [
      ['--target', 'webgpu', '--per-tensor'],
      /expected static or dynamic mode for --per-tensor, got weight-only/,
    ],
    [
      ['--target', 'webgpu', '--weight-dtype', 'uint8'],
      /expected static or dynamic mode for --weight-dtype uint8, got weight-only/,
    ],
  ])('%j exits with 2 and says why', async (words, message) => {
    const cwd = prepared();
    const { code, stderr } = await zeropoint(['quantize', 'model.onnx', ...words], { cwd });
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
    expect(listing(cwd)).toEqual(['model.onnx']);
  });
});
