/** What the ways of quantizing take, as rules for `checkOptions`. */
import type { Rule } from '../errors/check-options.ts';
import { BOOLEAN, FUNCTION, oneOf, SIGNAL, withMethods } from '../errors/option-rules.ts';
import type { ConvertOptions, CopyOptions } from './convert.ts';
import type { JobOptions } from './job.ts';
import { NAMERS } from './names.ts';

export const MAPPING: Rule = withMethods('a QConfigMapping', 'resolveAll', 'toDict');

export const JOB_RULES = { signal: SIGNAL, onProgress: FUNCTION } satisfies Record<keyof JobOptions, Rule>;

export const COPY_RULES = {
  ...JOB_RULES,
  names: oneOf(...Object.keys(NAMERS)),
  allowQuantized: BOOLEAN,
} satisfies Record<keyof CopyOptions, Rule>;

export const CONVERT_RULES = {
  ...COPY_RULES,
  format: oneOf('qdq', 'qoperator'),
  dedicatedPairs: BOOLEAN,
} satisfies Record<keyof ConvertOptions, Rule>;
