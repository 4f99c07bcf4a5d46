/**
 * QDQ form → QOperator form: a node between DequantizeLinear and QuantizeLinear becomes the integer operator that takes
 * and gives the codes themselves. The arithmetic is that of the kernels into which onnxruntime fuses the pairs; here the
 * file says so, and nothing is left to the optimizer.
 *
 * Cases:
 * 1. The node has a row in FORMS, its inputs are codes of 8 bits and its one reader a QuantizeLinear (or, for Gemm, its
 *    output is float): replaced. Values that are graph outputs keep their names.
 * 2. QuantizeLinear of what a DequantizeLinear of the same grid gives: removed, the codes are the same.
 * 3. Anything else that reads dequantized values: left between its pairs, with the reason.
 * 4. Bodies of If, Loop and Scan, and local functions: left as they are.
 */
import type { Graph } from '../../graph/graph.ts';
import type { Model } from '../../graph/model.ts';
import type { Node } from '../../graph/node.ts';
import { checkOpset } from '../../graph/opset.ts';
import type { Value } from '../../graph/value.ts';
import { inputOf, outputOf, present } from '../../passes/access.ts';
import type { PassResult, SkippedNode } from '../../passes/pass.ts';
import { removeUnusedInPlace } from '../../passes/remove-unused.ts';
import { allocate, type DType } from '../../tensor/dtype.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { Emitter, scalar, type CodeDType } from '../emit.ts';
import { saturatedCode } from '../grids.ts';
import type { NameStyle } from '../names.ts';
import { policyOf } from '../ops/index.ts';
import type { InputRole, Interval, Refusal } from '../ops/policy.ts';
import { isRefused, readCodeGrids, sameGrid, type CodeGrid, type Grids, type Operand } from './coded.ts';
import { FORMS, MICROSOFT, type Form, type Site } from './forms.ts';

/** Relative difference of a bias scale from the product of the scales that is rounding. */
const SCALE_TOLERANCE = 1e-5;

/**
 * Says a model in QDQ form with onnxruntime's integer operators (QLinearConv, QGemm, ...), wherever they exist for 8-bit
 * codes. Other nodes keep their pairs and are listed in `skipped`; the result loads and computes what the model did, up
 * to how integer kernels round. The model is not changed.
 *
 * @throws UnsupportedError UNSUPPORTED_OPSET if the operator set is newer than we know
 * @example
 * const { model, skipped } = await toQOperator(await readModel('model.qdq.onnx'));
 */
export async function toQOperator(model: Model): Promise<PassResult> {
  checkOpset(model);
  const copy = model.clone();
  const { modified, skipped } = await toQOperatorInPlace(copy, 'short');
  return { model: modified ? copy : model, modified, skipped };
}

/** The same on a model that the caller owns. */
export async function toQOperatorInPlace(model: Model, names: NameStyle): Promise<Omit<PassResult, 'model'>> {
  const { graph } = model;
  const nodes = graph.nodes.toArray();
  const read = { grids: await readCodeGrids(nodes), intervals: await readIntervals(nodes) };
  const fuser = new Fuser(model, names, read);
  const skipped: SkippedNode[] = [];
  for (const node of nodes) {
    // A QuantizeLinear goes with the node before it.
    if (node.graph === undefined) continue;
    if (node.is('QuantizeLinear')) fuser.dropPair(node);
    else if (fuser.readsCodes(node)) {
      const refusal = fuser.fuse(node);
      if (refusal !== undefined)
        skipped.push({ node: node.label, opType: node.qualifiedOp, reason: refusal.reason });
    }
  }
  if (fuser.modified) {
    removeUnusedInPlace(model);
    graph.sort();
  }
  return { modified: fuser.modified, skipped };
}

/** What Relu and Clip keep values in, where their bounds are constants. */
async function readIntervals(nodes: Iterable<Node>): Promise<ReadonlyMap<Node, Interval>> {
  const intervals = new Map<Node, Interval>();
  for (const node of nodes) {
    const interval = await policyOf(node)?.clampRange?.(node);
    if (interval !== undefined) intervals.set(node, interval);
  }
  return intervals;
}

/** What had to be loaded before. */
interface ConstantFacts {
  readonly grids: Grids;
  readonly intervals: ReadonlyMap<Node, Interval>;
}

