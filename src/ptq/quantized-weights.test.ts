import { describe, expect, it } from 'vitest';
import { buildModel } from '../graph/build.ts';
import type { TensorSource } from '../graph/tensor-source.ts';
import type { Value } from '../graph/value.ts';
import { PerChannelMinMaxObserver, MinMaxObserver } from '../observers/index.ts';
import { tensor } from '../tensor/tensor.ts';
import { SWAPPED } from './dynamic/swap-last-axes.ts';
import { observerSpec } from './observer-spec.ts';
import { QuantizedWeights, type QuantizedWeightData, type WeightRequest } from './quantized-weights.ts';

const ROWS = 3;
const COLS = 4;
const WEIGHTS = Float32Array.from({ length: 2 * ROWS * COLS }, (_, i) => Math.sin(i) * (1 + (i % 5)));

const byTensor = observerSpec(MinMaxObserver.withArgs({ dtype: 'quint8' }));
const byChannel = observerSpec(
  PerChannelMinMaxObserver.withArgs({ dtype: 'qint8', qscheme: 'per_channel_symmetric' }),
);
const fourBits = observerSpec(MinMaxObserver.withArgs({ dtype: 'int4', qscheme: 'per_tensor_symmetric' }));

const REQUESTS: Readonly<Record<string, WeightRequest>> = {
  'one scale': { spec: byTensor, axis: undefined },
  'by channel': { spec: byChannel, axis: 1 },
  'with room for a bias': {
    spec: byChannel,
    axis: 0,
    fit: { bias: Float32Array.of(1e9, 1), inputScale: 1e-3 },
  },
  'packed codes': { spec: fourBits, axis: undefined },
  'in another shape, turned': { spec: byChannel, axis: 0, shape: [2 * ROWS, COLS], arrange: SWAPPED },
};

/** A constant, and how often it has been loaded. */
function weight(): { readonly value: Value; readonly remove: () => void; readonly loads: () => number } {
  let loads = 0;
  const values = tensor(WEIGHTS, [2, ROWS, COLS]);
  const source: TensorSource = {
    elementType: 'float32',
    shape: values.shape,
    byteLength: WEIGHTS.byteLength,
    where: 'test',
    load() {
      loads++;
      return Promise.resolve(tensor(Float32Array.from(WEIGHTS), values.shape));
    },
    read: () => Promise.reject(new Error('expected a load')),
  };
  const { graph } = buildModel((b) => {
    b.graph.addInitializer('w', source);
  });
  const value = graph.value('w') as Value;
  return { value, remove: () => graph.removeValue(value), loads: () => loads };
}

async function plain({ codes, scales, zeroPoints, axis, dtype }: QuantizedWeightData): Promise<object> {
  const { data, shape } = await codes.load();
  const stored = { data, shape, elementType: codes.elementType, byteLength: codes.byteLength };
  return { stored, scales: scales.data, zeroPoints: zeroPoints.data, axis, dtype };
}

describe.each(Object.entries(REQUESTS))('a weight %s', (_name, request) => {
  it('is the same whether its integers are computed at once or when they are read', async () => {
    const [now, later] = [weight(), weight()];
    const kept = await new QuantizedWeights().weight(now.value, request);
    expect(kept.codes.tensor).toBeDefined();
    expect(now.loads()).toBe(1);
    const lazy = await new QuantizedWeights(0).weight(later.value, request);
    expect(lazy.codes.tensor).toBeUndefined();
    expect(later.loads()).toBe(1);
    later.remove();
    expect(await plain(lazy)).toEqual(await plain(kept));
    expect(later.loads()).toBe(2);
  });
});

describe('an operand', () => {
  it('is the same whether its integers are computed at once or when they are read', async () => {
    const kept = await new QuantizedWeights().operand(weight().value, byTensor);
    const lazy = await new QuantizedWeights(0).operand(weight().value, byTensor);
    expect(await plain(lazy)).toEqual(await plain(kept));
  });
});
