/** The one table from op type to policy. */
import { activationPolicy, softmaxPolicy } from './activation.ts';
import { clampPolicy } from './clamp.ts';
import { convPolicy, convTransposePolicy } from './conv.ts';
import { concatPolicy, gatherPolicy, movementPolicy, padPolicy, resizePolicy } from './data-movement.ts';
import { elementwisePolicy, wherePolicy } from './elementwise.ts';
import { FLOAT_OPS } from './float-ops.ts';
import { gemmPolicy } from './gemm.ts';
import { matmulPolicy } from './matmul.ts';
import { PLAIN_POLICIES } from './plain.ts';
import { averagePoolPolicy, extremesPolicy, maxPoolPolicy } from './pooling.ts';
import type { Node } from '../../graph/node.ts';
import type { OpPolicy } from './policy.ts';

const POLICIES: readonly OpPolicy[] = [
  convPolicy,
  convTransposePolicy,
  gemmPolicy,
  matmulPolicy,
  elementwisePolicy,
  wherePolicy,
  activationPolicy,
  softmaxPolicy,
  clampPolicy,
  maxPoolPolicy,
  averagePoolPolicy,
  extremesPolicy,
  movementPolicy,
  gatherPolicy,
  padPolicy,
  resizePolicy,
  concatPolicy,
];

/**
 * - `kernels`: what onnxruntime computes in integers, and what lies between such operators.
 * - `all`: operators that it computes in float too, wherever they stand: for NPUs and other runtimes.
 */
export type Coverage = 'kernels' | 'all';

const byOpType = (policies: readonly OpPolicy[]): ReadonlyMap<string, OpPolicy> =>
  new Map(policies.flatMap((policy) => policy.opTypes.map((op) => [op, policy] as const)));

const BY_OP_TYPE = byOpType(POLICIES);

const COVERED: Readonly<Record<Coverage, ReadonlyMap<string, OpPolicy>>> = {
  kernels: BY_OP_TYPE,
  all: byOpType([...POLICIES, ...PLAIN_POLICIES]),
};

export const COVERAGES: readonly string[] = Object.keys(COVERED);

/** The policy of a node, if its op is one of ours. */
export function policyOf(node: Node, coverage: Coverage = 'kernels'): OpPolicy | undefined {
  return COVERED[coverage].get(node.qualifiedOp);
}

/** Why a node without a policy stays in float. */
export function floatReason(node: Node): string {
  const known = node.domain === '' && Object.hasOwn(FLOAT_OPS, node.opType);
  return known ? FLOAT_OPS[node.opType] : `no integer form of ${node.qualifiedOp} is known here`;
}

/** Op types that static quantization knows, sorted. */
export const STATIC_OP_TYPES: readonly string[] = [...BY_OP_TYPE.keys()].sort();
