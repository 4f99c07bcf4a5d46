/**
 * A model and its calibrated plan → the quantized model in QDQ form, and a report. The input model is not changed; the
 * copy shares the weights that stay as they are, and loads the others one at a time.
 */
import { checkOptions } from '../errors/check-options.ts';
import type { Graph } from '../graph/graph.ts';
import { checkModel, type Model } from '../graph/model.ts';
import type { Node } from '../graph/node.ts';
import type { Value } from '../graph/value.ts';
import { getBackend } from '../kernels/backend.ts';
import { outputOf, present } from '../passes/access.ts';
import { removeUnusedInPlace } from '../passes/remove-unused.ts';
import { elementCount } from '../tensor/shape.ts';
import { blamed } from './blame-constants.ts';
import { checkSomethingQuantized } from './check-model.ts';
import { loadBias, quantizeBias, type BiasFit } from './constants.ts';
import { Emitter } from './emit.ts';
import { gridOfTable, saturates } from './grids.ts';
import type { JobOptions } from './job.ts';
import type { NameStyle } from './names.ts';
import { guardMovers } from './guard-movers.ts';
import { CONVERT_RULES } from './option-rules.ts';
import type { Plan, PlannedNode } from './plan.ts';
import { policyOf } from './ops/index.ts';
import type { InputRole } from './ops/policy.ts';
import { checkFormat } from './qoperator/check-format.ts';
import { toQOperatorInPlace } from './qoperator/to-qoperator.ts';
import { QuantizedWeights, type QuantizedWeightData } from './quantized-weights.ts';
import type { QuantizationReport, QuantizedWeight } from './report.ts';
import { selectPlanned, type PlannedSelection } from './select-planned.ts';
import type { Selection } from './select.ts';
import { ValueGrids } from './value-grids.ts';
import { signModel } from './version.ts';
import { writePairs } from './write-pairs.ts';

/** A quantized model and what was done to it. */
export interface Converted {
  readonly model: Model;
  readonly report: QuantizationReport;
}

/** How dynamic, weight-only and float16 results are written, and how to follow the job. */
export interface CopyOptions extends JobOptions {
  /** How the added values and nodes are named. Default 'short'. */
  readonly names?: NameStyle;
  /** Dynamic and weights alone: take a model that holds integer operators already, and do what is float in it. Default false. */
  readonly allowQuantized?: boolean;
}

/** How to write what was planned, and how to follow the job. */
export interface ConvertOptions extends CopyOptions {
  /**
   * - `qdq`: operators stay what they were, between QuantizeLinear and DequantizeLinear, for the runtime to fuse.
   * - `qoperator`: onnxruntime's integer operators where there are any (8-bit codes only), see `toQOperator`.
   *
   * Default 'qdq'.
   */
  readonly format?: 'qdq' | 'qoperator';
  /**
   * A pair for each reader of a value instead of one for all: TensorRT, for one, cannot share them. A value that several
   * quantized nodes read goes to everything else, graph outputs too, as the float that it was. Default false. QDQ
   * form only.
   */
  readonly dedicatedPairs?: boolean;
}

/**
 * Quantizes `model`, the one the plan was prepared from, with what calibration put into the plan.
 *
 * @throws CalibrationError CALIBRATION_EMPTY if the plan holds no ranges; GraphError if it belongs to another model, if a
 *   weight holds NaN or an infinity, or if calibration spoke against all of its nodes; TypeError for `dedicatedPairs` in QOperator form; UnsupportedError
 *   UNSUPPORTED_DTYPE if QOperator form is asked for with codes that have not 8 bits
 */
export async function convert(model: Model, plan: Plan, options: ConvertOptions = {}): Promise<Converted> {
  checkModel('convert', model);
  checkOptions('convert', options, CONVERT_RULES);
  checkFormat(plan, options);
  const copy = model.clone();
  const planned = selectPlanned(copy, plan);
  checkSomethingQuantized(planned.quantized.length, [...plan.skipped, ...planned.skipped]);
  const emitter = new Emitter(copy.graph, options.names ?? 'short');
  const grids = await openGrids(planned.selection, plan, copy);
  const converter = new Converter({ graph: copy.graph, emitter, selection: planned.selection, grids, plan });
  await converter.constants(options);
  await converter.absorbClamps();
  const converted = writePairs(emitter, planned.selection, grids, options.dedicatedPairs ?? false);
  guardMovers(copy, emitter);
  removeUnusedInPlace(copy);
  signModel(copy);
  const activations = [...Array.from(grids.used, ([name, grid]) => ({ name, ...grid })), ...converted];
  const written = { ...report(plan, planned, converter), activations };
  if (options.format !== 'qoperator') return { model: copy, report: written };
  const { skipped } = await toQOperatorInPlace(copy, options.names ?? 'short');
  const quantized = new Set(written.quantized.map(({ node }) => node));
  return {
    model: copy,
    report: { ...written, keptPairs: skipped.filter(({ node }) => quantized.has(node)) },
  };
}

