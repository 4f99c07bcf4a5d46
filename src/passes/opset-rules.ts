/**
 * What must be done to a node when its operator set gets a new version: one row an operator, one rule a version in which
 * the same node would mean something else or be refused. Source: ONNX's Changelog.md, and what onnxruntime 1.30 does with
 * the old versions. Versions that only allow more types, or add attributes and inputs whose default is the old meaning,
 * have no row; test/fixtures/ort/ops/opset-changes.json lists all of them.
 */
import type { ElementType } from '../graph/element-type.ts';
import type { Node } from '../graph/node.ts';
import type { Value } from '../graph/value.ts';
import { Tensor, tensor } from '../tensor/tensor.ts';
import { outputOf, present } from './access.ts';
import { inferRank } from './infer-rank.ts';

/** What a rule may ask of the model around the node. */
export interface RuleContext {
  /** The version that the model gets in the end. */
  readonly to: number;
  /** A constant that the node can see. Equal ones are made once. */
  constant(node: Node, content: Tensor): Value;
  typeOf(value: Value | undefined): ElementType | undefined;
  /** Ends the raising: the node cannot be said in the newer version. */
  refuse(node: Node, reason: string, hint?: string): never;
}

/** Changes a node to what it is in the version of the rule's row; gives the node that takes its place, if one does. */
export type OpsetRule = (node: Node, context: RuleContext) => Promise<Node | undefined> | Node | undefined;

const int64 = (values: readonly bigint[], shape?: readonly number[]): Tensor =>
  tensor(BigInt64Array.from(values), shape ?? [values.length]);

const graphOf = (node: Node): NonNullable<Node['graph']> =>
  present(node.graph, `${node.label}: expected a node of a graph, got a removed one`);

/** The ints of an attribute, exactly (ends of Slice are 2^63 - 1). An attribute of the caller cannot become an input. */
function intsOf(node: Node, name: string, context: RuleContext): readonly bigint[] | undefined {
  const attribute = node.attributes.get(name);
  if (attribute?.kind === 'reference') {
    return context.refuse(node, `its attribute ${name} is the caller's, and must become an input`);
  }
  if (attribute === undefined || attribute.kind === 'ints') return attribute?.value;
  return context.refuse(node, `its attribute ${name} is of kind ${attribute.kind}, not ints`);
}

/** An attribute of ints becomes input `index`; absent stays absent. */
const intsToInput =
  (name: string, index: number, { emptyIsAbsent = false } = {}): OpsetRule =>
  (node, context) => {
    const values = intsOf(node, name, context);
    node.deleteAttribute(name);
    if (values === undefined || (emptyIsAbsent && values.length === 0)) return undefined;
    node.setInput(index, context.constant(node, int64(values)));
    return undefined;
  };

/** `axes` of a reduction: none, and an empty list, both reduce over all. */
const axesToInput: OpsetRule = intsToInput('axes', 1, { emptyIsAbsent: true });

/** An attribute of one int becomes input `index`. */
const intToInput =
  (name: string, index: number, shape: readonly number[], fallback?: number): OpsetRule =>
  (node, context) => {
    const value = node.int(name, fallback);
    if (value === undefined) return context.refuse(node, `it has no attribute ${name}`);
    node.deleteAttribute(name);
    node.setInput(index, context.constant(node, int64([BigInt(value)], shape)));
    return undefined;
  };

/** A scalar of the node's data type. */
function scalarLike(node: Node, value: number, context: RuleContext): Value {
  const type = context.typeOf(node.inputs[0]);
  if (type !== 'float32' && type !== 'float16' && type !== 'float64' && type !== 'bfloat16') {
    const hint = 'Run shape inference first, so that the file says the type of every value.';
    return context.refuse(
      node,
      `the type of ${node.inputs[0]?.name ?? 'its input'} is ${type ?? 'unknown'}`,
      hint,
    );
  }
  return context.constant(node, tensor([value], [], type));
}

/** Clip: min and max become inputs of the type of the data. */
const boundsToInputs: OpsetRule = (node, context) => {
  for (const [index, name] of [
    [1, 'min'],
    [2, 'max'],
  ] as const) {
    const bound = node.float(name, undefined);
    node.deleteAttribute(name);
    if (bound !== undefined) node.setInput(index, scalarLike(node, bound, context));
  }
  return undefined;
};

/** Pad: pads and the value become inputs. */
const padsToInputs: OpsetRule = (node, context) => {
  const pads = intsOf(node, 'pads', context);
  if (pads === undefined) return context.refuse(node, 'it has no attribute pads');
  const value = node.float('value', 0);
  node.deleteAttribute('pads');
  node.deleteAttribute('value');
  node.setInput(1, context.constant(node, int64(pads)));
  if (value !== 0) node.setInput(2, scalarLike(node, value, context));
  return undefined;
};

