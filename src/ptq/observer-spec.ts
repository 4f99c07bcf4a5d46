/** Observers of a plan: which can stand in an ONNX model, in what dtype, and the instance for one tensor. */
import { UnsupportedError } from '../errors.ts';
import type { Model } from '../graph/model.ts';
import { factoryFromJSON, type FactoryJSON, type Observer } from '../observers/index.ts';
import { MarkerObserver } from '../observers/marker-observer.ts';
import { dtypeInfo, type DType } from '../tensor/dtype.ts';
import type { CodeDType } from './emit.ts';
import type { ObserverSpec, PlannedNode } from './plan.ts';

interface CodeForm {
  readonly dtype: CodeDType;
  /** First opset whose QuantizeLinear and DequantizeLinear know the dtype (Changelog.md of ONNX). */
  readonly opset: number;
}

/** What PyTorch's dtypes and the plain ones are in ONNX. */
const FORMS: Partial<Record<DType, CodeForm>> = {
  quint8: { dtype: 'uint8', opset: 10 },
  uint8: { dtype: 'uint8', opset: 10 },
  qint8: { dtype: 'int8', opset: 10 },
  int8: { dtype: 'int8', opset: 10 },
  uint16: { dtype: 'uint16', opset: 21 },
  int16: { dtype: 'int16', opset: 21 },
  quint4x2: { dtype: 'uint4', opset: 21 },
  uint4: { dtype: 'uint4', opset: 21 },
  int4: { dtype: 'int4', opset: 21 },
};

const EIGHT_BIT: readonly string[] = ['quint8', 'uint8', 'qint8', 'int8'];

/** DequantizeLinear has an axis since this opset. */
const PER_CHANNEL_OPSET = 13;

/** A factory as plain data. */
export function observerSpec(factory: { toJSON(): FactoryJSON }): ObserverSpec {
  return factory.toJSON();
}

/**
 * The observer of one tensor. Where it works by channel it gets `chAxis`; a tensor without a channel axis gets the
 * per-tensor observer of the same dtype and range instead.
 */
export function makeObserver(
  spec: ObserverSpec,
  { name, chAxis }: { readonly name: string; readonly chAxis?: number | undefined },
): Observer {
  const factory = factoryFromJSON(spec);
  const observer = factory({ name });
  if (!isPerChannel(observer)) return observer;
  return chAxis === undefined
    ? factoryFromJSON(perTensorSpec(spec, observer))({ name })
    : factory({ name, chAxis });
}

function perTensorSpec(spec: ObserverSpec, observer: Observer): ObserverSpec {
  const { chAxis: _axis, blockSize: _size, averagingConstant: _constant, ...args } = spec.args;
  const qscheme = observer.qscheme.replace('per_channel', 'per_tensor');
  return { type: 'MinMaxObserver', args: { ...args, qscheme } };
}

export function isPerChannel(observer: Observer): boolean {
  return observer.qscheme.startsWith('per_channel');
}

/** Whether the observer that a spec means works by channel. */
export function isPerChannelSpec(spec: ObserverSpec): boolean {
  return isPerChannel(factoryFromJSON(spec)());
}

/** Whether its zero points are all the same. */
export function isSymmetricSpec(spec: ObserverSpec): boolean {
  return factoryFromJSON(spec)().qscheme.endsWith('symmetric');
}

/** The ONNX dtype that a spec's codes have. @throws UnsupportedError UNSUPPORTED_DTYPE if there is none */
export function codeDType(spec: ObserverSpec): CodeDType {
  return formOf(factoryFromJSON(spec)()).dtype;
}

function formOf(observer: Observer): CodeForm {
  if (observer instanceof MarkerObserver || observer.qscheme === 'per_channel_affine_float_qparams') {
    const got = observer instanceof MarkerObserver ? 'one without a range' : observer.qscheme;
    throw new UnsupportedError(
      `${observer.type}: expected an observer that gives integer zero points, got ${got}`,
      {
        code: 'UNSUPPORTED_FEATURE',
        hint: 'Use MinMaxObserver or another observer of ranges; quantizeDynamic finds those of activations at run time, quantizeWeights leaves activations in float.',
        details: { observer: observer.type },
      },
    );
  }
  const form = FORMS[observer.dtype];
  if (form === undefined) throw dtypeError(observer, Object.keys(FORMS));
  return form;
}

