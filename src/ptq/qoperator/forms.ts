/**
 * The integer operator of each float operator, one row each: which inputs are codes, what the output is, and how the
 * integer operator takes them. Operators are onnxruntime's 1.30 CPU kernels, and their signatures those of ONNX 10
 * (QLinearConv, QLinearMatMul) and com.microsoft 1 (the others).
 */
import { attr, type AttributeInput } from '../../graph/attribute.ts';
import type { Node } from '../../graph/node.ts';
import type { Value } from '../../graph/value.ts';
import { embeddingObstacle } from '../dynamic/attention.ts';
import { activations, ACTIVATION, firstIsData, KEEP, type InputRole, type Interval } from '../ops/policy.ts';
import type { CodeGrid, Operand } from './coded.ts';

/** A node between its pairs, all of whose inputs and outputs fit the form. */
export interface Site {
  readonly node: Node;
  readonly opset: number;
  /** By input; undefined where the role is `keep` or the input absent. */
  readonly operands: readonly (Operand | undefined)[];
  /** Grid of the output; undefined where it stays float. */
  readonly output: CodeGrid | undefined;
  /** Scale and zero point of a grid, the latter made where the model leaves it out. */
  readonly qparams: (grid: CodeGrid) => readonly Value[];
  /** Of Relu and Clip: where values may lie; undefined where a bound is computed. */
  readonly interval: Interval | undefined;
  /** The code nearest to `x` on the grid of an operand, as a constant. */
  readonly code: (operand: Operand, x: number) => Value;
}

/** What stands in the place of the node. */
export interface IntegerNode {
  readonly opType: string;
  readonly domain?: string;
  readonly inputs: readonly (Value | undefined)[];
  readonly attributes: Readonly<Record<string, AttributeInput>>;
}

export interface Form {
  readonly roles: (node: Node) => readonly InputRole[];
  /** True if an input has the type of weights, where it is a constant. */
  readonly hasWeight?: true;
  /**
   * - `codes`: the output must be quantized.  - `either`: float is possible too.
   * - `same`: quantized, on the very grid of input 0.  - `none`: outputs are positions, or float, and left as they are.
   */
  readonly output: 'codes' | 'either' | 'same' | 'none';
  /** Why this node has no integer form, or no kernel, though its operator has. */
  readonly obstacle?: (site: Site) => string | undefined;
  readonly build: (site: Site) => IntegerNode;
}

/** The operator set of onnxruntime's own operators. */
export const MICROSOFT = 'com.microsoft';

const given = (site: Site): Readonly<Record<string, AttributeInput>> =>
  Object.fromEntries(site.node.attributes);

/** Codes, scale and zero point of input `index`. */
function operand({ operands, qparams }: Site, index: number): (Value | undefined)[] {
  const coded = operands[index];
  return coded === undefined ? [] : [coded.codes, ...qparams(coded)];
}

const output = ({ output: grid, qparams }: Site): readonly Value[] => (grid ? qparams(grid) : []);

const all = (site: Site): (Value | undefined)[] => site.operands.flatMap((_, index) => operand(site, index));

/** x, its grid, ..., the grid of the output: how most of com.microsoft's operators are fed. */
function microsoft(opType: string): Pick<Form, 'output' | 'build'> {
  return {
    output: 'codes',
    build: (site) => ({
      opType,
      domain: MICROSOFT,
      inputs: [...all(site), ...output(site)],
      attributes: given(site),
    }),
  };
}

const conv: Form = {
  hasWeight: true,
  roles: (node) => [ACTIVATION, { kind: 'weight', axis: 0 }, ...biasRole(node, 1)],
  output: 'codes',
  obstacle: ({ operands: [, weight] }) =>
    weight?.zeroPoints.every((zeroPoint) => zeroPoint === weight.zeroPoints[0])
      ? undefined
      : 'channels of its weight have different zero points',
  build: (site) => ({
    opType: 'QLinearConv',
    inputs: [
      ...operand(site, 0),
      ...operand(site, 1),
      ...output(site),
      ...(site.operands[2] ? [site.operands[2].codes] : []),
    ],
    attributes: given(site),
  }),
};

