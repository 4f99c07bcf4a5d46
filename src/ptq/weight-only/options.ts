/** What {@link quantizeWeights} can be told, checked once. */
import { checkOptions, members, outOfRange, type Rule } from '../../errors/check-options.ts';
import {
  ANYTHING,
  BOOLEAN,
  byType,
  FUNCTION,
  ITERABLE,
  listOf,
  oneOf,
  PATTERN,
  TEXT,
} from '../../errors/option-rules.ts';
import type { Model } from '../../graph/model.ts';
import type { Node } from '../../graph/node.ts';
import type { QConfigMapping } from '../../qconfig/qconfig-mapping.ts';
import type { Batches } from '../calibrate.ts';
import type { ModelRunner } from '../../runners/types.ts';
import { MAPPING } from '../option-rules.ts';
import type { Bnb4Type } from './bnb4.ts';
import type { BlockSpec, WeightAlgorithm } from './block-weight.ts';

type WeightBits = BlockSpec['bits'];

/**
 * - `matmul-nbits`: onnxruntime's com.microsoft.MatMulNBits. Fast on native CPUs and WebGPU.
 * - `bnb4`: com.microsoft.MatMulBnb4, 4-bit floats (NF4 or FP4).
 * - `dequantize-linear`: ONNX's own DequantizeLinear by blocks (opset 21), which every conforming runtime knows.
 */
export type WeightFormat = 'matmul-nbits' | 'bnb4' | 'dequantize-linear';

/** How one weight is quantized. */
export interface WeightSettings {
  /** Bits of a code. Default 4; `bnb4` has 4 only, `dequantize-linear` 4 and 8. */
  readonly bits?: WeightBits;
  /** Elements along K that share a scale: a power of two from 16 to 256. Default 32; for `bnb4` 64. */
  readonly blockSize?: number;
  /**
   * False (default): each block has a zero point; it costs an eighth of a bit a weight (4 bits, block 32) and gives
   * 0.5 dB. True: zero is the middle code. `bnb4` has no zero points.
   */
  readonly symmetric?: boolean;
  /**
   * accuracy_level of MatMulNBits, the least precision of activations: 0 unset, 1 float32, 2 float16, 3 bfloat16, 4 int8.
   * Default 4: twice as fast as 0 for a token on a native CPU, and picks WebGPU's DP4A kernel, for 0.1 dB.
   */
  readonly accuracyLevel?: 0 | 1 | 2 | 3 | 4;
  /**
   * How scales, zero points and codes are chosen; docs/weight-only.md has what each gave on trained models.
   * - `rtn` (default): the grid spans the block, each weight goes to the nearest code. onnxruntime's own rule, the fastest.
   * - `mse`: the scale of least squared error among 16 (symmetric: 32). No data.
   * - `hqq`: half-quadratic, with integer zero points. No data.
   * - `gptq`: columns make up for the errors of others, as far as inputs go together. The best. Needs `batches`; embeddings,
   *   which are not multiplied, get `rtn`.
   *
   * `bnb4` has `rtn` only.
   */
  readonly algorithm?: WeightAlgorithm;
}

/** Other settings for some nodes. */
export interface WeightOverride extends WeightSettings {
  /** A node's name, or a pattern that is searched for in it. */
  readonly nodes: string | RegExp;
}

/** Forms of quantized embeddings. */
export type EmbeddingForm = 'blocks' | 'rows';

