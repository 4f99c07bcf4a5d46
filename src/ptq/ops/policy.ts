/**
 * What a family of ops needs to be quantized: which inputs are activations, weights or biases, and what becomes of
 * the outputs. Policies look at one node and decide nothing about its neighbours; `prepare` joins them into a plan.
 */
import type { Node } from '../../graph/node.ts';
import type { Value } from '../../graph/value.ts';

export type InputRole =
  /** Quantized at run time with the range that calibration finds (constants: with their own range). */
  | { readonly kind: 'activation' }
  /** A constant stored as integers. `axis` is its channel axis; undefined where only one scale is allowed. */
  | { readonly kind: 'weight'; readonly axis: number | undefined }
  /** A constant stored as int32 with scale = factor · scale(input 0) · scale(input 1). */
  | { readonly kind: 'bias'; readonly factor: number }
  /** Left as it is: shapes, axes, bounds, absent inputs. */
  | { readonly kind: 'keep' };

/**
 * - `own`: quantized with a range of its own.
 * - `shared`: every output has the very codes of input 0 (reshapes, max pooling), so it takes its scale and zero point.
 * - `wide`: like `own`, but the runtime also has an integer kernel that gives float32, which is more exact: quantized
 *   only where somebody reads integers.
 */
export type OutputRole = 'own' | 'shared' | 'wide';

export interface OpPlan {
  readonly inputs: readonly InputRole[];
  readonly output: OutputRole;
  /** How many of the first outputs have codes, where others are positions. Default: all if `shared`, else one. */
  readonly coded?: 0 | 1;
  /** Range of the output whatever the data; calibration does not look at it then. */
  readonly range?: Interval;
  /** Quantized wherever it stands, though the op is a carrier: a table of rows gets smaller by it. */
  readonly always?: boolean;
  /** Why the node should stay in float although an integer form exists. It does, unless the configuration names it. */
  readonly advice?: string | undefined;
}

export type Interval = readonly [low: number, high: number];

/** Why a node stays in float. */
export interface Refusal {
  readonly reason: string;
}

export interface OpPolicy {
  /** Op types of the default domain; others with their domain, `com.microsoft.Op`. */
  readonly opTypes: readonly string[];
  /**
   * - `compute`: integer arithmetic pays here, so its inputs are quantized for it.
   * - `carry`: quantized only between integers, where an input has codes already and a reader wants them; alone it
   *   would gain nothing, and a sum or a table of scores at the end is more exact in float.
   * - `clamp`: an activation that can be the saturation of the output before it (see {@link clampRange}).
   */
  readonly kind: 'compute' | 'carry' | 'clamp';
  plan(node: Node, opset: number): OpPlan | Refusal;
  /** `clamp` only: the interval that the op keeps values in, undefined if its bounds are not constant. */
  clampRange?(node: Node): Promise<Interval | undefined>;
}

export const ACTIVATION: InputRole = { kind: 'activation' };
export const KEEP: InputRole = { kind: 'keep' };

export function isRefusal(plan: OpPlan | Refusal): plan is Refusal {
  return 'reason' in plan;
}

/** True if the value is the same tensor at every run. */
export function isConstant(value: Value | undefined): value is Value {
  return value?.constant !== undefined;
}

/** Activation inputs: constants among them are quantized with their own range. */
export function activations(node: Node): InputRole[] {
  return node.inputs.map((input) => (input === undefined ? KEEP : ACTIVATION));
}

/** Input 0 is the data, everything after it shapes, axes or pads. */
export function firstIsData(node: Node): InputRole[] {
  return node.inputs.map((_input, index) => (index === 0 ? ACTIVATION : KEEP));
}
