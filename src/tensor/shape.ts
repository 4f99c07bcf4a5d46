/** Arithmetic on shapes: sizes are non-negative integers, `[]` is a scalar, row-major order throughout. */

/** Product of the sizes; 1 for a scalar. */
export function elementCount(shape: readonly number[]): number {
  let count = 1;
  for (const size of shape) count *= size;
  return count;
}

/** Throws RangeError unless every size is a non-negative safe integer. */
export function checkShape(shape: readonly number[], where: string): void {
  if (!shape.every((size) => Number.isSafeInteger(size) && size >= 0)) {
    throw new RangeError(`${where}: expected a shape of non-negative integers, got [${shape.join(', ')}]`);
  }
}

/** `axis` counted from the front; negative axes count from the back. Throws RangeError outside the rank, as any is for a scalar. */
export function normalizeAxis(axis: number, rank: number, where: string): number {
  if (rank === 0) throw new RangeError(`${where}: expected an axis, got a scalar`);
  if (!Number.isInteger(axis) || axis < -rank || axis >= rank) {
    throw new RangeError(
      `${where}: expected an axis in [${-rank}, ${rank - 1}] for rank ${rank}, got ${axis}`,
    );
  }
  return axis < 0 ? axis + rank : axis;
}
