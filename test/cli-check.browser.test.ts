/** `zeropoint check --run` in headless Chromium: WebAssembly, and WebGPU on SwiftShader. `npm run test:browser`. */
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { tensor } from 'zeropoint';
import {
  buildModel,
  convertToFloat16,
  memorySource,
  quantizeDynamic,
  quantizeWeights,
  writeModel,
  type Value,
} from 'zeropoint/onnx';
import { temporaryFolder, useCli } from './support/cli.ts';
import { convNet, noise, saveModel, twoInputs } from './support/cli-models.ts';

const zeropoint = useCli();
const web = ['--run', '--target', 'ort-web-wasm,ort-web-webgpu', '--json'];
const transformers = ['--run', '--target', 'ort-web-wasm,transformersjs-wasm', '--json'];

interface Run {
  readonly runtime: string;
  readonly place: string;
  readonly fallbacks: readonly { readonly op: string; readonly count: number }[];
  readonly outputs: readonly { readonly sqnr: number | null }[];
  readonly problem: { readonly kind: string; readonly message: string } | null;
  readonly loadMs: number;
  readonly peakBytes: number | null;
}

async function runs(
  cwd: string,
  ...words: readonly string[]
): Promise<{ code: number | null; wasm: Run; webgpu: Run }> {
  const { code, stdout, stderr } = await zeropoint(['check', ...words, ...web], { cwd });
  expect(stderr).not.toContain('error');
  const [wasm, webgpu] = JSON.parse(stdout).targets.map(({ run }: { run: Run }) => run);
  return { code, wasm, webgpu };
}

