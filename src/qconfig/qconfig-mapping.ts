/** Which QConfig a node of a model gets: five levels, the more specific one wins. */
import { callText, sourceText } from '../observers/source-text.ts';
import { QConfig } from './qconfig.ts';

const INSPECT = Symbol.for('nodejs.util.inspect.custom');

/** Version of the saved form. Raised when a reader of the old one would misread the new one. */
export const QCONFIG_MAPPING_VERSION = 1;

/** A node to be looked up. */
export interface QConfigQuery {
  /** ONNX op type: `Conv`, or `com.microsoft::Gelu` outside the default domain. */
  readonly opType: string;
  /** Node name; scopes are separated by `/` or `.`. */
  readonly name: string;
  /** How many nodes of this op type came before this one in its scope. Default 0. */
  readonly index?: number;
}

type Entry<K extends readonly unknown[]> = readonly [...K, QConfig | null];

/** The levels as plain lists, keys as torch's `to_dict` has them. null means: do not quantize. */
export interface QConfigDict {
  readonly ''?: QConfig | null;
  readonly object_type?: readonly Entry<[string]>[];
  readonly module_name_regex?: readonly Entry<[string]>[];
  readonly module_name?: readonly Entry<[string]>[];
  readonly module_name_object_type_order?: readonly Entry<[string, string, number]>[];
}

interface OrderEntry {
  readonly name: string;
  readonly opType: string;
  readonly index: number;
  readonly qconfig: QConfig | null;
}

/**
 * Maps nodes to configurations. Levels in rising priority, as in torch `QConfigMapping`:
 *   1. `setGlobal`
 *   2. `setObjectType`: by op type
 *   3. `setModuleNameRegex`: by a pattern that the name begins with; the first registered match wins
 *   4. `setModuleName`: by name, or by a scope that the node lies in; the innermost wins
 *   5. `setModuleNameObjectTypeOrder`: by scope or name, op type, and the index among nodes of that type
 * Setting a key again replaces its value and keeps its place. `null` means: do not quantize.
 *
 * @example
 * new QConfigMapping()
 *   .setGlobal(getDefaultQConfig('x86'))
 *   .setObjectType('MatMul', defaultPerChannelQConfig)
 *   .setModuleName('/head', null)
 */
export class QConfigMapping {
  #global: QConfig | null = null;
  readonly #objectTypes = new Map<string, QConfig | null>();
  readonly #regexes = new Map<string, QConfig | null>();
  readonly #names = new Map<string, QConfig | null>();
  readonly #orders = new Map<string, OrderEntry>();

  /** For every node that no other level speaks of. */
  setGlobal(qconfig: QConfig | null): this {
    this.#global = checked(qconfig);
    return this;
  }

  /** For nodes of an op type, such as `Conv`. */
  setObjectType(opType: string, qconfig: QConfig | null): this {
    this.#objectTypes.set(opType, checked(qconfig));
    return this;
  }

  /**
   * For nodes whose name begins with a match of the pattern (Python's `re.match`), JavaScript syntax, without flags.
   * Throws TypeError for a pattern that is none, with the SyntaxError as `cause`.
   */
  setModuleNameRegex(pattern: string, qconfig: QConfig | null): this {
    checkPattern(pattern);
    this.#regexes.set(pattern, checked(qconfig));
    return this;
  }

  /** For the node of a name, or all nodes inside a scope of that name. */
  setModuleName(name: string, qconfig: QConfig | null): this {
    this.#names.set(name, checked(qconfig));
    return this;
  }

