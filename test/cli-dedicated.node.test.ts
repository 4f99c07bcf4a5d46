/** `--dedicated-pairs` and the key `dedicatedPairs`. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { buildModel, readModel } from 'zeropoint/onnx';
import { noise, saveModel, saveNpz } from './support/cli-models.ts';
import { temporaryFolder, useCli } from './support/cli.ts';

const zeropoint = useCli();

/** Two products of x. */
async function folder(config: unknown = {}): Promise<string> {
  const cwd = temporaryFolder();
  const model = buildModel((b) => {
    const x = b.input('x', 'float32', ['N', 16]);
    for (const name of ['a', 'b']) {
      b.output(b.op('MatMul', [x, b.constant(`w_${name}`, noise([16, 8], 2))]), name, 'float32', ['N', 8]);
    }
  });
  await saveModel(cwd, model);
  saveNpz(cwd, { x: noise([40, 16], 9) });
  writeFileSync(join(cwd, 'quant.json'), JSON.stringify(config));
  return cwd;
}

/** How many pairs x has in the model that is written. */
async function pairsOfX(cwd: string, ...words: readonly string[]): Promise<number | undefined> {
  const all = ['quantize', 'model.onnx', '--json', '--force', ...words];
  const { code, stderr } = await zeropoint(all, { cwd });
  expect(code, stderr).toBe(0);
  const { graph } = await readModel(join(cwd, 'model.int8.onnx'));
  return graph.value('x')?.uses.size;
}

describe('--dedicated-pairs', () => {
  it('gives each reader a pair; so do the key, and a plan', async () => {
    const cwd = await folder({ dedicatedPairs: true });
    const data = ['-c', 'data.npz'];
    expect(await pairsOfX(cwd, ...data, '--static')).toBe(1);
    expect(await pairsOfX(cwd, ...data, '--static', '--dedicated-pairs')).toBe(2);
    expect(await pairsOfX(cwd, ...data, '--config', 'quant.json')).toBe(2);
    const { code } = await zeropoint(['calibrate', 'model.onnx', ...data, '-o', 'plan.json'], { cwd });
    expect(code).toBe(0);
    expect(await pairsOfX(cwd, '--plan', 'plan.json', '--dedicated-pairs')).toBe(2);
  });

  it.each([
    [['--dynamic'], /cannot be used with/],
    [['--target', 'webgpu'], /expected static mode for --dedicated-pairs, got weight-only/],
    [
      ['-c', 'data.npz', '--static', '--format', 'qoperator'],
      /expected --format qdq for --dedicated-pairs, got qoperator/,
    ],
  ])('with %j: exit code 2', async (words, message) => {
    const cwd = await folder();
    const { code, stderr } = await zeropoint(['quantize', 'model.onnx', '--dedicated-pairs', ...words], {
      cwd,
    });
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
  });

  it('is a key of mode static', async () => {
    const cwd = await folder({ dedicatedPairs: true, mode: 'dynamic' });
    const { code, stderr } = await zeropoint(['quantize', 'model.onnx', '--config', 'quant.json'], { cwd });
    expect(stderr).toMatch(/mode: expected 'static' beside 'dedicatedPairs', got 'dynamic'/);
    expect(code).toBe(2);
  });
});
