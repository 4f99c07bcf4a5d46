/**
 * Which nodes stay in float32: by operator, by name, by the values that they give or read. Each has a reason, which the
 * report repeats.
 */
import type { Node } from '../../graph/node.ts';
import type { Model } from '../../graph/model.ts';
import type { Value } from '../../graph/value.ts';
import type { Overflow } from './find-overflows.ts';

/** Operator (`MatMul`, `com.microsoft.Attention`) → why it stays in float32. */
export type KeptOps = Readonly<Record<string, string>>;

const COORDINATES = 'it computes with coordinates and counts: float16 holds whole numbers only up to 2048';
const SQUARES = 'sums of squares leave the range of float16 from values of 256 on';
const LISTED = 'the preset lists it';

function rows(ops: string, reason: string): KeptOps {
  return Object.fromEntries(ops.split(' ').map((op) => [op, reason]));
}

const TRADITIONAL =
  'ArrayFeatureExtractor Binarizer CastMap CategoryMapper DictVectorizer FeatureVectorizer Imputer LabelEncoder ' +
  'LinearClassifier LinearRegressor Normalizer OneHotEncoder SVMClassifier SVMRegressor Scaler TreeEnsembleClassifier ' +
  'TreeEnsembleRegressor ZipMap';
const TRADITIONAL_OPS = TRADITIONAL.replaceAll(/\S+/g, 'ai.onnx.ml.$&');

/** Lists by name. Operators whose schema has no float16 stay in float32 without being listed. */
export const KEEP_PRESETS = {
  default: {
    ...rows('CumSum MelWeightMatrix NonMaxSuppression Range RoiAlign', COORDINATES),
    ...rows('LpNormalization ReduceL2', SQUARES),
  },
  none: {},
  /** The list of onnxruntime's Python converter. */
  onnxruntime: {
    ...rows(`${TRADITIONAL_OPS} ai.onnx.ml.TreeEnsemble RandomUniformLike NonMaxSuppression TopK`, LISTED),
    ...rows('RoiAlign Range CumSum Min Max Upsample', LISTED),
  },
  /** The 29 operators of transformers.js 3's converter. */
  'transformersjs-3': {
    ...rows(`${TRADITIONAL_OPS} RandomUniformLike NonMaxSuppression TopK RoiAlign Resize`, LISTED),
    ...rows('CumSum Min Max Upsample RandomNormalLike Cast', LISTED),
  },
} as const satisfies Record<string, KeptOps>;

/** Name of a list. */
export type KeepPreset = keyof typeof KEEP_PRESETS;

/** A form of an operator that stays float32 while others do not. */
interface KeptForm {
  readonly reason: string;
  applies(node: Node, isFloat: (value: Value | undefined) => boolean): boolean;
}

const reduces: KeptForm = {
  reason: 'onnxruntime 1.30 has no float16 kernel for its reduction',
  applies: (node) => node.string('reduction', 'none') !== 'none',
};

const always: KeptForm = {
  reason: 'onnxruntime 1.30 has no float16 kernel for it',
  applies: () => true,
};

/** Forms that onnxruntime 1.30 refuses in float16; they stay with every list but `'none'`. */
const KEPT_FORMS: Readonly<Record<string, KeptForm>> = {
  Attention: {
    reason: 'onnxruntime 1.30 refuses it in float16 with an additive mask or a window',
    applies: ({ inputs, attributes }, isFloat) =>
      isFloat(inputs[3]) || attributes.has('left_window_size') || attributes.has('right_window_size'),
  },
  MeanVarianceNormalization: always,
  RandomNormal: always,
  RandomUniform: always,
  ScatterElements: reduces,
  ScatterND: reduces,
};

