/**
 * The traps of docs/variants.md, each under its name. That WebGPU gives other numbers than WebAssembly is tried where there is
 * a browser: test/transformersjs.
 */
import { readdirSync } from 'node:fs';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { sqnr, type Tensor } from 'zeropoint';
import {
  MemorySink,
  openImageData,
  ortNode,
  quantizeWeights,
  readModel,
  variants,
  type GraphOptimization,
  type Model,
  type RunnerValue,
} from 'zeropoint/onnx';
import { noise } from './support/cli-models.ts';
import { variantFile, variantModel } from './support/variants.ts';

async function everyVariant(name: string): Promise<readonly Model[]> {
  const models: Model[] = [];
  for (const preset of ['web', 'transformersjs-3'] as const) {
    const files = new Map<string, Uint8Array>();
    await variants(variantFile(name), { preset, open: (file) => new MemorySink(file, files) });
    for (const bytes of files.values()) models.push(await readModel(bytes));
  }
  return models;
}

describe('trap: onnxruntime makes MatMulNBits with 8-bit activations of DequantizeLinear and MatMul', () => {
  /** dB: 8-bit weights in blocks with exact activations, and with activations in 8 bits. */
  const LEAST_EXACT = 120;
  const MOST_FUSED = 60;

  async function output(model: Model, optimization?: GraphOptimization): Promise<Tensor> {
    const runner = await ortNode(model, optimization === undefined ? {} : { optimization });
    const { y } = await runner.run({ x: noise([16, 24]) });
    await runner.dispose();
    return y;
  }

  it('a reference run keeps to the file: at the default level it equals no optimization', async () => {
    const model = await variantModel('mlp');
    const { model: dequantized } = await quantizeWeights(model, { format: 'dequantize-linear', bits: 8 });
    const exact = await output(dequantized, 'disabled');
    expect(sqnr(exact, await output(dequantized))).toBeGreaterThan(LEAST_EXACT);
    expect(sqnr(exact, await output(dequantized, 'all'))).toBeLessThan(MOST_FUSED);
  });

  it('no variant multiplies with what DequantizeLinear makes of a constant', async () => {
    for (const name of ['mlp', 'transformer', 'gather']) {
      for (const { graph } of await everyVariant(name)) {
        const products = [...graph.allNodes()].filter((node) => node.is('MatMul') || node.is('Gemm'));
        const weights = products.flatMap(({ inputs: [, weight] }) => weight?.producer ?? []);
        const dequantized = weights.filter((node) => node.is('DequantizeLinear'));
        expect(dequantized.filter(({ inputs: [codes] }) => codes?.constant !== undefined)).toEqual([]);
      }
    }
  });
});

describe('trap: WebGPU reuses a shader for a 4-bit Gather without zero points', () => {
  it.each([
    [4, true],
    [4, false],
    [8, true],
    [8, false],
  ] as const)(
    'GatherBlockQuantized has zero points: %i bits, symmetric %s',
    async (embeddings, symmetric) => {
      const { model } = await quantizeWeights(await variantModel('transformer'), { embeddings, symmetric });
      const gathers = [...model.graph.nodes].filter(({ opType }) => opType === 'GatherBlockQuantized');
      expect(gathers).toHaveLength(2);
      for (const { inputs } of gathers) expect(inputs[3]?.constant).toBeDefined();
    },
  );

  it('no variant has the operator: WebAssembly beside WebGPU does not know it', async () => {
    for (const name of ['gather', 'transformer']) {
      for (const { graph } of await everyVariant(name)) {
        const ops = [...graph.allNodes()].map(({ opType }) => opType);
        expect(ops).not.toContain('GatherBlockQuantized');
      }
    }
  });
});

describe('trap: JPEG decoders differ', () => {
  const SIDE = 16;

  it('fixtures are lossless', () => {
    const names = readdirSync(new URL('.', import.meta.url), { recursive: true, encoding: 'utf8' });
    const images = names.filter(
      (name) => /\.(jpe?g|png|webp|gif|bmp)$/i.test(name) && !/node_modules/.test(name),
    );
    expect(images.length).toBeGreaterThan(0);
    expect(images.filter((name) => !name.endsWith('.png'))).toEqual([]);
  });

  it('calibration data says what decoded it, with the version', async () => {
    const pixels = Uint8Array.from({ length: SIDE * SIDE * 3 }, (_, i) => (i * 7919) % 256);
    const jpeg = await sharp(pixels, { raw: { width: SIDE, height: SIDE, channels: 3 } })
      .jpeg()
      .toBuffer();
    const input: RunnerValue = { name: 'x', dtype: 'float32', shape: ['N', 3, SIDE, SIDE] };
    const { decoder, batches } = await openImageData([new Uint8Array(jpeg)], [input]);
    expect(decoder).toMatch(/^sharp \d+\.\d+\.\d+ \(libvips /);
    const { value } = await batches().next();
    expect(value?.x.shape).toEqual([1, 3, SIDE, SIDE]);
  });
});
