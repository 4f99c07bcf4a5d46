/** What a version of onnxruntime runs where: the shape of the generated tables, and how a node is looked up in one. */
import type { Node } from '../../graph/node.ts';
import { signatureOf, UNTOLD, type TypeOf } from './signature.ts';

/** In the order of the columns of a table. */
export const CHECK_TARGETS = [
  'ort-node-cpu',
  'ort-web-wasm',
  'transformersjs-wasm',
  'ort-web-webgpu',
] as const;

/**
 * A backend that was probed:
 * - `ort-node-cpu`: onnxruntime-node on the CPU
 * - `ort-web-wasm`: onnxruntime-web/wasm
 * - `transformersjs-wasm`: onnxruntime-web/webgpu asked for its CPU, as transformers.js does for device `wasm`
 * - `ort-web-webgpu`: onnxruntime-web/webgpu on WebGPU
 */
export type CheckTarget = (typeof CHECK_TARGETS)[number];

/**
 * - `runs`: there, with the numbers of the CPU
 * - `falls back`: on the CPU instead; values go there and back
 * - `needs shader-f16`: there is a kernel for GPUs with 16-bit arithmetic; the probe's adapter has none, so that the numbers
 *   were not seen
 * - `wrong numbers`: runs, and gives others than the CPU
 * - `missing`: the runtime refuses it
 * - `unknown`: not probed
 */
export type Support = 'runs' | 'falls back' | 'needs shader-f16' | 'wrong numbers' | 'missing' | 'unknown';

/** Letters in the tables. */
export const SUPPORT_LETTERS = {
  r: 'runs',
  c: 'falls back',
  h: 'needs shader-f16',
  w: 'wrong numbers',
  x: 'missing',
  '-': 'unknown',
} as const satisfies Record<string, Support>;

export type SupportLetter = keyof typeof SUPPORT_LETTERS;

/** Where a column of a table comes from. */
export interface ProbedBackend {
  /** `onnxruntime-web 1.30.0 (webgpu)`. */
  readonly runtime: string;
  /** Machine, browser and adapter: `Chromium 156.0.8078.108, google swiftshader`. */
  readonly place: string;
  /** Newest opset that it loads. */
  readonly newestOpset: number;
}

/** A probe of one release of onnxruntime. */
export interface BackendTable {
  /** Of onnxruntime: `1.30.0`. */
  readonly version: string;
  /** Day of the probe: `2026-11-28`. */
  readonly date: string;
  readonly oldestOpset: number;
  readonly backends: Readonly<Record<CheckTarget, ProbedBackend>>;
  /**
   * By operator: versions joined by dots, then signatures, each followed by its letters, one for each of
   * {@link CHECK_TARGETS}; by version, with commas between, where they differ: `6.13.14 float32 rrrr float64 ----,rrxx,rrxx`.
   */
  readonly ops: Readonly<Record<string, string>>;
}

/** A row of a table. */
interface Row {
  readonly versions: readonly number[];
  /** Letters by version, by signature. */
  readonly signatures: ReadonlyMap<string, readonly string[]>;
}

/** What was found of a node in a table. */
export interface Found {
  /** Version of its operator; undefined for operators that were not probed. */
  readonly version: number | undefined;
  readonly signature: string;
  readonly support: Readonly<Record<CheckTarget, Support>>;
}

/** Looks nodes up in a table, whose rows are parsed as they are needed. */
export class BackendLookup {
  readonly #table: BackendTable;
  readonly #rows = new Map<string, Row>();

  constructor(table: BackendTable) {
    this.#table = table;
  }

  /** `opset`: the version of the node's operator set in its model. */
  find(node: Node, opset: number, typeOf: TypeOf): Found {
    const signature = signatureOf(node, typeOf);
    const row = this.#row(node.qualifiedOp);
    const isProbed = node.domain !== '' || opset >= this.#table.oldestOpset;
    const at = row !== undefined && isProbed ? row.versions.findLastIndex((version) => version <= opset) : -1;
    const letters = row === undefined || at < 0 ? undefined : lettersOf(row, signature, at);
    const support = (target: CheckTarget, column: number): Support => {
      if (node.domain === '' && opset > this.#table.backends[target].newestOpset) return 'missing';
      return SUPPORT_LETTERS[(letters?.[column] ?? '-') as SupportLetter];
    };
    return {
      version: row?.versions[at],
      signature,
      // One entry a target.
      support: Object.fromEntries(
        CHECK_TARGETS.map((target, i) => [target, support(target, i)]),
      ) as Found['support'],
    };
  }

  #row(op: string): Row | undefined {
    if (!Object.hasOwn(this.#table.ops, op)) return undefined;
    const known = this.#rows.get(op);
    if (known !== undefined) return known;
    const row = parseRow(this.#table.ops[op]);
    this.#rows.set(op, row);
    return row;
  }
}

function parseRow(text: string): Row {
  const [versions, ...words] = text.split(' ');
  const list = versions.split('.').map(Number);
  const signatures = new Map<string, readonly string[]>();
  for (let i = 0; i < words.length; i += 2) {
    const letters = words[i + 1].split(',');
    signatures.set(words[i], letters.length === 1 ? list.map(() => letters[0]) : letters);
  }
  return { versions: list, signatures };
}

/** Where the file does not tell a word of a signature, what all of those that it may be have in common. */
function lettersOf({ signatures }: Row, signature: string, at: number): string | undefined {
  const exact = signatures.get(signature)?.[at];
  if (exact !== undefined || !signature.includes(UNTOLD)) return exact;
  const words = signature.split('/');
  const possible = [...signatures].filter(([probed]) => {
    const others = probed.split('/');
    return others.length === words.length && words.every((word, i) => word === UNTOLD || word === others[i]);
  });
  const found = possible.map(([, letters]) => letters[at]).filter((letters) => letters !== NONE);
  const [first, ...rest] = found;
  if (first === undefined) return undefined;
  return [...first].map((letter, i) => (rest.every((other) => other[i] === letter) ? letter : '-')).join('');
}

/** Not ONNX, or not probed: no type can be meant by it. */
export const NONE = '-'.repeat(CHECK_TARGETS.length);