/** Nodes to keep in float32. */
export interface KeepOptions {
  /** A list by name, or operators; default `'default'`. Operators given here are added to the default list. */
  readonly opTypes?: KeepPreset | readonly string[];
  /**
   * Names, or patterns that match somewhere in a name. A node without a name goes by `Op(output)`; those of a local
   * function are `call/node`, and the name of the call means all of them.
   */
  readonly names?: readonly (string | RegExp)[];
  /**
   * Operators that compute in float32 though their constants are narrow: onnxruntime widens those once, when it loads the model.
   * For what a backend has no float16 kernel of, at the size of one that it has.
   */
  readonly compute?: readonly string[];
}

/** How a node stays in float32. */
export interface Kept {
  readonly reason: string;
  /** Its constants become narrow, and a Cast widens them. */
  readonly narrowConstants?: boolean;
}

/** How and why a node stays in float32; undefined if nobody said so. */
export type KeepRule = (node: Node, isFloat: (value: Value | undefined) => boolean) => Kept | undefined;

/**
 * @throws RangeError for a preset that does not exist, and for a name or operator that no node has: it would be a typo that
 *   passes in silence
 */
export function keepRule(model: Model, keep: KeepOptions, overflows: readonly Overflow[]): KeepRule {
  const nodes = allNodes(model);
  const ops = keptOps(keep.opTypes ?? 'default', nodes);
  const { names = [], compute = [] } = keep;
  const absent = compute.find((op) => !nodes.some((node) => node.qualifiedOp === op));
  if (absent !== undefined) throw noSuchNode(`keep.compute: ${absent}`);
  for (const name of names) {
    if (!nodes.some((node) => matches(name, node))) throw noSuchNode(`keep.names: ${String(name)}`);
  }
  const values = new Map(overflows.map((overflow) => [overflow.value, overflow]));
  for (const name of values.keys()) {
    if (model.graph.value(name) === undefined) throw noSuchNode(`overflows: value ${name}`);
  }
  const touched = (node: Node): Overflow | undefined => {
    for (const value of [...node.outputs, ...node.inputs]) {
      const overflow = value && value.graph === value.graph.root ? values.get(value.name) : undefined;
      if (overflow !== undefined) return overflow;
    }
    return undefined;
  };
  return (node, isFloat) => {
    const overflow = touched(node);
    if (overflow !== undefined) {
      return { reason: `${overflow.value} reaches ${overflow.largest} in the data given` };
    }
    if (names.some((name) => matches(name, node))) return { reason: 'the options name it' };
    if (compute.includes(node.qualifiedOp)) {
      return { reason: 'the options let its operator compute in float32', narrowConstants: true };
    }
    if (Object.hasOwn(ops, node.qualifiedOp)) return { reason: ops[node.qualifiedOp] };
    const form = Object.hasOwn(KEPT_FORMS, node.qualifiedOp) ? KEPT_FORMS[node.qualifiedOp] : undefined;
    const applies = keep.opTypes !== 'none' && form?.applies(node, isFloat) === true;
    return applies ? { reason: form.reason } : undefined;
  };
}

function keptOps(given: KeepPreset | readonly string[], nodes: readonly Node[]): KeptOps {
  if (typeof given === 'string') return KEEP_PRESETS[given];
  for (const op of given) {
    if (!nodes.some((node) => node.qualifiedOp === op)) throw noSuchNode(`keep.opTypes: ${op}`);
  }
  return {
    ...KEEP_PRESETS.default,
    ...Object.fromEntries(given.map((op) => [op, 'the options list its operator'])),
  };
}

function allNodes(model: Model): readonly Node[] {
  return [model.graph, ...model.functions.map(({ body }) => body)].flatMap((graph) => [...graph.allNodes()]);
}

function matches(pattern: string | RegExp, node: Node): boolean {
  const { label } = node;
  if (typeof pattern !== 'string') return label.search(pattern) >= 0;
  return label === pattern || (pattern !== '' && label.startsWith(`${pattern}/`));
}

function noSuchNode(what: string): RangeError {
  return new RangeError(`${what}: expected something that the model has, got none`);
}
