/** Reads the grids of a QDQ graph: what each QuantizeLinear gives, and what each DequantizeLinear takes. */
import type { Node } from '../../graph/node.ts';
import type { Value } from '../../graph/value.ts';
import { inputOf } from '../../passes/access.ts';
import { elementValues } from '../../tensor/values.ts';
import type { Refusal } from '../ops/policy.ts';

/** Scales and zero points of codes; one a channel of `axis`, or one. */
export interface CodeGrid {
  readonly dtype: string;
  readonly scale: Value;
  /** Absent where the model leaves it out: 0. */
  readonly zeroPoint: Value | undefined;
  readonly axis: number | undefined;
  readonly scales: readonly number[];
  readonly zeroPoints: readonly number[];
}

/** One operand of an integer operator. */
export interface Operand extends CodeGrid {
  readonly codes: Value;
}

export type Grids = ReadonlyMap<Node, CodeGrid | Refusal>;

export function isRefused<T extends object>(result: T | Refusal): result is Refusal {
  return 'reason' in result;
}

/** The grid of each QuantizeLinear and DequantizeLinear among `nodes`, or why none can be read. */
export async function readCodeGrids(nodes: Iterable<Node>): Promise<Grids> {
  const grids = new Map<Node, CodeGrid | Refusal>();
  for (const node of nodes) {
    if (node.is('QuantizeLinear') || node.is('DequantizeLinear'))
      grids.set(node, await readGrid(node, grids));
  }
  return grids;
}

async function readGrid(node: Node, earlier: Grids): Promise<CodeGrid | Refusal> {
  const scale = inputOf(node, 1);
  const zeroPoint = node.inputs[2];
  const scaleConstant = scale.constant;
  if (scaleConstant === undefined || (zeroPoint !== undefined && zeroPoint.constant === undefined))
    return { reason: 'a scale or a zero point is computed' };
  if (scaleConstant.elementType !== 'float32') return { reason: `a scale is ${scaleConstant.elementType}` };
  if (node.int('block_size', 0) > 0) return { reason: 'its codes have scales by blocks' };
  const dtype = codeType(node, earlier);
  if (dtype === undefined) return { reason: 'the type of its codes is not known' };
  const scales = Array.from(elementValues(await scaleConstant.load()), Number);
  const zeros = await zeroPoint?.constant?.load();
  const zeroPoints = zeros === undefined ? [0] : Array.from(elementValues(zeros), Number);
  const axis = scales.length === 1 ? undefined : axisOf(node);
  if (Number.isNaN(axis)) return { reason: 'it counts an axis from the end of an unknown rank' };
  return { dtype, scale, zeroPoint, axis, scales, zeroPoints };
}

function codeType(node: Node, earlier: Grids): string | undefined {
  const { elementType } = node.inputs[2] ?? {};
  if (elementType !== undefined) return elementType;
  // output_dtype is for codes without a zero point; nothing that we write has it.
  if (node.is('QuantizeLinear')) return node.attributes.has('output_dtype') ? undefined : 'uint8';
  const codes = inputOf(node, 0);
  const maker = codes.producer === undefined ? undefined : earlier.get(codes.producer);
  return codes.elementType ?? (maker === undefined || isRefused(maker) ? undefined : maker.dtype);
}

/** NaN if it cannot be told. */
function axisOf(node: Node): number {
  const axis = node.int('axis', 1);
  return axis >= 0 ? axis : axis + (inputOf(node, 0).dims?.length ?? NaN);
}

/** True if codes of one grid mean the same on the other. */
export function sameGrid(a: CodeGrid, b: CodeGrid): boolean {
  const equal = (x: readonly number[], y: readonly number[]): boolean =>
    x.length === y.length && x.every((value, i) => value === y[i]);
  return (
    a.dtype === b.dtype && a.axis === b.axis && equal(a.scales, b.scales) && equal(a.zeroPoints, b.zeroPoints)
  );
}
