/**
 * How a quantized weight stands in the graph, one row a form: what its constants are, and which nodes read them.
 *
 *   matmul-nbits        x → com.microsoft.MatMulNBits(codes, scales, zeroPoints) [→ Add(bias)]
 *   bnb4                x → com.microsoft.MatMulBnb4(codes, absmax) [→ Add(bias)]
 *   dequantize-linear   DequantizeLinear(codes, scales, zeroPoints; axis, block_size) → MatMul, or Gemm without transB
 *   embeddings          com.microsoft.GatherBlockQuantized(codes, indices, scales, zeroPoints), or in ONNX's own operators
 *                       Gather of codes, scales and zero points → DequantizeLinear by blocks of the gathered rows
 *   embeddings by rows  Gather(codes) → DequantizeLinear(·, 1, 128) → Mul(Gather(scales))
 *
 * A bias is an Add, not the bias input of MatMulNBits: that came without a new operator version, so a file cannot say that
 * it needs it, and older runtimes refuse it.
 */
import { middleCode, type BlockGrid } from '../../algorithms/block-grid.ts';
import type { InputFactor } from '../../algorithms/input-factor.ts';
import type { AttributeInput } from '../../graph/attribute.ts';
import type { Node } from '../../graph/node.ts';
import type { Value } from '../../graph/value.ts';
import { inputOf } from '../../passes/access.ts';
import type { NamedPart } from '../names.ts';
import { BNB4, quantizeBnb4 } from './bnb4.ts';
import { quantizeBlocks, type BlockSpec } from './block-weight.ts';
import {
  dequantizeLinearData,
  dequantizeLinearLayout,
  gatherLayout,
  matMulNBitsLayout,
  packedData,
  type ElementSpec,
  type WeightData,
  type WeightLayout,
} from './layouts.ts';
import type { NodeSettings, ResolvedOptions, WeightFormat } from './options.ts';
import type { Target } from './targets.ts';
import type { WeightMatrix } from './weight-matrix.ts';

/** Settings of a target, and what is the same for all. */
export type FormSettings = NodeSettings & Pick<ResolvedOptions, 'bnb4Type'>;

/** Settings of a weight, and of what it is multiplied with where the algorithm asks for that. */
export type ComputeSettings = FormSettings & { readonly factor?: InputFactor };

/** The constants of a form, in the graph. */
export interface StoredWeight {
  readonly codes: Value;
  readonly scales: Value;
  readonly zeroPoints?: Value;
  readonly unit?: Value;
}

/** A node to be made; its one output is named by `part`. */
export interface FormNode {
  readonly opType: string;
  readonly domain?: string;
  readonly inputs: readonly (Value | undefined)[];
  readonly attributes?: Readonly<Record<string, AttributeInput>>;
  readonly part: NamedPart;
}

/** What a form may do to the graph around a target. */
export interface Rewriter {
  /** Adds a node before the target's and gives its output. */
  add(node: FormNode): Value;
  /**
   * The same for a node that all readers of a weight share, also those in bodies of If, Loop and Scan. It lies in the
   * weight's own graph: onnxruntime 1.30 fails to load DequantizeLinear beside a MatMul in a body if its constants lie
   * outside ("Missing required weight").
   */
  share(node: FormNode): Value;
  /** Puts a node in the place of the target's. */
  replace(node: Omit<FormNode, 'part'>): void;
}

