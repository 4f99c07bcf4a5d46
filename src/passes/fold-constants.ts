/**
 * What is computed from constants alone becomes a constant: exporters without constant folding put a Transpose between a
 * weight and the MatMul that reads it, scale weights by a Mul, or write shapes as arithmetic, and quantizers see no weight
 * and no shape there.
 *
 * Cases:
 * 1. Ops that only move elements (constant-moves.ts), elementwise arithmetic and comparisons (constant-elementwise.ts), Cast
 *    (constant-cast.ts), shapes and what is made of them (constant-shapes.ts), of constants: an initializer. A few elements
 *    that come of constants in memory are computed at once; all others when they are read, not before.
 * 2. More than a few elements of which a constant has other readers too, and no reader of the result takes weights: left,
 *    they would be stored twice.
 * 3. The result would be larger than what it is made of, and than {@link MOST_GROWN_BYTES} (copies that are no weights:
 *    {@link MOST_COPIED_BYTES}): left; but weights that are stored in a narrower float type may double.
 * 4. The result is a graph output, elements are smaller than a byte, or the arguments do not fit: left. So is
 *    DequantizeLinear: what it reads is quantized.
 */
import { elementBits } from '../graph/element-type.ts';
import type { Graph } from '../graph/graph.ts';
import type { Model } from '../graph/model.ts';
import { isSorted, sortedNodes } from '../graph/sort.ts';
import type { Node } from '../graph/node.ts';
import { memorySource, type TensorSource } from '../graph/tensor-source.ts';
import { outputOf } from './access.ts';
import { castSource, castTarget } from './constant-cast.ts';
import { ELEMENTWISE_OPS, elementwise } from './constant-elementwise.ts';
import { MOVE_OPS, moved } from './constant-moves.ts';
import { chosen, expanded, filled, gathered, joined, shapeOf, sizeOf } from './constant-shapes.ts';
import { isSmall } from './load-small-constants.ts';
import { onCopy, type PassResult } from './pass.ts';

/** Ops for which a weight is worth a copy of its own. */
const TAKES_WEIGHTS = new Set(['MatMul', 'Gemm', 'Conv', 'ConvTranspose']);
const MOST_GROWN_BYTES = 65_536;
/**
 * A ConstantOfShape or Expand is a few bytes in a file, and can mean gigabytes: it is stored for the sake of weights alone. (Eleven
 * pads of a net of 442 kB made its int8 form 306 instead of 151 kB.)
 */
const COPIES = new Set(['ConstantOfShape', 'Expand']);
const MOST_COPIED_BYTES = 1024;
/** How much larger float32 is than float16. */
const MOST_WIDENED = 2;

/** Folds what is computed from constants; see the cases above. */
export function foldConstants(model: Model): Promise<PassResult> {
  return onCopy(model, foldConstantsInPlace);
}

/** The same on a model that the caller owns. */
export async function foldConstantsInPlace(model: Model): Promise<Omit<PassResult, 'model'>> {
  let modified = false;
  // Again as long as something changes: what a body computes may be known only after what stands behind it.
  while (await foldOnce(model)) modified = true;
  return { modified, skipped: [] };
}

async function foldOnce(model: Model): Promise<boolean> {
  let modified = false;
  for (const node of inOrder(model.graph)) {
    const { graph } = node;
    const folded = graph && foldedSource(node);
    if (graph === undefined || folded === undefined) continue;
    // So that what reads it as an argument need not wait.
    const isArgument = isSmall(folded.shape) && sourcesOf(node).every(({ tensor }) => tensor !== undefined);
    replaceByConstant(graph, node, isArgument ? memorySource(await folded.load()) : folded);
    modified = true;
  }
  return modified;
}

/** Nodes after what they need, whatever the file's order: a chain that is written backwards would take a round a node. */
function inOrder(graph: Graph): Node[] {
  const nodes = isSorted(graph) ? graph.nodes.toArray() : sortedNodes(graph);
  return nodes.flatMap((node) => [node, ...node.subgraphs.flatMap(inOrder)]);
}

function replaceByConstant(graph: Graph, node: Node, source: TensorSource): void {
  const output = outputOf(node);
  const { name } = output;
  graph.rename(output, graph.freshName(name));
  graph.replaceAllUses(output, graph.addInitializer(name, source));
  graph.removeNode(node);
}

/** Constants among the inputs. */
const sourcesOf = ({ inputs }: Node): TensorSource[] =>
  inputs.map((input) => input?.constant).filter((source) => source !== undefined);

function foldedSource(node: Node): TensorSource | undefined {
  const [output, ...others] = node.outputs;
  const fold = node.domain === '' && Object.hasOwn(FOLDS, node.opType) ? FOLDS[node.opType] : undefined;
  if (fold === undefined || output === undefined || output.isOutput || others.length > 0) return undefined;
  if (sourcesOf(node).some(({ elementType }) => elementBits(elementType) < 8)) return undefined;
  const source = fold(node, sourcesOf(node));
  return source !== undefined && isWorthStoring(node, source) ? source : undefined;
}

function isWorthStoring(node: Node, result: TensorSource): boolean {
  const feedsWeights = [...outputOf(node).consumers].some(({ opType }) => TAKES_WEIGHTS.has(opType));
  const isShared = node.inputs.some(
    (input) => input?.constant !== undefined && !isSmall(input.constant.shape) && input.uses.size > 1,
  );
  if (isShared && !feedsWeights && !isSmall(result.shape)) return false;
  const bytes = sourcesOf(node).reduce((sum, { byteLength }) => sum + byteLength, 0);
  const isWider = feedsWeights && castTarget(node) === 'float32' && result.byteLength <= MOST_WIDENED * bytes;
  const isCopy = COPIES.has(node.opType) && !feedsWeights;
  const mostGrown = isCopy ? MOST_COPIED_BYTES : MOST_GROWN_BYTES;
  return result.byteLength <= Math.max(bytes, mostGrown) || isWider;
}

type Fold = (node: Node, sources: readonly TensorSource[]) => TensorSource | undefined;

/** Where the first input alone decides what kind of constant it is; the others are arguments. */
const ofFirst =
  (fold: (node: Node, source: TensorSource) => TensorSource | undefined): Fold =>
  (node) => {
    const source = node.inputs[0]?.constant;
    return source && fold(node, source);
  };

/** Where every input must be a constant. */
const ofAll =
  (fold: Fold): Fold =>
  (node, sources) =>
    sources.length === node.inputs.length ? fold(node, sources) : undefined;

function rows(ops: readonly string[], fold: Fold): Record<string, Fold> {
  return Object.fromEntries(ops.map((op) => [op, fold]));
}

const FOLDS: Readonly<Record<string, Fold>> = {
  ...rows(MOVE_OPS, ofFirst(moved)),
  ...rows(ELEMENTWISE_OPS, ofAll(elementwise)),
  ...rows(
    ['Cast', 'CastLike'],
    ofFirst((node, source) => {
      const target = castTarget(node);
      return target && castSource(source, target);
    }),
  ),
  Shape: shapeOf,
  Size: sizeOf,
  Gather: gathered,
  Concat: ofAll(joined),
  ConstantOfShape: ofAll(filled),
  Expand: ofAll((_node, sources) => expanded(sources)),
  Where: ofAll((_node, sources) => chosen(sources)),
};
