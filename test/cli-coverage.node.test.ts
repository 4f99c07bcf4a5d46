/** `--coverage` and the key `coverage`: which operators static mode quantizes, the same in every verb. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { buildModel } from 'zeropoint/onnx';
import { noise, saveModel, saveNpz } from './support/cli-models.ts';
import { listing, temporaryFolder, useCli } from './support/cli.ts';

const zeropoint = useCli();

/** Raised to opset 13 for its weights by channel, whatever the coverage. */
async function folder(config?: unknown): Promise<string> {
  const cwd = temporaryFolder();
  const model = buildModel(
    (b) => {
      const product = b.op('MatMul', [
        b.input('x', 'float32', ['N', 16]),
        b.constant('w', noise([16, 8], 2)),
      ]);
      b.output(b.op('Tanh', [product]), 'y', 'float32', ['N', 8]);
    },
    { opset: 12, irVersion: 8 },
  );
  await saveModel(cwd, model);
  saveNpz(cwd, { x: noise([40, 16], 9) });
  if (config !== undefined) writeFileSync(join(cwd, 'quant.json'), JSON.stringify(config));
  return cwd;
}

interface Printed {
  readonly quantized: readonly { readonly opType: string }[];
}

async function printed(cwd: string, ...words: readonly string[]): Promise<Printed & { report?: Printed }> {
  const { code, stdout, stderr } = await zeropoint(
    ['quantize', 'model.onnx', '--json', '--force', ...words],
    {
      cwd,
    },
  );
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout);
}

const ops = (result?: Printed): readonly string[] => result?.quantized.map(({ opType }) => opType) ?? [];
const DATA = ['-c', 'data.npz'];
const ALL = ['--coverage', 'all'];

describe('--coverage', () => {
  it('all: quantize, its dry run, and a plan take the same nodes; kernels, the default: fewer', async () => {
    const cwd = await folder();
    expect(ops((await printed(cwd, ...DATA)).report)).toEqual(['MatMul']);
    expect(ops((await printed(cwd, ...DATA, '--coverage', 'kernels')).report)).toEqual(['MatMul']);
    expect(ops((await printed(cwd, ...DATA, ...ALL)).report)).toEqual(['MatMul', 'Tanh']);
    expect(ops(await printed(cwd, ...DATA, ...ALL, '--dry-run'))).toEqual(['MatMul', 'Tanh']);
    const calibrate = await zeropoint(['calibrate', 'model.onnx', ...DATA, ...ALL, '-o', 'plan.json'], {
      cwd,
    });
    expect(calibrate.code, calibrate.stderr).toBe(0);
    const { configuration, plan } = JSON.parse(readFileSync(join(cwd, 'plan.json'), 'utf8'));
    expect(configuration).toMatchObject({ coverage: 'all' });
    expect(plan).toMatchObject({ coverage: 'all' });
    expect(ops((await printed(cwd, '--plan', 'plan.json')).report)).toEqual(['MatMul', 'Tanh']);
  });

  it.each([
    [['--plan', 'plan.json'], /--plan <file>' cannot be used with option '--coverage/],
    [['--dynamic'], /cannot be used with/],
    [['--weights', '4'], /cannot be used with/],
    [['--float16'], /cannot be used with/],
    [['--target', 'webgpu'], /expected static mode for --coverage all, got weight-only/],
    [['--coverage', 'some'], /Allowed choices are kernels, all/],
  ])('with %j: exit code 2', async (words, message) => {
    const cwd = await folder();
    const { code, stderr } = await zeropoint(['quantize', 'model.onnx', ...ALL, ...words], { cwd });
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
    expect(listing(cwd)).toEqual(['data.npz', 'model.onnx']);
  });
});

describe("the key 'coverage'", () => {
  it('means mode static; a word overrides it, and a word for another mode leaves it idle', async () => {
    const cwd = await folder({ coverage: 'all', target: 'webgpu', calibration: { data: 'data.npz' } });
    const config = ['--config', 'quant.json'];
    expect(await printed(cwd, ...config)).toMatchObject({ mode: { mode: 'static' } });
    expect(ops((await printed(cwd, ...config)).report)).toEqual(['MatMul', 'Tanh']);
    expect(ops((await printed(cwd, ...config, '--coverage', 'kernels')).report)).toEqual(['MatMul']);
    expect(await printed(cwd, ...config, '--dynamic')).toMatchObject({ mode: { mode: 'dynamic' } });
  });

  it.each([
    [{ coverage: 'some' }, /coverage: expected 'kernels' \| 'all', got 'some'/],
    [{ coverage: 'all', mode: 'dynamic' }, /mode: expected 'static' beside 'coverage', got 'dynamic'/],
    [{ coverage: 'all', weights: { bits: 4 } }, /expected 'coverage' or 'weights', got both/],
  ])('%j: exit code 2', async (config, message) => {
    const cwd = await folder(config);
    const { code, stderr } = await zeropoint(['quantize', 'model.onnx', '--config', 'quant.json'], { cwd });
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
  });
});
