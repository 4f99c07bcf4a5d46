import { describe, expect, it } from 'vitest';
import { buildModel, type GraphBuilder } from '../graph/build.ts';
import type { Model } from '../graph/model.ts';
import { memorySource } from '../graph/tensor-source.ts';
import type { Value } from '../graph/value.ts';
import { constantOf, inputOf } from '../passes/access.ts';
import { tensor } from '../tensor/tensor.ts';
import { equalizeLayers } from './cross-layer-equalization.ts';

/** Channel ranges far apart: what equalization is for. */
const SPREAD = [1, 1024, 0.001, 64];

function noise(count: number, seed: number): Float32Array {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

interface Middle {
  (b: GraphBuilder, x: Value): Value;
}

/** Conv 3→4 whose channel c is SPREAD[c] loud, something, Conv 4→2 that undoes it. */
function twoConvs(middle: Middle, secondGroup = 1): Model {
  const first = noise(4 * 3, 1).map((w, i) => w * SPREAD[Math.floor(i / 3)]);
  const inputs = 4 / secondGroup;
  const outputs = 4;
  const second = noise(outputs * inputs, 2).map((w, i) => {
    const group = Math.floor(i / inputs / (outputs / secondGroup));
    return w / SPREAD[(i % inputs) + group * inputs];
  });
  return buildModel((b) => {
    const x = b.input('x', 'float32', ['N', 3, 4, 4]);
    const bias = b.constant('b1', tensor(SPREAD.map((s) => s * 0.5)));
    const y = b.op('Conv', [x, b.constant('w1', tensor(first, [4, 3, 1, 1])), bias], {}, 'y');
    const z = middle(b, y);
    const w2 = b.constant('w2', tensor(second, [outputs, inputs, 1, 1]));
    b.output(b.op('Conv', [z, w2], { group: secondGroup }, 'z'), 'out', 'float32');
  });
}

const relu: Middle = (b, x) => b.op('Relu', [x]);

async function weights(model: Model): Promise<Float32Array[]> {
  const layers = [...model.graph.nodes].filter((node) => node.inputs.length > 1);
  return Promise.all(
    layers.map(async (node) => (await constantOf(inputOf(node, 1)).load()).data as Float32Array),
  );
}

function channelRanges(weight: Float32Array, channel: (i: number) => number): number[] {
  const ranges = [0, 0, 0, 0];
  weight.forEach((w, i) => (ranges[channel(i)] = Math.max(ranges[channel(i)], Math.abs(w))));
  return ranges;
}

describe('equalizeLayers', () => {
  it('case 1: ranges of each channel agree within a factor of 2 between the layers, by powers of two', async () => {
    const model = twoConvs(relu);
    const before = await weights(model);
    const { model: equalized, modified } = await equalizeLayers(model);
    expect(modified).toBe(true);
    const [first, second] = await weights(equalized);
    const r1 = channelRanges(first, (i) => Math.floor(i / 3));
    const r2 = channelRanges(second, (i) => i % 4);
    for (let c = 0; c < 4; c++) {
      expect(r1[c] / r2[c]).toBeLessThanOrEqual(2);
      expect(r1[c] / r2[c]).toBeGreaterThanOrEqual(0.5);
      expect(Number.isInteger(Math.log2(before[0][c * 3] / first[c * 3]))).toBe(true);
    }
    expect((await equalizeLayers(equalized)).modified).toBe(false);
  });

  it('case 1: the bias of the first layer is scaled with its channels', async () => {
    const model = twoConvs(relu);
    const { model: equalized } = await equalizeLayers(model);
    const [conv] = equalized.graph.nodes;
    const bias = (await constantOf(inputOf(conv, 2)).load()).data as Float32Array;
    const [before, after] = [(await weights(model))[0], (await weights(equalized))[0]];
    bias.forEach((b, c) => expect(b * (before[c * 3] / after[c * 3])).toBeCloseTo(SPREAD[c] * 0.5, 6));
  });

  it('case 1: no bias becomes louder than the loudest channel, however little the weights beside it are', async () => {
    const model = twoConvs(relu);
    const [conv] = model.graph.nodes;
    const dead = (await weights(model))[0].map((w, i) => (i < 3 ? w * 1e-13 : w));
    conv.setInput(1, model.graph.addInitializer('dead', memorySource(tensor(dead, [4, 3, 1, 1]))));
    const { model: equalized, modified } = await equalizeLayers(model);
    expect(modified).toBe(true);
    const bias = (await constantOf(inputOf([...equalized.graph.nodes][0], 2)).load()).data as Float32Array;
    expect(Math.abs(bias[0])).toBeLessThanOrEqual(SPREAD[1]);
  });

  it('case 1: depthwise and grouped second layers, pooling and Flatten before a Gemm', async () => {
    for (const group of [2, 4])
      expect((await equalizeLayers(twoConvs(relu, group), { perChannel: false })).modified).toBe(true);
    const model = buildModel((b) => {
      const x = b.input('x', 'float32', ['N', 3, 4, 4]);
      const first = noise(12, 1).map((w, i) => w * SPREAD[Math.floor(i / 3)]);
      const y = b.op('Conv', [x, b.constant('w1', tensor(first, [4, 3, 1, 1]))]);
      const flat = b.op('Flatten', [
        b.op('MaxPool', [relu(b, y)], { kernel_shape: [2, 2], strides: [2, 2] }),
      ]);
      const second = noise(5 * 16, 2).map((w, i) => w / SPREAD[Math.floor((i % 16) / 4)]);
      b.output(b.op('Gemm', [flat, b.constant('w2', tensor(second, [5, 16]))], { transB: 1 }), 'out');
    });
    const { model: equalized, modified } = await equalizeLayers(model);
    expect(modified).toBe(true);
    const [, second] = await weights(equalized);
    const ranges = channelRanges(second, (i) => Math.floor((i % 16) / 4));
    expect(Math.max(...ranges) / Math.min(...ranges)).toBeLessThan(8);
  });

  it('case 2: a Clip, a second reader or a graph output between them keeps them apart', async () => {
    const clip: Middle = (b, x) =>
      b.op('Clip', [x, b.constant('lo', tensor(0, [])), b.constant('hi', tensor(6, []))]);
    const readTwice: Middle = (b, x) => {
      b.output(b.op('Sigmoid', [x]), 'other', 'float32');
      return relu(b, x);
    };
    const given: Middle = (b, x) => {
      b.output(x);
      return x;
    };
    for (const middle of [clip, readTwice, given]) {
      expect((await equalizeLayers(twoConvs(middle))).modified).toBe(false);
    }
  });

  it('case 3: a weight that another node reads too is left', async () => {
    const model = twoConvs(relu);
    const [conv] = model.graph.nodes;
    model.graph.addNode({ opType: 'Neg', inputs: [conv.inputs[1]], outputs: ['n'] });
    expect((await equalizeLayers(model)).modified).toBe(false);
  });

  it('case 4: layers whose channels are alike are left, with the gain in the reason', async () => {
    const model = buildModel((b) => {
      const x = b.input('x', 'float32', ['N', 4]);
      const y = b.op('Gemm', [x, b.constant('w1', tensor(noise(16, 1), [4, 4]))]);
      b.output(b.op('Gemm', [relu(b, y), b.constant('w2', tensor(noise(16, 2), [4, 4]))]), 'out');
    });
    const { modified, skipped } = await equalizeLayers(model);
    expect(modified).toBe(false);
    expect(skipped[0].reason).toMatch(/gains -?\d+\.\d dB, below 6 dB/);
  });
});
