/**
 * Every pair of types that static quantization writes: against onnxruntime's Python quantizer
 * (scripts/fixtures/ort_types.py), and run by onnxruntime at every optimization level.
 */
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { getDefaultQConfig, sqnr, type Tensor } from 'zeropoint';
import {
  buildModel,
  onnxQConfig,
  ortNode,
  quantizeStatic,
  readModel,
  staticQConfigMapping,
  type ActivationDType,
  type Converted,
  type DefaultQConfigOptions,
  type Node,
  type Value,
  type WeightDType,
} from 'zeropoint/onnx';
import { loadJson } from './support/fixtures.ts';
import { bytesOf, LEVELS, random } from './support/graphs.ts';
import { zooInput, zooModel } from './support/zoo.ts';

interface TypesCase {
  /** Scale and zero point by value. */
  readonly activations: Readonly<Record<string, readonly [number, number]>>;
  /** Digests: integers, scales and zero points of weights, integers and scales of biases. */
  readonly constants: readonly { readonly op: string; readonly weight: string[]; readonly bias: string[] }[];
}

const CASES = await loadJson<Record<string, TypesCase>>('ort/static/types.json.gz');

/** Least signal to noise of the logits in dB, by bits of the weights and how many weights share a scale. */
const LEAST_SQNR: Readonly<Record<string, number>> = {
  '8 channel': 29,
  '8 tensor': 25,
  '4 channel': 12,
  '4 tensor': 5,
};

const DTYPES: Readonly<Record<string, string>> = { u: 'uint', s: 'int' };
const dtypeOf = (short: string): string => `${DTYPES[short[0]]}${short.slice(1)}`;

interface Parsed {
  readonly options: DefaultQConfigOptions;
  readonly least: number;
}

/** `u8s4 per channel, reduced range`: activations, weights, granularity, option. */
function parse(name: string): Parsed {
  const [, activation, weight, granularity, option] =
    /^([us]\d+)([us]\d+) per (\w+)(?:, (.+))?$/.exec(name) ?? [];
  return {
    least: LEAST_SQNR[`${weight.slice(1)} ${granularity}`],
    options: {
      // The fixture has no other names.
      activationDType: dtypeOf(activation) as ActivationDType,
      weightDType: dtypeOf(weight) as WeightDType,
      perChannel: granularity === 'channel',
      reduceRange: option === 'reduced range',
      activationSymmetric: option === 'symmetric activations',
      // By channel theirs is symmetric whatever the dtype; ours is affine for unsigned ones.
      ...(granularity === 'channel' && { weightSymmetric: true }),
      ...(option?.endsWith('weights') && { weightSymmetric: option.startsWith('symmetric') }),
    },
  };
}

const quantized = async (options: DefaultQConfigOptions): Promise<Converted> =>
  quantizeStatic(await zooModel('digits_cnn'), {
    batches: [{ input: zooInput('digits_cnn') }],
    qconfigMapping: staticQConfigMapping(options),
  });

async function digest(value: Value | undefined): Promise<string> {
  const held = await value?.constant?.load();
  if (held === undefined) return 'not stored';
  const numbers = [held.toArray() as unknown].flat(Infinity).map(Number);
  const wide = held.dtype === 'float32' ? Float32Array.from(numbers) : Int32Array.from(numbers);
  return createHash('sha256').update(new Uint8Array(wide.buffer)).digest('hex').slice(0, 16);
}

async function digests(node: Node, input: number, parts: number): Promise<string[]> {
  const inputs = node.inputs[input]?.producer?.inputs.slice(0, parts) ?? [];
  return Promise.all(inputs.map(digest));
}

async function worstSqnr({ model }: Converted): Promise<number> {
  const input: Tensor = zooInput('digits_cnn');
  const float = await ortNode(await zooModel('digits_cnn'), { optimization: 'disabled' });
  const { logits } = await float.run({ input });
  await float.dispose();
  const file = await readModel(await bytesOf(model));
  let worst = Infinity;
  for (const optimization of LEVELS) {
    const runner = await ortNode(file, { optimization });
    worst = Math.min(worst, sqnr(logits, (await runner.run({ input })).logits));
    await runner.dispose();
  }
  return worst;
}

