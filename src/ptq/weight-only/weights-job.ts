/** Edits one model: stores each weight once, puts the new nodes in place, and keeps count for the report. */
import { UnsupportedError } from '../../errors.ts';
import type { Graph } from '../../graph/graph.ts';
import type { Model } from '../../graph/model.ts';
import type { Node } from '../../graph/node.ts';
import type { Value } from '../../graph/value.ts';
import { inputOf, outputOf, present } from '../../passes/access.ts';
import type { SkippedNode } from '../../passes/pass.ts';
import { createRunner } from '../../runners/index.ts';
import type { TensorData } from '../../tensor/dtype.ts';
import type { JobOptions } from '../job.ts';
import { NAMERS, type NamedPart, type NameStyle } from '../names.ts';
import type { QuantizedNode, QuantizedWeight } from '../report.ts';
import { byteSize, DerivedConstants } from '../derived-constants.ts';
import {
  formOf,
  type Form,
  type FormNode,
  type FormSettings,
  type Rewriter,
  type StoredWeight,
} from './forms.ts';
import { InputFactors, MOST_INPUTS, type WeightInputs } from './input-factors.ts';
import type { NodeSettings, ResolvedOptions } from './options.ts';
import type { Target } from './targets.ts';

interface KnownWeight {
  readonly stored: StoredWeight;
  readonly number: number;
  /** What a node that all readers share gives. */
  shared: Value | undefined;
}

const PARTS = {
  codes: 'integers',
  scales: 'scale',
  zeroPoints: 'zero_point',
  unit: 'scale',
} as const satisfies Record<keyof StoredWeight, NamedPart>;

export class WeightsJob {
  readonly #options: ResolvedOptions;
  readonly #names: NameStyle;
  readonly #constants = new DerivedConstants();
  /** By constant, then by form and settings. */
  readonly #known = new Map<Value, Map<string, KnownWeight>>();
  #count = 0;
  readonly quantized: QuantizedNode[] = [];
  readonly skipped: SkippedNode[] = [];
  readonly weights: QuantizedWeight[] = [];
  /** By constant: what it is multiplied with, where the algorithm asks for that. */
  readonly #inputs = new Map<Value, WeightInputs>();
  #factors: InputFactors | undefined;

  constructor(options: ResolvedOptions, names: NameStyle) {
    this.#options = options;
    this.#names = names;
  }

  /** Samples that were seen. */
  get samples(): number {
    return this.#factors?.samples ?? 0;
  }

