/** What is done to a model: what somebody said, else what the library finds sensible for the model, the data and the target. */
import { chooseMode, findTarget, TARGETS, type Mode, type Model, type ModeChoice } from 'zeropoint/onnx';
import { UsageError } from './errors.ts';

/** A mode, why, and what speaks against it. */
export interface ModeDecision extends ModeChoice {
  /** For people, one line: why the result will be slow at the target. */
  readonly warning?: string;
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
  /** Name or alias of a target. */
  readonly target?: string;
}

/** Throws UsageError if words contradict each other, or static quantization is wanted and there is no data. */
export function decideMode(model: Model, file: string, words: ModeWords): ModeDecision {
  checkBlockWords(words);
  checkAlgorithmData(file, words);
  const target = words.target === undefined ? undefined : findTarget(words.target);
  const hasData = words.calibrate !== undefined;
  const choice = saidMode(file, words) ?? chooseMode(model, { hasData, target });
  const slow = choice.weights === 'channels' ? undefined : target && TARGETS[target].slow[choice.mode];
  return { ...choice, ...(slow !== undefined && { warning: slow }) };
}

function saidMode(file: string, words: ModeWords): ModeChoice | undefined {
  const said = (mode: Mode, word: string): ModeChoice => ({ mode, reason: `as ${word} says` });
  if (words.dynamic) return said('dynamic', '--dynamic');
  if (words.weights !== undefined) {
    const { mode, reason } = said('weight-only', '--weights');
    return { mode, reason: words.float16 ? `${reason}, the rest in float16` : reason };
  }
  if (words.float16) return said('float16', '--float16');
  if (!words.static) return undefined;
  if (words.calibrate === undefined) {
    throw needsData(file, '--static', 'static quantization measures the ranges of activations on data');
  }
  return said('static', '--static');
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