/** Slice: starts, ends and axes become inputs. */
const rangesToInputs: OpsetRule = (node, context) => {
  for (const [index, name] of ['starts', 'ends', 'axes'].entries()) {
    const values = intsOf(node, name, context);
    node.deleteAttribute(name);
    if (values !== undefined) node.setInput(index + 1, context.constant(node, int64(values)));
  }
  return undefined;
};

/**
 * Softmax, LogSoftmax, Hardmax: until opset 12 the input counts as a matrix whose rows are everything from `axis` on; since
 * 13 only `axis` itself. Equal on the last axis; otherwise Flatten → op → Reshape says the old meaning.
 */
const flattenedAxis: OpsetRule = (node) => {
  const axis = node.int('axis', 1);
  const [input] = node.inputs;
  const rank = inferRank(input);
  node.setAttribute('axis', -1);
  if (input === undefined || axis === -1 || axis + 1 === rank) return undefined;
  const graph = graphOf(node);
  const fresh = (what: string): string => graph.freshName(`${outputOf(node).name}_${what}`);
  const add = (opType: string, what: string, inputs: Value[], place: object, attributes = {}): Value =>
    outputOf(graph.addNode({ opType, inputs, outputs: [fresh(what)], attributes }, place));
  const shape = add('Shape', 'shape', [input], { before: node });
  node.setInput(0, add('Flatten', 'rows', [input], { before: node }, { axis }));
  const output = outputOf(node);
  const reshaped = add('Reshape', 'reshaped', [output, shape], { after: node });
  moveIdentity(output, reshaped);
  return undefined;
};

/** `after`, computed from `before`, takes its users, its name and what the file says about it. */
function moveIdentity(before: Value, after: Value): void {
  const { name, graph } = before;
  after.type = before.type;
  before.type = undefined;
  graph.replaceAllUses(before, after, { filter: (use) => use.node !== after.producer });
  // Graph outputs have kept their name already.
  if (after.name === name) return;
  graph.rename(before, graph.freshName(name));
  graph.rename(after, name);
}

/** BatchNormalization: `spatial` is gone; 0 meant statistics for every position. */
const dropSpatial: OpsetRule = (node, context) => {
  if (node.int('spatial', 1) !== 1) return context.refuse(node, 'it normalizes every position (spatial = 0)');
  node.deleteAttribute('spatial');
  return undefined;
};

/** BatchNormalization: five outputs (training, told by their presence) become three, with training_mode. */
const dropStatistics: OpsetRule = (node, context) => {
  const [first, ...statistics] = node.outputs;
  const used = statistics.find((value) => value !== undefined && !value.isUnused);
  if (used !== undefined) return context.refuse(node, `it trains: its statistics ${used.name} are read`);
  node.setOutputs([first]);
  for (const value of statistics) if (value !== undefined) graphOf(node).removeValue(value);
  return undefined;
};

const refuseReadMask: OpsetRule = (node, context) => {
  const mask = node.outputs[1];
  if (mask === undefined || mask.isUnused) return undefined;
  return context.refuse(node, `its mask ${mask.name} is read, and becomes boolean`);
};

/** Dropout: the ratio becomes an input that only training reads. */
const dropRatio: OpsetRule = (node) => {
  node.deleteAttribute('ratio');
  return undefined;
};

/** The old way to find neighbours: x · (1/scale), towards zero where the output is larger, up where it is smaller. */
function setOldSampling(node: Node, nearestMode: 'floor' | 'ceil'): void {
  node.setAttribute('coordinate_transformation_mode', 'asymmetric');
  if (node.string('mode', 'nearest') === 'nearest') node.setAttribute('nearest_mode', nearestMode);
}

/** Resize-10 and Upsample take (X, scales); since 11 it is (X, roi, scales). */
function insertRoi(node: Node, context: RuleContext): void {
  const scales = node.inputs[1];
  node.setInput(1, context.constant(node, new Tensor('float32', [0], new Float32Array(0))));
  node.setInput(2, scales);
}

/** Upsample-7 has its scales as an attribute. */
const scalesToInput: OpsetRule = (node, context) => {
  const scales = node.attributes.get('scales');
  if (scales?.kind !== 'floats') return context.refuse(node, 'it has no attribute scales');
  node.deleteAttribute('scales');
  node.setInput(1, context.constant(node, tensor(scales.value)));
  return undefined;
};

