/**
 * A model and its calibrated plan → the quantized model in QDQ form, and a report. The input model is not changed; the
 * copy shares the weights that stay as they are, and loads the others one at a time.
 */
import type { Graph } from '../graph/graph.ts';
import type { Model } from '../graph/model.ts';
import type { Node } from '../graph/node.ts';
import type { Value } from '../graph/value.ts';
import { getBackend } from '../kernels/backend.ts';
import { outputOf, present } from '../passes/access.ts';
import { removeUnusedInPlace } from '../passes/remove-unused.ts';
import { checkSomethingQuantized } from './check-model.ts';
import {
  loadFloat32,
  quantizeBias,
  quantizeOperand,
  quantizeWeight,
  type BiasFit,
  type QuantizedWeightData,
} from './constants.ts';
import { Emitter, type ActivationGrid, type GridValues } from './emit.ts';
import { gridOfTable, readGrids, saturates } from './grids.ts';
import type { JobOptions } from './job.ts';
import type { NameStyle } from './names.ts';
import type { Plan, PlannedNode } from './plan.ts';
import { policyOf } from './ops/index.ts';
import type { InputRole } from './ops/policy.ts';
import { checkFormat } from './qoperator/check-format.ts';
import { toQOperatorInPlace } from './qoperator/to-qoperator.ts';
import type { QuantizationReport, QuantizedWeight } from './report.ts';
import { selectPlanned, type PlannedSelection } from './select-planned.ts';
import type { Selection } from './select.ts';
import { signModel } from './version.ts';

/** A quantized model and what was done to it. */
export interface Converted {
  readonly model: Model;
  readonly report: QuantizationReport;
}

/** How to write what was planned, and how to follow the job. */
export interface ConvertOptions extends JobOptions {
  /** How the added values and nodes are named. Default 'short'. */
  readonly names?: NameStyle;
  /**
   * - `qdq`: operators stay what they were, between QuantizeLinear and DequantizeLinear, for the runtime to fuse.
   * - `qoperator`: onnxruntime's integer operators where there are any (8-bit codes only), see `toQOperator`.
   *
   * Default 'qdq'. Static quantization only.
   */
  readonly format?: 'qdq' | 'qoperator';
  /**
   * A pair for each reader of a value instead of one for all: TensorRT, for one, cannot share them. A value that several
   * quantized nodes read goes to everything else, graph outputs too, as the float that it was. Default false. Static
   * quantization in QDQ form only.
   */
  readonly dedicatedPairs?: boolean;
}

/**
 * Quantizes `model`, the one the plan was prepared from, with what calibration put into the plan.
 *
 * @throws CalibrationError CALIBRATION_EMPTY if the plan holds no ranges; GraphError if it belongs to another model, or
 *   if calibration spoke against all of its nodes; TypeError for `dedicatedPairs` in QOperator form; UnsupportedError UNSUPPORTED_DTYPE if QOperator form is asked for with
 *   codes that have not 8 bits
 */
export async function convert(model: Model, plan: Plan, options: ConvertOptions = {}): Promise<Converted> {
  checkFormat(plan, options);
  const copy = model.clone();
  const planned = selectPlanned(copy, plan);
  checkSomethingQuantized(planned.quantized.length, [...plan.skipped, ...planned.skipped]);
  const converter = new Converter(copy.graph, options.names ?? 'short', planned.selection, plan);
  await converter.constants(options);
  await converter.absorbClamps();
  converter.pairs(options.dedicatedPairs ?? false);
  removeUnusedInPlace(copy);
  signModel(copy);
  const written = report(plan, planned, converter);
  if (options.format !== 'qoperator') return { model: copy, report: written };
  const { skipped } = await toQOperatorInPlace(copy, options.names ?? 'short');
  const quantized = new Set(written.quantized.map(({ node }) => node));
  return {
    model: copy,
    report: { ...written, keptPairs: skipped.filter(({ node }) => quantized.has(node)) },
  };
}

class Converter {
  readonly #graph: Graph;
  readonly #emitter: Emitter;
  readonly #selection: Selection;
  readonly #planned: ReadonlyMap<string, PlannedNode>;
  /** Grid of each gridded value; a clamp that is absorbed hands its grid to the op before it. */
  readonly #gridOf = new Map<Value, { readonly root: string; readonly grid: ActivationGrid }>();
  readonly #stored = new Map<string, Promise<QuantizedWeightData>>();
  readonly weights: QuantizedWeight[] = [];
  readonly absorbed: string[] = [];

  /** The grids in use, by the value that was observed. */
  readonly activations = new Map<string, ActivationGrid>();

  constructor(graph: Graph, names: NameStyle, selection: Selection, plan: Plan) {
    this.#graph = graph;
    this.#emitter = new Emitter(graph, names);
    this.#selection = selection;
    this.#planned = new Map(plan.nodes.map((node) => [node.output, node]));
    const grids = readGrids(plan);
    for (const [value, root] of selection.grids) {
      // Where a node before it is left in float after all, a value is its own root that shared one in the plan.
      const grid = grids.get(root.name) ?? grids.get(plan.shared[root.name] ?? '');
      if (grid !== undefined) this.#setGrid(value, root, grid);
    }
  }

