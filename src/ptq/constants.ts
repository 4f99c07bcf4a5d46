/**
 * Constants of a model as float32, checked before they become integers; and biases, int32 at the scale of the products they
 * are added to, sx·sw, with no zero point.
 *
 *   bias_q = roundHalfEven(b / f32(factor · sx · sw))
 *
 * Where that leaves int32 (a large bias on tiny weights), the weight's scale is enlarged until it fits: a coarser
 * weight that is nearly zero costs nothing, a saturated bias does.
 */
import { GraphError } from '../errors.ts';
import { roundHalfEven } from '../kernels/round.ts';
import { constantOf } from '../passes/access.ts';
import { toFloat32 } from '../tensor/cast.ts';
import { firstNonFinite } from '../tensor/non-finite.ts';
import { Tensor } from '../tensor/tensor.ts';
import type { Value } from '../graph/value.ts';
import type { StoredConstant } from './emit.ts';

const f32 = Math.fround;
const INT32_MAX = 2147483647;

export interface BiasFit {
  readonly bias: Float32Array;
  /** factor · sx: what a weight scale is multiplied with to give the bias scale. */
  readonly inputScale: number;
}

/** A constant as float32. Throws GraphError if the value is computed. */
export async function loadFloat32(value: Value): Promise<Tensor<'float32'>> {
  return toFloat32(await constantOf(value).load());
}

/** A weight as float32. Throws GraphError GRAPH_INVALID, naming it and a reader, if it holds NaN or an infinity. */
export function loadWeight(value: Value): Promise<Tensor<'float32'>> {
  return loadFinite(value, 'finite weights');
}

/** The same for a bias that is to be int32. */
export function loadBias(value: Value): Promise<Tensor<'float32'>> {
  return loadFinite(value, 'a finite bias');
}

async function loadFinite(value: Value, expected: string): Promise<Tensor<'float32'>> {
  const constant = await loadFloat32(value);
  const bad = firstNonFinite(constant.data);
  if (bad === undefined) return constant;
  const got = Number.isNaN(bad) ? 'NaN' : 'an infinity';
  throw constantError(value, expected, got, 'The export is damaged or overflowed');
}

/** A constant operand as float32. Throws GraphError GRAPH_INVALID, naming it and a reader, if it holds NaN. */
export async function loadOperand(value: Value): Promise<Tensor<'float32'>> {
  const operand = await loadFloat32(value);
  // Runs first: a callback for each element takes ten times as long.
  if (firstNonFinite(operand.data) === undefined || !operand.data.some(Number.isNaN)) return operand;
  throw constantError(value, 'numbers in a constant operand', 'NaN', 'The export may be damaged');
}

/** The same for one that is to be quantized. Throws GraphError also if it holds nothing finite. */
export async function loadFiniteOperand(value: Value): Promise<Tensor<'float32'>> {
  const operand = await loadOperand(value);
  if (operand.data.some(Number.isFinite)) return operand;
  throw constantError(value, 'a finite value in a constant operand', 'none', 'It has no integer form');
}

function constantError({ name, uses }: Value, expected: string, got: string, why: string): GraphError {
  const [reader] = uses;
  const { label = '', name: node = '' } = reader?.node ?? {};
  return new GraphError(`${name}: expected ${expected}, got ${got} (${label} reads it)`, {
    code: 'GRAPH_INVALID',
    hint: `${why}: look at the float model first; setModuleName(${JSON.stringify(node)}, null) leaves its reader in float.`,
    details: { value: name, node: label },
  });
}

/** Why a node with this constant stays in float; undefined if its shape does not speak against it. */
export function emptyReason({ name, constant }: Value): string | undefined {
  return constant?.shape.includes(0) === true ? `its constant '${name}' is empty` : undefined;
}

/** Weight scales, all of zero point 0, at which the bias fits into int32; onnxruntime's quantizer repairs weights the same way. */
export function enlargeScales(scales: Float32Array, fit: BiasFit): Float32Array {
  return Float32Array.from(scales, (s, c) => {
    const largest = scales.length === 1 ? maxAbs(fit.bias) : Math.abs(fit.bias[c % fit.bias.length]);
    // A tenth of a permille above the limit, so that float32 rounding of the product cannot cross it.
    const least = (largest * 1.0001) / (INT32_MAX * Math.abs(fit.inputScale));
    return Math.max(s, f32(least));
  });
}

function maxAbs(values: Float32Array): number {
  let largest = 0;
  for (const value of values) largest = Math.max(largest, Math.abs(value));
  return largest;
}

/** A bias as int32. `weightScales` has one scale or one a channel; the bias' last axis counts channels. */
export function quantizeBias(bias: Tensor, inputScale: number, weightScales: Float32Array): StoredConstant {
  const data = toFloat32(bias).data;
  const scales = Float32Array.from(weightScales, (s) => f32(inputScale * s));
  const codes = new Int32Array(data.length);
  for (let i = 0; i < codes.length; i++) {
    const code = roundHalfEven(data[i] / scales[i % scales.length]);
    codes[i] = Math.min(INT32_MAX, Math.max(-INT32_MAX, code));
  }
  const perChannel = scales.length > 1;
  return {
    codes: new Tensor('int32', bias.shape, codes),
    scales: new Tensor('float32', perChannel ? [scales.length] : [], scales),
    zeroPoints: undefined,
    axis: perChannel ? bias.shape.length - 1 : undefined,
  };
}
