/** One-op models from the rows in `ops/`: every row in every type that it names and every version of its operator. */
import { readFileSync } from 'node:fs';
import { tensor, type Tensor } from 'zeropoint';
import {
  buildModel,
  MemorySink,
  NEWEST_OPSET,
  writeModel,
  type ElementType,
  type GraphBuilder,
  type Model,
  type Node,
  type OnnxDType,
  type Value,
} from 'zeropoint/onnx';
import { nodeTypes } from '../../src/presets/check/node-types.ts';
import { signatureOf } from '../../src/presets/backends/signature.ts';
import { ARITHMETIC } from './ops/arithmetic.ts';
import { LAYERS } from './ops/layers.ts';
import { MICROSOFT } from './ops/microsoft.ts';
import { MOVEMENT } from './ops/movement.ts';
import { QUANTIZED } from './ops/quantized.ts';
import { FLOATS, type Row, type RowOptions } from './row.ts';

/** A model with one operator, and what is fed to it. */
export interface Case {
  readonly op: string;
  readonly since: number;
  readonly signature: string;
  readonly bytes: Uint8Array;
  readonly feeds: Readonly<Record<string, Tensor>>;
  /** Names of the outputs, and whether their values are to be compared. */
  readonly outputs: readonly string[];
  readonly random: boolean;
  /** Equal in the cases that differ in type alone, which draw the same values. */
  readonly family: string;
  readonly type: ElementType;
}

/** Name of the node in question: others turn types that no JavaScript tensor has. */
export const NODE = 'probed';
/** Operator sets before this one are not probed. */
export const OLDEST_OPSET = 7;

const VERSIONS = JSON.parse(readFileSync(new URL('op-versions.json', import.meta.url), 'utf8')) as Readonly<
  Record<string, readonly number[]>
>;

const ROWS: readonly Row[] = [...ARITHMETIC, ...MOVEMENT, ...LAYERS, ...QUANTIZED, ...MICROSOFT];

/** All of them; `wanted` picks operators by name. */
export async function probeCases(wanted: (op: string) => boolean): Promise<readonly Case[]> {
  const cases: Case[] = [];
  for (const row of ROWS.filter(([op]) => wanted(op))) {
    const [op, , options = {}] = row;
    const types = options.types ?? FLOATS;
    for (const since of versionsOf(op, options)) {
      for (const type of types) cases.push(await caseOf(row, type, since));
    }
  }
  return cases;
}

/** Versions that a model of opset {@link OLDEST_OPSET} or newer can have. */
function versionsOf(op: string, { from = 1, below = NEWEST_OPSET + 1 }: RowOptions): readonly number[] {
  if (op.includes('.')) return [1];
  const all = VERSIONS[op];
  if (all === undefined) throw new RangeError(`${op}: expected an operator of ONNX, got an unknown name`);
  const oldest = Math.max(...all.filter((version) => version <= OLDEST_OPSET), 0);
  return all.filter((version) => version >= oldest && version >= from && version < below);
}

/** Types of JavaScript's tensors in onnxruntime; the others come and go through Cast. */
const IN_JAVASCRIPT: ReadonlySet<string> = new Set(
  'float32 float64 float16 int8 uint8 int16 uint16 int32 uint32 int64 uint64 bool'.split(' '),
);

function attributesText({ attributes = {} }: RowOptions): string {
  return Object.entries(attributes)
    .map(([name, value]) => `${name}=${typeof value === 'object' ? '...' : String(value)}`)
    .join();
}

/** The same model in every opset of a range: a runtime refuses those that it does not know. */
export async function opsetCases(): Promise<readonly Case[]> {
  const cases: Case[] = [];
  for (let opset = OLDEST_OPSET; opset <= NEWEST_OPSET; opset++) {
    cases.push(await caseOf(['Identity', 'T[2,3]'], 'float32', opset));
  }
  return cases;
}