const matmul: Form = {
  hasWeight: true,
  roles: (node) => [ACTIVATION, { kind: 'weight', axis: codesRank(node) === 2 ? 1 : undefined }],
  output: 'codes',
  build: (site) => ({ opType: 'QLinearMatMul', inputs: [...all(site), ...output(site)], attributes: {} }),
};

/** beta is in the scale of the bias codes already. */
const gemm: Form = {
  hasWeight: true,
  roles: (node) => [
    ACTIVATION,
    { kind: 'weight', axis: node.int('transB', 0) === 1 ? 0 : 1 },
    ...biasRole(node, node.float('alpha', 1) / node.float('beta', 1)),
  ],
  output: 'either',
  build(site) {
    const { beta: _, ...attributes } = given(site);
    const bias = site.operands[2]?.codes;
    const inputs = [...operand(site, 0), ...operand(site, 1)];
    if (bias !== undefined || site.output !== undefined) inputs.push(bias, ...output(site));
    return { opType: 'QGemm', domain: MICROSOFT, inputs, attributes };
  },
};

/** The operator itself, on codes. */
const onCodes: Form = {
  roles: firstIsData,
  output: 'same',
  build: ({ node, operands: [data], ...site }) => ({
    opType: node.opType,
    inputs: [data?.codes, ...node.inputs.slice(1)],
    attributes: given({ node, operands: [data], ...site }),
  }),
};

function sinceOpset(least: number): Form {
  return {
    ...onCodes,
    obstacle: ({ node, opset }) =>
      opset < least ? `${node.opType} takes codes since opset ${least}` : undefined,
  };
}

const maxPool: Form = {
  ...sinceOpset(12),
  obstacle(site) {
    if (site.node.outputs[1] !== undefined) return 'its second output gives positions';
    return sinceOpset(12).obstacle?.(site);
  },
};

const resize: Form = {
  ...onCodes,
  obstacle({ node }) {
    if (node.string('mode', 'nearest') !== 'nearest') return 'it computes between neighbours';
    return node.string('coordinate_transformation_mode', '') === 'tf_crop_and_resize'
      ? 'it fills in a value of its own'
      : undefined;
  },
};

/** Codes are in the order of what they mean. */
const clamp: Form = {
  ...onCodes,
  obstacle(site) {
    if (site.interval === undefined) return 'its bounds are computed';
    return site.opset < 12 ? 'Clip takes codes since opset 12' : undefined;
  },
  build({ operands: [data], interval: [low, high] = [-Infinity, Infinity], code }) {
    const bound = (x: number): Value | undefined => (data && Number.isFinite(x) ? code(data, x) : undefined);
    const inputs = [data?.codes, bound(low), bound(high)];
    while (inputs.at(-1) === undefined) inputs.pop();
    return { opType: 'Clip', inputs, attributes: {} };
  },
};

/** The position of the largest code is that of the largest value. */
const positions: Form = { ...onCodes, output: 'none' };

/** Zeros have the code of the zero point; other modes copy what is there. */
const pad: Form = {
  ...onCodes,
  obstacle(site) {
    const { node } = site;
    const value = node.inputs[2];
    if (node.string('mode', 'constant') === 'constant' && value !== undefined) {
      if (value.constant?.tensor?.data[0] !== 0) return 'it pads with a value other than 0';
    }
    return sinceOpset(11).obstacle?.(site);
  },
  build(site) {
    const { node } = site;
    const [codes, , zeroPoint] = operand(site, 0);
    const filled = node.string('mode', 'constant') === 'constant' ? [zeroPoint] : [undefined];
    const rest = node.inputs.slice(3);
    return {
      opType: 'Pad',
      inputs: [codes, node.inputs[1], ...(filled[0] || rest.length > 0 ? filled : []), ...rest],
      attributes: given(site),
    };
  },
};

const concat: Form = {
  ...microsoft('QLinearConcat'),
  roles: activations,
  build: (site) => ({
    opType: 'QLinearConcat',
    domain: MICROSOFT,
    inputs: [...output(site), ...all(site)],
    attributes: given(site),
  }),
};