/** Upsample is gone since opset 10: a Resize that only enlarges. */
const upsampleToResize: OpsetRule = (node, context) => {
  const { name, inputs, attributes } = node;
  const resize = graphOf(node).replaceNode(node, {
    opType: 'Resize',
    name,
    inputs,
    attributes: Object.fromEntries(attributes),
  });
  if (context.to < RESIZE_WITH_MODES) return resize;
  setOldSampling(resize, 'floor');
  insertRoi(resize, context);
  return resize;
};

const RESIZE_WITH_MODES = 11;

const resizeToModes: OpsetRule = async (node, context) => {
  // Made by the rule of Upsample just before.
  if (node.attributes.has('coordinate_transformation_mode')) return undefined;
  const nearest = node.string('mode', 'nearest') === 'nearest';
  const scales = node.inputs[1]?.constant;
  if (nearest && scales === undefined) {
    return context.refuse(node, 'its scales are computed', 'Fold constants first.');
  }
  const factors = nearest && scales !== undefined ? [...(await scales.load()).data].map(Number) : [];
  const shrinks = factors.some((factor) => factor < 1);
  if (shrinks && factors.some((factor) => factor > 1)) {
    return context.refuse(node, 'it enlarges one axis and shrinks another, to the nearest neighbour');
  }
  setOldSampling(node, shrinks ? 'ceil' : 'floor');
  insertRoi(node, context);
  return undefined;
};

/** Resize: an empty roi or scales, until 12 the way to say "none", becomes an absent input. */
const dropEmptyInputs: OpsetRule = (node) => {
  for (const index of [1, 2]) {
    if (node.inputs[index]?.constant?.shape.includes(0)) node.setInput(index, undefined);
  }
  return undefined;
};

/** Split without sizes must say since 18 how many parts it gives. */
const countOutputs: OpsetRule = (node) => {
  if (node.inputs[1] === undefined) node.setAttribute('num_outputs', node.outputs.length);
  return undefined;
};

/** RoiAlign: the default moved from output_half_pixel, the only way there was, to half_pixel. */
const keepRoiCoordinates: OpsetRule = (node) => {
  node.setAttribute('coordinate_transformation_mode', 'output_half_pixel');
  return undefined;
};

const GRID_MODES: Readonly<Record<string, string>> = { bilinear: 'linear', bicubic: 'cubic' };

/** GridSample: two modes got shorter names. */
const renameGridMode: OpsetRule = (node) => {
  const mode = node.string('mode', 'bilinear');
  node.setAttribute('mode', GRID_MODES[mode] ?? mode);
  return undefined;
};

/** Scatter got another name. */
const scatterToElements: OpsetRule = (node) => {
  const { name, inputs, attributes } = node;
  return graphOf(node).replaceNode(node, {
    opType: 'ScatterElements',
    name,
    inputs,
    attributes: Object.fromEntries(attributes),
  });
};

const refuse =
  (reason: string): OpsetRule =>
  (node, context) =>
    context.refuse(node, reason);

const REDUCTIONS =
  'ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSumSquare';

/** Operator → version → what to do with a node when the operator set gets that version. */
export const OPSET_RULES: Readonly<Record<string, Readonly<Record<number, OpsetRule>>>> = {
  BatchNormalization: { 9: dropSpatial, 14: dropStatistics },
  Clip: { 11: boundsToInputs },
  DFT: { 20: intToInput('axis', 2, [], 1) },
  Dropout: { 10: refuseReadMask, 12: dropRatio },
  GridSample: { 20: renameGridMode },
  GroupNormalization: { 21: refuse('its scale and bias count groups, and would have to count channels') },
  Hardmax: { 13: flattenedAxis },
  LogSoftmax: { 13: flattenedAxis },
  Pad: { 11: padsToInputs },
  ...Object.fromEntries(REDUCTIONS.split(' ').map((op) => [op, { 18: axesToInput }])),
  ReduceSum: { 13: axesToInput },
  Resize: { 11: resizeToModes, 13: dropEmptyInputs },
  RoiAlign: { 16: keepRoiCoordinates },
  Scan: { 9: refuse('its inputs and outputs have a batch axis that is gone') },
  Scatter: { 11: scatterToElements },
  Slice: { 10: rangesToInputs },
  Softmax: { 13: flattenedAxis },
  Split: { 13: intsToInput('split', 1), 18: countOutputs },
  Squeeze: { 13: intsToInput('axes', 1) },
  TopK: { 10: intToInput('k', 1, [1]) },
  Unsqueeze: { 13: intsToInput('axes', 1) },
  Upsample: { 9: scalesToInput, 10: upsampleToResize },
};
