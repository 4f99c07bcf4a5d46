/**
 * float32 to float16 or bfloat16, all of a model but what must stay: half the size, and half the memory traffic where the
 * runtime computes in 16 bits. Which values: assign.ts. Which nodes stay: keep.ts. What becomes of values that do not fit:
 * clamp-rules.ts. Weights are read in pieces, once now and once when the model is written.
 */
import { checkOptions, members, type Rule } from '../../errors/check-options.ts';
import { ANYTHING, BOOLEAN, byType, listOf, numberFrom, oneOf, TEXT } from '../../errors/option-rules.ts';
import { GraphError, UnsupportedError } from '../../errors.ts';
import { checkModel, type Model } from '../../graph/model.ts';
import type { Node } from '../../graph/node.ts';
import { checkOpset } from '../../graph/opset.ts';
import { getBackend } from '../../kernels/backend.ts';
import { clean } from '../../passes/clean.ts';
import { inlineFunctions } from '../../passes/inline-functions.ts';
import type { CopyOptions } from '../convert.ts';
import { signModel } from '../version.ts';
import { Assignment, type AssignOptions } from './assign.ts';
import { CastInserter } from './cast-inserter.ts';
import { CLAMP_RULES, type ClampRange, type ClampRule } from './clamp-rules.ts';
import type { Overflow } from './find-overflows.ts';
import { inferKinds, type Kinds } from './infer-kinds.ts';
import { keepStoredProduct, unsetIntegerProducts } from './integer-products.ts';
import { COPY_RULES } from '../option-rules.ts';
import { KEEP_PRESETS, keepRule, type Kept, type KeepOptions, type KeepRule } from './keep.ts';
import { ConstantNarrower } from './narrow-constants.ts';
import type { Float16Report } from './report.ts';
import { HALF_TYPES, type HalfDType } from './signatures.ts';
import { findSmallScales } from './small-scales.ts';

/** What {@link convertToFloat16} is to do. */
export interface Float16Options {
  /** Default 'float16'. onnxruntime's CPU kernels compute nothing in bfloat16; it is for GPUs that do. */
  readonly dtype?: HalfDType;
  /** Graph inputs and outputs that stay float32: all (default), none, or those named. */
  readonly keepIO?: boolean | readonly string[];
  /** Nodes that stay float32 besides those that must. */
  readonly keep?: KeepOptions;
  /** What becomes of values that do not fit: a rule by name, or magnitudes. Default 'saturate'. */
  readonly clampRule?: ClampRule | ClampRange;
  /** Of `findOverflows`: nodes that give or read these values stay float32. */
  readonly overflows?: readonly Overflow[];
  /**
   * Whether MatMulNBits in float16 may keep accuracy level 4. Default false, since onnxruntime's CPU gives zeros for it below
   * optimization level `all`; true for WebGPU, which takes a faster kernel with it. In bodies of If, Loop and Scan it is taken
   * in any case: there the CPU gives zeros at every level.
   */
  readonly keepIntegerProducts?: boolean;
}

const RULES = {
  dtype: oneOf(...Object.keys(HALF_TYPES)),
  keepIO: byType({ boolean: BOOLEAN, list: listOf(TEXT) }),
  keep: members({
    opTypes: byType({ string: oneOf(...Object.keys(KEEP_PRESETS)), list: listOf(TEXT) }),
    names: listOf(ANYTHING),
    compute: listOf(TEXT),
  } satisfies Record<keyof KeepOptions, Rule>),
  clampRule: byType({
    string: TEXT,
    object: members({ least: numberFrom(0), greatest: numberFrom(0) } satisfies Record<
      keyof ClampRange,
      Rule
    >),
  }),
  overflows: listOf(ANYTHING),
  keepIntegerProducts: BOOLEAN,
} satisfies Record<keyof Float16Options, Rule>;

/** A narrow model and what was done. */
export interface Float16Converted {
  readonly model: Model;
  readonly report: Float16Report;
}

/** Add and friends broadcast since this opset; operators take bfloat16 since the other. */
const LEAST_OPSET = { float16: 7, bfloat16: 13 } as const satisfies Record<HalfDType, number>;

/**
 * A model that computes in `dtype`. The given one is not changed. Integers that are there already (MatMulNBits,
 * DequantizeLinear, ...) stay; their scales become narrow.
 *
 * @throws RangeError for an option that does not exist, or that names nothing in the model; UnsupportedError
 *   UNSUPPORTED_OPSET below opset 7 (bfloat16: 13), UNSUPPORTED_OP where an unknown operator's types are not in the file;
 *   GraphError GRAPH_NOT_QUANTIZABLE if nothing is float32, or all of it must stay
 * @example const { model: half, report } = await convertToFloat16(model, { clampRule: 'transformersjs-3' });
 */
export async function convertToFloat16(
  model: Model,
  options: Float16Options = {},
  job: CopyOptions = {},
): Promise<Float16Converted> {
  checkModel('convertToFloat16', model);
  checkAll(options, job);
  const { dtype = 'float16' } = options;
  const range = clampRange(options.clampRule ?? 'saturate', dtype);
  const keepsIO = ioChoice(model, options.keepIO ?? true);
  checkOpset(model);
  checkLeastOpset(model, dtype);
  const keep = keepRule((await inlineFunctions(model)).model, options.keep ?? {}, options.overflows ?? []);

  const cleaned = (await clean(model)).model;
  const copy = cleaned === model ? model.clone() : cleaned;
  const kinds = inferKinds(copy, dtype);
  const { keepIntegerProducts = false } = options;
  const assignment = await assignDTypes(copy, kinds, { dtype, keep, keepsIO }, keepIntegerProducts);
  const converted = assignment.convertedCount();
  const skipped = assignment.skipped();
  checkConverts(converted, kinds, dtype);

  const unset = dtype === 'float16' ? unsetIntegerProducts(assignment, copy, keepIntegerProducts) : 0;
  const narrower = new ConstantNarrower(assignment, dtype, range, job);
  for (const graph of assignment.graphs) await narrower.convert(graph);
  const casts = insertCasts(assignment, kinds, dtype, job);
  signModel(copy);
  const { count, bytesBefore, outOfRange } = narrower;
  const report: Float16Report = {
    mode: 'float16',
    dtype,
    converted,
    skipped,
    casts,
    constants: { count, bytesBefore, bytesAfter: bytesBefore / 2 },
    outOfRange,
    integerProductsUnset: unset,
    hints: hints(options, dtype),
    backend: getBackend(),
  };
  return { model: copy, report };
}

