/**
 * Static or dynamic, when nobody said which. Weights alone, and float16, only where somebody asks for it.
 *
 * - Recurrent nets and transformers: dynamic. Their activations have outliers (attention masks, residual streams) that
 *   one fixed range a tensor serves badly, and their matrix products are large enough to pay for finding ranges.
 * - Conv nets: static. Convolutions have no fast form with ranges found at run time.
 * - What only multiplies matrices: static with data, dynamic without.
 */
import type { Model, Node } from 'zeropoint/onnx';
import { UsageError } from './errors.ts';
import { counted } from './table.ts';

export type Mode = 'static' | 'dynamic' | 'weight-only' | 'float16';

export interface ModeChoice {
  readonly mode: Mode;
  /** For people: why this one. */
  readonly reason: string;
}

export interface ModeWords {
  readonly blockSize?: number;
  readonly symmetric?: boolean;
  readonly algorithm?: string;
  readonly static?: boolean;
  readonly dynamic?: boolean;
  /** Bits of weight-only mode. */
  readonly weights?: number;
  /** All that stays float becomes float16: alone, or beside weights. */
  readonly float16?: boolean;
  readonly calibrate?: string;
}

const RECURRENT = new Set(['LSTM', 'GRU', 'RNN']);
const ATTENTION = new Set([
  'Attention',
  'MultiHeadAttention',
  'GroupQueryAttention',
  'LayerNormalization',
  'SimplifiedLayerNormalization',
  'SkipLayerNormalization',
  'RMSNormalization',
]);
const CONVOLUTION = new Set(['Conv', 'ConvTranspose']);

/** Throws UsageError if words contradict each other, or static quantization is wanted, or the only sensible choice, and there is no data. */
export function chooseMode(model: Model, file: string, words: ModeWords): ModeChoice {
  const hasData = words.calibrate !== undefined;
  checkBlockWords(words);
  checkAlgorithmData(file, words);
  if (words.dynamic) return { mode: 'dynamic', reason: 'as --dynamic says' };
  if (words.weights !== undefined) {
    const half = words.float16 ? ', the rest in float16' : '';
    return { mode: 'weight-only', reason: `as --weights says${half}` };
  }
  if (words.float16) return { mode: 'float16', reason: 'as --float16 says' };
  if (words.static) {
    if (!hasData)
      throw needsData(file, '--static', 'static quantization measures the ranges of activations on data');
    return { mode: 'static', reason: 'as --static says' };
  }
  const { recurrent, attention, convolution } = census(model);
  if (recurrent > 0) return { mode: 'dynamic', reason: `${counted(recurrent, 'recurrent node')}` };
  if (attention > 0)
    return {
      mode: 'dynamic',
      reason: `a transformer: ${counted(attention, 'attention or normalization node')}`,
    };
  if (convolution > 0) {
    const found = `a conv net: ${counted(convolution, 'convolution')}`;
    if (hasData) return { mode: 'static', reason: `${found}, and there is data` };
    throw needsData(
      file,
      found,
      'convolutions are only faster in integers when ranges are measured on data first',
    );
  }
  return hasData
    ? { mode: 'static', reason: 'there is data' }
    : { mode: 'dynamic', reason: 'no convolutions, and no data to calibrate with' };
}

/** Words about blocks say nothing of the other modes. */
const BLOCK_WORDS = {
  blockSize: '--block-size',
  symmetric: '--symmetric',
  algorithm: '--algorithm',
} as const;

function checkBlockWords(words: ModeWords): void {
  const given = Object.keys(BLOCK_WORDS) as (keyof typeof BLOCK_WORDS)[];
  const found = given.find((name) => words[name] !== undefined);
  if (words.weights !== undefined || found === undefined) return;
  const word = BLOCK_WORDS[found];
  throw new UsageError(
    `quantize: expected --weights beside ${word}, got none`,
    `Add --weights 4, or leave ${word} out.`,
  );
}

function checkAlgorithmData(file: string, { algorithm, calibrate }: ModeWords): void {
  if (algorithm !== 'gptq' || calibrate !== undefined) return;
  const why = 'it looks at what the weights are multiplied with';
  throw needsData(file, '--algorithm gptq', why, '--algorithm mse, which needs none');
}

function needsData(
  file: string,
  got: string,
  why: string,
  otherwise = '--dynamic to quantize the matrix products only',
): UsageError {
  return new UsageError(
    `quantize: expected calibration data (--calibrate) for ${got}, got none: ${why}`,
    `Run: zeropoint quantize ${file} --calibrate data.npz (a hundred samples, an array for each input; first axis: samples), or ${otherwise}.`,
  );
}

interface Census {
  readonly recurrent: number;
  readonly attention: number;
  readonly convolution: number;
}

function census(model: Model): Census {
  const nodes = [...model.graph.allNodes()];
  const count = (test: (node: Node) => boolean): number => nodes.filter(test).length;
  return {
    recurrent: count((node) => RECURRENT.has(node.opType)),
    attention: count((node) => ATTENTION.has(node.opType) || isScoreProduct(node)),
    convolution: count((node) => CONVOLUTION.has(node.opType)),
  };
}

/** softmax(q · k) · v, the product of attention where an export spells it out. */
function isScoreProduct(node: Node): boolean {
  if (!node.is('MatMul')) return false;
  return node.inputs[0]?.producer?.is('Softmax') === true && node.inputs[1]?.constant === undefined;
}
