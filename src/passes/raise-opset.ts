/**
 * Says a model in a newer version of ONNX's operator set: each node is rewritten by the rules of its operator for every
 * version in between, in order. Graphs inside nodes and local functions are raised too, each function from the version
 * that it imports itself. Other operator sets stay as they are.
 *
 * Cases:
 * 1. The model has that version or a newer one: nothing changes.
 * 2. The version is older than 7 (operators broadcast by attributes), or newer than we know: UnsupportedError.
 * 3. A node cannot be said in the newer version (see OPSET_RULES): UnsupportedError naming it, and nothing changes.
 * 4. IR version 3 listed initializers among the inputs: they are constants, and leave the list.
 */
import { UnsupportedError } from '../errors.ts';
import type { ElementType } from '../graph/element-type.ts';
import type { Graph } from '../graph/graph.ts';
import type { Model } from '../graph/model.ts';
import type { Node } from '../graph/node.ts';
import { checkOpset, NEWEST_IR_VERSION, NEWEST_OPSET } from '../graph/opset.ts';
import type { Value } from '../graph/value.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { outputOf } from './access.ts';
import { inferElementTypes, type ElementTypes } from './infer-element-types.ts';
import { OPSET_RULES, type RuleContext } from './opset-rules.ts';
import type { PassResult } from './pass.ts';

/** The oldest version that can be raised. */
const OLDEST_OPSET = 7;
/** What weights by channel need, and most of what is written today has. */
const DEFAULT_OPSET = 13;

/** IR versions by the newest operator set that they came with (onnx.helper.VERSION_TABLE). */
const IR_VERSIONS = [
  [8, 3],
  [9, 4],
  [10, 5],
  [11, 6],
  [14, 7],
  [18, 8],
  [20, 9],
  [22, 10],
  [23, 11],
  [24, 12],
  [27, 13],
  [28, 14],
] as const;
/** Since this IR version initializers are not inputs. */
const IR_WITH_OVERRIDES = 4;

/**
 * A model that says the same in opset `to`, or `model` itself if it is that new already.
 *
 * @throws UnsupportedError UNSUPPORTED_OPSET for a model outside 7..28 that would have to be raised; UNSUPPORTED_OP where
 *   a node cannot be raised; RangeError for `to` outside 1..28
 * @example const { model: raised } = await raiseOpset(model, 13); // weights by channel
 */
export async function raiseOpset(model: Model, to: number = DEFAULT_OPSET): Promise<PassResult> {
  checkOpset(model);
  checkTarget(to);
  if (model.opset >= to) return { model, modified: false, skipped: [] };
  checkOpset(model, OLDEST_OPSET);
  const copy = model.clone();
  await raiseGraph(copy.graph, model.opset, to);
  copy.opsetImports.set('', to);
  for (const { body, opsetImports } of copy.functions) {
    const from = opsetImports.get('') ?? to;
    if (from >= to) continue;
    await raiseGraph(body, from, to);
    opsetImports.set('', to);
  }
  raiseIr(copy, to);
  return { model: copy, modified: true, skipped: [] };
}

function checkTarget(to: number): void {
  if (Number.isInteger(to) && to >= 1 && to <= NEWEST_OPSET) return;
  throw new RangeError(`raiseOpset: expected an opset of 1..${NEWEST_OPSET}, got ${to}`);
}

async function raiseGraph(graph: Graph, from: number, to: number): Promise<void> {
  const types = typesInside(graph);
  const context = makeContext(types, from, to);
  for (const first of Array.from(graph.allNodes())) {
    let node = first;
    for (const version of versionsOf(node, from, to)) {
      node = (await rulesOf(node)[version](node, context)) ?? node;
    }
    // An operator that has become another one has that one's rules to come.
    if (node.opType !== first.opType) {
      for (const version of versionsOf(node, from, to)) await rulesOf(node)[version](node, context);
    }
  }
}

function rulesOf(node: Node): (typeof OPSET_RULES)[string] {
  return node.domain === '' && Object.hasOwn(OPSET_RULES, node.opType) ? OPSET_RULES[node.opType] : {};
}

/** Integer keys of an object come in ascending order. */
function versionsOf(node: Node, from: number, to: number): number[] {
  return Object.keys(rulesOf(node))
    .map(Number)
    .filter((version) => version > from && version <= to);
}

/** Element types of all values of a graph and the graphs inside it. */
function typesInside(graph: Graph): ElementTypes {
  const types = new Map<Value, ElementType>();
  const visit = (inside: Graph): void => {
    for (const [value, type] of inferElementTypes(inside, types)) types.set(value, type);
    for (const node of inside.nodes) node.subgraphs.forEach(visit);
  };
  visit(graph);
  return types;
}

function makeContext(types: ElementTypes, from: number, to: number): RuleContext {
  const known = new Map<string, Value>();
  return {
    to,
    typeOf: (value) => value && types.get(value),
    constant(node, content) {
      const root = (node.graph as Graph).root;
      const key = `${content.dtype}[${content.shape.join()}]${content.data.join()}`;
      const value = known.get(key) ?? addConstant(root, content);
      known.set(key, value);
      return value;
    },
    refuse(node, reason, hint) {
      throw new UnsupportedError(
        `${node.label}: expected a node that opset ${to} can say, got ${node.opType} of opset ${from}: ${reason}`,
        {
          code: 'UNSUPPORTED_OP',
          hint: hint ?? `Export the model with opset ${to}, or quantize in a form that opset ${from} has.`,
          details: { node: node.label, opType: node.opType, from, to },
        },
      );
    },
  };
}

/** In the outermost graph, which all others see. Function bodies have no initializers. */
function addConstant(root: Graph, content: Tensor): Value {
  const name = root.freshName('raised');
  if (root.model !== undefined) return root.addInitializer(name, content);
  const [before] = root.nodes;
  return outputOf(
    root.addNode({ opType: 'Constant', outputs: [name], attributes: { value: content } }, { before }),
  );
}

function raiseIr(model: Model, opset: number): void {
  const needed = IR_VERSIONS.find(([newest]) => opset <= newest)?.[1] ?? NEWEST_IR_VERSION;
  if (model.irVersion < IR_WITH_OVERRIDES && needed >= IR_WITH_OVERRIDES) {
    const { graph } = model;
    graph.setInputs(graph.inputs.filter((input) => !input.isInitializer));
  }
  model.irVersion = Math.max(model.irVersion, needed);
}