function insertCasts(
  assignment: Assignment,
  kinds: Kinds,
  dtype: HalfDType,
  { names = 'short' }: CopyOptions,
): Float16Report['casts'] {
  const inserter = new CastInserter(assignment, kinds, dtype, names);
  for (const graph of assignment.graphs) inserter.castReaders(graph);
  for (const graph of assignment.graphs) inserter.castOutputs(graph);
  for (const graph of assignment.graphs) inserter.foldCasts(graph);
  return { inserted: inserter.inserted, removed: inserter.removed };
}

/** What becomes `dtype`: what `choice` says, without nodes whose scales it cannot hold and products that would give zeros. */
async function assignDTypes(
  model: Model,
  kinds: Kinds,
  choice: AssignOptions,
  keepIntegerProducts: boolean,
): Promise<Assignment> {
  const scales = await smallScales(model, choice.dtype);
  const stored = (node: Node): Kept | undefined =>
    choice.dtype === 'float16' ? keepStoredProduct(node, model, keepIntegerProducts) : undefined;
  const keep: KeepRule = (node, isFloat) => choice.keep(node, isFloat) ?? scales.get(node) ?? stored(node);
  return new Assignment(model, kinds, { ...choice, keep });
}

async function smallScales(model: Model, dtype: HalfDType): Promise<ReadonlyMap<Node, Kept>> {
  if (dtype !== 'float16') return new Map();
  const graphs = [model.graph, ...model.functions.map(({ body }) => body)];
  const found = new Map<Node, Kept>();
  for (const graph of graphs) {
    for (const [node, reason] of await findSmallScales(graph)) found.set(node, { reason });
  }
  return found;
}

function checkAll(options: Float16Options, job: CopyOptions): void {
  checkOptions('convertToFloat16', options, RULES);
  checkOptions('convertToFloat16', job, COPY_RULES);
}

function clampRange(rule: ClampRule | ClampRange, dtype: HalfDType): ClampRange {
  if (typeof rule !== 'string') return checkedRange(float32Range(rule));
  const range = Object.hasOwn(CLAMP_RULES, rule) ? CLAMP_RULES[rule][dtype] : undefined;
  if (range !== undefined) return float32Range(range);
  const known = Object.entries(CLAMP_RULES).filter(([, row]) => row[dtype] !== undefined);
  throw new RangeError(
    `convertToFloat16: expected a clampRule for ${dtype} ('${known.map(([name]) => name).join("', '")}') or ` +
      `{least, greatest}, got '${rule}'`,
  );
}

/** What is compared are float32 values. */
function float32Range({ least, greatest }: ClampRange): ClampRange {
  return { least: Math.fround(least), greatest: Math.fround(greatest) };
}

function checkedRange(range: ClampRange): ClampRange {
  const { least, greatest } = range;
  if (least >= 0 && least < greatest) return range;
  throw new RangeError(
    `convertToFloat16: expected a clampRule with 0 <= least < greatest, got ${least} and ${greatest}`,
  );
}

function ioChoice(model: Model, keepIO: boolean | readonly string[]): (name: string) => boolean {
  if (typeof keepIO === 'boolean') return () => keepIO;
  const known = [...model.graph.inputs, ...model.graph.outputs].map(({ name }) => name);
  const unknown = keepIO.find((name) => !known.includes(name));
  if (unknown === undefined) return (name) => keepIO.includes(name);
  throw new RangeError(
    `keepIO: expected inputs or outputs of the model (${known.join(', ')}), got '${unknown}'`,
  );
}

function checkLeastOpset(model: Model, dtype: HalfDType): void {
  const least = LEAST_OPSET[dtype];
  if (model.opset >= least) return;
  throw new UnsupportedError(
    `convertToFloat16: expected opset ${least} or newer for ${dtype}, got ${model.opset}`,
    {
      code: 'UNSUPPORTED_OPSET',
      hint: 'Raise it with raiseOpset(model, 13), or export the model again.',
      details: { opset: model.opset },
    },
  );
}

/** A result equal to its input must not look like one. */
function checkConverts(converted: number, { kinds }: Kinds, dtype: HalfDType): void {
  if (converted > 0) return;
  const found = new Set(kinds.values());
  const what = found.has('float32')
    ? 'one whose float32 nodes must all stay'
    : found.has('half')
      ? `one that is ${dtype} already`
      : 'one without float32 values';
  throw new GraphError(`convertToFloat16: expected a model with float32 nodes to convert, got ${what}`, {
    code: 'GRAPH_NOT_QUANTIZABLE',
    hint: 'Start from a float32 export, or keep fewer nodes.',
  });
}

function hints({ overflows }: Float16Options, dtype: HalfDType): string[] {
  if (dtype === 'bfloat16') {
    return ["onnxruntime's CPU provider has no bfloat16 arithmetic: run this model on a GPU that has."];
  }
  if (overflows !== undefined) return [];
  return ['Activations were not looked at: findOverflows(model, runner, batches) finds those beyond 65504.'];
}
