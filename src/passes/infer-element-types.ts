/**
 * Element types of all values, as far as the file and simple rules tell. Most ops give the type of their first
 * input; the table holds those that do not. Unknown stays undefined: whoever asks must cope, never guess.
 */
import type { ElementType } from '../graph/element-type.ts';
import type { Graph } from '../graph/graph.ts';
import type { Node } from '../graph/node.ts';
import type { Value } from '../graph/value.ts';

export type ElementTypes = ReadonlyMap<Value, ElementType>;

type Rule = (
  node: Node,
  typeOf: (value: Value | undefined) => ElementType | undefined,
) => ElementType | undefined;

/** TensorProto.DataType numbers that Cast is written with (onnx.proto). */
const CAST_TARGETS: Readonly<Record<number, ElementType>> = {
  1: 'float32',
  2: 'uint8',
  3: 'int8',
  4: 'uint16',
  5: 'int16',
  6: 'int32',
  7: 'int64',
  9: 'bool',
  10: 'float16',
  11: 'float64',
  12: 'uint32',
  13: 'uint64',
  16: 'bfloat16',
};

const always =
  (type: ElementType): Rule =>
  () =>
    type;
const typeOfInput =
  (index: number): Rule =>
  (node, typeOf) =>
    typeOf(node.inputs[index]);
const castTo =
  (attribute: string, fallback: ElementType | undefined): Rule =>
  (node) => {
    const code = node.int(attribute, undefined);
    return code === undefined ? fallback : CAST_TARGETS[code];
  };

function rows(ops: string, rule: Rule): Record<string, Rule> {
  return Object.fromEntries(ops.split(' ').map((op) => [op, rule]));
}

/** Ops of the default domain whose output 0 has not the type of input 0. */
const RULES: Readonly<Record<string, Rule>> = {
  ...rows('Shape Size NonZero ArgMax ArgMin StringNormalizer', always('int64')),
  ...rows('Equal Greater GreaterOrEqual Less LessOrEqual Not And Or Xor IsNaN IsInf', always('bool')),
  ...rows('MatMulInteger ConvInteger', always('int32')),
  ...rows('DynamicQuantizeLinear', always('uint8')),
  ...rows('Where DequantizeLinear', typeOfInput(1)),
  ...rows('OneHot QuantizeLinear', typeOfInput(2)),
  ...rows('QLinearConv QLinearMatMul', typeOfInput(7)),
  Cast: castTo('to', undefined),
  ...rows('RandomNormal RandomUniform', castTo('dtype', 'float32')),
  ConstantOfShape(node) {
    const value = node.attributes.get('value');
    return value?.kind === 'tensor' ? value.value.elementType : 'float32';
  },
  ...rows('If Loop Scan SequenceAt SequenceConstruct ConcatFromSequence', () => undefined),
};

/**
 * Types of the values of `graph` (not of the graphs inside it). Nodes must be in topological order. `outer` has the
 * types of the graphs around it.
 */
export function inferElementTypes(graph: Graph, outer: ElementTypes = new Map()): ElementTypes {
  const types = new Map<Value, ElementType>(outer);
  const typeOf = (value: Value | undefined): ElementType | undefined =>
    value === undefined ? undefined : (types.get(value) ?? value.elementType);
  for (const node of graph.nodes) {
    const rule = Object.hasOwn(RULES, node.opType) ? RULES[node.opType] : typeOfInput(0);
    const inferred = node.domain === '' ? rule(node, typeOf) : undefined;
    node.outputs.forEach((output, index) => {
      if (output === undefined) return;
      const type = output.elementType ?? (index === 0 || sameTypedOutputs(node) ? inferred : undefined);
      if (type !== undefined) types.set(output, type);
    });
  }
  for (const value of graph.values) if (value.elementType !== undefined) types.set(value, value.elementType);
  return types;
}

function sameTypedOutputs(node: Node): boolean {
  return node.is('Split');
}
