/** `dedicatedPairs`: against DedicatedQDQPair of onnxruntime's Python quantizer (scripts/fixtures/ort_dedicated.py). */
import { describe, expect, it } from 'vitest';
import {
  quantizeStatic,
  readModel,
  type Converted,
  type ConvertOptions,
  type Model,
  type Value,
} from 'zeropoint/onnx';
import { worstSqnr } from './support/dynamic.ts';
import { loadJson } from './support/fixtures.ts';
import { random } from './support/graphs.ts';

interface Case {
  /** The float model: ONNX in base64. */
  readonly model: string;
  readonly structure: Readonly<Record<string, readonly string[]>>;
}

const CASES = await loadJson<Record<string, Case>>('ort/dedicated.json.gz');
const X = { x: random([3, 4, 8, 8], 3) };
/** Three layers on random data, in dB. */
const LEAST_SQNR = 28;

const floatModel = ({ model }: Case): Promise<Model> =>
  readModel(new Uint8Array(Buffer.from(model, 'base64')));

const quantized = async (fixture: Case, options: ConvertOptions): Promise<Converted> =>
  quantizeStatic(await floatModel(fixture), { batches: [X] }, options);

/** As ort_dedicated.py says it. */
function source(value: Value | undefined): string {
  const { producer } = value ?? {};
  if (value === undefined || producer === undefined) return value?.name ?? '';
  if (!producer.is('DequantizeLinear')) return producer.name;
  const [codes] = producer.inputs;
  if (codes?.producer === undefined) return 'weight';
  return `pair(${value.consumers.size + value.outputOf.size}) of ${source(codes.producer.inputs[0])}`;
}

function structure({ graph }: Model): Record<string, string[]> {
  const nodes = [...graph.nodes].filter(({ opType }) => !/^(Quantize|Dequantize)Linear$/.test(opType));
  const rows = nodes.map(({ name, inputs }) => [name, inputs.map(source)] as const);
  return { ...Object.fromEntries(rows), outputs: graph.outputs.map(source) };
}

describe('dedicatedPairs', () => {
  it.each(Object.entries(CASES))('%s: the pairs of onnxruntime’s quantizer', async (_name, fixture) => {
    const { model } = await quantized(fixture, { dedicatedPairs: true });
    expect(structure(model)).toEqual(fixture.structure);
  });

  it.each(Object.entries(CASES))(`%s: SQNR > ${LEAST_SQNR} dB at every level`, async (_name, fixture) => {
    const { model } = await quantized(fixture, { dedicatedPairs: true });
    expect(await worstSqnr(await floatModel(fixture), model, X)).toBeGreaterThan(LEAST_SQNR);
  });

  it('the report is the same, and the default one pair for all', async () => {
    const fixture = CASES.residual;
    const [shared, dedicated] = await Promise.all([
      quantized(fixture, {}),
      quantized(fixture, { dedicatedPairs: true }),
    ]);
    expect(dedicated.report).toEqual(shared.report);
    expect(structure(shared.model)).toMatchObject({ n_s: ['pair(2) of n_a', 'pair(1) of n_b'] });
    expect(structure(dedicated.model)).toMatchObject({ n_s: ['pair(1) of n_a', 'pair(1) of n_b'] });
  });

  it('is refused in QOperator form, which has no pairs', async () => {
    await expect(quantized(CASES.residual, { format: 'qoperator', dedicatedPairs: true })).rejects.toThrow(
      /expected format 'qdq' for dedicatedPairs, got 'qoperator'/,
    );
  });
});
