/** What kind of net a model is: by the operators that tell, and by where its weights are. Reads the header alone. */
import type { Model } from '../graph/model.ts';
import type { Node } from '../graph/node.ts';
import type { Value } from '../graph/value.ts';

export type NetKind = 'recurrent' | 'transformer' | 'conv' | 'depthwise conv' | 'products' | 'tables';

export interface Net {
  readonly kind: NetKind;
  /** For people: `a conv net: 20 convolutions`. */
  readonly found: string;
  /** True if matrix products hold more weights than convolutions. */
  readonly mostlyProducts: boolean;
  /** True if it has products or convolutions, and all of them lie in bodies of If, Loop and Scan. */
  readonly inBodies: boolean;
  /** Recurrent nodes. */
  readonly recurrent: readonly Node[];
  /** True if it has products with constants, or look-ups: weights outside of convolutions and recurrent nodes. */
  readonly hasMatrices: boolean;
}

const RECURRENT = new Set(['LSTM', 'GRU', 'RNN']);
const ATTENTION = new Set([
  'Attention',
  'MultiHeadAttention',
  'GroupQueryAttention',
  'LayerNormalization',
  'SimplifiedLayerNormalization',
  'SkipLayerNormalization',
  'RMSNormalization',
]);
const CONVOLUTION = new Set(['Conv', 'ConvTranspose']);
const PRODUCT = new Set(['MatMul', 'Gemm']);

/** From this share of depthwise convolutions on a net is one of those (MobileNet and its like: a third). */
const DEPTHWISE_SHARE = 1 / 4;

/**
 * A conv net with some attention in it is one: what counts is which of the two holds more weights. So is a transformer
 * that cuts its image into patches by a convolution.
 */
export function netOf(model: Model): Net {
  const nodes = [...model.graph.allNodes()];
  const of = (test: (node: Node) => boolean): readonly Node[] => nodes.filter(test);
  const recurrent = of((node) => RECURRENT.has(node.opType));
  const attention = of((node) => ATTENTION.has(node.opType) || isScoreProduct(node));
  const convolutions = of((node) => CONVOLUTION.has(node.opType));
  const products = of((node) => PRODUCT.has(node.opType));
  const mostlyProducts = weights(products) > weights(convolutions);
  const tables = of(isLookUp);
  const computing = [...products, ...convolutions];
  const facts = {
    mostlyProducts,
    inBodies: computing.length > 0 && computing.every(({ graph }) => graph !== model.graph),
    recurrent,
    hasMatrices: tables.length > 0 || hasConstantFactor(nodes),
  };
  const net = (kind: NetKind, found: string): Net => ({ kind, found, ...facts });

  if (recurrent.length > 0) return net('recurrent', counted(recurrent, 'recurrent node'));
  if (attention.length > 0 && (mostlyProducts || convolutions.length === 0)) {
    return net('transformer', `a transformer: ${counted(attention, 'attention or normalization node')}`);
  }
  if (convolutions.length > 0) {
    const share = convolutions.filter(isDepthwise).length / convolutions.length;
    const kind = share >= DEPTHWISE_SHARE ? 'depthwise conv' : 'conv';
    return net(kind, `a conv net: ${counted(convolutions, 'convolution')}`);
  }
  return products.length === 0 && tables.length > 0
    ? net('tables', `nothing but look-ups in ${counted(tables, 'table')}`)
    : net('products', 'no convolutions');
}

/** softmax(q · k) · v, the product of attention where an export spells it out. */
function isScoreProduct(node: Node): boolean {
  if (!node.is('MatMul')) return false;
  return node.inputs[0]?.producer?.is('Softmax') === true && node.inputs[1]?.constant === undefined;
}

function isDepthwise(node: Node): boolean {
  return node.int('group', 1) > 1 && node.inputs[1]?.constant?.shape[1] === 1;
}

function isLookUp(node: Node): boolean {
  return node.is('Gather') && node.inputs[0]?.constant?.shape.length === 2;
}

/** What multiplies with a matrix, whatever export wrote it. */
const MULTIPLIES = /^(MatMul|Gemm|Einsum|FusedMatMul|Attention)$/;

/** Weights that are computed from constants count: they are folded before anything is quantized. */
function hasConstantFactor(nodes: readonly Node[]): boolean {
  const fixed = new Set<Value>();
  const isFixed = (value: Value | undefined): boolean =>
    value !== undefined && (value.constant !== undefined || fixed.has(value));
  return nodes.some(({ opType, inputs, outputs }) => {
    if (MULTIPLIES.test(opType) && isFixed(inputs[1])) return true;
    if (inputs.length > 0 && inputs.every((input) => input === undefined || isFixed(input)))
      for (const output of outputs) if (output !== undefined) fixed.add(output);
    return false;
  });
}

/** Elements of the second operands that are constants. */
function weights(nodes: readonly Node[]): number {
  const sizes = nodes.map(({ inputs }) => inputs[1]?.constant?.shape.reduce((a, b) => a * b, 1) ?? 0);
  return sizes.reduce((sum, size) => sum + size, 0);
}

function counted(nodes: readonly Node[], noun: string): string {
  return `${nodes.length} ${noun}${nodes.length === 1 ? '' : 's'}`;
}
