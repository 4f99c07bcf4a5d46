/** A copy of a model that gives inner values as outputs, which is how a runtime is made to show them. */
import type { Graph } from '../graph/graph.ts';
import type { Model } from '../graph/model.ts';
import { tensorType } from '../graph/value-type.ts';
import type { Value } from '../graph/value.ts';

/**
 * A copy whose outputs are `names`, in that order; weights are shared. Types lose their shapes: files often state
 * wrong ones for inner values, and a runtime believes what an output says.
 *
 * @throws RangeError for a name that the main graph does not define.
 */
export function exposeValues(model: Model, names: readonly string[]): Model {
  const copy = model.clone();
  const values = names.map((name) => valueOf(copy.graph, name));
  for (const value of values) if (!value.isOutput) dropShape(value);
  copy.graph.setOutputs(values);
  return copy;
}

function valueOf(graph: Graph, name: string): Value {
  const value = graph.value(name);
  if (value !== undefined) return value;
  throw new RangeError(`fetch: expected the name of a value of the model's main graph, got '${name}'`);
}

function dropShape(value: Value): void {
  const { type } = value;
  // An output without a type is inferred by the runtime; one with a type must be right.
  value.type = type?.kind === 'tensor' ? tensorType(type.elementType) : undefined;
}