describe('check --run in Chromium', { timeout: 300_000 }, () => {
  it('a float net runs on both, all of it on WebGPU', async () => {
    const cwd = temporaryFolder();
    await saveModel(cwd, convNet(), 'net.onnx');
    const { code, wasm, webgpu } = await runs(cwd, 'net.onnx');
    expect(code).toBe(0);
    for (const run of [wasm, webgpu]) {
      expect(run.problem).toBeNull();
      expect(run.fallbacks).toEqual([]);
      expect(run.outputs).toHaveLength(1);
      // null is Infinity in JSON: equal outputs.
      expect(run.outputs[0].sqnr ?? Infinity).toBeGreaterThan(80);
      expect(run.loadMs).toBeGreaterThan(0);
      if (process.platform === 'linux') expect(run.peakBytes).toBeGreaterThan(1e6);
    }
    expect(wasm.runtime).toMatch(/^onnxruntime-web\/wasm 1\.30\.0 \(wasm\)$/);
    expect(webgpu.place).toMatch(/^Chromium [\d.]+, google swiftshader$/);
  });

  it('a table in blocks does not load where transformers.js asks for wasm, as the table says', async () => {
    const cwd = temporaryFolder();
    const float = buildModel((b) => {
      const table = b.constant('table', noise([40, 64]));
      b.output(b.op('Gather', [table, b.input('ids', 'int64', ['N'])]), 'y', 'float32');
    });
    const forms = { 'blocks.onnx': 'blocks', 'rows.onnx': 'rows' } as const;
    for (const [file, embeddingForm] of Object.entries(forms)) {
      await saveModel(cwd, (await quantizeWeights(float, { embeddings: 8, embeddingForm })).model, file);
      const { code, stdout } = await zeropoint(['check', file, ...transformers], { cwd });
      const [wasm, fewer] = JSON.parse(stdout).targets;
      expect(wasm.run.problem).toBeNull();
      expect(fewer.run.runtime).toMatch(/^onnxruntime-web\/webgpu 1\.30\.0 \(wasm\)$/);
      const isMissing = embeddingForm === 'blocks';
      expect(code).toBe(isMissing ? 3 : 0);
      expect([wasm.verdict, fewer.verdict]).toEqual(['runs', isMissing ? 'missing' : 'runs']);
      expect(fewer.run.problem?.kind).toBe(isMissing ? 'load' : undefined);
    }
  });

  it('a table in blocks of 4 bits runs on WebGPU, also where 32 would leave half a byte of zero points', async () => {
    const cwd = temporaryFolder();
    const float = buildModel((b) => {
      const ids = b.input('ids', 'int64', ['N']);
      for (const width of [32, 64, 96]) {
        const table = b.constant(`t${width}`, noise([40, width]));
        b.output(b.op('Gather', [table, ids]), `y${width}`, 'float32');
      }
    });
    await saveModel(cwd, (await quantizeWeights(float, { embeddings: 4 })).model, 'tables.onnx');
    const { code, wasm, webgpu } = await runs(cwd, 'tables.onnx');
    expect(code).toBe(0);
    expect([wasm.problem, webgpu.problem, webgpu.fallbacks]).toEqual([null, null, []]);
    expect(webgpu.outputs).toHaveLength(3);
  });

  it('dynamic int8 runs on both; on WebGPU its integers are left to the CPU, which --no-fallback refuses', async () => {
    const cwd = temporaryFolder();
    await saveModel(cwd, (await quantizeDynamic(twoInputs())).model, 'int8.onnx');
    const { code, wasm, webgpu } = await runs(cwd, 'int8.onnx');
    expect(code).toBe(0);
    expect([wasm.problem, webgpu.problem, wasm.fallbacks]).toEqual([null, null, []]);
    expect(webgpu.fallbacks.map(({ op }) => op).join()).toMatch(/MatMulInteger/);
    expect((await runs(cwd, 'int8.onnx', '--no-fallback')).code).toBe(3);
  });

  it('Dropout between products is taken out, with a ratio too; the table says so', async () => {
    const cwd = temporaryFolder();
    for (const opset of [7, 12, 13, 22]) {
      const model = buildModel(
        (b) => {
          const product = (x: Value, i: number): Value =>
            b.op('MatMul', [x, b.constant(`w${i}`, noise([16, 16], i))]);
          const ratio = opset < 12 ? [] : [b.constant('ratio', tensor(0.5, []))];
          const dropped = b.op('Dropout', [product(b.input('x', 'float32', ['N', 16]), 1), ...ratio]);
          b.output(product(dropped, 2), 'y', 'float32', ['N', 16]);
        },
        { opset },
      );
      const file = `dropout${opset}.onnx`;
      await saveModel(cwd, model, file);
      const { code, wasm, webgpu } = await runs(cwd, file);
      expect([code, wasm.problem, webgpu.problem, webgpu.fallbacks]).toEqual([0, null, null, []]);
      expect((await zeropoint(['check', file], { cwd })).code).toBe(0);
    }
  });

  it('4-bit weights beside the model give the numbers of the CPU', async () => {
    const cwd = temporaryFolder();
    const { model } = await quantizeWeights(twoInputs(), { blockSize: 16 });
    await writeModel(model, join(cwd, 'q4.onnx'), { externalData: { threshold: 1 } });
    const { code, wasm, webgpu } = await runs(cwd, 'q4.onnx');
    expect(code).toBe(0);
    for (const { problem, outputs, fallbacks } of [wasm, webgpu]) {
      expect([problem, fallbacks]).toEqual([null, []]);
      expect(outputs[0].sqnr ?? Infinity).toBeGreaterThan(40);
    }
    rmSync(join(cwd, 'q4.onnx_data'));
    expect((await zeropoint(['check', 'q4.onnx', ...web], { cwd })).code).toBe(1);
  });

  it('float16 does not run on an adapter without shader-f16: the target fails, with the reason', async () => {
    const cwd = temporaryFolder();
    await saveModel(cwd, (await convertToFloat16(convNet())).model, 'half.onnx');
    const { code, wasm, webgpu } = await runs(cwd, 'half.onnx');
    expect(code).toBe(3);
    expect(wasm.problem).toBeNull();
    expect(webgpu.problem?.message).toContain('f16');
  });

  it('wrong numbers are found: another model than the float one', async () => {
    const cwd = temporaryFolder();
    await saveModel(cwd, convNet(), 'net.onnx');
    const other = convNet();
    for (const w of other.graph.initializers) {
      w.initializer = memorySource(noise(w.staticShape ?? [], 99));
    }
    await saveModel(cwd, other, 'other.onnx');
    const { code, wasm, webgpu } = await runs(cwd, 'other.onnx', '--float', 'net.onnx');
    expect([code, wasm.problem?.kind, webgpu.problem?.kind]).toEqual([3, 'wrong numbers', 'wrong numbers']);
  });

  it('the package as it is built does the same: what is sent to the page is the text of a compiled function', async () => {
    const cwd = temporaryFolder();
    await saveModel(cwd, convNet(), 'net.onnx');
    const main = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
    const stdout = execFileSync(process.execPath, [main, 'check', 'net.onnx', ...web], {
      cwd,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const problems = JSON.parse(stdout).targets.map(({ run }: { run: Run }) => run.problem);
    expect(problems).toEqual([null, null]);
  });
});
