/** The dynamic forms beside products: run by onnxruntime at every level, and what they refuse. */
import { describe, expect, it } from 'vitest';
import { tensor, type Tensor } from 'zeropoint';
import { buildModel, quantizeDynamic, type Model, type Value } from 'zeropoint/onnx';
import { worstSqnr, type Feeds } from './support/dynamic.ts';
import { random } from './support/graphs.ts';

const int64 = (...values: number[]): Tensor => tensor(BigInt64Array.from(values, BigInt));

function opsOf(model: Model): string[] {
  return [...model.graph.nodes].map((node) => node.qualifiedOp);
}

describe('Gather of a constant table', () => {
  /** Least signal to noise of values in 8 bits, uniform, in dB. */
  const LEAST_SQNR = 45;
  const INDICES = { i: int64(3, 0, 5) };

  const tableModel = (shape: readonly number[], axis: number): Model =>
    buildModel((b) => {
      const table = b.constant('table', random(shape, 2));
      b.output(b.op('Gather', [table, b.input('i', 'int64', [3])], { axis }), 'y', 'float32');
    });

  it.each([
    ['rows', [7, 12], 0],
    ['columns', [5, 9], -1],
    ['three axes', [4, 8, 3], 1],
  ])(`%s: SQNR > ${LEAST_SQNR} dB at every level`, async (_, shape, axis) => {
    const float = tableModel(shape, axis);
    const { model, report } = await quantizeDynamic(float);
    expect(opsOf(model)).toEqual(['Gather', 'DequantizeLinear']);
    expect(report.weights).toMatchObject([{ name: 'table', dtype: 'uint8', scales: 1 }]);
    expect(await worstSqnr(float, model, INDICES)).toBeGreaterThan(LEAST_SQNR);
  });

  it('stores a table once, and leaves vectors and what is not float32', async () => {
    const model = buildModel((b) => {
      const i = b.input('i', 'int64', [3]);
      const table = b.constant('table', random([7, 12], 2));
      const gather = (value: Value): Value => b.op('Gather', [value, i]);
      b.output(b.op('Add', [gather(table), gather(table)]), 'y', 'float32');
      b.output(gather(b.constant('vector', random([9], 3))), 'v', 'float32');
      b.output(gather(b.constant('shape', int64(1, 2, 3, 4, 5, 6))), 's', 'int64');
      b.output(gather(b.op('Relu', [table])), 'r', 'float32');
    });
    const { report } = await quantizeDynamic(model);
    expect(report.weights).toHaveLength(1);
    expect(report.quantized).toHaveLength(2);
    expect(report.skipped.filter(({ opType }) => opType === 'Gather').map(({ reason }) => reason)).toEqual([
      'its table is a vector',
      'its table is int64, not float32',
      'its table is computed',
    ]);
  });
});

describe('LSTM', () => {
  /** Least signal to noise of a layer whose state goes through 8 bits at each step, in dB. */
  const LEAST_SQNR = 30;
  const [STEPS, INPUTS, HIDDEN] = [6, 10, 8];
  const X = { x: random([STEPS, 2, INPUTS], 9) };

  const lstm = (
    direction: 'forward' | 'reverse' | 'bidirectional',
    attributes: Record<string, number> = {},
    opType = 'LSTM',
  ): Model => {
    const directions = direction === 'bidirectional' ? 2 : 1;
    const gates = { LSTM: 4, GRU: 3, RNN: 1 }[opType] ?? 4;
    return buildModel((b) => {
      const x = b.input('x', 'float32', [STEPS, 2, INPUTS]);
      const inputs = [
        x,
        b.constant('W', random([directions, gates * HIDDEN, INPUTS], 2)),
        b.constant('R', random([directions, gates * HIDDEN, HIDDEN], 3)),
        b.constant('B', random([directions, 2 * gates * HIDDEN], 4)),
      ];
      const outputs = opType === 'LSTM' ? ['y', 'h', 'c'] : ['y', 'h'];
      for (const value of b.ops(opType, inputs, outputs, { direction, hidden_size: HIDDEN, ...attributes }))
        b.output(value, value.name, 'float32');
    });
  };

  it.each(
    (['forward', 'reverse', 'bidirectional'] as const).flatMap((direction) =>
      [true, false].map((perChannel) => [direction, perChannel] as const),
    ),
  )(`%s, per channel %s: SQNR > ${LEAST_SQNR} dB at every level`, async (direction, perChannel) => {
    const float = lstm(direction, { layout: 0 });
    const { model, report } = await quantizeDynamic(float, { perChannel });
    expect(opsOf(model)).toEqual(['com.microsoft.DynamicQuantizeLSTM']);
    expect(model.opsetImports.get('com.microsoft')).toBe(1);
    const directions = direction === 'bidirectional' ? 2 : 1;
    const scales = directions * (perChannel ? 4 * HIDDEN : 1);
    expect(report.weights).toMatchObject([
      { name: 'W', scales },
      { name: 'R', scales },
    ]);
    const worst = await worstSqnr(float, model, X);
    expect(worst).toBeGreaterThan(LEAST_SQNR);
    expect(worst).toBeLessThan(Infinity);
  });

  it('leaves GRU, RNN and an LSTM of layout 1 in float, with the reason', async () => {
    const reasonOf = async (model: Model): Promise<string> =>
      quantizeDynamic(model).then(
        () => 'quantized',
        (error: Error) => error.message,
      );
    expect(await reasonOf(lstm('forward', {}, 'GRU'))).toContain(
      'onnxruntime has no GRU that computes in integers',
    );
    expect(await reasonOf(lstm('forward', {}, 'RNN'))).toContain(
      'onnxruntime has no RNN that computes in integers',
    );
    expect(await reasonOf(lstm('forward', { layout: 1 }))).toContain('its batch axis comes first (layout 1)');
  });
});

