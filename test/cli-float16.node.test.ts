/** `zeropoint quantize --float16`: alone, and for what `--weights` leaves. */
import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { tensor } from 'zeropoint';
import { buildModel, encodeNpy, MemorySink, readModel, writeModel } from 'zeropoint/onnx';
import { listing, temporaryFolder, useCli } from './support/cli.ts';

const zeropoint = useCli();
const MODEL = fileURLToPath(new URL('./fixtures/ort/static/digits_mlp.onnx', import.meta.url));

function prepared(): string {
  const cwd = temporaryFolder();
  copyFileSync(MODEL, join(cwd, 'model.onnx'));
  return cwd;
}

/** y = (x · 100) · 100: 100 is beyond float16 at the end only, 1 nowhere. */
async function amplifier(cwd: string): Promise<void> {
  const model = buildModel((b) => {
    const x = b.input('x', 'float32', ['N', 4]);
    const gain = b.constant('gain', tensor([100]));
    b.output(b.op('Mul', [b.op('Mul', [b.op('Relu', [x]), gain]), gain]), 'y', 'float32', ['N', 4]);
  });
  const sink = new MemorySink();
  await writeModel(model, sink);
  writeFileSync(join(cwd, 'model.onnx'), sink.bytes);
}

const constantTypes = async (path: string): Promise<ReadonlySet<string | undefined>> =>
  new Set([...(await readModel(path)).graph.initializers].map((value) => value.elementType));

describe('zeropoint quantize --float16', () => {
  it('writes model.fp16.onnx at half the size, checks it, and says that activations were not looked at', async () => {
    const cwd = prepared();
    const { code, stdout, stderr } = await zeropoint(['quantize', 'model.onnx', '--float16'], { cwd });
    expect(stderr).toBe('mode: float16, as --float16 says\n');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^wrote +model\.fp16\.onnx +\(float16, /);
    expect(stdout).toMatch(/5\d\.\d %/);
    expect(stdout).toMatch(/\d nodes in float16\n/);
    expect(stdout).toMatch(/error against the original, on 1 sample of made-up inputs/);
    expect(stdout).toMatch(/activations were not looked at; --calibrate shows/);
    expect(listing(cwd)).toEqual(['model.fp16.onnx', 'model.onnx']);
    expect(await constantTypes(join(cwd, 'model.fp16.onnx'))).toEqual(new Set(['float16']));
  });

  it('--weights 4 --float16: writes model.q4f16.onnx, codes and float16', async () => {
    const cwd = prepared();
    const words = ['quantize', 'model.onnx', '--weights', '4', '--float16', '--json'];
    const { code, stdout } = await zeropoint(words, { cwd });
    expect(code).toBe(0);
    const { report, mode } = JSON.parse(stdout);
    expect(mode.reason).toBe('as --weights says, the rest in float16');
    expect(report).toMatchObject({ mode: 'weight-only', float16: { mode: 'float16', dtype: 'float16' } });
    expect(report.quantized).toHaveLength(3);
    expect(listing(cwd)).toEqual(['model.onnx', 'model.q4f16.onnx']);
    expect(await constantTypes(join(cwd, 'model.q4f16.onnx'))).toEqual(new Set(['uint8', 'float16']));
  });

  it.each([
    [['--bfloat16'], 'model.bf16.onnx'],
    [['--weights', '8', '--bfloat16'], 'model.q8bf16.onnx'],
  ])('%j: writes %s, and says why it was not checked', async (words, file) => {
    const cwd = prepared();
    const { code, stdout, stderr } = await zeropoint(['quantize', 'model.onnx', ...words], { cwd });
    expect(code, stderr).toBe(0);
    expect(stdout).toMatch(/^not checked: onnxruntime computes nothing in bfloat16 on a CPU$/m);
    expect(await constantTypes(join(cwd, file))).toContain('bfloat16');
  });

  it.each([
    [1, []],
    [100, ['Mul']],
  ])('with data up to %d, nodes left in float32: %j', async (largest, left) => {
    const cwd = temporaryFolder();
    await amplifier(cwd);
    writeFileSync(join(cwd, 'x.npy'), encodeNpy(tensor([[largest, 0.3, 0.7, 0.1]])));
    const words = ['quantize', 'model.onnx', '--float16', '--calibrate', 'x.npy', '--json'];
    const { code, stdout, stderr } = await zeropoint(words, { cwd });
    expect(code, stderr).toBe(0);
    const { report, verification } = JSON.parse(stdout);
    expect(report.skipped.map(({ opType }: { opType: string }) => opType)).toEqual(left);
    // Infinity is null in JSON: the CPU provider computes most of it in float32.
    expect(verification.outputs[0].sqnr ?? Infinity).toBeGreaterThan(50);
  });

  it('--dry-run says the size and writes nothing; --exclude leaves a node in float32', async () => {
    const cwd = prepared();
    const words = ['quantize', 'model.onnx', '--float16', '--exclude', '/0/*', '--dry-run', '--json'];
    const { code, stdout } = await zeropoint(words, { cwd });
    expect(code).toBe(0);
    const { float16, quantized, expectedSize, size } = JSON.parse(stdout);
    expect(quantized).toEqual([]);
    expect(expectedSize / size).toBeLessThan(0.9);
    expect(float16.skipped.map(({ node }: { node: string }) => node)).toEqual(['/0/Gemm']);
    expect(listing(cwd)).toEqual(['model.onnx']);
  });

  it.each([
    [['--float16', '--dynamic'], /cannot be used with/],
    [['--float16', '--plan', 'p.json'], /cannot be used with/],
    [['--float16', '--exclude', 'nothing'], /expected the name of a node, got 'nothing'/],
  ])('%j exits with 2 and says why', async (words, message) => {
    const cwd = prepared();
    const { code, stderr } = await zeropoint(['quantize', 'model.onnx', ...words], { cwd });
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
    expect(listing(cwd)).toEqual(['model.onnx']);
  });
});
