/** What is done to a model: what somebody said, else what the library finds sensible for the model, the data and the target. */
import {
  chooseMode,
  findTarget,
  TARGETS,
  type HalfDType,
  type Mode,
  type Model,
  type ModeChoice,
  type WeightAlgorithm,
} from 'zeropoint/onnx';
import { staticKeyOf } from './config/with-config.ts';
import { UsageError } from './errors.ts';
import type { ConfigurationOptions } from './verbs/options.ts';

/** A mode, why, and what speaks against it. */
export interface ModeDecision extends ModeChoice {
  /** What stays float becomes this: all of it, or with weight-only all but the weights. */
  readonly half?: HalfDType;
  /** For people, one line: why the result will be slow at the target. */
  readonly warning?: string;
}

export interface ModeWords extends Pick<ConfigurationOptions, 'config' | 'settings' | 'target'> {
  readonly static?: boolean;
  readonly dynamic?: boolean;
  /** Bits of weight-only mode. */
  readonly weights?: number;
  /** All that stays float becomes float16: alone, or beside weights. */
  readonly float16?: boolean;
  readonly bfloat16?: boolean;
  readonly calibrate?: string;
  readonly algorithm?: WeightAlgorithm;
}

/** Words come before the configuration file, and that before the library. @throws UsageError for static mode without data */
export function decideMode(model: Model, file: string, words: ModeWords): ModeDecision {
  const target = words.target === undefined ? undefined : findTarget(words.target);
  const hasData = words.calibrate !== undefined;
  const choice = saidByWords(words) ?? saidByFile(words) ?? chooseMode(model, { hasData, target });
  checkData(file, choice, words);
  const slow = choice.weights === 'channels' ? undefined : target && TARGETS[target].slow[choice.mode];
  return { ...withHalf(choice, words), ...(slow !== undefined && { warning: slow }) };
}

function saidByWords(words: ModeWords): ModeChoice | undefined {
  const said = (mode: Mode, word: string): ModeChoice => ({ mode, reason: `as --${word} says` });
  if (words.dynamic) return said('dynamic', 'dynamic');
  if (words.weights !== undefined) return said('weight-only', 'weights');
  if (words.bfloat16) return said('float16', 'bfloat16');
  if (words.float16) return said('float16', 'float16');
  return words.static ? said('static', 'static') : undefined;
}

/** A section about a mode asks for that mode. */
function saidByFile({ settings = {}, config }: ModeWords): ModeChoice | undefined {
  const { weights, float16 } = settings;
  const isStatic = staticKeyOf(settings) !== undefined;
  const implied = weights ? 'weight-only' : float16 ? 'float16' : isStatic ? 'static' : undefined;
  const { mode = implied } = settings;
  if (mode === undefined) return undefined;
  const channels = mode === 'weight-only' && weights?.format === 'by-channel';
  return { mode, reason: `as ${config} says`, ...(channels && { weights: 'channels' }) };
}

function withHalf(choice: ModeChoice, words: ModeWords): ModeDecision {
  if (choice.mode === 'float16') return { ...choice, half: halfOf(words) ?? 'float16' };
  const half = choice.mode === 'weight-only' ? halfOf(words) : undefined;
  return half === undefined ? choice : { ...choice, half, reason: `${choice.reason}, the rest in ${half}` };
}

function halfOf({ float16, bfloat16, settings }: ModeWords): HalfDType | undefined {
  if (bfloat16) return 'bfloat16';
  if (float16) return 'float16';
  const section = settings?.float16;
  return typeof section === 'object' ? (section.dtype ?? 'float16') : section ? 'float16' : undefined;
}

/** Words about blocks, and what they are on the command line. */
const BLOCK_WORDS = {
  blockSize: '--block-size',
  symmetric: '--symmetric',
  accuracyLevel: '--accuracy-level',
  embeddings: '--embeddings',
  algorithm: '--algorithm',
} as const;

/** Words about blocks say nothing of the other modes. @throws UsageError for those */
export function checkBlockWords(
  { mode, weights }: ModeDecision,
  words: Readonly<Partial<Record<keyof typeof BLOCK_WORDS, unknown>>>,
): void {
  if (mode === 'weight-only' && weights !== 'channels') return;
  for (const [name, word] of Object.entries(BLOCK_WORDS)) {
    // Keys are those of the table.
    if (words[name as keyof typeof BLOCK_WORDS] === undefined) continue;
    throw new UsageError(
      `quantize: expected --weights beside ${word}, got none`,
      `Add --weights 4, or leave ${word} out.`,
    );
  }
}

/** How codes of blocks are chosen; undefined where nobody said, or where there are no blocks. */
export function algorithmOf(
  { mode }: ModeDecision,
  { algorithm, settings }: Pick<ModeWords, 'algorithm' | 'settings'>,
): WeightAlgorithm | undefined {
  return mode === 'weight-only' ? (algorithm ?? settings?.weights?.algorithm) : undefined;
}

/** Whether the codes of some weight are chosen by data. */
export function choosesByData(
  choice: ModeDecision,
  words: Pick<ModeWords, 'algorithm' | 'settings'>,
): boolean {
  if (choice.mode !== 'weight-only') return false;
  const { overrides = [] } = words.settings?.weights ?? {};
  return [algorithmOf(choice, words), ...overrides.map(({ algorithm }) => algorithm)].includes('gptq');
}

/** What looks at data, why, and what does not. */
const NEEDS = {
  static: {
    why: 'it measures the ranges of activations',
    otherwise: '--dynamic to quantize the matrix products only',
  },
  gptq: {
    why: 'it looks at what the weights are multiplied with',
    otherwise: '--algorithm mse, which needs none',
  },
} as const;

function checkData(file: string, choice: ModeChoice, words: ModeWords): void {
  if (words.calibrate !== undefined) return;
  if (choice.mode === 'static') throw needsData(file, `static mode, ${choice.reason}`, NEEDS.static);
  if (choosesByData(choice, words)) throw needsData(file, '--algorithm gptq', NEEDS.gptq);
}

function needsData(
  file: string,
  got: string,
  { why, otherwise }: (typeof NEEDS)[keyof typeof NEEDS],
): UsageError {
  return new UsageError(
    `quantize: expected calibration data (--calibrate) for ${got}, got none: ${why}`,
    `Run: zeropoint quantize ${file} --calibrate data.npz (a hundred samples, an array for each input; first axis: samples), or ${otherwise}.`,
  );
}
