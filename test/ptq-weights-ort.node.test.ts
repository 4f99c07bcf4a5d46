/** The integers, scales and zero points of onnxruntime's own weight-only quantizers, replayed. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { tensor } from 'zeropoint';
import { buildModel, quantizeWeights, type Model, type QuantizeWeightsOptions } from 'zeropoint/onnx';
import { code, constant } from './support/weight-blocks.ts';

interface Case {
  readonly matrix: string;
  readonly form: 'matmul-nbits' | 'dequantize-linear' | 'bnb4';
  readonly bits: 2 | 4 | 8;
  readonly blockSize: number;
  readonly symmetric: boolean;
  readonly dtype: 'nf4' | 'fp4';
  readonly codes: string;
  readonly scales: string;
  readonly zeroPoints?: string;
  readonly absmax: string;
}

interface Fixture {
  readonly matrices: Readonly<Record<string, { readonly shape: [number, number]; readonly data: string }>>;
  readonly cases: readonly Case[];
}

const FILE = new URL('./fixtures/ort/weights/weights.json.gz', import.meta.url);
// The file is written by scripts/fixtures/ort_weights.py.
const { matrices, cases } = JSON.parse(gunzipSync(readFileSync(FILE)).toString()) as Fixture;
const ROWS = 2;
/** Codes with a fraction this near to a half may round either way. */
const TIE = 1e-6;

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'));
const floats = (text: string): Float32Array => new Float32Array(bytes(text).buffer);

function modelOf(matrix: string): Model {
  const { shape, data } = matrices[matrix];
  return buildModel((b) => {
    const x = b.input('x', 'float32', [ROWS, shape[0]]);
    b.output(b.op('MatMul', [x, b.constant('W', tensor(floats(data), shape))]), 'y', 'float32');
  });
}

async function parts(row: Case, options: QuantizeWeightsOptions): Promise<Record<string, Uint8Array>> {
  const { model } = await quantizeWeights(
    modelOf(row.matrix),
    { ...options, algorithm: 'rtn' },
    { names: 'onnxruntime' },
  );
  const found: Record<string, Uint8Array> = {};
  for (const value of model.graph.initializers) {
    const { data } = await constant(value);
    found[value.name] = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  }
  return found;
}

/** Blocks that are longer than the column may make the weight larger; such cases cannot come out of quantizeWeights. */
function isSmaller({ matrix, bits = 4, blockSize, form }: Case): boolean {
  const [k, n] = matrices[matrix].shape;
  if (form === 'bnb4') return Math.ceil((k * n) / 2) + 4 * Math.ceil((k * n) / blockSize) < 4 * k * n;
  const blocks = Math.ceil(k / blockSize);
  return n * (blocks * ((blockSize * bits) / 8 + 4) + Math.ceil((blocks * bits) / 8)) < 4 * k * n;
}

const named = (form: Case['form']): (readonly [string, Case])[] =>
  cases
    .filter((row) => row.form === form && isSmaller(row))
    .map((row) => {
      const kind =
        form === 'bnb4' ? row.dtype : `${row.bits} bits, ${row.symmetric ? 'symmetric' : 'zero points'}`;
      return [`${row.matrix}, block ${row.blockSize}, ${kind}`, row] as const;
    });

describe('MatMulNBits: bytes of MatMulNBitsQuantizer', () => {
  it.each(named('matmul-nbits'))('%s', async (_, row) => {
    const { bits, blockSize, symmetric } = row;
    const [k, n] = matrices[row.matrix].shape;
    const ours = await parts(row, { bits, blockSize, symmetric });
    const theirs = bytes(row.codes);
    const codes = ours[`W_Q${bits}`];
    expect(codes.length).toBe(theirs.length);
    if (k % blockSize === 0) expect(codes).toEqual(theirs);
    // Behind the last weight of a column onnxruntime leaves zeros, or for odd K part of a neighbour; we write the code of 0.
    const perColumn = theirs.length / n;
    for (let column = 0; column < n; column++) {
      const [a, b] = [codes, theirs].map((all) => all.subarray(column * perColumn));
      for (let i = 0; i < k; i++) {
        if (code(a, i, bits) !== code(b, i, bits)) expect.fail(`column ${column}, element ${i}`);
      }
    }
    // Adding 0: the scale of an all-zero block is -0 there and 0 here.
    expect(new Float32Array(ours.W_scales.buffer).map((s) => s + 0)).toEqual(
      floats(row.scales).map((s) => s + 0),
    );
    expect(ours.W_zero_points).toEqual(row.zeroPoints === undefined ? undefined : bytes(row.zeroPoints));
  });
});

