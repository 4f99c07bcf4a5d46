/** `--no-equalize`, `--equalize` and the key `equalize`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { buildModel, type Model } from 'zeropoint/onnx';
import { noise, saveModel, saveNpz } from './support/cli-models.ts';
import { temporaryFolder, useCli, type CliResult } from './support/cli.ts';
import { unbalanced } from './support/unbalanced.ts';

const zeropoint = useCli();

const DATA = ['-c', 'data.npz', '--batch-size', '4'];
const CONFIG = ['--config', 'quant.json'];

/** image [N, 1, 8, 8] → Conv, Relu, Conv, the first with channels of very different loudness → y [N, 2, 4, 4] */
function unequal(): Promise<Model> {
  const model = buildModel((b) => {
    const image = b.input('image', 'float32', ['N', 1, 8, 8]);
    const relu = b.op('Relu', [b.op('Conv', [image, b.constant('k1', noise([5, 1, 3, 3], 2))])]);
    b.output(b.op('Conv', [relu, b.constant('k2', noise([2, 5, 3, 3], 3))]), 'y', 'float32', ['N', 2, 4, 4]);
  });
  return unbalanced(model);
}

async function folder(config: unknown = { equalize: false }): Promise<string> {
  const cwd = temporaryFolder();
  await saveModel(cwd, await unequal());
  saveNpz(cwd, { image: noise([8, 1, 8, 8]) });
  writeFileSync(join(cwd, 'quant.json'), JSON.stringify(config));
  return cwd;
}

async function run(cwd: string, args: readonly string[]): Promise<CliResult> {
  const result = await zeropoint(args, { cwd });
  expect(result.code, result.stderr).toBe(0);
  return result;
}

/** Whether the report of `quantize` says that layers were equalized. */
async function equalized(cwd: string, ...words: readonly string[]): Promise<boolean> {
  const { stdout } = await run(cwd, ['quantize', 'model.onnx', '--json', '--force', ...words]);
  return JSON.parse(stdout).report.equalized ?? false;
}

describe('equalization', () => {
  it.each([
    [[], true],
    [['--equalize'], true],
    [['--no-equalize'], false],
    [CONFIG, false],
    [[...CONFIG, '--equalize'], true],
    [[...CONFIG, '--no-equalize'], false],
  ])('quantize %j: %s; a plan of calibrate with the same words does the same', async (words, expected) => {
    const cwd = await folder();
    expect(await equalized(cwd, ...DATA, '--static', ...words)).toBe(expected);
    const direct = readFileSync(join(cwd, 'model.int8.onnx'));
    await run(cwd, ['calibrate', 'model.onnx', ...DATA, '-o', 'plan.json', ...words]);
    expect(JSON.parse(readFileSync(join(cwd, 'plan.json'), 'utf8')).equalize).toBe(expected);
    expect(await equalized(cwd, '--plan', 'plan.json')).toBe(expected);
    expect(readFileSync(join(cwd, 'model.int8.onnx')).equals(direct)).toBe(true);
  });

  it('the key says mode static, and is refused beside another', async () => {
    const cwd = await folder();
    const { stdout } = await run(cwd, ['quantize', 'model.onnx', ...DATA, ...CONFIG, '--json']);
    expect(JSON.parse(stdout).mode).toEqual({ mode: 'static', reason: 'as quant.json says' });
    const other = await folder({ equalize: false, mode: 'dynamic' });
    const { code, stderr } = await zeropoint(['quantize', 'model.onnx', ...CONFIG], { cwd: other });
    expect(stderr).toMatch(/mode: expected 'static' beside 'equalize', got 'dynamic'/);
    expect(code).toBe(2);
  });

  it('plans of both kinds are not merged', async () => {
    const cwd = await folder();
    const calibrate = ['calibrate', 'model.onnx', ...DATA];
    await run(cwd, [...calibrate, '--shard', '1/2', '-o', '1.json']);
    await run(cwd, [...calibrate, '--shard', '2/2', '--no-equalize', '-o', '2.json']);
    const { code, stderr } = await zeropoint(['plan', 'merge', '1.json', '2.json', '-o', 'all.json'], {
      cwd,
    });
    expect(stderr).toMatch(/expected plans of one configuration, got equalize true and false/);
    expect(code).toBe(1);
  });

  it.each([
    [['--no-equalize', '--dynamic'], /'--no-equalize' cannot be used with option '--dynamic'/],
    [['--no-equalize', '--weights', '4'], /cannot be used with/],
    [['--no-equalize', '--float16'], /cannot be used with/],
    [['--no-equalize', '--plan', 'plan.json'], /cannot be used with/],
    [['--no-equalize'], /expected static mode for --no-equalize, got float16/],
    [['--equalize'], /expected static mode for --equalize, got float16/],
  ])('%j: exit code 2', async (words, message) => {
    const { code, stderr } = await zeropoint(['quantize', 'model.onnx', ...words], { cwd: await folder() });
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
  });
});