export interface Form {
  /** Suffixes in the manner of onnxruntime's quantizers. */
  readonly suffixes: (settings: FormSettings) => Readonly<Record<keyof StoredWeight, string>>;
  readonly dtype: (settings: FormSettings) => string;
  /** Targets with equal text can share one weight. */
  readonly key: (target: Target, settings: FormSettings) => string;
  /** What the constants are, before they are computed. */
  readonly layout: (target: Target, settings: FormSettings) => WeightLayout;
  /** Parts that the layout does not have are left out by the caller. */
  readonly compute: (target: Target, settings: ComputeSettings) => Promise<WeightData>;
  readonly rewrite: (
    rewriter: Rewriter,
    target: Target,
    weight: StoredWeight,
    settings: FormSettings,
  ) => void;
  /** The block size to use, where it is not the one asked for. */
  readonly blockSize?: (target: Target, settings: FormSettings) => number;
  /** Why the form cannot hold this weight. */
  readonly obstacle?: (target: Target, settings: FormSettings) => string | undefined;
}

const MICROSOFT = 'com.microsoft';
const EIGHT_BITS = 8;
const LEAST_BLOCK = 16;

const matMulNBits: Form = {
  suffixes: ({ bits }) => ({
    codes: `_Q${bits}`,
    scales: '_scales',
    zeroPoints: '_zero_points',
    unit: '_unit',
  }),
  dtype: integerType,
  blockSize: fittingBlock,
  key: (_, settings) => blockKey('nbits', settings),
  layout: ({ matrix }, spec) => matMulNBitsLayout(matrix, spec),
  compute: async ({ matrix }, spec) =>
    packedData(await quantizeBlocks(matrix, spec, spec.factor), matrix, spec, false),
  rewrite(rewriter, { node, matrix }, { codes, scales, zeroPoints }, settings) {
    const { bits, blockSize, accuracyLevel } = settings;
    const attributes = { K: matrix.cols, N: matrix.rows, bits, block_size: blockSize };
    product(rewriter, node, {
      opType: 'MatMulNBits',
      inputs: [inputOf(node, 0), codes, scales, ...(zeroPoints === undefined ? [] : [zeroPoints])],
      attributes: accuracyLevel === 0 ? attributes : { ...attributes, accuracy_level: accuracyLevel },
    });
  },
};

const matMulBnb4: Form = {
  suffixes: () => ({ codes: '_Bnb4', scales: '_absmax', zeroPoints: '', unit: '' }),
  dtype: ({ bnb4Type }) => bnb4Type,
  key: (_, { bnb4Type, blockSize }) => `${bnb4Type} ${blockSize}`,
  layout({ matrix: { rows, cols } }, { blockSize }) {
    return {
      codes: { dtype: 'uint8', shape: [Math.ceil((rows * cols) / 2)] },
      scales: { dtype: 'float32', shape: [Math.ceil((rows * cols) / blockSize)] },
    };
  },
  async compute({ matrix }, { bnb4Type, blockSize }) {
    const { codes, absmax } = await quantizeBnb4(matrix, bnb4Type, blockSize);
    return { codes, scales: absmax };
  },
  rewrite(rewriter, { node, matrix }, { codes, scales }, { blockSize, bnb4Type }) {
    const { quantType } = BNB4[bnb4Type];
    product(rewriter, node, {
      opType: 'MatMulBnb4',
      inputs: [inputOf(node, 0), codes, scales],
      attributes: { K: matrix.cols, N: matrix.rows, block_size: blockSize, quant_type: quantType },
    });
  },
};

