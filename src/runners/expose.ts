/** A copy of a model that gives inner values as outputs, which is how a runtime is made to show them. */
import type { Graph } from '../graph/graph.ts';
import type { Model } from '../graph/model.ts';
import { tensorType } from '../graph/value-type.ts';
import type { Value } from '../graph/value.ts';

/** Names of the scalars that {@link exposeValues} adds for a value. */
export interface ExtremesNames {
  readonly min: string;
  readonly max: string;
  /** NaN or infinite if the value has one, which minimum and maximum need not show. */
  readonly sum: string;
}

/**
 * A copy whose outputs are `names`, in that order, then smallest and largest value and the sum of each of `extremesOf`;
 * weights are shared. Types lose their shapes: files often state wrong ones for inner values, and a runtime believes
 * what an output says.
 *
 * @throws RangeError for a name that the main graph does not define.
 */
export function exposeValues(
  model: Model,
  names: readonly string[],
  extremesOf: readonly string[] = [],
): { readonly model: Model; readonly added: ReadonlyMap<string, ExtremesNames> } {
  const copy = model.clone();
  const { graph } = copy;
  const values = names.map((name) => valueOf(graph, name));
  for (const value of values) if (!value.isOutput) dropShape(value);
  graph.setOutputs(values);
  const added = new Map(extremesOf.map((name) => [name, addExtremes(graph, valueOf(graph, name))]));
  return { model: copy, added };
}

function addExtremes(graph: Graph, value: Value): ExtremesNames {
  const reduced = (opType: string): string => {
    const output = graph.freshName(`${value.name}_${opType}`);
    const init = { opType, inputs: [value], outputs: [output], attributes: { keepdims: 0 } };
    // Beside what computes the value, so that nothing has to keep it until the end.
    const node = graph.addNode(init, value.producer === undefined ? {} : { after: value.producer });
    // addNode has just made it from the name.
    graph.addOutput(node.outputs[0] as Value);
    return output;
  };
  return { min: reduced('ReduceMin'), max: reduced('ReduceMax'), sum: reduced('ReduceSum') };
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
