/** model + QConfigMapping → Plan: which nodes, which values are observed and how, what stays in float and why. */
import { checkOptions, type Rule } from '../errors/check-options.ts';
import { oneOf } from '../errors/option-rules.ts';
import { checkModel, type Model } from '../graph/model.ts';
import type { Node } from '../graph/node.ts';
import type { Value } from '../graph/value.ts';
import { checkOpset } from '../graph/opset.ts';
import type { QConfig } from '../qconfig/qconfig.ts';
import type { QConfigMapping } from '../qconfig/qconfig-mapping.ts';
import { outputOf, present } from '../passes/access.ts';
import { checkMapping } from './check-mapping.ts';
import { checkNotQuantized, checkSomethingQuantized } from './check-model.ts';
import { staticQConfigMapping } from './default-qconfig.ts';
import { checkForms, neededOpset, observerSpec } from './observer-spec.ts';
import { COVERAGES, type Coverage } from './ops/index.ts';
import { withConversions } from './conversions.ts';
import type { PlannedActivation, PlannedNode, Plan } from './plan.ts';
import { selectNodes, type Selection } from './select.ts';
import { checkNotAllInBodies } from './skip-bodies.ts';

/** What {@link prepare} takes beside a model and a mapping. */
export interface PrepareOptions {
  /**
   * 'kernels' (default): what onnxruntime computes in integers. 'all': pairs around operators that it computes in float
   * too (normalizations, Sub, Tanh, ReduceMean, ...) and around carriers and outputs anywhere, for NPUs and other runtimes.
   */
  readonly coverage?: Coverage;
}

export const PREPARE_RULES = { coverage: oneOf(...COVERAGES) } satisfies Record<keyof PrepareOptions, Rule>;

/**
 * Makes the plan of a static quantization. Nothing is inserted and the model is not changed; run the passes of
 * `clean` first, so that batch normalizations are folded and identities are gone.
 *
 * Object types of the mapping are ONNX op types, module names are node names. `null` leaves a node in float. What is left
 * in float on advice (the sum with an attention mask, the parts of a Gelu, what is compared) is quantized if `setModuleName`
 * names the node.
 *
 * @throws UnsupportedError if the model's opset has no form for what the mapping asks (per-channel weights: 13; see
 *   `raiseOpset`);
 *   GraphError if the model is quantized already, or has no node that can be; RangeError if a name or pattern of the
 *   mapping is about no node, with near names
 */
export function prepare(
  model: Model,
  qconfigMapping: QConfigMapping = staticQConfigMapping(),
  options: PrepareOptions = {},
): Plan {
  checkModel('prepare', model);
  checkOptions('prepare', options, PREPARE_RULES);
  checkMapping(qconfigMapping, model);
  return planOf(model, qconfigMapping, options);
}

/** As {@link prepare}, for a mapping that may name nodes which are gone from the model since. */
export function planOf(model: Model, qconfigMapping: QConfigMapping, options: PrepareOptions): Plan {
  checkOpset(model);
  checkNotQuantized(model);
  const { nodes, selection, qconfigs } = choose(model, qconfigMapping, options);
  checkNotAllInBodies(nodes.length, selection.skipped);
  checkSomethingQuantized(nodes.length, selection.skipped);
  checkForms(model, nodes);
  return {
    version: 1,
    ...(options.coverage === 'all' && { coverage: options.coverage }),
    nodes,
    activations: plannedActivations(selection, qconfigs),
    shared: sharedNames(selection),
    skipped: selection.skipped,
    samples: 0,
  };
}

/** The opset that {@link prepare} asks of this model: its own, or the oldest one that has the forms that are wanted. */
export function opsetToPrepare(
  model: Model,
  qconfigMapping: QConfigMapping,
  options: PrepareOptions = {},
): number {
  checkOptions('opsetToPrepare', options, PREPARE_RULES);
  checkOpset(model);
  checkNotQuantized(model);
  const { nodes } = choose(model, qconfigMapping, options);
  return Math.max(model.opset, neededOpset(nodes));
}

interface Choice {
  readonly nodes: PlannedNode[];
  readonly selection: Selection;
  readonly qconfigs: ReadonlyMap<Node, QConfig>;
}

function choose(model: Model, mapping: QConfigMapping, { coverage = 'kernels' }: PrepareOptions): Choice {
  if (!COVERAGES.includes(coverage))
    throw new TypeError(`prepare: expected coverage ${COVERAGES.join(' or ')}, got ${String(coverage)}`);
  const qconfigs = resolveAll(model, mapping);
  const names = namedNodes(mapping);
  const selection = selectNodes(model, {
    wants: (node) => (qconfigs.has(node) ? true : 'the QConfigMapping leaves it in float'),
    insists: (node) => names.has(node.name),
    coverage,
  });
  return { nodes: plannedNodes(selection, qconfigs, names), selection, qconfigs };
}

/** Names of single nodes: scopes and patterns take in nodes that nobody thought of. */
function namedNodes(mapping: QConfigMapping): ReadonlySet<string> {
  const entries = mapping.toDict().module_name.filter(([name, qconfig]) => name !== '' && qconfig !== null);
  return new Set(entries.map(([name]) => name));
}

function resolveAll(model: Model, mapping: QConfigMapping): Map<Node, QConfig> {
  const qconfigs = new Map<Node, QConfig>();
  const nodes = [...model.graph.allNodes()];
  const resolved = mapping.resolveAll(nodes.map(({ qualifiedOp, name }) => ({ opType: qualifiedOp, name })));
  resolved.forEach((qconfig, i) => {
    if (qconfig !== undefined) qconfigs.set(nodes[i], qconfig);
  });
  return qconfigs;
}

function plannedNodes(
  selection: Selection,
  qconfigs: ReadonlyMap<Node, QConfig>,
  names: ReadonlySet<string>,
): PlannedNode[] {
  return [...selection.nodes.keys()].map((node) => {
    const qconfig = present(qconfigs.get(node), `${node.label}: expected a QConfig, got none`);
    return {
      node: node.label,
      opType: node.opType,
      output: outputOf(node).name,
      activation: observerSpec(qconfig.activation),
      weight: observerSpec(qconfig.weight),
      ...(names.has(node.name) && { named: true }),
    };
  });
}

function plannedActivations(
  selection: Selection,
  qconfigs: ReadonlyMap<Node, QConfig>,
): Record<string, PlannedActivation> {
  const activations: Record<string, PlannedActivation> = {};
  for (const value of new Set(selection.grids.values())) {
    if (selection.tables.has(value)) continue;
    const qconfig = present(
      qconfigs.get(ownerOf(value, selection)),
      `${value.name}: expected a QConfig, got none`,
    );
    const range = value.producer && selection.nodes.get(value.producer)?.plan.range;
    activations[value.name] = { spec: observerSpec(qconfig.activation), ...(range && { range }) };
  }
  return withConversions(activations, selection, (node) => {
    const { activation } = present(qconfigs.get(node), `${node.label}: expected a QConfig, got none`);
    return observerSpec(activation);
  });
}

/** The node whose configuration a value's observer comes from: the one that gives it, else the first that reads it. */
function ownerOf(value: Value, selection: Selection): Node {
  if (value.producer !== undefined && selection.nodes.has(value.producer)) return value.producer;
  for (const { node } of value.uses) if (selection.nodes.has(node)) return node;
  throw new RangeError(`prepare: expected a reader of ${value.name} among the selected nodes, got none`);
}

function sharedNames(selection: Selection): Record<string, string> {
  const shared: Record<string, string> = {};
  for (const [value, root] of selection.grids) if (value !== root) shared[value.name] = root.name;
  return shared;
}