const dequantizedProduct: Form = {
  obstacle: ({ node }, { bits }) => {
    const isMerged = bits === EIGHT_BITS && node.inputs[0]?.producer?.is('DequantizeLinear') === true;
    return isMerged
      ? 'its input comes from a DequantizeLinear: onnxruntime 1.30 makes one integer product of both, and passes over the blocks'
      : undefined;
  },
  suffixes: ({ bits }) => ({
    codes: `_DQ_Q${bits}`,
    scales: '_DQ_scales',
    zeroPoints: '_DQ_zero_points',
    unit: '_DQ_unit',
  }),
  dtype: integerType,
  blockSize: fittingBlock,
  key: (target, settings) => `${blockKey('dq', settings)} ${wantedOrder(target)}`,
  layout: (target, spec) => dequantizeLinearLayout(target.matrix, elementSpec(target, spec)),
  async compute(target, spec) {
    const weight = await quantizeBlocks(target.matrix, spec, spec.factor);
    return dequantizeLinearData(weight, target.matrix, elementSpec(target, spec));
  },
  rewrite(rewriter, target, { codes, scales, zeroPoints }, { blockSize }) {
    const rank = target.matrix.source.shape.length;
    const axis = wantedOrder(target) === 'rows' ? rank - 1 : rank - 2;
    const weight = rewriter.share({
      opType: 'DequantizeLinear',
      inputs: [codes, scales, ...(zeroPoints === undefined ? [] : [zeroPoints])],
      attributes: { axis, block_size: blockSize },
      part: 'dequantized',
    });
    if (target.isMatMul) {
      return rewriter.replace({ opType: 'MatMul', inputs: [inputOf(target.node, 0), weight] });
    }
    target.node.setInput(target.index, weight);
    target.node.deleteAttribute('transB');
  },
};

const gatherBlockQuantized: Form = {
  suffixes: matMulNBits.suffixes,
  dtype: integerType,
  blockSize: wholeBytesBlock,
  key: (_, settings) => blockKey('gather', settings),
  layout: ({ matrix }, spec) => gatherLayout(matrix, spec),
  compute: async ({ matrix }, spec) =>
    packedData(await quantizeBlocks(matrix, spec, spec.factor), matrix, spec, true),
  rewrite(rewriter, { node }, { codes, scales, zeroPoints }, { bits, blockSize }) {
    rewriter.replace({
      opType: 'GatherBlockQuantized',
      domain: MICROSOFT,
      inputs: [codes, inputOf(node, 1), scales, zeroPoints],
      attributes: { bits, block_size: blockSize, gather_axis: 0, quantize_axis: 1 },
    });
  },
  obstacle({ matrix: { cols } }, { bits }) {
    return (cols * bits) % 8 === 0 ? undefined : `its rows of ${cols} do not end at a byte with ${bits} bits`;
  },
};

const gatheredDequantize: Form = {
  ...dequantizedProduct,
  obstacle: () => undefined,
  rewrite(rewriter, { node }, { codes, scales, zeroPoints }, { blockSize }) {
    const gather = (table: Value, part: NamedPart): Value =>
      rewriter.add({ opType: 'Gather', inputs: [table, inputOf(node, 1)], part });
    const parts = [gather(codes, 'integers'), gather(scales, 'scale')];
    if (zeroPoints !== undefined) parts.push(gather(zeroPoints, 'zero_point'));
    rewriter.replace({
      opType: 'DequantizeLinear',
      inputs: parts,
      attributes: { axis: -1, block_size: blockSize },
    });
  },
};

const ROW_ALIGNMENT = 16;

/** One block a row, symmetric, whatever products have. */
function rowSpec({ matrix: { cols } }: Target, settings: ComputeSettings): ComputeSettings {
  const blockSize = Math.ceil(cols / ROW_ALIGNMENT) * ROW_ALIGNMENT;
  return { ...settings, bits: EIGHT_BITS, symmetric: true, blockSize };
}