/** Ranges that are missing because all was infinite may be a weight's fault. */
async function openGrids(selection: Selection, plan: Plan, model: Model): Promise<ValueGrids> {
  try {
    return new ValueGrids(selection, plan);
  } catch (error) {
    throw await blamed(error, model);
  }
}

interface Converting {
  readonly graph: Graph;
  readonly emitter: Emitter;
  readonly selection: Selection;
  readonly grids: ValueGrids;
  readonly plan: Plan;
}

class Converter {
  readonly #graph: Graph;
  readonly #emitter: Emitter;
  readonly #selection: Selection;
  readonly #planned: ReadonlyMap<string, PlannedNode>;
  readonly #grids: ValueGrids;
  readonly #quantized = new QuantizedWeights();
  readonly #stored = new Map<string, Promise<QuantizedWeightData>>();
  readonly weights: QuantizedWeight[] = [];
  readonly absorbed: string[] = [];

  constructor({ graph, emitter, selection, grids, plan }: Converting) {
    this.#graph = graph;
    this.#emitter = emitter;
    this.#selection = selection;
    this.#planned = new Map(plan.nodes.map((node) => [node.output, node]));
    this.#grids = grids;
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
          this.#grids.setTable(output, gridOfTable(stored));
        node.setInput(index, this.#emitter.dequantized(input.name, stored, node));
      } else if (role.kind === 'activation') {
        const grid = this.#grids.forReader(input, node);
        if (grid !== undefined) scales[index] = Float32Array.of(grid.scale);
      } else if (role.kind === 'bias' && scales[0] !== undefined) {
        const bias = await loadBias(input);
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
    return { bias: (await loadBias(bias)).data, inputScale: role.factor * inputScale[0] };
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
        ? this.#quantized.weight(value, { spec, axis: role.axis, fit })
        : this.#quantized.operand(value, spec));
      this.weights.push({
        name: value.name,
        dtype: stored.dtype,
        scales: stored.scaleData.length,
        elements: elementCount(stored.codes.shape),
      });
      return stored;
    };
    if (fit !== undefined || value.uses.size === 1) return compute();
    const key = JSON.stringify([value.name, spec, role]);
    const known = this.#stored.get(key) ?? compute();
    this.#stored.set(key, known);
    return known;
  }

  /**
   * Removes a fused Relu or Clip where saturation to the grid does the same. Where it does not (int8 codes with zero point 0,
   * say), the op before it gets the grid of the Relu: rounding is monotonic, so q(clip(x)) = q(clip(dequantize(q(x)))) for
   * every x, and the op can be computed in integers, as it cannot with a float reader.
   */
  async absorbClamps(): Promise<void> {
    for (const [node] of this.#selection.fused) {
      const [input] = node.inputs;
      const [output] = node.outputs;
      const known = output && this.#grids.get(output);
      if (input === undefined || output === undefined || known === undefined) continue;
      if (!saturates(known.grid, await policyOf(node)?.clampRange?.(node))) {
        this.#grids.share(output, input);
        continue;
      }
      this.absorbed.push(node.label);
      const { name } = output;
      this.#graph.replaceAllUses(output, input);
      this.#graph.removeNode(node);
      if (this.#graph.value(name) === undefined) this.#graph.rename(input, name);
      this.#grids.move(output, input);
    }
  }
}

function report(
  plan: Plan,
  { quantized, skipped }: PlannedSelection,
  converter: Converter,
): Omit<QuantizationReport, 'activations'> {
  return {
    mode: 'static',
    quantized: quantized.map(({ node, opType }) => ({ node, opType })),
    skipped: [...plan.skipped, ...skipped],
    weights: converter.weights,
    absorbed: converter.absorbed,
    samples: plan.samples,
    backend: getBackend(),
  };
}
