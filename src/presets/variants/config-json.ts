/**
 * What transformers.js must be told in config.json, under `transformers.js_config`: which files have external data and in how
 * many chunks (`use_external_data_format`), and which dtype to take. Everything else in the file stays as it is written.
 */
import { checkOptions, type Rule } from '../../errors/check-options.ts';
import { byType, recordOf, TEXT, wholeFrom } from '../../errors/option-rules.ts';
import { FormatError } from '../../errors.ts';
import { baseOf } from './dtypes.ts';
import { setJson } from './json-edit.ts';

const SECTION = 'transformers.js_config';
const EXTERNAL = 'use_external_data_format';

/** What {@link withVariantsInConfig} writes. */
export interface ConfigFacts {
  /** Every model file of the repository's `onnx` folder, and how many files of external data it has. */
  readonly chunks: Readonly<Record<string, number>>;
  /** The dtype that is taken if the page names none, by base file if they differ. */
  readonly dtype?: string | Readonly<Record<string, string>>;
}

const RULES = {
  chunks: recordOf(wholeFrom(0)),
  dtype: byType({ string: TEXT, object: recordOf(TEXT) }),
} satisfies Record<keyof ConfigFacts, Rule>;

interface KnownConfig {
  readonly modelType: string | undefined;
  readonly external: unknown;
}

/** A byte order mark, which JSON does not know. */
const MARK = '\ufeff';

/**
 * The text of config.json with what transformers.js needs; the same text if it says so already.
 *
 * @throws FormatError CONFIG_INVALID if the text, or its section for transformers.js, is no JSON object
 * @example withVariantsInConfig(text, { chunks: { 'model_q4.onnx': 1 } })
 */
export function withVariantsInConfig(text: string, facts: ConfigFacts): string {
  checkOptions('withVariantsInConfig', facts, RULES);
  const { chunks, dtype } = facts;
  const mark = text.startsWith(MARK) ? MARK : '';
  const body = text.slice(mark.length);
  const { external } = readConfig(body);
  let edited = body;
  const wrong = Object.entries(chunks).filter(([file, count]) => announced(external, file) !== count);
  if (wrong.length > 0) {
    if (isObject(external)) {
      for (const [file, count] of wrong) edited = setJson(edited, [SECTION, EXTERNAL, file], count);
    } else {
      const present = Object.entries(chunks).filter(([, count]) => count > 0);
      edited = setJson(edited, [SECTION, EXTERNAL], present.length > 0 && Object.fromEntries(present));
    }
  }
  if (dtype !== undefined) edited = setJson(edited, [SECTION, 'dtype'], dtype);
  return mark + edited;
}

/** `model_type` of config.json. @throws FormatError CONFIG_INVALID if the text, or its section for transformers.js, is no JSON object */
export function modelTypeOf(text: string): string | undefined {
  return readConfig(text.startsWith(MARK) ? text.slice(MARK.length) : text).modelType;
}

function readConfig(text: string): KnownConfig {
  const config = parse(text);
  const section = config[SECTION];
  const { model_type: modelType } = config;
  const isThere = section !== undefined && section !== null;
  if (isThere && !isObject(section)) throw invalid(`${SECTION} to be a JSON object`, JSON.stringify(section));
  return {
    modelType: typeof modelType === 'string' ? modelType : undefined,
    external: isThere ? section[EXTERNAL] : undefined,
  };
}

function parse(text: string): Readonly<Record<string, unknown>> {
  let config: unknown;
  try {
    config = JSON.parse(text);
  } catch (cause) {
    throw invalid(OBJECT, cause instanceof Error ? cause.message : String(cause), cause);
  }
  if (isObject(config)) return config;
  throw invalid(OBJECT, config === null ? 'null' : Array.isArray(config) ? 'an array' : `a ${typeof config}`);
}

const OBJECT = 'a JSON object';

function invalid(expected: string, got: string, cause?: unknown): FormatError {
  return new FormatError(`config.json: expected ${expected}, got ${got}`, {
    code: 'CONFIG_INVALID',
    hint: 'Repair the file: transformers.js reads it too.',
    details: { file: 'config.json' },
    cause,
  });
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Chunks that transformers.js would look for: it asks for the full name, then for the base file's. */
function announced(external: unknown, file: string): number {
  if (!isObject(external)) return Number(external ?? 0);
  const names = [file, baseOf(file)];
  const name = names.find((candidate) => Object.hasOwn(external, candidate));
  return name === undefined ? 0 : Number(external[name]);
}