/**
 * Deviation: in this format onnxruntime rounds before it adds the zero point, in MatMulNBits after; so ties (within
 * float32) can go the other way. We have one rule for both, so that both forms hold the same weights.
 */
describe('DequantizeLinear: bytes of MatMulNBitsQuantizer in QDQ format, but for ties', () => {
  it.each(named('dequantize-linear'))('%s', async (_, row) => {
    const { bits, blockSize, symmetric, matrix } = row;
    const ours = await parts(row, { format: 'dequantize-linear', bits, blockSize, symmetric });
    const [codes, theirs] = [ours[`W_DQ_Q${bits}`], bytes(row.codes)];
    const scales = new Float32Array(ours.W_DQ_scales.buffer);
    expect(codes.length).toBe(theirs.length);
    const { shape, data } = matrices[matrix];
    floats(data).forEach((w, i) => {
      const [a, b] = [code(codes, i, bits), code(theirs, i, bits)];
      const scale = scales[Math.floor(i / shape[1] / blockSize) * shape[1] + (i % shape[1])];
      const isTie = Math.abs(Math.abs((w / scale) % 1) - 0.5) < TIE;
      if (a !== b && !(isTie && (a + 15) % 16 === b)) expect.fail(`element ${i}: ${a}, not ${b}`);
    });
    expect(scales.map((s) => s + 0)).toEqual(floats(row.scales).map((s) => s + 0));
    expect(ours.W_DQ_zero_points).toEqual(row.zeroPoints === undefined ? undefined : bytes(row.zeroPoints));
  });
});

describe('MatMulBnb4: bytes of MatMulBnb4Quantizer', () => {
  it.each(named('bnb4'))('%s', async (_, row) => {
    const ours = await parts(row, { format: 'bnb4', bnb4Type: row.dtype, blockSize: row.blockSize });
    expect(ours.W_Bnb4).toEqual(bytes(row.codes));
    expect(new Float32Array(ours.W_absmax.buffer)).toEqual(floats(row.absmax));
  });
});

/** What scripts/fixtures/ort_weights_algorithms.py kept of the algorithms that onnxruntime has besides. */
interface Made {
  readonly operators: readonly string[];
  readonly constants: Readonly<Record<'W_Q4G32' | 'W_scale' | 'W_zp', string>>;
}
const OTHERS = JSON.parse(
  readFileSync(new URL('./fixtures/ort/weights/algorithms.json', import.meta.url), 'utf8'),
) as {
  readonly gptq: Made;
  readonly rtn: Made;
  readonly hqqZeroPoints: string;
  readonly gemm: readonly string[];
};

describe("onnxruntime's other algorithms, and ours", () => {
  it('its GPTQ writes the codes and zero points of its RTN, scales within a unit in the last place', () => {
    const { gptq, rtn } = OTHERS;
    expect(gptq.operators).toEqual(['MatMulNBits']);
    expect(gptq.constants.W_Q4G32).toBe(rtn.constants.W_Q4G32);
    expect(gptq.constants.W_zp).toBe(rtn.constants.W_zp);
    const [a, b] = [gptq, rtn].map(({ constants }) => floats(constants.W_scale));
    expect(a.every((scale, i) => Math.abs(scale / b[i] - 1) <= 2 ** -23)).toBe(true);
  });

  it('its HQQ has float zero points; ours are the bytes that fast kernels read', async () => {
    expect(OTHERS.hqqZeroPoints).toBe('float');
    const { model } = await quantizeWeights(modelOf('wide'), { algorithm: 'hqq' });
    expect([...model.graph.nodes][0].inputs[3]?.elementType).toBe('uint8');
  });

  it('it leaves Gemm in float; here it becomes MatMulNBits', async () => {
    expect(OTHERS.gemm).toEqual(['Gemm']);
    const { shape, data } = matrices.wide;
    const gemm = buildModel((b) => {
      const x = b.input('x', 'float32', [ROWS, shape[0]]);
      b.output(b.op('Gemm', [x, b.constant('W', tensor(floats(data), shape))]), 'y', 'float32');
    });
    const { model } = await quantizeWeights(gemm);
    expect([...model.graph.nodes].map(({ opType }) => opType)).toEqual(['MatMulNBits']);
  });
});
