/** QOperator form against that of onnxruntime's Python quantizer, node by node (scripts/fixtures/ort_qoperator.py). */
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { tensor, type Tensor } from 'zeropoint';
import { quantizeStatic, readModel, staticQConfigMapping, type Model, type Value } from 'zeropoint/onnx';
import { loadJson } from './support/fixtures.ts';
import { random } from './support/graphs.ts';
import { zooInput, zooModel } from './support/zoo.ts';

/** A constant of one element as it is, another one as its digest, what is computed as null. */
type Operand = number | string | null;
type Row = readonly [name: string, opType: string, inputs: readonly Operand[]];

const CASES = await loadJson<Record<string, readonly Row[] | string>>('ort/qoperator/cases.json.gz');
const OPS = new URL('./fixtures/ort/ops/', import.meta.url);

/** One operator of scripts/fixtures/ort_coverage.py: the model in base64, and the shape of its input. */
interface Alone {
  readonly model: string;
  readonly shape: readonly number[];
}

const FLOAT_CARRIER =
  'a carrier without a row in their registry of this form stays in float, between a pair; here it takes the codes';

/** Nodes that differ, in the order of their names, and why. */
const DEVIATIONS: Readonly<Record<string, { readonly nodes: readonly string[]; readonly why: string }>> = {
  conv_transpose: {
    nodes: ['b_DequantizeLinear', 'n_y', 'w_DequantizeLinear'],
    why: 'no integer operator: their weights stay float32, ours are stored as integers',
  },
  softmax: {
    nodes: ['n_y', 'n_z'],
    why: 'scale 1/256 there, in this form alone; 1/255 here, so that 1 has a code',
  },
  pad_value: {
    nodes: ['a_DequantizeLinear', 'n_y', 'n_z', 'y_QuantizeLinear'],
    why: 'they pad with the code nearest to 9 on the grid of the input, which is 5.7 (9.4 dB); here Pad computes in float',
  },
  resize_linear: {
    nodes: ['a_DequantizeLinear', 'y_QuantizeLinear'],
    why: 'they give the runtime codes to interpolate between; here it is computed in float',
  },
  resize_cubic: {
    nodes: ['a_DequantizeLinear', 'n_z', 'y_QuantizeLinear'],
    why: 'they share the grid of the input, beyond which cubic interpolation goes',
  },
  gather: { nodes: ['a_DequantizeLinear', 'y_QuantizeLinear'], why: FLOAT_CARRIER },
  gather_elements: { nodes: ['a_DequantizeLinear', 'n_z', 'y_QuantizeLinear'], why: FLOAT_CARRIER },
  slice: { nodes: ['a_DequantizeLinear', 'y_QuantizeLinear'], why: FLOAT_CARRIER },
  expand: { nodes: ['a_DequantizeLinear', 'y_QuantizeLinear'], why: FLOAT_CARRIER },
  tile: { nodes: ['a_DequantizeLinear', 'y_QuantizeLinear'], why: FLOAT_CARRIER },
  depth_to_space: { nodes: ['a_DequantizeLinear', 'y_QuantizeLinear'], why: FLOAT_CARRIER },
  digits_cnn: {
    nodes: ['/7/Gemm', 'logits_DequantizeLinear'],
    why: 'nobody reads the logits in integers: here QGemm gives them in float, without a rounding',
  },
  gemm: {
    nodes: ['n_z', 'z_DequantizeLinear'],
    why: 'nobody reads the last product in integers: QGemm gives it in float, without a rounding',
  },
  embedding: {
    nodes: ['y0_DequantizeLinear', 'y0_QuantizeLinear'],
    why: 'the operator gives float; coverage all, without which it is left, gives each output a pair',
  },
  reduce_max: { nodes: ['a_DequantizeLinear', 'n_z', 'y_QuantizeLinear'], why: FLOAT_CARRIER },
};

async function source(
  name: string,
): Promise<{ readonly model: Model; readonly feeds: Record<string, Tensor> }> {
  if (name === 'digits_cnn') return { model: await zooModel(name), feeds: { input: zooInput(name) } };
  if (name === 'embedding') {
    const { EmbedLayerNormalization: alone } = await loadJson<Record<string, Alone>>('ort/coverage.json.gz');
    const ids = Int32Array.from({ length: 12 }, (_, i) => i);
    return {
      model: await readModel(new Uint8Array(Buffer.from(alone.model, 'base64'))),
      feeds: { x: tensor(ids, alone.shape) },
    };
  }
  const model = await readModel(new URL(`${name}.onnx`, OPS));
  if (name !== 'gather_table') return { model, feeds: { x: random([3, 4, 8, 8], 3) } };
  const ids = BigInt64Array.from({ length: 18 }, (_, i) => BigInt(i));
  return { model, feeds: { ids: tensor(ids, [3, 6]) } };
}

async function operand(value: Value | undefined): Promise<Operand> {
  if (value?.constant === undefined) return null;
  const { data, size } = await value.constant.load();
  if (size === 1) return Number(data[0]);
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return createHash('sha256').update(bytes).digest('hex').slice(0, 16);
}

/** Operator and operands by the name that the node had in float. */
async function rows(model: Model): Promise<Record<string, unknown>> {
  const entries = [...model.graph.nodes].map(async ({ name, opType, inputs }) => [
    name,
    [opType, await Promise.all(inputs.map(operand))],
  ]);
  return Object.fromEntries(await Promise.all(entries));
}

const theirRows = (nodes: readonly Row[]): Record<string, unknown> =>
  Object.fromEntries(nodes.map(([name, opType, inputs]) => [name.replace(/_quant$/, ''), [opType, inputs]]));

/** Names of what one has and the other has not, or has otherwise. */
function differing(ours: Record<string, unknown>, theirs: Record<string, unknown>): string[] {
  const names = new Set([...Object.keys(ours), ...Object.keys(theirs)]);
  return [...names].filter((name) => JSON.stringify(ours[name]) !== JSON.stringify(theirs[name])).toSorted();
}

describe('against onnxruntime 1.30, Python quantizer', () => {
  it.each(Object.keys(CASES))(
    '%s: equal operators, scales, zero points, integers and biases',
    async (name) => {
      const [family, , granularity] = name.split(' ');
      const { model, feeds } = await source(family);
      const qconfigMapping = staticQConfigMapping({ perChannel: granularity === 'channel' });
      const coverage = family === 'embedding' ? 'all' : 'kernels';
      const options = { batches: [feeds], qconfigMapping, coverage } as const;
      const written = await quantizeStatic(model, options, { format: 'qoperator', names: 'onnxruntime' });
      const ours = await rows(written.model);
      const theirs = CASES[name];
      if (typeof theirs === 'string') {
        expect([family, theirs]).toEqual(['where', expect.stringMatching(/^RuntimeError: Invalid model/)]);
        expect(written.report.keptPairs).toEqual([]);
        return;
      }
      expect(differing(ours, theirRows(theirs))).toEqual(DEVIATIONS[family]?.nodes ?? []);
    },
  );
});
