/**
 * Element types of all values of a model, bodies of If, Loop and Scan included: what the file says, what operators' schemas
 * say (also onnxruntime's own, which `inferElementTypes` passes over), and what {@link inferElementTypes} knows.
 */
import type { ElementType } from '../../graph/element-type.ts';
import type { Graph } from '../../graph/graph.ts';
import type { Model } from '../../graph/model.ts';
import type { Node } from '../../graph/node.ts';
import type { Value } from '../../graph/value.ts';
import { inferElementTypes } from '../../passes/infer-element-types.ts';
import { signatureOf, type Signature } from '../../ptq/float16/signatures.ts';
import type { TypeOf } from '../backends/signature.ts';

/** A look-up of types; nodes must be in topological order. */
export function nodeTypes(model: Model): TypeOf {
  const types = new Map<Value, ElementType>();
  const typeOf: TypeOf = (value) =>
    value === undefined ? undefined : (types.get(value) ?? value.elementType);
  visit(model.graph, types, typeOf, model);
  return typeOf;
}

function visit(graph: Graph, types: Map<Value, ElementType>, typeOf: TypeOf, model: Model): void {
  // Twice: what schemas say of onnxruntime's operators lets the rules of the second round see further.
  for (let round = 0; round < 2; round++) {
    for (const [value, type] of inferElementTypes(graph, types)) types.set(value, type);
    for (const node of graph.nodes) {
      const signature = signatureOf(node, model.opsetImports.get(node.domain) ?? 1);
      node.outputs.forEach((output, index) => {
        if (output === undefined || typeOf(output) !== undefined) return;
        const type = signature && typeByLetter(node, signature, index, typeOf);
        const found = type ?? integerOutput(node, index, typeOf);
        if (found !== undefined) types.set(output, found);
      });
    }
  }
  for (const node of graph.nodes) for (const inner of node.subgraphs) visit(inner, types, typeOf, model);
}

/** An output has the type of the inputs with its letter. */
function typeByLetter(
  node: Node,
  signature: Signature,
  index: number,
  typeOf: TypeOf,
): ElementType | undefined {
  const letter = signature.output(index);
  if (letter === 'f') return 'float32';
  if (letter === '-' || letter === 's') return undefined;
  return node.inputs
    .filter((_, i) => signature.input(i) === letter)
    .map(typeOf)
    .find((type) => type !== undefined);
}

/** Operators of codes, by the input that output 0 has the type of: a zero point, or codes of the same type. */
const TYPE_FROM_INPUT: Readonly<Record<string, number>> = {
  QuantizeLinear: 2,
  'com.microsoft.QuantizeLinear': 2,
  QLinearConv: 7,
  'com.microsoft.QLinearConv': 7,
  QLinearMatMul: 7,
  'com.microsoft.QGemm': 8,
  // Input 0 is a scale, of Where the condition.
  'com.microsoft.QLinearConcat': 1,
  'com.microsoft.QLinearWhere': 1,
  'com.microsoft.QLinearAdd': 0,
  'com.microsoft.QLinearMul': 0,
  'com.microsoft.QLinearSigmoid': 0,
  'com.microsoft.QLinearLeakyRelu': 0,
  'com.microsoft.QLinearSoftmax': 0,
  'com.microsoft.QLinearAveragePool': 0,
  'com.microsoft.QLinearGlobalAveragePool': 0,
  'com.microsoft.QLinearReduceMean': 0,
  // The scale of the table of words: it gives float.
  'com.microsoft.QEmbedLayerNormalization': 8,
};

/** What they give where that input is left out. */
const TYPE_WITHOUT: Readonly<Record<string, ElementType>> = {
  QuantizeLinear: 'uint8',
  'com.microsoft.QuantizeLinear': 'uint8',
  'com.microsoft.QGemm': 'float32',
};

function integerOutput(node: Node, index: number, typeOf: TypeOf): ElementType | undefined {
  const { qualifiedOp, inputs } = node;
  if (index > 0 || !Object.hasOwn(TYPE_FROM_INPUT, qualifiedOp)) return undefined;
  const input = inputs[TYPE_FROM_INPUT[qualifiedOp]];
  return input === undefined ? TYPE_WITHOUT[qualifiedOp] : typeOf(input);
}