  /** For the `index`-th node (from 0) of an op type inside the scope `name`; `''` is the whole model. */
  setModuleNameObjectTypeOrder(name: string, opType: string, index: number, qconfig: QConfig | null): this {
    if (!Number.isSafeInteger(index) || index < 0) {
      throw new RangeError(`setModuleNameObjectTypeOrder: expected an index ≥ 0, got ${index}`);
    }
    this.#orders.set(JSON.stringify([name, opType, index]), {
      name,
      opType,
      index,
      qconfig: checked(qconfig),
    });
    return this;
  }

  /** The configuration of a node, or undefined if it is not to be quantized. */
  resolve({ opType, name, index = 0 }: QConfigQuery): QConfig | undefined {
    return this.#resolve(opType, name, () => index);
  }

  /** The configurations of all nodes of a model, in its order: counted by op type in every scope they lie in. */
  resolveAll(nodes: Iterable<Omit<QConfigQuery, 'index'>>): (QConfig | undefined)[] {
    const counts = new Map<string, number>();
    return Array.from(nodes, ({ opType, name }) => {
      const indices = new Map<string, number>();
      for (const scope of scopesOf(name)) {
        const key = JSON.stringify([scope, opType]);
        const index = counts.get(key) ?? 0;
        counts.set(key, index + 1);
        indices.set(scope, index);
      }
      return this.#resolve(opType, name, (scope) => indices.get(scope));
    });
  }

  #resolve(
    opType: string,
    name: string,
    indexIn: (scope: string) => number | undefined,
  ): QConfig | undefined {
    const scopes = scopesOf(name);
    const order = [...this.#orders.values()]
      .filter((entry) => entry.opType === opType && scopes.includes(entry.name))
      .filter((entry) => entry.index === indexIn(entry.name))
      .sort((a, b) => b.name.length - a.name.length)[0];
    if (order !== undefined) return order.qconfig ?? undefined;
    const scope = scopes.find((candidate) => this.#names.has(candidate));
    if (scope !== undefined) return this.#names.get(scope) ?? undefined;
    const regex = [...this.#regexes.keys()].find((pattern) => anchored(pattern).test(name));
    if (regex !== undefined) return this.#regexes.get(regex) ?? undefined;
    return (this.#objectTypes.has(opType) ? this.#objectTypes.get(opType) : this.#global) ?? undefined;
  }

  /** The levels as lists, with torch's keys. */
  toDict(): Required<QConfigDict> {
    return {
      '': this.#global,
      object_type: [...this.#objectTypes],
      module_name_regex: [...this.#regexes],
      module_name: [...this.#names],
      module_name_object_type_order: [...this.#orders.values()].map(
        ({ name, opType, index, qconfig }) => [name, opType, index, qconfig] as const,
      ),
    };
  }

  /** A mapping from lists as {@link toDict} gives; levels may be left out. */
  static fromDict(dict: QConfigDict): QConfigMapping {
    const mapping = new QConfigMapping().setGlobal(dict[''] ?? null);
    for (const [opType, qconfig] of dict.object_type ?? []) mapping.setObjectType(opType, qconfig);
    for (const [pattern, qconfig] of dict.module_name_regex ?? [])
      mapping.setModuleNameRegex(pattern, qconfig);
    for (const [name, qconfig] of dict.module_name ?? []) mapping.setModuleName(name, qconfig);
    for (const [name, opType, index, qconfig] of dict.module_name_object_type_order ?? []) {
      mapping.setModuleNameObjectTypeOrder(name, opType, index, qconfig);
    }
    return mapping;
  }

  /** Everything as plain data; `qconfigMappingFromJSON` reads it. */
  toJSON(): { version: number } & Record<keyof QConfigDict, unknown> {
    return { version: QCONFIG_MAPPING_VERSION, ...this.toDict() };
  }

  /** TypeScript that makes an equal mapping: chained setters, one a line. */
  toString(): string {
    const { '': global, ...levels } = this.toDict();
    const calls = global === null ? [] : [setterText('setGlobal', [global])];
    for (const entry of levels.object_type) calls.push(setterText('setObjectType', entry));
    for (const entry of levels.module_name_regex) calls.push(setterText('setModuleNameRegex', entry));
    for (const entry of levels.module_name) calls.push(setterText('setModuleName', entry));
    for (const entry of levels.module_name_object_type_order) {
      calls.push(setterText('setModuleNameObjectTypeOrder', entry));
    }
    return [callText('new QConfigMapping', {}), ...calls].join('\n  ');
  }

  [INSPECT](): string {
    return this.toString();
  }
}

function setterText(setter: string, args: readonly unknown[]): string {
  return `.${setter}(${args.map((arg) => sourceText(arg, '  ')).join(', ')})`;
}

/** The name and all scopes around it, innermost first, the whole model (`''`) last: `/a/b` → `/a/b`, `/a`, ``. */
export function scopesOf(name: string): readonly string[] {
  const scopes = [name];
  for (let i = name.length - 1; i > 0; i--)
    if (name[i] === '/' || name[i] === '.') scopes.push(name.slice(0, i));
  return name === '' ? scopes : [...scopes, ''];
}

/** The pattern as Python's `re.match` takes it. */
export function anchored(pattern: string): RegExp {
  return new RegExp(`^(?:${pattern})`);
}

function checkPattern(pattern: string): void {
  try {
    anchored(pattern);
  } catch (cause) {
    throw new TypeError(`setModuleNameRegex: expected a regular expression, got ${JSON.stringify(pattern)}`, {
      cause,
    });
  }
}

function checked(qconfig: QConfig | null): QConfig | null {
  if (qconfig === null || qconfig instanceof QConfig) return qconfig;
  throw new TypeError(`QConfigMapping: expected a QConfig or null, got ${String(qconfig)}`);
}