/** Options of {@link quantizeWeights}. */
export interface QuantizeWeightsOptions extends WeightSettings {
  /** Default `matmul-nbits`. */
  readonly format?: WeightFormat;
  /** Code book of `bnb4`. Default `nf4`. */
  readonly bnb4Type?: Bnb4Type;
  /** Bits of embedding tables (Gather of a constant), or false to leave them in float. Default 8. */
  readonly embeddings?: false | 4 | 8;
  /**
   * What becomes of an embedding.
   * - `blocks` (default): blocks as those of other weights, and one operator (GatherBlockQuantized; with `dequantize-linear`
   *   Gathers and DequantizeLinear).
   * - `rows`: 8 bits with a scale a row, in ONNX's own operators of opset 10: Gather of the codes → DequantizeLinear → Mul by
   *   the gathered scales. For onnxruntime-web: its builds with WebGPU have no GatherBlockQuantized on the CPU, so that
   *   `wasm` refuses it there (1.30 and 1.31).
   */
  readonly embeddingForm?: EmbeddingForm;
  /** `null` leaves a node in float; any QConfig quantizes it as the other options say. */
  readonly qconfigMapping?: QConfigMapping;
  /** Settings for nodes by name, the first that matches wins: for instance 8 bits for the output layer. */
  readonly overrides?: readonly WeightOverride[];
  /**
   * Calibration data for `gptq`: inputs by name; some hundred samples that look like real use. A function is called for each
   * pass over the data: a generator can be gone through only once, and large models take several passes.
   */
  readonly batches?: Batches | (() => Batches);
  /**
   * Makes what runs the float model for `gptq`, with outputs added. Default: onnxruntime-node, else onnxruntime-web,
   * whichever is installed.
   */
  readonly runner?: (model: Model) => Promise<ModelRunner>;
}

/** Settings of one weight. */
export type NodeSettings = Required<WeightSettings>;

type Absent = 'qconfigMapping' | 'batches' | 'runner';

export type ResolvedOptions = Required<Omit<QuantizeWeightsOptions, Absent>> &
  Pick<QuantizeWeightsOptions, Absent>;

interface FormatFacts {
  readonly bits: readonly WeightBits[];
  readonly embeddings: readonly (false | 4 | 8)[];
  readonly blockSize: number;
  readonly algorithms: readonly WeightAlgorithm[];
}

const ALGORITHMS = ['rtn', 'mse', 'hqq', 'gptq'] as const;

const FORMATS: Readonly<Record<WeightFormat, FormatFacts>> = {
  'matmul-nbits': { bits: [2, 4, 8], embeddings: [false, 4, 8], blockSize: 32, algorithms: ALGORITHMS },
  bnb4: { bits: [4], embeddings: [false, 4, 8], blockSize: 64, algorithms: ['rtn'] },
  // Gather takes no 4-bit elements (operator Gather-13).
  'dequantize-linear': { bits: [4, 8], embeddings: [false, 8], blockSize: 32, algorithms: ALGORITHMS },
};

const BLOCK_SIZES = [16, 32, 64, 128, 256];
const ACCURACY_LEVELS = [0, 1, 2, 3, 4];

/** What a value may be depends on the format, so it is looked at where that is known. */
const SETTINGS = {
  bits: ANYTHING,
  blockSize: ANYTHING,
  symmetric: BOOLEAN,
  accuracyLevel: ANYTHING,
  algorithm: ANYTHING,
} satisfies Record<keyof WeightSettings, Rule>;

const RULES = {
  ...SETTINGS,
  format: oneOf(...Object.keys(FORMATS)),
  bnb4Type: oneOf('nf4', 'fp4'),
  embeddings: ANYTHING,
  embeddingForm: oneOf('blocks', 'rows'),
  qconfigMapping: MAPPING,
  overrides: listOf(
    members({ ...SETTINGS, nodes: byType({ string: TEXT, object: PATTERN }) } satisfies Record<
      keyof WeightOverride,
      Rule
    >),
  ),
  batches: byType({ function: FUNCTION, object: ITERABLE, list: ANYTHING }),
  runner: FUNCTION,
} satisfies Record<keyof QuantizeWeightsOptions, Rule>;

/**
 * Options with their defaults. Throws RangeError for a value that the format does not have, TypeError for gptq without data.
 */
