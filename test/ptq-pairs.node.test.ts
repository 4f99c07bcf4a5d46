/**
 * Which pairs stand where: against onnxruntime's Python quantizer (scripts/fixtures/ort_pairs.py) with DedicatedQDQPair, and with
 * "convert" between neighbours of different types.
 */
import { describe, expect, it } from 'vitest';
import {
  onnxQConfig,
  quantizeStatic,
  readModel,
  staticQConfigMapping,
  type ActivationDType,
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
  /** Types of nodes that have another one than uint8. */
  readonly types: Readonly<Record<string, ActivationDType>>;
  readonly structure: Readonly<Record<string, readonly Source[]>>;
}

const CASES = await loadJson<Record<string, Case>>('ort/pairs.json.gz');
const X = { x: random([3, 4, 8, 8], 3) };
/** Three layers on random data, in dB. */
const LEAST_SQNR = 28;

const floatModel = ({ model }: Case): Promise<Model> =>
  readModel(new Uint8Array(Buffer.from(model, 'base64')));

async function quantized(fixture: Case, options: ConvertOptions): Promise<Converted> {
  const qconfigMapping = staticQConfigMapping();
  for (const [name, activationDType] of Object.entries(fixture.types)) {
    qconfigMapping.setModuleName(name, onnxQConfig({ activationDType }));
  }
  return quantizeStatic(await floatModel(fixture), { batches: [X], qconfigMapping }, options);
}

/** A node or an input, or the pair behind it: readers, type, scale, zero point, and what it is of. */
type Source = string | readonly (number | string | Source)[];

/** As ort_pairs.py says it. */
function source(value: Value | undefined): Source {
  const { producer } = value ?? {};
  if (value === undefined || producer === undefined) return value?.name ?? '';
  if (!producer.is('DequantizeLinear')) return producer.name;
  const [codes, scale, zeroPoint] = producer.inputs;
  if (codes?.producer === undefined) return 'weight';
  const number = (constant: Value | undefined): number => Number(constant?.constant?.tensor?.data[0]);
  return [
    value.consumers.size + value.outputOf.size,
    zeroPoint?.elementType ?? '',
    number(scale),
    number(zeroPoint),
    source(codes.producer.inputs[0]),
  ];
}

function structure({ graph }: Model): Record<string, Source[]> {
  const nodes = [...graph.nodes].filter(({ opType }) => !/^(Quantize|Dequantize)Linear$/.test(opType));
  const rows = nodes.map(({ name, inputs }) => [name, inputs.map(source)] as const);
  return { ...Object.fromEntries(rows), outputs: graph.outputs.map(source) };
}

const names = (dedicated: boolean): string[] =>
  Object.keys(CASES).filter((name) => name.startsWith('dedicated: ') === dedicated);

describe('dedicatedPairs', () => {
  const DEDICATED = { dedicatedPairs: true } as const;

  it.each(names(true))('%s: the pairs of onnxruntime’s quantizer', async (name) => {
    const { model } = await quantized(CASES[name], DEDICATED);
    expect(structure(model)).toEqual(CASES[name].structure);
  });

  it.each(Object.keys(CASES))(`%s: SQNR > ${LEAST_SQNR} dB at every level`, async (name) => {
    const { model } = await quantized(CASES[name], DEDICATED);
    expect(await worstSqnr(await floatModel(CASES[name]), model, X)).toBeGreaterThan(LEAST_SQNR);
  });

  it('the report is the same, and the default one pair for all', async () => {
    for (const name of ['dedicated: residual', 'n_s in uint16']) {
      const [shared, dedicated] = await Promise.all([
        quantized(CASES[name], {}),
        quantized(CASES[name], DEDICATED),
      ]);
      expect(dedicated.report).toEqual(shared.report);
    }
    const { model } = await quantized(CASES['dedicated: residual'], {});
    expect(structure(model).n_s).toEqual([
      expect.arrayContaining([2, 'n_a']),
      expect.arrayContaining([1, 'n_b']),
    ]);
  });

  it('is refused in QOperator form, which has no pairs', async () => {
    await expect(quantized(CASES['dedicated: chain'], { format: 'qoperator', ...DEDICATED })).rejects.toThrow(
      /expected format 'qdq' for dedicatedPairs, got 'qoperator'/,
    );
  });
});

describe('neighbours of different types', () => {
  it.each(names(false))('%s: converted as onnxruntime’s quantizer does with "convert"', async (name) => {
    const { model } = await quantized(CASES[name], {});
    expect(structure(model)).toEqual(CASES[name].structure);
  });

  it.each(names(false))(`%s: SQNR > ${LEAST_SQNR} dB at every level`, async (name) => {
    const { model } = await quantized(CASES[name], {});
    expect(await worstSqnr(await floatModel(CASES[name]), model, X)).toBeGreaterThan(LEAST_SQNR);
  });
});