describe('Conv, on request', () => {
  /** Least signal to noise of one layer with 8-bit weights and activations on uniform data, in dB. */
  const LEAST_SQNR = 34;
  const CHANNELS = 4;

  const convModel = (spatial: number, attributes: Record<string, number | string>, bias = true): Model =>
    buildModel((b) => {
      const sizes = Array<number>(spatial).fill(7);
      const x = b.input('x', 'float32', [2, CHANNELS, ...sizes]);
      const group = Number(attributes['group'] ?? 1);
      const kernel = Array<number>(spatial).fill(3);
      const weight = b.constant('w', random([8, CHANNELS / group, ...kernel], 2));
      const inputs = bias ? [x, weight, b.constant('bias', random([8], 3))] : [x, weight];
      b.output(b.op('Conv', inputs, attributes), 'y', 'float32');
    });

  it.each([
    ['one axis', 1, {}, true],
    ['two axes', 2, { auto_pad: 'SAME_UPPER' }, true],
    ['without bias', 2, {}, false],
    ['depthwise', 2, { group: CHANNELS }, true],
    ['three axes', 3, {}, true],
  ] as const)(`%s: SQNR > ${LEAST_SQNR} dB at every level`, async (_, spatial, attributes, bias) => {
    const float = convModel(spatial, attributes, bias);
    const feeds = { x: random([2, CHANNELS, ...Array<number>(spatial).fill(7)], 9) };
    for (const options of [{}, { perChannel: false }, { weightDType: 'uint8' }] as const) {
      const { model, report } = await quantizeDynamic(float, { ...options, convolutions: true });
      expect(opsOf(model)).toContain('ConvInteger');
      expect(report.weights).toMatchObject([
        { dtype: 'uint8', scales: 'perChannel' in options || 'weightDType' in options ? 1 : 8 },
      ]);
      const worst = await worstSqnr(float, model, feeds);
      expect(worst).toBeGreaterThan(LEAST_SQNR);
      expect(worst).toBeLessThan(Infinity);
    }
  });

  it('stays in float otherwise, with the reason', async () => {
    await expect(quantizeDynamic(convModel(2, {}))).rejects.toThrow('option convolutions');
  });
});

describe('fused operators of transformers', () => {
  /** Least signal to noise of one layer with 8-bit weights and activations on uniform data, in dB. */
  const LEAST_SQNR = 30;
  const MS = { opsets: { 'com.microsoft': 1 } };
  const [HIDDEN, LENGTH] = [16, 5];

  const attention = (attributes: Record<string, number> = {}, bias = true): Model =>
    buildModel((b) => {
      const x = b.input('x', 'float32', [2, LENGTH, HIDDEN]);
      const w = b.constant('w', random([HIDDEN, 3 * HIDDEN], 2));
      const inputs = bias ? [x, w, b.constant('b', random([3 * HIDDEN], 3))] : [x, w];
      b.output(b.op('com.microsoft.Attention', inputs, { num_heads: 2, ...attributes }), 'y', 'float32');
    }, MS);

  it.each([
    {},
    { perChannel: false },
    { weightDType: 'uint8' },
    { weightDType: 'uint8', perChannel: false },
  ] as const)(`Attention, %o: SQNR > ${LEAST_SQNR} dB at every level`, async (options) => {
    const float = attention();
    const { model } = await quantizeDynamic(float, options);
    expect(opsOf(model)).toEqual(['DynamicQuantizeLinear', 'com.microsoft.QAttention']);
    const worst = await worstSqnr(float, model, { x: random([2, LENGTH, HIDDEN], 9) });
    expect(worst).toBeGreaterThan(LEAST_SQNR);
    expect(worst).toBeLessThan(Infinity);
  });

  it('leaves Attention in float that has no bias, or an attribute that QAttention has not', async () => {
    await expect(quantizeDynamic(attention({}, false))).rejects.toThrow('it has no bias');
    await expect(quantizeDynamic(attention({ scale: 0.5 }))).rejects.toThrow('its attribute scale');
  });

  it.each([true, false])(
    `EmbedLayerNormalization, segments %s: SQNR > ${LEAST_SQNR} dB at every level`,
    async (segments) => {
      const ids = tensor(Int32Array.of(1, 4, 0, 6, 2), [1, LENGTH]);
      const float = buildModel((b) => {
        const table = (name: string, rows: number, seed: number): Value =>
          b.constant(name, random([rows, HIDDEN], seed));
        const kinds = segments ? b.input('kinds', 'int32', [1, LENGTH]) : undefined;
        const inputs = [
          b.input('ids', 'int32', [1, LENGTH]),
          kinds,
          table('word', 9, 2),
          table('position', LENGTH, 3),
          segments ? table('segment', 2, 4) : undefined,
          b.constant('gamma', random([HIDDEN], 5)),
          b.constant('beta', random([HIDDEN], 6)),
        ];
        const [y] = b.ops('com.microsoft.EmbedLayerNormalization', inputs, ['y', 'mask']);
        b.output(y, 'y', 'float32');
      }, MS);
      const { model } = await quantizeDynamic(float);
      expect(opsOf(model)).toEqual(['com.microsoft.QEmbedLayerNormalization']);
      const kinds: Feeds = segments ? { kinds: tensor(Int32Array.of(0, 0, 1, 1, 1), [1, LENGTH]) } : {};
      const worst = await worstSqnr(float, model, { ids, ...kinds });
      expect(worst).toBeGreaterThan(LEAST_SQNR);
      expect(worst).toBeLessThan(Infinity);
    },
  );
});