export function resolveOptions(options: QuantizeWeightsOptions): ResolvedOptions {
  checkOptions('quantizeWeights', options, RULES);
  const { format = 'matmul-nbits' } = options;
  const facts = FORMATS[format];
  const resolved = {
    bits: 4,
    blockSize: facts.blockSize,
    symmetric: false,
    accuracyLevel: 4,
    algorithm: 'rtn',
    bnb4Type: 'nf4',
    embeddings: 8,
    embeddingForm: 'blocks',
    overrides: [],
    ...withoutUndefined(options),
    format,
  } as const;
  check('embeddings', resolved.embeddings, facts.embeddings, ` with ${format}`);
  if (resolved.embeddingForm === 'rows')
    check('embeddings', resolved.embeddings, [false, 8], ` with embeddingForm 'rows'`);
  checkSettings('options', resolved, format);
  resolved.overrides.forEach((override, i) => {
    checkSettings(`overrides[${i}]`, { ...resolved, ...withoutUndefined(override) }, format);
  });
  return resolved;
}

type Settings = NodeSettings & Pick<QuantizeWeightsOptions, 'batches'>;

function checkSettings(where: string, settings: Settings, format: WeightFormat): void {
  check(`${where}.bits`, settings.bits, FORMATS[format].bits, ` with ${format}`);
  check(`${where}.blockSize`, settings.blockSize, BLOCK_SIZES);
  check(`${where}.accuracyLevel`, settings.accuracyLevel, ACCURACY_LEVELS);
  const { algorithm, batches } = settings;
  check(`${where}.algorithm`, algorithm, FORMATS[format].algorithms, ` with ${format}`);
  if (algorithm === 'gptq' && batches === undefined) {
    throw new TypeError(
      `quantizeWeights: expected batches of calibration data beside algorithm 'gptq', got none; 'mse' needs no data`,
    );
  }
}

function check(what: string, value: unknown, allowed: readonly unknown[], suffix = ''): void {
  if (allowed.includes(value)) return;
  throw outOfRange({ where: 'quantizeWeights', name: what }, `one of ${allowed.join(', ')}${suffix}`, value);
}

/** An option that is given as undefined is not given. */
function withoutUndefined<T extends object>(options: T): Partial<T> {
  // Keys are a subset of T's, values are T's.
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Partial<T>;
}

/** Finds each node's settings, and which overrides found no node. */
export class SettingsResolver {
  readonly #options: ResolvedOptions;
  readonly #used = new Set<WeightOverride>();

  constructor(options: ResolvedOptions) {
    this.#options = options;
  }

  /** Bits of an embedding are those of `embeddings` unless an override gives others. */
  settings(node: Node, kind: 'product' | 'embedding'): NodeSettings {
    const options = this.#options;
    const bits = kind === 'embedding' && options.embeddings !== false ? options.embeddings : options.bits;
    const override = options.overrides.find(({ nodes }) => matches(nodes, node.name));
    if (override !== undefined) this.#used.add(override);
    const settings = { ...options, bits, ...withoutUndefined(override ?? {}) };
    if (kind === 'embedding') {
      const allowed = options.embeddingForm === 'rows' ? [8] : FORMATS[options.format].embeddings;
      check(`bits of ${node.label}`, settings.bits, allowed, ' for an embedding');
    }
    const isRead = kind === 'embedding' && settings.algorithm === 'gptq';
    return isRead ? { ...settings, algorithm: 'rtn' } : settings;
  }

  /** Throws RangeError if an override found no node: a typo must not pass in silence. */
  checkUsed(): void {
    const unused = this.#options.overrides.find((override) => !this.#used.has(override));
    if (unused === undefined) return;
    throw new RangeError(
      `quantizeWeights: expected overrides to name nodes with a weight, got ${String(unused.nodes)}`,
    );
  }
}

function matches(nodes: string | RegExp, name: string): boolean {
  // A global pattern would begin where the last search ended.
  return typeof nodes === 'string' ? nodes === name : name.search(nodes) >= 0;
}