  #setGrid(value: Value, root: Value, grid: ActivationGrid): void {
    this.#gridOf.set(value, { root: root.name, grid });
    this.activations.set(root.name, grid);
  }

  /** Rows of a table have the grid of the table, and so has everything that shares theirs. */
  #setTableGrid(root: Value, grid: ActivationGrid): void {
    for (const [value, itsRoot] of this.#selection.grids) {
      if (itsRoot === root) this.#setGrid(value, root, grid);
    }
  }

  /** Weights, constant operands and biases of every selected node, one node at a time. */
  async constants({ signal, onProgress }: JobOptions): Promise<void> {
    let done = 0;
    const total = this.#selection.nodes.size;
    for (const [node, { plan }] of this.#selection.nodes) {
      signal?.throwIfAborted();
      await this.#quantizeOperands(node, plan.inputs);
      onProgress?.({ stage: 'convert', done: ++done, total, unit: 'nodes' });
    }
  }

  async #quantizeOperands(node: Node, roles: readonly InputRole[]): Promise<void> {
    const { name } = outputOf(node);
    const planned = present(this.#planned.get(name), `${name}: expected a planned node, got none`);
    const scales: Float32Array[] = [];
    for (const [index, role] of roles.entries()) {
      const input = node.inputs[index];
      if (input === undefined) continue;
      if (role.kind === 'weight' || (role.kind === 'activation' && input.constant !== undefined)) {
        const isWeight = role.kind === 'weight';
        const spec = isWeight ? planned.weight : planned.activation;
        const fit = isWeight ? await this.#biasFit(node, roles, scales[0]) : undefined;
        const stored = await this.#store(input, role, spec, fit);
        scales[index] = stored.scaleData;
        const output = outputOf(node);
        if (index === 0 && this.#selection.tables.has(output))
          this.#setTableGrid(output, gridOfTable(stored));
        node.setInput(index, this.#emitter.dequantized(input.name, stored, node));
      } else if (role.kind === 'activation') {
        const known = this.#gridOf.get(input);
        if (known !== undefined) scales[index] = Float32Array.of(known.grid.scale);
      } else if (role.kind === 'bias' && scales[0] !== undefined) {
        const bias = await loadFloat32(input);
        const stored = quantizeBias(bias, role.factor * scales[0][0], scales[1]);
        node.setInput(index, this.#emitter.dequantized(input.name, stored, node));
      }
    }
  }

  /** What the bias of this node asks of the weight's scale. */
  async #biasFit(
    node: Node,
    roles: readonly InputRole[],
    inputScale: Float32Array | undefined,
  ): Promise<BiasFit | undefined> {
    const index = roles.findIndex((role) => role.kind === 'bias');
    const role = roles[index];
    const bias = node.inputs[index];
    if (role?.kind !== 'bias' || bias === undefined || inputScale === undefined) return undefined;
    return { bias: (await loadFloat32(bias)).data, inputScale: role.factor * inputScale[0] };
  }

  /** The integers of a constant; computed once where several nodes want the same. */
  #store(
    value: Value,
    role: InputRole,
    spec: PlannedNode['weight'],
    fit: BiasFit | undefined,
  ): Promise<QuantizedWeightData> {
    const compute = async (): Promise<QuantizedWeightData> => {
      const stored = await (role.kind === 'weight'
        ? quantizeWeight(value, spec, role.axis, fit)
        : quantizeOperand(value, spec));
      this.weights.push({
        name: value.name,
        dtype: stored.dtype,
        scales: stored.scaleData.length,
        elements: stored.codes.size,
      });
      return stored;
    };
    if (fit !== undefined || value.uses.size === 1) return compute();
    const key = JSON.stringify([value.name, spec, role]);
    const known = this.#stored.get(key) ?? compute();
    this.#stored.set(key, known);
    return known;
  }

  /** Removes a fused Relu or Clip where saturation to the grid does the same. */
  async absorbClamps(): Promise<void> {
    for (const [node] of this.#selection.fused) {
      const [input] = node.inputs;
      const [output] = node.outputs;
      const known = output && this.#gridOf.get(output);
      if (input === undefined || output === undefined || known === undefined) continue;
      if (!saturates(known.grid, await policyOf(node)?.clampRange?.(node))) continue;
      this.absorbed.push(node.label);
      const { name } = output;
      this.#graph.replaceAllUses(output, input);
      this.#graph.removeNode(node);
      if (this.#graph.value(name) === undefined) this.#graph.rename(input, name);
      this.#gridOf.set(input, known);
      this.#gridOf.delete(output);
    }
  }

  pairs(dedicated: boolean): void {
    const shared = new Map<string, GridValues>();
    for (const [value, { root, grid }] of this.#gridOf) {
      const values = shared.get(root) ?? this.#emitter.grid(root, grid);
      shared.set(root, values);
      const own = dedicated ? this.#quantizedReaders(value) : [];
      if (own.length > 1) {
        for (const reader of own)
          this.#emitter.pair(value, values, { readers: (node) => node === reader, outputs: false });
        continue;
      }
      const { producer } = value;
      // What computes in float may as well be read in float: only quantized readers go through the pair then.
      const fromFloat = producer === undefined || !this.#selection.nodes.has(producer);
      const readers = (node: Node): boolean => !fromFloat || this.#selection.nodes.has(node);
      this.#emitter.pair(value, values, { readers, outputs: !fromFloat });
    }
  }

  #quantizedReaders({ consumers }: Value): Node[] {
    return [...consumers].filter((node) => this.#selection.nodes.has(node));
  }
}

function report(
  plan: Plan,
  { quantized, skipped }: PlannedSelection,
  converter: Converter,
): QuantizationReport {
  return {
    mode: 'static',
    quantized: quantized.map(({ node, opType }) => ({ node, opType })),
    skipped: [...plan.skipped, ...skipped],
    activations: Array.from(converter.activations, ([name, grid]) => ({ name, ...grid })),
    weights: converter.weights,
    absorbed: converter.absorbed,
    samples: plan.samples,
    backend: getBackend(),
  };
}