async function caseOf([op, inputs, options = {}]: Row, type: ElementType, since: number): Promise<Case> {
  const feeds: Record<string, Tensor> = {};
  const random = noise(1);
  const model = buildModel(
    (b) => {
      const values = inputs
        .split(' ')
        .filter((text) => text !== '')
        .map((text, i) => input(b, `x${i}`, text.replaceAll(/\bT(?=\[)/g, type), feeds, random));
      addProbed(b, op, values, type, options);
    },
    {
      opset: Math.max(since, op.includes('.') ? 21 : OLDEST_OPSET),
      irVersion: irVersion(since),
      opsets: { 'com.microsoft': 1 },
    },
  );
  const sink = new MemorySink();
  await writeModel(model, sink);
  const signature = signatureOf(probedNode(model), nodeTypes(model));
  return {
    op,
    since,
    signature,
    bytes: sink.bytes,
    feeds,
    outputs: model.graph.outputs.map(({ name }) => name),
    random: options.random ?? false,
    family: `${op} ${inputs} ${JSON.stringify(attributesText(options))} ${since}`,
    type,
  };
}

function irVersion(since: number): number {
  return since >= 25 ? 12 : 10;
}

function probedNode({ graph }: Model): Node {
  for (const node of graph.nodes) if (node.name === NODE) return node;
  throw new RangeError(`expected a node named ${NODE}, got none`);
}

function addProbed(
  b: GraphBuilder,
  op: string,
  inputs: readonly (Value | undefined)[],
  type: ElementType,
  { attributes = {}, outputs = ['T'], bodies }: RowOptions,
): void {
  const dot = op.lastIndexOf('.');
  const present = inputs.filter((value) => value !== undefined);
  // What runs in bodies reads the values of this graph, and no input of the node: If has its condition alone.
  const taken = op === 'If' ? inputs.slice(0, 1) : inputs;
  const node = b.graph.addNode({
    opType: op.slice(dot + 1),
    domain: op.slice(0, Math.max(dot, 0)),
    name: NODE,
    inputs: taken,
    outputs: outputs.map((given, i) => (given === '' ? undefined : `y${i}`)),
    attributes: { ...attributes, ...bodies?.(b, present) },
  });
  node.outputs.forEach((value, i) => {
    if (value === undefined) return;
    const given = outputs[i] === 'T' ? type : (outputs[i] as ElementType);
    if (IN_JAVASCRIPT.has(given)) b.output(value, undefined, given);
    else {
      value.type = { kind: 'tensor', elementType: given, dims: undefined } as Value['type'];
      b.output(b.op('Cast', [value], { to: 1 }, `${value.name}_float32`), undefined, 'float32');
    }
  });
}

const INPUT = /^(\w+)\[([\d,]*)\](!\+|!|\+|=.*)?$/;

function input(
  b: GraphBuilder,
  name: string,
  text: string,
  feeds: Record<string, Tensor>,
  random: () => number,
): Value | undefined {
  if (text === '_') return undefined;
  const [, type, dims, mark = ''] = INPUT.exec(text) ?? [];
  if (type === undefined) throw new SyntaxError(`expected an input such as T[2,3], got ${text}`);
  const shape = dims === '' ? [] : dims.split(',').map(Number);
  const dtype = type as OnnxDType;
  if (mark.startsWith('=')) {
    return b.constant(name, tensor(mark.slice(1).split(',').map(Number), shape, dtype));
  }
  const count = shape.reduce((product, size) => product * size, 1);
  const values = Array.from({ length: count }, () => drawn(dtype, mark.includes('+'), random));
  if (mark.startsWith('!')) return b.constant(name, tensor(values, shape, dtype));
  if (IN_JAVASCRIPT.has(dtype)) {
    feeds[name] = tensor(values, shape, dtype);
    return b.input(name, dtype, shape);
  }
  const source = isFloat(dtype) ? 'float32' : 'int32';
  feeds[name] = tensor(values, shape, source);
  const to = { bfloat16: 16, uint4: 21, int4: 22, uint2: 25, int2: 26 }[dtype as 'int4'];
  const cast = b.op('Cast', [b.input(name, source, shape)], { to }, `${name}_${dtype}`);
  cast.type = { kind: 'tensor', elementType: dtype, dims: shape };
  return cast;
}

function isFloat(dtype: string): boolean {
  return dtype.includes('float');
}

/** Integers that are drawn; those of types without a sign are moved up to begin at 0. */
const RANGES: Readonly<Record<string, readonly [number, number] | undefined>> = {
  int2: [-2, 1],
  uint2: [-2, 1],
  int4: [-8, 7],
  uint4: [-8, 7],
};

/** A value that its type holds, and that no operator overflows on. */
function drawn(dtype: string, isPositive: boolean, random: () => number): number {
  if (dtype === 'bool') return random() < 0 ? 0 : 1;
  if (isFloat(dtype)) return isPositive ? (random() + 1.2) / 2 : random();
  const [low, high] = RANGES[dtype] ?? [-9, 9];
  const value = Math.floor(low + ((random() + 1) / 2) * (high - low + 1));
  if (isPositive) return Math.abs(value) + 1;
  return dtype.startsWith('u') ? value - low : value;
}

/** Seeded, uniform in [-1, 1): a linear congruential generator (Numerical Recipes, ranqd1). */
function noise(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
}
