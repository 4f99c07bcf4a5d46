/** Parts of constants, and constants put together: made when they are read. */
import { elementBits } from '../graph/element-type.ts';
import { derivedSource, type TensorSource } from '../graph/tensor-source.ts';
import { allocate } from '../tensor/dtype.ts';
import { elementCount as count } from '../tensor/shape.ts';
import { Tensor } from '../tensor/tensor.ts';

const fromEnd = (at: number, size: number): number => (at < 0 ? at + size : at);
const withSize = (shape: readonly number[], axis: number, size: number): number[] =>
  shape.map((old, i) => (i === axis ? size : old));

/**
 * Indices `start` to `end` (not included) of an axis, as Slice reads them: negative ones count from the end, and what lies
 * outside is left out. undefined if there is no such axis. Elements must be of 8 bits or more, here and below.
 */
export function rangeOfSource(
  source: TensorSource,
  wantedAxis: number,
  start: number,
  end: number,
): TensorSource | undefined {
  const { shape } = source;
  const axis = fromEnd(wantedAxis, shape.length);
  const size = shape[axis];
  if (size === undefined) return undefined;
  const [from, to] = [start, end].map((at) => Math.min(size, Math.max(0, fromEnd(at, size))));
  const length = Math.max(0, to - from);
  const inner = count(shape.slice(axis + 1));
  return derived([source], withSize(shape, axis, length), ([data], result) => {
    for (let row = 0; row * length * inner < result.length; row++) {
      const at = (row * size + from) * inner;
      result.set(data.subarray(at, at + length * inner), row * length * inner);
    }
  });
}

/** Constants side by side along an axis, as Concat puts them; undefined if their shapes or element types do not fit. */
export function joinSources(sources: readonly TensorSource[], wantedAxis: number): TensorSource | undefined {
  const [{ shape, elementType }] = sources;
  const axis = fromEnd(wantedAxis, shape.length);
  if (!sources.every((source) => source.elementType === elementType && fitsBeside(source.shape, shape, axis)))
    return undefined;
  const inner = count(shape.slice(axis + 1));
  const size = sources.reduce((sum, source) => sum + source.shape[axis], 0);
  return derived(sources, withSize(shape, axis, size), (parts, result) => {
    const widths = sources.map((source) => source.shape[axis] * inner);
    for (let row = 0, at = 0; at < result.length; row++) {
      for (const [i, width] of widths.entries()) {
        result.set(parts[i].subarray(row * width, (row + 1) * width), at);
        at += width;
      }
    }
  });
}

function fitsBeside(shape: readonly number[], other: readonly number[], axis: number): boolean {
  if (shape.length !== other.length || other[axis] === undefined) return false;
  return shape.every((size, i) => i === axis || size === other[i]);
}

/** Any array type will do: elements are copied as they are. */
type Elements = Uint8Array;

function derived(
  sources: readonly TensorSource[],
  shape: readonly number[],
  fill: (parts: readonly Elements[], result: Elements) => void,
): TensorSource {
  const [{ elementType }] = sources;
  const byteLength = (count(shape) * elementBits(elementType)) / 8;
  return derivedSource(sources[0], { shape, byteLength }, async () => {
    const tensors = await Promise.all(sources.map((source) => source.load()));
    const [{ dtype }] = tensors;
    const result = allocate(dtype, count(shape));
    fill(
      tensors.map(({ data }) => data as Elements),
      result as Elements,
    );
    return new Tensor(dtype, shape, result);
  });
}