class Fuser {
  readonly #model: Model;
  readonly #graph: Graph;
  readonly #emitter: Emitter;
  readonly #grids: Grids;
  readonly #intervals: ConstantFacts['intervals'];
  modified = false;

  constructor(model: Model, names: NameStyle, { grids, intervals }: ConstantFacts) {
    this.#model = model;
    this.#graph = model.graph;
    this.#emitter = new Emitter(model.graph, names);
    this.#grids = grids;
    this.#intervals = intervals;
  }

  readsCodes(node: Node): boolean {
    if (node.is('DequantizeLinear')) return false;
    return node.inputs.some((input) => input?.producer?.is('DequantizeLinear'));
  }

  /** Case 2. */
  dropPair(quantize: Node): void {
    const { producer } = inputOf(quantize, 0);
    const grid = this.#grids.get(quantize);
    const before = producer && this.#grids.get(producer);
    if (grid === undefined || before === undefined || !producer?.is('DequantizeLinear')) return;
    if (isRefused(grid) || isRefused(before) || !sameGrid(grid, before)) return;
    this.#graph.replaceAllUses(outputOf(quantize), inputOf(producer, 0));
    this.#graph.removeNode(quantize);
    this.modified = true;
  }

  /** Cases 1 and 3. */
  fuse(node: Node): Refusal | undefined {
    const form = Object.hasOwn(FORMS, node.qualifiedOp) ? FORMS[node.qualifiedOp] : undefined;
    if (form === undefined) return { reason: `${node.qualifiedOp} has no integer operator` };
    const operands = this.#operands(node, form);
    if (isRefused(operands)) return operands;
    const readers = form.output === 'none' ? [] : this.#readers(node, form, operands[0] ?? operands[1]);
    if (isRefused(readers)) return readers;
    const site: Site = {
      node,
      opset: this.#model.opset,
      operands,
      output: readers[0]?.grid,
      qparams: (grid) => this.#qparams(grid),
      interval: this.#intervals.get(node),
      code: (operand, x) => this.#code(operand, x),
    };
    const reason = form.obstacle?.(site);
    if (reason !== undefined) return { reason };
    this.#replace(site, form, readers);
    return undefined;
  }

