/** `--format qoperator` and the key `format`: with a plan, with what it cannot be combined, and what the summary says. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { buildModel, readModel } from 'zeropoint/onnx';
import { noise, saveModel, saveNpz } from './support/cli-models.ts';
import { temporaryFolder, useCli } from './support/cli.ts';

const zeropoint = useCli();

/** Conv → ConvTranspose, which has no integer operator → Conv. */
async function folder(config: unknown = {}): Promise<string> {
  const cwd = temporaryFolder();
  const model = buildModel((b) => {
    const x = b.input('x', 'float32', ['N', 2, 6, 6]);
    const weight = (name: string) => b.constant(name, noise([2, 2, 3, 3], name.length));
    const middle = b.op('ConvTranspose', [b.op('Conv', [x, weight('w')]), weight('vv')]);
    b.output(b.op('Conv', [middle, weight('uuu')]), 'y', 'float32');
  });
  await saveModel(cwd, model);
  saveNpz(cwd, { x: noise([40, 2, 6, 6], 9) });
  writeFileSync(join(cwd, 'quant.json'), JSON.stringify(config));
  return cwd;
}

const quantize = (cwd: string, ...words: readonly string[]): ReturnType<typeof zeropoint> =>
  zeropoint(['quantize', 'model.onnx', '--force', ...words], { cwd });

async function written(cwd: string): Promise<readonly string[]> {
  const { graph } = await readModel(join(cwd, 'model.int8.onnx'));
  return [...graph.nodes].map(({ opType }) => opType);
}

const PAIRS_AROUND_ONE = [
  'QuantizeLinear',
  'QLinearConv',
  'DequantizeLinear',
  'DequantizeLinear',
  'ConvTranspose',
  'QuantizeLinear',
  'QLinearConv',
  'DequantizeLinear',
];

describe('--format qoperator', () => {
  it('the summary says what is left between pairs, and why', async () => {
    const cwd = await folder();
    const { code, stdout, stderr } = await quantize(cwd, '-c', 'data.npz', '--format', 'qoperator');
    expect(code, stderr).toBe(0);
    expect((await written(cwd)).toSorted()).toEqual(PAIRS_AROUND_ONE.toSorted());
    expect(stdout).toMatch(
      /1 node of them left between pairs\n +it has no integer operator +ConvTranspose 1\n/,
    );
  });

  it('QDQ form has no such lines', async () => {
    const cwd = await folder();
    const { stdout } = await quantize(cwd, '-c', 'data.npz');
    expect(stdout).toMatch(/3 nodes quantized/);
    expect(stdout).not.toMatch(/between pairs/);
  });

  it('with a plan; the plan is the one of QDQ form', async () => {
    const cwd = await folder();
    const { code } = await zeropoint(['calibrate', 'model.onnx', '-c', 'data.npz', '-o', 'plan.json'], {
      cwd,
    });
    expect(code).toBe(0);
    for (const [format, expected] of [
      ['qdq', 'Conv'],
      ['qoperator', 'QLinearConv'],
    ]) {
      const { code: done, stderr } = await quantize(cwd, '--plan', 'plan.json', '--format', format);
      expect(done, stderr).toBe(0);
      expect(await written(cwd)).toContain(expected);
    }
  });

  it('a plan with 16-bit codes is refused', async () => {
    const cwd = await folder();
    const words = ['calibrate', 'model.onnx', '-c', 'data.npz', '-o', 'plan.json'];
    expect((await zeropoint([...words, '--activation-dtype', 'uint16'], { cwd })).code).toBe(0);
    const { code, stderr } = await quantize(cwd, '--plan', 'plan.json', '--format', 'qoperator');
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /expected codes of 8 bits for QOperator form, got uint16 at .*\n.*use format 'qdq'/,
    );
  });

  it('as a key; a word overrides it', async () => {
    const cwd = await folder({ format: 'qoperator', calibration: { data: 'data.npz' } });
    expect((await quantize(cwd, '--config', 'quant.json')).code).toBe(0);
    expect(await written(cwd)).toContain('QLinearConv');
    expect((await quantize(cwd, '--config', 'quant.json', '--format', 'qdq')).code).toBe(0);
    expect(await written(cwd)).not.toContain('QLinearConv');
  });

  it.each([
    [{ format: 'qoperator', mode: 'dynamic' }, /mode: expected 'static' beside 'format', got 'dynamic'/],
    [{ format: 'qoperator', weights: { bits: 4 } }, /expected 'format' or 'weights', got both/],
    [{ format: 'qlinear' }, /format: expected 'qdq' \| 'qoperator', got 'qlinear'/],
    [
      { format: 'qoperator', global: { activation: { dtype: 'int16' } } },
      /expected --format qdq for int16 activations, got qoperator/,
    ],
  ])('the key in %j: exit code 2', async (config, message) => {
    const cwd = await folder(config);
    const { code, stderr } = await quantize(cwd, '--config', 'quant.json', '-c', 'none.npz');
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
  });

  // There is no such data: nothing is read before the words are looked at.
  it.each([
    [['--activation-dtype', 'uint16'], /for uint16 activations, got qoperator/],
    [['--activation-dtype', 'int16'], /for int16 activations, got qoperator/],
    [['--weight-dtype', 'int4'], /for int4 weights, got qoperator/],
    [['--weight-dtype', 'uint4'], /for uint4 weights, got qoperator/],
    [['--activation-dtype', 'int8', '--weight-dtype', 'uint8'], /for int8 activations with uint8 weights/],
    [['--dedicated-pairs'], /for --dedicated-pairs, got qoperator\n.*leave one of the two out/],
    [['--dynamic'], /cannot be used with/],
    [['--weights', '4'], /cannot be used with/],
  ])('with %j: exit code 2', async (words, message) => {
    const cwd = await folder();
    const { code, stderr } = await quantize(cwd, '--format', 'qoperator', '-c', 'none.npz', ...words);
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
  });
});