const gatheredRows: Form = {
  suffixes: matMulNBits.suffixes,
  // Codes are stored 128 higher: WebGPU gathers bytes without a sign only.
  dtype: () => 'uint8',
  blockSize: (target, settings) => rowSpec(target, settings).blockSize,
  key: (_, { algorithm }) => `rows ${algorithm}`,
  layout: ({ matrix: { rows, cols } }) => ({
    codes: { dtype: 'uint8', shape: [rows, cols] },
    scales: { dtype: 'float32', shape: [rows, 1] },
    zeroPoints: { dtype: 'uint8', shape: [] },
    unit: { dtype: 'float32', shape: [] },
  }),
  async compute(target, settings) {
    const spec = rowSpec(target, settings);
    const { codes, scales } = packedData(
      await quantizeBlocks(target.matrix, spec),
      target.matrix,
      spec,
      true,
    );
    return { codes, scales, zeroPoints: Uint8Array.of(middleCode(EIGHT_BITS)), unit: Float32Array.of(1) };
  },
  rewrite(rewriter, { node }, { codes, scales, zeroPoints, unit }) {
    const gather = (table: Value, part: NamedPart): Value =>
      rewriter.add({ opType: 'Gather', inputs: [table, inputOf(node, 1)], part });
    const rows = rewriter.add({
      opType: 'DequantizeLinear',
      inputs: [gather(codes, 'integers'), unit, zeroPoints],
      part: 'dequantized',
    });
    rewriter.replace({ opType: 'Mul', inputs: [rows, gather(scales, 'scale')] });
  },
};

/** The form of each kind of target in each format. */
const FORMS: Readonly<Record<WeightFormat, Readonly<Record<Target['kind'], Form>>>> = {
  'matmul-nbits': { product: matMulNBits, embedding: gatherBlockQuantized },
  bnb4: { product: matMulBnb4, embedding: gatherBlockQuantized },
  'dequantize-linear': { product: dequantizedProduct, embedding: gatheredDequantize },
};

/** The form of a kind of target. */
export function formOf(
  kind: Target['kind'],
  { format, embeddingForm }: Pick<ResolvedOptions, 'format' | 'embeddingForm'>,
): Form {
  return kind === 'embedding' && embeddingForm === 'rows' ? gatheredRows : FORMS[format][kind];
}

/** MatMul or plain Gemm as one operator; a bias is added after it. */
function product(rewriter: Rewriter, node: Node, init: Omit<FormNode, 'part' | 'domain'>): void {
  const bias = node.is('Gemm') ? node.inputs[2] : undefined;
  const inDomain = { ...init, domain: MICROSOFT };
  if (bias === undefined) return rewriter.replace(inDomain);
  const sum = rewriter.add({ ...inDomain, part: 'product' });
  rewriter.replace({ opType: 'Add', inputs: [sum, bias] });
}

/**
 * Products read [K, N], also where Gemm had transB: onnxruntime makes MatMulNBits of DequantizeLinear and MatMul or Gemm in
 * this order only (1.30, seen in its optimized graphs).
 */
function wantedOrder({ kind }: Target): WeightMatrix['order'] {
  return kind === 'embedding' ? 'rows' : 'columns';
}

function elementSpec(target: Target, spec: BlockGrid): ElementSpec {
  return { ...spec, order: wantedOrder(target), leading: target.matrix.source.shape.slice(0, -2) };
}

/** A block at least twice as long as its row would hold nothing but padding in its second half. */
function fittingBlock({ matrix: { cols } }: Target, { blockSize }: FormSettings): number {
  let size = blockSize;
  while (size > LEAST_BLOCK && size / 2 >= cols) size /= 2;
  return size;
}

/**
 * As {@link fittingBlock}, and small enough that zero points of a row fill their bytes, if a size does that: onnxruntime 1.30
 * refuses others on WebGPU ("scales and zero_points must have the same shape").
 */
function wholeBytesBlock(target: Target, settings: FormSettings): number {
  const { cols } = target.matrix;
  const fitting = fittingBlock(target, settings);
  const fills = (size: number): boolean => (Math.ceil(cols / size) * settings.bits) % 8 === 0;
  let size = fitting;
  while (size > LEAST_BLOCK && !fills(size)) size /= 2;
  return fills(size) ? size : fitting;
}

function integerType({ bits, symmetric }: FormSettings): string {
  return `${symmetric ? 'int' : 'uint'}${bits}`;
}

function blockKey(form: string, { bits, blockSize, symmetric, algorithm }: BlockSpec): string {
  return `${form} ${bits} ${blockSize} ${symmetric} ${algorithm}`;
}
