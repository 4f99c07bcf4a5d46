/**
 * Weights and biases of LSTM, GRU and RNN that a graph computes from constants become constants. Exporters that do not fold
 * write the gates in PyTorch's order and bring them into ONNX's by nodes:
 *
 *   W = Unsqueeze(Concat(Slice(w, i), Slice(w, o), Slice(w, f, c)))
 *
 * Cases:
 * 1. Concat, and what only moves elements (constant-moves.ts), of float32 constants: an
 *    initializer, whose elements are put together when they are read. Equal expressions, in two branches of an If, say, give
 *    one. What nobody else needs goes with removeUnused.
 * 2. Anything else on the way: left.
 */
import type { Model } from '../graph/model.ts';
import type { Node } from '../graph/node.ts';
import type { TensorSource } from '../graph/tensor-source.ts';
import type { Value } from '../graph/value.ts';
import { moved } from './constant-moves.ts';
import { joinSources } from './joined-source.ts';
import { onCopy, type PassResult } from './pass.ts';

const RECURRENT = new Set(['LSTM', 'GRU', 'RNN']);
/** W, R, B. */
const CONSTANT_INPUTS = [1, 2, 3];
/** Nodes between a constant and the input; exporters write five. */
const MOST_STEPS = 8;

/** Makes the computed weights of recurrent nodes constants; see the cases above. */
export function foldRecurrentWeights(model: Model): Promise<PassResult> {
  return onCopy(model, foldRecurrentWeightsInPlace);
}

/** The same on a model that the caller owns. */
export async function foldRecurrentWeightsInPlace(model: Model): Promise<Omit<PassResult, 'model'>> {
  const folder = new Folder(model);
  let modified = false;
  for (const node of model.graph.allNodes()) {
    if (node.domain !== '' || !RECURRENT.has(node.opType)) continue;
    for (const index of CONSTANT_INPUTS) modified = folder.fold(node, index) || modified;
  }
  return { modified, skipped: [] };
}

/** What an expression gives, and a text that equal expressions share. */
interface Evaluated {
  readonly source: TensorSource;
  readonly key: string;
}

class Folder {
  readonly #model: Model;
  /** Names are not enough: two branches may each have a value of one name. */
  readonly #ids = new Map<Value, number>();
  readonly #made = new Map<string, Value>();

  constructor(model: Model) {
    this.#model = model;
  }

  /** Whether input `index` is a constant now that was none. */
  fold(node: Node, index: number): boolean {
    const value = node.inputs[index];
    if (value === undefined || value.constant !== undefined) return false;
    const found = this.#evaluate(value, MOST_STEPS);
    if (found === undefined) return false;
    // Every graph sees the constants of the main one.
    const { graph } = this.#model;
    const made = this.#made.get(found.key) ?? graph.addInitializer(graph.freshName(value.name), found.source);
    this.#made.set(found.key, made);
    node.setInput(index, made);
    return true;
  }

  /** undefined if something else than moving the elements of constants is on the way. */
  #evaluate(value: Value, steps: number): Evaluated | undefined {
    const { constant, producer } = value;
    if (constant !== undefined) {
      return constant.elementType === 'float32' ? { source: constant, key: this.#id(value) } : undefined;
    }
    if (producer === undefined || producer.domain !== '' || steps === 0) return undefined;
    const count = producer.opType === 'Concat' ? producer.inputs.length : 1;
    const parts = Array.from({ length: count }, (_, i) => {
      const input = producer.inputs[i];
      return input && this.#evaluate(input, steps - 1);
    }).filter((part) => part !== undefined);
    const source =
      parts.length === count
        ? apply(
            producer,
            parts.map((part) => part.source),
          )
        : undefined;
    if (source === undefined) return undefined;
    return { source, key: `${producer.opType}${describe(producer)}(${parts.map(({ key }) => key).join()})` };
  }

  #id(value: Value): string {
    const id = this.#ids.get(value) ?? this.#ids.size;
    this.#ids.set(value, id);
    return `#${id}`;
  }
}

/** Attributes and arguments of an operator that moves elements; all of them are integers. */
function describe(node: Node): string {
  const names = ['axis', 'axes', 'starts', 'ends', 'steps', 'perm', 'shape', 'allowzero'];
  const attributes = names.map((name) => {
    const attribute = node.attributes.get(name);
    return attribute === undefined ? '' : String(attribute.value);
  });
  const inputs = node.opType === 'Concat' ? [] : node.inputs.slice(1);
  return JSON.stringify([attributes, inputs.map((input) => String(input?.constant?.tensor?.data ?? ''))]);
}

function apply(node: Node, sources: readonly TensorSource[]): TensorSource | undefined {
  return node.opType === 'Concat' ? joinSources(sources, node.int('axis', 0)) : moved(node, sources[0]);
}