  #operands(node: Node, form: Form): (Operand | undefined)[] | Refusal {
    const operands: (Operand | undefined)[] = [];
    for (const [index, role] of form.roles(node).entries()) {
      const operand = role.kind === 'keep' ? undefined : this.#operand(node, index);
      if (operand !== undefined && isRefused(operand)) return operand;
      const reason = operand && unfit(operand, role, operands);
      if (reason !== undefined) return { reason: `input ${index}: ${reason}` };
      operands.push(operand);
    }
    return operands;
  }

  #operand(node: Node, index: number): Operand | Refusal {
    const { producer } = inputOf(node, index);
    const grid = producer?.is('DequantizeLinear') ? this.#grids.get(producer) : undefined;
    if (producer === undefined || grid === undefined) return { reason: `input ${index} is float` };
    return isRefused(grid) ? grid : { ...grid, codes: inputOf(producer, 0) };
  }

  /** The QuantizeLinear behind each output; none where the output is float. */
  #readers(node: Node, form: Form, first: Operand | undefined): Reader[] | Refusal {
    const readers: Reader[] = [];
    for (const value of node.outputs) {
      const reader = value && this.#reader(value);
      if (reader !== undefined && isRefused(reader)) return reader;
      if (reader === undefined) {
        if (form.output === 'either') continue;
        return { reason: 'its output stays float, which the integer operator cannot give' };
      }
      if (reader.grid.dtype !== first?.dtype) return { reason: 'its codes change their type' };
      if (form.output === 'same' && !sameGrid(reader.grid, first))
        return { reason: 'its output has another grid than its input' };
      readers.push(reader);
    }
    return readers;
  }

  #reader(value: Value): Reader | Refusal | undefined {
    const [use, ...others] = value.uses;
    if (use === undefined || !use.node.is('QuantizeLinear')) return undefined;
    if (others.length > 0 || value.isOutput) return { reason: 'its output is also read in float' };
    const grid = present(this.#grids.get(use.node), `${use.node.label}: expected a grid that was read`);
    if (isRefused(grid)) return grid;
    if (grid.axis !== undefined) return { reason: 'its output has a scale a channel' };
    return { node: use.node, grid };
  }

  #replace({ node, ...site }: Site, form: Form, readers: readonly Reader[]): void {
    const init = form.build({ node, ...site });
    if (init.domain === MICROSOFT && !this.#model.opsetImports.has(MICROSOFT))
      this.#model.opsetImports.set(MICROSOFT, 1);
    this.modified = true;
    if (readers.length === 0) {
      this.#graph.replaceNode(node, { ...init, name: node.name });
      return;
    }
    const outputs = readers.map(({ node: reader }) => this.#graph.freshName(outputOf(reader).name));
    const made = this.#graph.addNode({ ...init, name: node.name, outputs }, { before: node });
    for (const [index, { node: reader }] of readers.entries()) {
      const old = outputOf(reader);
      const { name } = old;
      const value = present(made.outputs[index], `${name}: expected a new output`);
      this.#graph.replaceAllUses(old, value);
      this.#graph.removeNode(reader);
      if (this.#graph.value(name) === undefined) this.#graph.rename(value, name);
    }
    this.#graph.removeNode(node);
  }

  #qparams({ dtype, scale, zeroPoint }: CodeGrid): readonly Value[] {
    if (zeroPoint !== undefined) return [scale, zeroPoint];
    const shape = scale.constant?.shape ?? [];
    const count = shape.reduce((a, b) => a * b, 1);
    // The grid is that of 8-bit codes, which was checked.
    const zeros = new Tensor(dtype as DType, shape, allocate(dtype as DType, count));
    return [scale, this.#emitter.constant('zero_point', scale.name, this.#emitter.number(), zeros)];
  }

  #code({ codes, scales: [scale], zeroPoints: [zeroPoint], dtype: given }: Operand, x: number): Value {
    // Operands of integer operators have 8 bits, which was checked.
    const dtype = given as CodeDType;
    const code = scalar(dtype, saturatedCode({ scale, zeroPoint, dtype }, x));
    return this.#emitter.constant('bound', codes.name, this.#emitter.number(), code);
  }
}

interface Reader {
  readonly node: Node;
  readonly grid: CodeGrid;
}

/** Why an operand does not fit its role beside those before it. */
function unfit(
  { dtype, axis, scales, zeroPoints }: Operand,
  role: InputRole,
  before: readonly (Operand | undefined)[],
): string | undefined {
  if (role.kind === 'bias') return unfitBias({ dtype, scales, zeroPoints }, role.factor, before);
  if (dtype !== 'uint8' && dtype !== 'int8') return `its codes are ${dtype}; integer operators have 8 bits`;
  const first = before.find((operand) => operand !== undefined);
  if (role.kind === 'weight') {
    if (axis !== undefined && axis !== role.axis) return `it has scales along axis ${axis}`;
    return first?.dtype === 'int8' && dtype === 'uint8'
      ? 'no kernel takes int8 with uint8 weights'
      : undefined;
  }
  if (axis !== undefined) return 'it has a scale a channel';
  return first !== undefined && first.dtype !== dtype
    ? `its codes are ${dtype}, not ${first.dtype}`
    : undefined;
}

/** The integer operator adds the bias codes to the products: they must count in the same unit. */
function unfitBias(
  { dtype, scales, zeroPoints }: Pick<CodeGrid, 'dtype' | 'scales' | 'zeroPoints'>,
  factor: number,
  [input, weight]: readonly (Operand | undefined)[],
): string | undefined {
  if (dtype !== 'int32') return `its bias is ${dtype}, not int32`;
  if (input === undefined || weight === undefined) return 'its bias has no products to be added to';
  if (zeroPoints.some((zeroPoint) => zeroPoint !== 0)) return 'its bias has a zero point';
  const count = Math.max(scales.length, weight.scales.length);
  for (let i = 0; i < count; i++) {
    const wanted = factor * input.scales[0] * weight.scales[i % weight.scales.length];
    const differs = Math.abs(scales[i % scales.length] - wanted) > SCALE_TOLERANCE * Math.abs(wanted);
    if (differs) return 'its bias has another scale than the products';
  }
  return undefined;
}
