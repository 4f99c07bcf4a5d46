/** A copy of a model that gives inner values as outputs, which is how a runtime is made to show them. */
import type { Graph, NodeInit, Place } from '../graph/graph.ts';
import type { Model } from '../graph/model.ts';
import { tensorType } from '../graph/value-type.ts';
import type { Value } from '../graph/value.ts';
import { outputOf } from '../passes/access.ts';
import { rankReader } from '../passes/infer-rank.ts';
import { elementCount } from '../tensor/shape.ts';
import { tensor } from '../tensor/tensor.ts';

/** Where the smallest and largest elements of values are found. */
export interface PackedExtremes {
  /** An output [3 · values] in float32. */
  readonly output: string;
  /** Smallest, largest, sum of each, in this order. The sum is NaN or infinite if an element is, which the others need not show. */
  readonly values: readonly string[];
}

/**
 * A copy whose outputs are `names`, in that order, then the extremes of those of `extremesOf` that can be float32, if there
 * are any; weights are shared. Types lose their shapes: files often state wrong ones for inner values, and a runtime
 * believes what an output says.
 *
 * @throws RangeError for a name that the main graph does not define.
 */
export function exposeValues(
  model: Model,
  names: readonly string[],
  extremesOf: readonly string[] = [],
): { readonly model: Model; readonly packed: PackedExtremes | undefined } {
  const copy = model.clone();
  const { graph } = copy;
  const values = names.map((name) => valueOf(graph, name));
  for (const value of values) if (!value.isOutput) dropShape(value);
  graph.setOutputs(values);
  const reduced = extremesOf
    .map((name) => valueOf(graph, name))
    .filter(({ elementType = 'float32' }) => elementType === 'float32');
  const opset = model.opsetImports.get('') ?? 0;
  return { model: copy, packed: reduced.length === 0 ? undefined : packExtremes(graph, reduced, opset) };
}

/** What is found of each value, in this order, with the opset from which axes are an input. */
const REDUCTIONS = { ReduceMin: 18, ReduceMax: 18, ReduceSum: 13 } as const;

/**
 * All in one output: on a MiniLM with 148 values a run took 29 to 33 ms with an output for each number, 25 with one, and 18
 * without extremes. Rows first, then what is left of them: onnxruntime 1.30 reduces rows on all cores and in vectors, a whole
 * tensor on one core, element by element (0.8 million elements: 0.02 instead of 0.2 ms; mobilenet_v2: a tenth of a run).
 */
function packExtremes(graph: Graph, values: readonly Value[], opset: number): PackedExtremes {
  const flat = graph.addInitializer(graph.freshName('flat'), tensor(BigInt64Array.of(-1n)));
  const axes = graph.addInitializer(graph.freshName('axes'), tensor(BigInt64Array.of(1n)));
  const rankOf = rankReader();
  const rowAxes = values.map((value) => rowAxis(value, rankOf));
  const parts = values.flatMap((value, i) => {
    // Beside what computes the value, so that nothing has to keep it until the end.
    const place = value.producer === undefined ? {} : { after: value.producer };
    const axis = rowAxes[i];
    const [form, attributes] =
      axis === undefined
        ? [{ opType: 'Reshape', inputs: [value, flat] }, {}]
        : [{ opType: 'Flatten', inputs: [value] }, { axis }];
    const flattened = addOne(graph, { ...form, attributes }, value, place);
    return Object.entries(REDUCTIONS).map(([opType, axesAreInput]) => {
      const reduce = (from: Value, given: Pick<NodeInit, 'inputs' | 'attributes'>): Value =>
        addOne(graph, { opType, ...given }, value, { after: from.producer });
      if (axis === undefined) return reduce(flattened, { inputs: [flattened] });
      const rows = reduce(
        flattened,
        opset >= axesAreInput
          ? { inputs: [flattened, axes], attributes: { keepdims: 0 } }
          : { inputs: [flattened], attributes: { axes: [1], keepdims: 0 } },
      );
      return reduce(rows, { inputs: [rows] });
    });
  });
  const name = graph.freshName('extremes');
  const init = { opType: 'Concat', inputs: parts, outputs: [name], attributes: { axis: 0 } };
  graph.addOutput(outputOf(graph.addNode(init)));
  return { output: name, values: values.map((value) => value.name) };
}

/** Fewer elements are not worth the nodes for rows. */
const FEW = 8192;

/** Where to cut a value's axes into those of rows and those within: images by channel; undefined: not to be cut. */
function rowAxis(value: Value, rankOf: (value: Value) => number | undefined): 1 | 2 | undefined {
  const { dims } = value;
  if (dims?.every((size) => typeof size === 'number') === true && elementCount(dims) < FEW) return undefined;
  const rank = rankOf(value);
  return rank === undefined || rank < 2 ? undefined : rank === 2 ? 1 : 2;
}

function addOne(
  graph: Graph,
  init: Pick<NodeInit, 'opType' | 'inputs' | 'attributes'>,
  of: Value,
  place: Place,
): Value {
  const output = graph.freshName(`${of.name}_${init.opType}`);
  return outputOf(graph.addNode({ ...init, outputs: [output] }, place));
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