describe('types of activations and weights', () => {
  it.each(Object.entries(CASES))(
    '%s: scales, zero points and integers of onnxruntime’s quantizer; runs at every level',
    async (name, expected) => {
      const { options, least } = parse(name);
      const result = await quantized(options);
      const grids = Object.fromEntries(
        result.report.activations.map((a) => [a.name, [a.scale, a.zeroPoint]]),
      );
      for (const [value, grid] of Object.entries(grids)) expect(grid).toEqual(expected.activations[value]);
      expect(Object.keys(grids).length).toBeGreaterThan(5);
      const nodes = [...result.model.graph.nodes].filter(({ opType }) => ['Conv', 'Gemm'].includes(opType));
      const constants = [];
      for (const node of nodes) {
        const [weight, bias] = [await digests(node, 1, 3), await digests(node, 2, 2)];
        constants.push({ op: node.opType, weight, bias });
      }
      expect(constants).toEqual(expected.constants);
      expect(await worstSqnr(result)).toBeGreaterThan(least);
    },
  );

  it.each([
    ['unsigned weights by channel, affine', { weightDType: 'uint8' }, 32],
    [
      'int8 by uint8, which onnxruntime’s quantizer refuses',
      { activationDType: 'int8', weightDType: 'uint8' },
      32,
    ],
    ['int16 by uint4', { activationDType: 'int16', weightDType: 'uint4' }, 12],
  ] as const)('%s: runs at every level', async (_name, options, least) => {
    expect(await worstSqnr(await quantized(options))).toBeGreaterThan(least);
  });

  it('are those of the report, and raise a model to the opset that has them', async () => {
    const { report } = await quantized({ activationDType: 'int16', weightDType: 'int4' });
    expect(new Set(report.activations.map(({ dtype }) => dtype))).toEqual(new Set(['int16']));
    expect(new Set(report.weights.map(({ dtype }) => dtype))).toEqual(new Set(['int4']));
    expect(report.raisedOpset?.to).toBe(21);
    expect((await quantized({ activationDType: 'uint8' })).report.raisedOpset).toBeUndefined();
  });

  it('without options are those of the backend onnxruntime-cpu', () => {
    expect(onnxQConfig().toJSON()).toEqual(getDefaultQConfig('onnxruntime-cpu').toJSON());
  });

  it('refuses unknown ones, reduced 4 bits, and an observer that says them too', () => {
    const refused = (options: unknown, text: RegExp): void =>
      expect(() => onnxQConfig(options as DefaultQConfigOptions)).toThrow(text);
    refused({ weightDType: 'float8' }, /expected weightDType int8, uint8, int4, uint4, got float8/);
    refused({ activationDType: 'toString' }, /expected activationDType uint8, .*, got toString/);
    refused({ weightDType: 'int4', reduceRange: true }, /expected reduceRange with 8-bit weights, got int4/);
    const { activation } = onnxQConfig();
    refused({ activation, activationDType: 'int8' }, /got both/);
  });
});

describe('models of opset 10 to 12', () => {
  // onnxruntime's quantizer writes DequantizeLinear with an axis there, which does not load.
  it.each([10, 11, 12])('%i: weights by channel raise it to 13, weights per tensor do not', async (opset) => {
    const model = buildModel(
      (b) => {
        const x = b.input('x', 'float32', ['N', 3, 8, 8]);
        b.output(b.op('Conv', [x, b.constant('w', random([4, 3, 3, 3]))]), 'y', 'float32');
      },
      { opset },
    );
    const x = random([2, 3, 8, 8], 5);
    for (const perChannel of [true, false]) {
      const qconfigMapping = staticQConfigMapping({ perChannel });
      const { model: result, report } = await quantizeStatic(model, { batches: [{ x }], qconfigMapping });
      expect(report.raisedOpset).toEqual(perChannel ? { from: opset, to: 13 } : undefined);
      const runner = await ortNode(await readModel(await bytesOf(result)));
      const float = await ortNode(model);
      expect(sqnr((await float.run({ x })).y, (await runner.run({ x })).y)).toBeGreaterThan(30);
      await Promise.all([runner.dispose(), float.dispose()]);
    }
  });
});
