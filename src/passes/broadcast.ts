/** Shapes of operands put together, as ONNX says in "Broadcasting" (NumPy's rule). */

/** The shape that operands have together; undefined if they have none. */
export function broadcastShape(shapes: readonly (readonly number[])[]): readonly number[] | undefined {
  const rank = Math.max(...shapes.map(({ length }) => length));
  const result = Array.from({ length: rank }, () => 1);
  for (const shape of shapes) {
    for (const [i, size] of shape.entries()) {
      const axis = i + rank - shape.length;
      if (size !== 1 && result[axis] !== 1 && size !== result[axis]) return undefined;
      if (size !== 1) result[axis] = size;
    }
  }
  return result;
}

/**
 * Goes through the elements of `shape` in row-major order: `visit(to, at)` gets the place of the element, and its place in
 * each operand. `at` is one array, changed from call to call.
 */
export function walkBroadcast(
  shapes: readonly (readonly number[])[],
  shape: readonly number[],
  visit: (to: number, at: readonly number[]) => void,
): void {
  const steps = shapes.map((operand) => stepsOf(operand, shape.length));
  const at = shapes.map(() => 0);
  const index = shape.map(() => 0);
  const length = shape.reduce((product, size) => product * size, 1);
  for (let to = 0; to < length; to++) {
    visit(to, at);
    // The last axis that is not at its end goes on, those after it begin again.
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const goesOn = ++index[axis] < shape[axis];
      for (let i = 0; i < at.length; i++)
        at[i] += goesOn ? steps[i][axis] : steps[i][axis] * (1 - shape[axis]);
      if (goesOn) break;
      index[axis] = 0;
    }
  }
}

/** Elements from one index of an axis to the next; 0 where the operand is repeated. */
function stepsOf(shape: readonly number[], rank: number): number[] {
  const steps = Array.from({ length: rank }, () => 0);
  let step = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] !== 1) steps[axis + rank - shape.length] = step;
    step *= shape[axis];
  }
  return steps;
}
