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
  return rankReader()(value);
}

/** {@link inferRank} for many values of a graph, which must not change meanwhile: each node is looked at once. */
export function rankReader(): (value: Value | undefined) => number | undefined {
  const known = new Map<Value, number | undefined>();
  const rankOf = (at: Value | undefined): number | undefined =>
    at?.dims?.length ?? (at === undefined ? undefined : known.get(at));
  // What a value waits for lies above it: a graph can be deeper than the stack of calls.
  const visit = (waiting: Value[]): void => {
    for (let at = waiting.at(-1); at !== undefined; at = waiting.at(-1)) {
      const rule = ruleFor(at);
      const open = known.has(at) ? [] : inputsOf(at).filter((input) => !known.has(input));
      // A cycle is no graph, but must not keep us here either: it finds this one known.
      known.set(at, undefined);
      if (rule !== undefined && open.length > 0) {
        waiting.push(...open);
        continue;
      }
      known.set(at, rule === undefined || at.producer === undefined ? undefined : rule(at.producer, rankOf));
      waiting.pop();
    }
  };
  return (value) => {
    if (value !== undefined && value.dims === undefined && !known.has(value)) visit([value]);
    return rankOf(value);
  };
}

function ruleFor({ producer }: Value): Rule | undefined {
  const isOurs = producer?.domain === '' && Object.hasOwn(RULES, producer.opType);
  return isOurs ? RULES[producer.opType] : undefined;
}

/** The inputs whose rank is not in the file. */
function inputsOf({ producer }: Value): readonly Value[] {
  const inputs = producer?.inputs ?? [];
  return inputs.filter((input): input is Value => input !== undefined && input.dims === undefined);
}
