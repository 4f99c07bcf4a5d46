/** What runners take, as rules for `checkOptions`. */
import type { Rule } from '../errors/check-options.ts';
import { ANYTHING, listOf, oneOf, SIGNAL, TEXT, wholeFrom } from '../errors/option-rules.ts';
import { READ_RULES } from '../formats/onnx/read-model.ts';
import type { ExtremesOptions, GraphOptimization, RunnerOptions, RunOptions } from './types.ts';

const LEVELS = {
  disabled: true,
  basic: true,
  extended: true,
  all: true,
} satisfies Record<GraphOptimization, true>;

export const CREATE_RULES = {
  optimization: oneOf(...Object.keys(LEVELS)),
  threads: wholeFrom(1),
  temporaryFolder: TEXT,
  maxStructureBytes: READ_RULES.maxStructureBytes,
} satisfies Record<Exclude<keyof RunnerOptions, 'ort'>, Rule>;

export const RUNNER_RULES = { ...CREATE_RULES, ort: ANYTHING } satisfies Record<keyof RunnerOptions, Rule>;

export const RUN_RULES = {
  fetch: listOf(TEXT),
  signal: SIGNAL,
} satisfies Record<keyof RunOptions, Rule>;

export const EXTREMES_RULES = {
  ...RUN_RULES,
  extremesOf: listOf(TEXT),
} satisfies Record<keyof ExtremesOptions, Rule>;