  /** Has the runtime look at what the weights of these targets are multiplied with. To be called before the first is quantized. */
  calibrate(model: Model, targets: readonly Target[], job: JobOptions): void {
    const { batches, runner = createRunner } = this.#options;
    if (targets.length === 0 || batches === undefined) return;
    for (const { node, value, matrix } of targets) {
      checkInputs(node, matrix.cols);
      const values = new Set([...(this.#inputs.get(value)?.values ?? []), inputOf(node, 0).name]);
      this.#inputs.set(value, { values: [...values], size: matrix.cols });
    }
    this.#factors = new InputFactors(model.clone(), [...this.#inputs.values()], { batches, runner }, job);
  }

  skip(node: Node, reason: string): void {
    this.skipped.push({ node: node.label, opType: node.qualifiedOp, reason });
  }

  /** Why a target stays in float; undefined if its form can hold it and is smaller. */
  obstacle(target: Target, settings: NodeSettings): string | undefined {
    const form = this.#form(target);
    const all = this.#all(target, settings);
    const { byteLength } = target.matrix.source;
    if (settings.algorithm === 'gptq' && target.node.graph?.parent !== undefined) {
      return 'gptq cannot see what it reads, inside the body of an If, Loop or Scan: give it another algorithm';
    }
    return (
      form.obstacle?.(target, all) ??
      (byteSize({ ...form.layout(target, all) }) < byteLength
        ? undefined
        : 'its blocks would be larger than its floats')
    );
  }

  async quantize(target: Target, settings: NodeSettings): Promise<void> {
    const form = this.#form(target);
    const all = this.#all(target, settings);
    const known = await this.#weight(form, target, all);
    const { node } = target;
    this.quantized.push({ node: node.label, opType: node.opType });
    form.rewrite(this.#rewriter(target, known), target, known.stored, all);
  }

  /** Removes the float weights that nothing reads any more. */
  finish(): void {
    for (const value of this.#known.keys()) removeIfUnused(value);
  }

  #form({ kind }: Target): Form {
    return formOf(kind, this.#options);
  }

  #all(target: Target, settings: NodeSettings): FormSettings {
    const all = { ...settings, bnb4Type: this.#options.bnb4Type };
    return { ...all, blockSize: this.#form(target).blockSize?.(target, all) ?? all.blockSize };
  }

  async #weight(form: Form, target: Target, settings: FormSettings): Promise<KnownWeight> {
    const byForm = this.#known.get(target.value) ?? new Map<string, KnownWeight>();
    this.#known.set(target.value, byForm);
    // A weight that one product reads as it lies and another one turned is cut into blocks along either axis.
    const key = `${target.matrix.order} ${form.key(target, settings)}`;
    const known = byForm.get(key) ?? (await this.#store(form, target, settings));
    byForm.set(key, known);
    return known;
  }

  async #store(form: Form, target: Target, settings: FormSettings): Promise<KnownWeight> {
    const { name, graph } = target.value;
    const number = ++this.#count;
    const layout = { ...form.layout(target, settings) };
    const inputs = settings.algorithm === 'gptq' ? this.#inputs.get(target.value) : undefined;
    const factor = inputs && (await this.#factors?.factor(inputs));
    const compute = async (): Promise<Record<string, TensorData>> => ({
      ...(await form.compute(target, { ...settings, factor })),
    });
    // What was seen of the data is gone when the model is written.
    const sources = await this.#constants.add(layout, compute, { now: factor !== undefined });
    const suffixes = form.suffixes(settings);
    const values = Object.entries(sources).map(([part, source]) => {
      // Forms give the parts of StoredWeight.
      const key = part as keyof StoredWeight;
      const base =
        this.#names === 'short' ? NAMERS.short.value(PARTS[key], name, number) : `${name}${suffixes[key]}`;
      return [key, graph.addInitializer(graph.freshName(base), source)] as const;
    });
    const { rows, cols } = target.matrix;
    this.weights.push({
      name,
      dtype: form.dtype(settings),
      scales: sources.scales.shape.reduce((product, size) => product * size, 1),
      elements: rows * cols,
      blockSize: settings.blockSize,
      algorithm: settings.algorithm,
    });
    // Every form has codes and scales.
    return { stored: Object.fromEntries(values) as unknown as StoredWeight, number, shared: undefined };
  }

  #rewriter({ node, value }: Target, known: KnownWeight): Rewriter {
    const add = ({ part, domain, opType, inputs, attributes }: FormNode, of: string, before: Node): Value => {
      const graph = graphOf(before);
      const output = graph.freshName(NAMERS[this.#names].value(part, of, known.number));
      const base = NAMERS[this.#names].node(opType, of);
      const name = base === '' ? '' : graph.freshNodeName(base);
      const init = { opType, domain, name, inputs, outputs: [output], attributes };
      return outputOf(graph.addNode(init, { before }));
    };
    return {
      add: (init) => add(init, outputOf(node).name, node),
      share: (init) => (known.shared ??= add(init, value.name, ancestor(node, value.graph))),
      replace: (init) => void graphOf(node).replaceNode(node, { ...init, name: node.name }),
    };
  }
}

/** What would take hours and most of a machine's memory is refused before data is read. */
function checkInputs({ label }: Node, count: number): void {
  if (count <= MOST_INPUTS) return;
  throw new UnsupportedError(
    `quantizeWeights: expected at most ${MOST_INPUTS} inputs of a product for gptq, got ${count} at ${label}`,
    {
      code: 'UNSUPPORTED_FEATURE',
      hint: `Its memory and time grow with the square and the cube of that: give the node another algorithm, overrides: [{ nodes: '${label}', algorithm: 'mse' }].`,
      details: { node: label, inputs: count },
    },
  );
}

/** The node itself, or the one in `graph` whose body it lies in. */
function ancestor(node: Node, graph: Graph): Node {
  if (node.graph === graph) return node;
  return ancestor(present(node.graph?.owner, `${node.label}: expected a node inside ${graph.name}`), graph);
}

function graphOf(node: Node): Graph {
  return present(node.graph, `${node.label}: expected a node of a graph, got one that was removed`);
}

/** Removes a constant, or what turned it, and then what only that needed. */
function removeIfUnused(value: Value): void {
  for (const reader of value.consumers) {
    if (reader.is('Transpose') && outputOf(reader).isUnused) reader.graph?.removeNode(reader);
  }
  if (!value.isUnused || value.isInput) return;
  if (value.producer === undefined) value.graph.removeValue(value);
  else value.graph.removeNode(value.producer);
}