/** @throws UnsupportedError unless MatMulInteger takes codes of the observer's dtype, which are 8-bit ones */
export function checkDynamicWeight(spec: ObserverSpec): void {
  const observer = factoryFromJSON(spec)();
  if (dtypeInfo(formOf(observer).dtype).bits !== 8) throw dtypeError(observer, EIGHT_BIT);
}

function dtypeError(observer: Observer, known: readonly string[]): UnsupportedError {
  return new UnsupportedError(
    `${observer.type}: expected a dtype whose codes ONNX can hold here, got ${observer.dtype}`,
    {
      code: 'UNSUPPORTED_DTYPE',
      hint: `Use one of ${known.join(', ')}.`,
      details: { dtype: observer.dtype },
    },
  );
}

/**
 * Holds the observers of a plan against what the model's opset can say, before any data is looked at.
 *
 * @throws UnsupportedError UNSUPPORTED_OPSET, UNSUPPORTED_DTYPE, or UNSUPPORTED_FEATURE for activations by channel
 */
export function checkForms(model: Model, nodes: readonly PlannedNode[]): void {
  const needed = neededOpset(nodes);
  for (const { node, activation, weight } of distinct(nodes)) {
    const data = factoryFromJSON(activation)();
    if (isPerChannel(data) || data.isDynamic) throw activationError(node, data);
    for (const observer of [data, weightObserver(node, weight)]) {
      if (model.opset < opsetOf(observer)) throw opsetError(model, node, observer, needed);
    }
  }
}

function weightObserver(node: string, spec: ObserverSpec): Observer {
  if (spec.args.blockSize === undefined) return factoryFromJSON(spec)();
  throw new UnsupportedError(`${node}: expected weights per tensor or by channel, got blocks`, {
    code: 'UNSUPPORTED_FEATURE',
    hint: 'Leave blockSize out.',
    details: { node },
  });
}

/** One node for each pair of specs: models have thousands of nodes and a handful of QConfigs. */
function distinct(nodes: readonly PlannedNode[]): Iterable<PlannedNode> {
  const byConfig = new Map(nodes.map((node) => [JSON.stringify([node.activation, node.weight]), node]));
  return byConfig.values();
}

/** The oldest opset that has a form for the observers of these nodes. */
export function neededOpset(nodes: readonly PlannedNode[]): number {
  const observers = [...distinct(nodes)].flatMap(({ node, activation, weight }) => [
    factoryFromJSON(activation)(),
    weightObserver(node, weight),
  ]);
  return Math.max(...observers.map(opsetOf));
}

/** The oldest opset whose DequantizeLinear has the form that a weight's observer gives. */
export function opsetOfWeight(spec: ObserverSpec): number {
  return opsetOf(weightObserver('the weight', spec));
}

function opsetOf(observer: Observer): number {
  const { opset } = formOf(observer);
  return isPerChannel(observer) ? Math.max(opset, PER_CHANNEL_OPSET) : opset;
}

/** `all` is what the whole plan needs, so that the hint is right for every node. */
function opsetError(model: Model, node: string, observer: Observer, all: number): UnsupportedError {
  const needed = opsetOf(observer);
  const perChannel = isPerChannel(observer);
  const what = `${dtypeInfo(observer.dtype).bits}-bit codes${perChannel ? ' by channel' : ''}`;
  const byTensor = perChannel && model.opset >= formOf(observer).opset;
  return new UnsupportedError(`${node}: expected opset ${needed} or newer for ${what}, got ${model.opset}`, {
    code: 'UNSUPPORTED_OPSET',
    hint: `Call raiseOpset(model, ${all}) first${byTensor ? ', or quantize weights per tensor' : ''}.`,
    details: { node, opset: model.opset, needed: all },
  });
}

function activationError(node: string, observer: Observer): UnsupportedError {
  return new UnsupportedError(
    `${node}: expected a static per-tensor observer for activations, got ${observer.type}`,
    {
      code: 'UNSUPPORTED_FEATURE',
      hint: 'Use MinMaxObserver, HistogramObserver or another per-tensor observer, or quantizeDynamic.',
      details: { node, observer: observer.type },
    },
  );
}