const where: Form = {
  ...microsoft('QLinearWhere'),
  roles: () => [KEEP, ACTIVATION, ACTIVATION],
  build: (site) => ({
    opType: 'QLinearWhere',
    domain: MICROSOFT,
    inputs: [site.node.inputs[0], ...all(site), ...output(site)],
    attributes: {},
  }),
};

/** Softmax changed its default axis, and its meaning, in opset 13: the integer operator is told which. */
const softmax: Form = {
  ...microsoft('QLinearSoftmax'),
  roles: firstIsData,
  build(site) {
    const { node, opset } = site;
    return {
      opType: 'QLinearSoftmax',
      domain: MICROSOFT,
      inputs: [...all(site), ...output(site)],
      attributes: { axis: attr.int(node.int('axis', opset < 13 ? 1 : -1)), opset: attr.int(opset) },
    };
  },
};

const averagePool: Form = {
  ...microsoft('QLinearAveragePool'),
  roles: firstIsData,
  obstacle: ({ node }) =>
    node.ints('dilations')?.some((dilation) => dilation !== 1) ? 'it is dilated' : undefined,
  build(site) {
    const { dilations: _, ...attributes } = given(site);
    return { ...microsoft('QLinearAveragePool').build(site), attributes };
  },
};

/** Word, position and segment embedding (which may be absent), gamma, beta. */
const EMBEDDED = [2, 3, 4, 5, 6];

const embedding: Form = {
  roles: (node) =>
    node.inputs.map((input, index) =>
      input !== undefined && EMBEDDED.includes(index) ? { kind: 'weight', axis: undefined } : KEEP,
    ),
  output: 'none',
  obstacle: ({ node }) => embeddingObstacle(node),
  build(site) {
    const operands = EMBEDDED.map((index) => operand(site, index));
    const part = (index: number): (Value | undefined)[] => operands.map((values) => values[index]);
    const { inputs } = site.node;
    return {
      opType: 'QEmbedLayerNormalization',
      domain: MICROSOFT,
      inputs: [inputs[0], inputs[1], ...part(0), inputs[7], ...part(1), ...part(2)],
      attributes: given(site),
    };
  },
};

/** By operator, those of other domains with their domain. */
export const FORMS: Readonly<Record<string, Form>> = {
  Conv: conv,
  MatMul: matmul,
  Gemm: gemm,
  Add: { ...microsoft('QLinearAdd'), roles: activations },
  Mul: { ...microsoft('QLinearMul'), roles: activations },
  Concat: concat,
  Where: where,
  Softmax: softmax,
  Sigmoid: { ...microsoft('QLinearSigmoid'), roles: firstIsData },
  LeakyRelu: { ...microsoft('QLinearLeakyRelu'), roles: firstIsData },
  AveragePool: averagePool,
  GlobalAveragePool: { ...microsoft('QLinearGlobalAveragePool'), roles: firstIsData },
  Relu: clamp,
  Clip: clamp,
  ArgMax: positions,
  ArgMin: positions,
  MaxPool: maxPool,
  ReduceMax: sinceOpset(12),
  ReduceMin: sinceOpset(12),
  DepthToSpace: sinceOpset(11),
  Resize: resize,
  Pad: pad,
  Reshape: onCodes,
  Flatten: onCodes,
  Transpose: onCodes,
  Squeeze: onCodes,
  Unsqueeze: onCodes,
  Slice: onCodes,
  Split: onCodes,
  Expand: onCodes,
  Tile: onCodes,
  Gather: onCodes,
  GatherElements: onCodes,
  'com.microsoft.EmbedLayerNormalization': embedding,
};

function biasRole(node: Node, factor: number): InputRole[] {
  return node.inputs[2] === undefined ? [] : [{ kind: 'bias', factor }];
}

/** Axes of the codes of a weight, where it is a constant. */
function codesRank(node: Node): number | undefined {
  return node.inputs[1]?.producer?.inputs[0]?.dims?.length;
}
