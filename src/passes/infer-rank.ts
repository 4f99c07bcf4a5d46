/**
 * How many axes a value has, as far as the file and simple rules tell: exporters of old files seldom wrote the shapes of
 * values inside. Unknown stays undefined, never a guess.
 */
import type { Node } from '../graph/node.ts';
import type { Value } from '../graph/value.ts';

type Rule = (node: Node, rankOf: (value: Value | undefined) => number | undefined) => number | undefined;

const ofInput: Rule = (node, rankOf) => rankOf(node.inputs[0]);
const always =
  (rank: number): Rule =>
  () =>
    rank;

/** Broadcasting gives the larger rank of the operands. */
const ofOperands: Rule = (node, rankOf) => {
  const ranks = node.inputs.filter((input) => input !== undefined).map(rankOf);
  return ranks.includes(undefined) ? undefined : Math.max(...ranks.map(Number));
};

/** Vectors lose an axis in a product; everything else broadcasts. */
const ofProduct: Rule = (node, rankOf) => {
  const ranks = node.inputs.map(rankOf);
  return ranks.every((rank) => rank !== undefined && rank >= 2) ? Math.max(...ranks.map(Number)) : undefined;
};

/** The length of the shape that is asked for. */
const ofShape: Rule = (node) => {
  const length = node.inputs[1]?.dims?.[0];
  return typeof length === 'number' ? length : undefined;
};

/** Axes are an attribute until opset 12, then an input. */
const countAxes = (node: Node): number | undefined => {
  const length = node.ints('axes')?.length ?? node.inputs[1]?.dims?.[0];
  return typeof length === 'number' ? length : undefined;
};

const withAxes =
  (sign: 1 | -1): Rule =>
  (node, rankOf) => {
    const [rank, count] = [rankOf(node.inputs[0]), countAxes(node)];
    return rank === undefined || count === undefined ? undefined : rank + sign * count;
  };

const ofPermutation: Rule = (node, rankOf) => node.ints('perm')?.length ?? rankOf(node.inputs[0]);

function rows(ops: string, rule: Rule): Record<string, Rule> {
  return Object.fromEntries(ops.split(' ').map((op) => [op, rule]));
}

const RULES: Readonly<Record<string, Rule>> = {
  ...rows('Relu LeakyRelu PRelu Sigmoid Tanh Erf Sqrt Exp Neg Clip Cast Identity Dropout', ofInput),
  ...rows('Softmax LogSoftmax Conv ConvTranspose MaxPool AveragePool GlobalAveragePool', ofInput),
  ...rows('BatchNormalization InstanceNormalization Concat Slice Pad Tile Resize Upsample', ofInput),
  ...rows('Add Sub Mul Div Pow Where Min Max Sum', ofOperands),
  ...rows('Flatten Gemm', always(2)),
  MatMul: ofProduct,
  Reshape: ofShape,
  Transpose: ofPermutation,
  Unsqueeze: withAxes(1),
  Squeeze: withAxes(-1),
};

/** The rank of a value; undefined if nothing tells. */
export function inferRank(value: Value | undefined): number | undefined {
  const known = new Map<Value, number | undefined>();
  const rankOf = (at: Value | undefined): number | undefined => {
    if (at === undefined || at.dims !== undefined) return at?.dims?.length;
    if (known.has(at)) return known.get(at);
    // A cycle is no graph, but must not end here either.
    known.set(at, undefined);
    const { producer } = at;
    const rule =
      producer?.domain === '' && Object.hasOwn(RULES, producer.opType) ? producer.opType : undefined;
    const rank = producer === undefined || rule === undefined ? undefined : RULES[rule](producer, rankOf);
    known.set(at, rank);
    return rank;
  };
  return rankOf(value);
}
