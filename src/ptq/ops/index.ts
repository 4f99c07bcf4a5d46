/** The one table from op type to policy. */
import { activationPolicy, softmaxPolicy } from './activation.ts';
import { clampPolicy } from './clamp.ts';
import { convPolicy, convTransposePolicy } from './conv.ts';
import { concatPolicy, gatherPolicy, movementPolicy, padPolicy, resizePolicy } from './data-movement.ts';
import { elementwisePolicy, wherePolicy } from './elementwise.ts';
import { FLOAT_OPS } from './float-ops.ts';
import { gemmPolicy } from './gemm.ts';
import { matmulPolicy } from './matmul.ts';
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

const BY_OP_TYPE = new Map(POLICIES.flatMap((policy) => policy.opTypes.map((op) => [op, policy] as const)));

/** The policy of a node, if its op is one of ours. */
export function policyOf(node: Node): OpPolicy | undefined {
  return node.domain === '' ? BY_OP_TYPE.get(node.opType) : undefined;
}

/** Why a node without a policy stays in float. */
export function floatReason(node: Node): string {
  const known = node.domain === '' && Object.hasOwn(FLOAT_OPS, node.opType);
  return known ? FLOAT_OPS[node.opType] : `no integer form of ${node.qualifiedOp} is known here`;
}

/** Op types that static quantization knows, sorted. */
export const STATIC_OP_TYPES: readonly string[] = [...BY_OP_TYPE.keys()].sort();
