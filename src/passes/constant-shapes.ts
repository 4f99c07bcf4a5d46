/**
 * Arithmetic on shapes, and what is made from shapes: Shape, Size, Gather, ConstantOfShape, Expand, Where, Concat. A size
 * counts as known if the file says it for a constant, or for a value of the main graph: what a body's values are may change
 * from turn to turn, whatever the file says.
 */
import { elementBits, isOurs } from '../graph/element-type.ts';
import type { Node } from '../graph/node.ts';
import { memorySource, type TensorSource } from '../graph/tensor-source.ts';
import type { Value } from '../graph/value.ts';
import { allocate, DTYPES, type DType } from '../tensor/dtype.ts';
import { elementCount } from '../tensor/shape.ts';
import { tensor, Tensor } from '../tensor/tensor.ts';
import { broadcastShape, walkBroadcast } from './broadcast.ts';
import { lazily } from './constant-elementwise.ts';
import { joinSources } from './joined-source.ts';

type Sizes = readonly (number | undefined)[];

const int64 = (values: readonly number[], shape: readonly number[]): TensorSource =>
  memorySource(tensor(BigInt64Array.from(values, BigInt), shape));

/** undefined if not even the rank is known. */
function sizesOf(value: Value | undefined): Sizes | undefined {
  if (value?.constant !== undefined) return value.constant.shape;
  if (value === undefined || value.graph.parent !== undefined) return undefined;
  // Files hold 0 and -1 where they mean unknown.
  return value.dims?.map((size) => (typeof size === 'number' && size >= 1 ? size : undefined));
}

/** What a Shape node gives, some sizes perhaps unknown; from `start` to `end` since opset 15. */
function shapeElements(node: Node): Sizes | undefined {
  return sizesOf(node.inputs[0])?.slice(node.int('start', 0), node.int('end', undefined));
}

function isKnown(sizes: Sizes | undefined): sizes is readonly number[] {
  return sizes !== undefined && !sizes.includes(undefined);
}

/** Whole numbers of a constant that lies in memory. */
function wholeNumbers(source: TensorSource | undefined): readonly number[] | undefined {
  return source?.tensor && Array.from(source.tensor.data as BigInt64Array, Number);
}

/** Shape of what has one, as a constant: all sizes must be known. */
export function shapeOf(node: Node): TensorSource | undefined {
  const sizes = shapeElements(node);
  return isKnown(sizes) ? int64(sizes, [sizes.length]) : undefined;
}

/** The number of elements. */
export function sizeOf(node: Node): TensorSource | undefined {
  const sizes = sizesOf(node.inputs[0]);
  return isKnown(sizes) ? int64([elementCount(sizes)], []) : undefined;
}

/** Elements of a vector, or sizes of which the others may be unknown. Tables of more axes stay: quantizers read them. */
export function gathered(node: Node): TensorSource | undefined {
  const [data, indices] = node.inputs;
  const places = wholeNumbers(indices?.constant);
  const shape = indices?.constant?.shape;
  if (places === undefined || shape === undefined || ![0, -1].includes(node.int('axis', 0))) return undefined;
  const sizes = data?.producer?.is('Shape') ? shapeElements(data.producer) : undefined;
  if (sizes !== undefined) {
    const picked = places.map((place) => sizes.at(place));
    return isKnown(picked) ? int64(picked, shape) : undefined;
  }
  const held = data?.constant?.tensor;
  if (held?.shape.length !== 1 || DTYPES[held.dtype].bits < 8) return undefined;
  const [length] = held.shape;
  if (!places.every((place) => place >= -length && place < length)) return undefined;
  const result = allocate(held.dtype, places.length);
  places.forEach((place, i) => (result[i] = held.data[place < 0 ? place + length : place]));
  return memorySource(new Tensor(held.dtype, shape, result));
}

/** One value, again and again. */
export function filled(node: Node, [wanted]: readonly TensorSource[]): TensorSource | undefined {
  const shape = wholeNumbers(wanted);
  const given = node.attributes.get('value');
  const value = given?.kind === 'tensor' ? given.value : memorySource(tensor(Float32Array.of(0)));
  return shape && elementCount(value.shape) === 1 ? spread([value], shape) : undefined;
}

/** A constant, repeated along axes of size 1. */
export function expanded([source, wanted]: readonly TensorSource[]): TensorSource | undefined {
  const sizes = wholeNumbers(wanted);
  const shape = sizes && broadcastShape([source.shape, sizes]);
  return shape && spread([source], shape);
}

/** One of two constants, element by element. */
export function chosen(sources: readonly TensorSource[]): TensorSource | undefined {
  const [condition, yes, no] = sources;
  if (condition?.elementType !== 'bool' || yes?.elementType !== no?.elementType) return undefined;
  const shape = broadcastShape(sources.map((source) => source.shape));
  return shape && spread([yes, no, condition], shape);
}

/** Constants side by side. */
export function joined(node: Node, sources: readonly TensorSource[]): TensorSource | undefined {
  const axis = node.int('axis', undefined);
  return axis === undefined || sources.length === 0 ? undefined : joinSources(sources, axis);
}

/** Elements of the first where there is no third, or where it is true, else of the second, all broadcast to `shape`. */
function spread(sources: readonly TensorSource[], shape: readonly number[]): TensorSource | undefined {
  const { elementType } = sources[0];
  if (!isOurs(elementType) || elementBits(elementType) < 8) return undefined;
  const dtype: DType = elementType;
  return lazily(dtype, shape, sources, ([yes, no, condition]) => {
    const result = allocate(dtype, elementCount(shape));
    const shapes = [yes, no, condition].flatMap((part) => (part === undefined ? [] : [part.shape]));
    walkBroadcast(shapes, shape, (to, at) => {
      const isNo = condition !== undefined && condition.data[at[2]] === 0;
      result[to] = isNo ? no.data[at[1]] : yes.data[at[0]];
    });
    return new Tensor(dtype, shape, result);
  });
}
