/**
 * Reads constants of a few elements into memory, so that passes and policies can look at bounds, pads and scalars without
 * waiting. What a file writes stays the same.
 */
import type { Attribute } from '../graph/attribute.ts';
import type { Graph } from '../graph/graph.ts';
import type { Model } from '../graph/model.ts';
import type { TensorSource } from '../graph/tensor-source.ts';
import { isOurs } from '../graph/element-type.ts';
import { elementCount } from '../tensor/shape.ts';
import { graphsOf } from './access.ts';
import { onCopy, type PassResult } from './pass.ts';

/** Elements of a constant that counts as small: pads of an 8-d tensor. */
const SMALL = 16;

/** True for a shape of few elements. */
export function isSmall(shape: readonly number[]): boolean {
  return elementCount(shape) <= SMALL;
}

/** Gives every small constant of a dtype of ours its tensor. */
export function loadSmallConstants(model: Model): Promise<PassResult> {
  return onCopy(model, loadSmallConstantsInPlace);
}

/** The same on a model that the caller owns. */
export async function loadSmallConstantsInPlace(model: Model): Promise<Omit<PassResult, 'model'>> {
  if (!graphsOf(model.graph).some(hasUnread)) return { modified: false, skipped: [] };
  for (const graph of graphsOf(model.graph)) await loadAll(graph);
  return { modified: true, skipped: [] };
}

function isUnread(source: TensorSource | undefined): source is TensorSource {
  if (source === undefined || source.tensor !== undefined || !isOurs(source.elementType)) return false;
  return isSmall(source.shape);
}

const heldBy = (attribute: Attribute | undefined): TensorSource | undefined =>
  attribute?.kind === 'tensor' ? attribute.value : undefined;

function hasUnread(graph: Graph): boolean {
  return (
    [...graph.initializers].some((value) => isUnread(value.initializer)) ||
    [...graph.nodes].some((node) => node.is('Constant') && isUnread(heldBy(node.attributes.get('value'))))
  );
}

async function loadAll(graph: Graph): Promise<void> {
  for (const value of graph.initializers) {
    if (isUnread(value.initializer)) value.initializer = await withTensor(value.initializer);
  }
  for (const node of graph.nodes) {
    const held = node.is('Constant') ? heldBy(node.attributes.get('value')) : undefined;
    if (isUnread(held)) node.setAttribute('value', { kind: 'tensor', value: await withTensor(held) });
  }
}

/** The same constant: its bytes still come from where they lie. */
async function withTensor(source: TensorSource): Promise<TensorSource> {
  const tensor = await source.load();
  const { elementType, shape, byteLength, where } = source;
  return {
    elementType,
    shape,
    byteLength,
    where,
    tensor,
    load: () => Promise.resolve(tensor),
    read: (offset, length) => source.read(offset, length),
  };
}
