/** Parts of float32 constants, and constants put together: made when they are read. */
import { derivedSource, type TensorSource } from '../graph/tensor-source.ts';
import { Tensor } from '../tensor/tensor.ts';

const FLOAT_BYTES = 4;

const count = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);
const fromEnd = (at: number, size: number): number => (at < 0 ? at + size : at);
const withSize = (shape: readonly number[], axis: number, size: number): number[] =>
  shape.map((old, i) => (i === axis ? size : old));

/**
 * Indices `start` to `end` (not included) of an axis, as Slice reads them: negative ones count from the end, and what lies
 * outside is left out. undefined if there is no such axis.
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

/** Constants side by side along an axis, as Concat puts them; undefined if their shapes do not fit. */
export function joinSources(sources: readonly TensorSource[], wantedAxis: number): TensorSource | undefined {
  const [{ shape }] = sources;
  const axis = fromEnd(wantedAxis, shape.length);
  if (!sources.every((source) => fitsBeside(source.shape, shape, axis))) return undefined;
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

function derived(
  sources: readonly TensorSource[],
  shape: readonly number[],
  fill: (parts: readonly Float32Array[], result: Float32Array) => void,
): TensorSource {
  const length = count(shape);
  return derivedSource(sources[0], { shape, byteLength: length * FLOAT_BYTES }, async () => {
    const result = new Float32Array(length);
    const tensors = await Promise.all(sources.map((source) => source.load()));
    // Callers give float32 constants.
    fill(
      tensors.map(({ data }) => data as Float32Array),
      result,
    );
    return new Tensor('float32', shape, result);
  });
}
