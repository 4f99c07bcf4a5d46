/**
 * From saved configurations back to live ones. Apart from the classes, because reading needs every observer there is,
 * and a page that only makes a mapping should not carry them.
 */
import { factoryFromJSON } from '../observers/from-json.ts';
import { recordField, stateError } from '../observers/state.ts';
import { QCONFIG_MAPPING_VERSION, QConfigMapping, type QConfigDict } from './qconfig-mapping.ts';
import { QConfig } from './qconfig.ts';

/** The QConfig that `toJSON` saved. Throws FormatError STATE_INVALID for anything else. */
export function qconfigFromJSON(json: unknown): QConfig {
  const fields = recordField({ qconfig: json }, 'qconfig');
  const activation = factoryFromJSON(fields.activation);
  return new QConfig({ activation, weight: factoryFromJSON(fields.weight) });
}

/** Types of the keys of a level's entries; a QConfig or null follows them. */
const LEVEL_KEYS: Readonly<Record<Exclude<keyof QConfigDict, ''>, readonly ('string' | 'number')[]>> = {
  object_type: ['string'],
  module_name_regex: ['string'],
  module_name: ['string'],
  module_name_object_type_order: ['string', 'string', 'number'],
};

/**
 * The mapping that `toJSON` saved. Throws FormatError STATE_INVALID for anything else.
 *
 * @example qconfigMappingFromJSON(JSON.parse(JSON.stringify(mapping)))
 */
export function qconfigMappingFromJSON(json: unknown): QConfigMapping {
  const fields = recordField({ mapping: json }, 'mapping');
  if (fields.version !== QCONFIG_MAPPING_VERSION) {
    throw stateError('version', String(QCONFIG_MAPPING_VERSION), fields.version);
  }
  const levels = Object.entries(LEVEL_KEYS).map(([level, keys]) => [
    level,
    entriesOf(fields, level, keys).map((entry) => [...entry.slice(0, -1), savedQConfig(entry.at(-1))]),
  ]);
  // entriesOf checked the keys.
  const dict = { '': savedQConfig(fields[''] ?? null), ...Object.fromEntries(levels) } as QConfigDict;
  try {
    return QConfigMapping.fromDict(dict);
  } catch (cause) {
    throw stateError('the levels', 'patterns and indices', cause instanceof Error ? cause.message : cause);
  }
}

function savedQConfig(value: unknown): QConfig | null {
  return value === null ? null : qconfigFromJSON(value);
}

/** A saved level: tuples of keys of the given types and a value. */
function entriesOf(
  fields: Readonly<Record<string, unknown>>,
  level: string,
  keys: readonly ('string' | 'number')[],
): readonly (readonly unknown[])[] {
  const list = fields[level] ?? [];
  const isEntry = (entry: unknown): boolean =>
    Array.isArray(entry) &&
    entry.length === keys.length + 1 &&
    keys.every((type, i) => typeof entry[i] === type);
  if (Array.isArray(list) && list.every(isEntry)) return list;
  throw stateError(level, `tuples of ${keys.join(', ')} and a QConfig`, list);
}
